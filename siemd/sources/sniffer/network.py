"""Network layers: IPv4, IPv6 with its extension headers, and ARP."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from siemd.sources.sniffer.layer import Malformed, Truncated, Unknown
from siemd.sources.sniffer.packet import ARP, TCP, Packet

if TYPE_CHECKING:
    from siemd.sources.sniffer.decode import Decoder

MAX_EXTENSION_HEADERS = 16
SMALLEST_FRAGMENT = 24  # bytes; links carry 68 at least, of which IPv4's header is 60 at most with every option in use

_AUTHENTICATION, _FRAGMENT = 51, 44
# hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, Shim6
_EXTENSION_HEADERS = frozenset((0, 43, _FRAGMENT, _AUTHENTICATION, 60, 135, 139, 140))

_read_ipv4 = Struct(">BxHHHBBxx4s4s").unpack_from
_read_ipv6 = Struct(">BxxxHBB16s16s").unpack_from
_read_extension = Struct(">BBHI").unpack_from  # none is shorter than 8 bytes
_read_arp = Struct(">HHBBH6s4s6x4s").unpack_from


def ip(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """IPv4 or IPv6, by the version in the first byte."""
    version = data[offset] >> 4
    if version == 4:
        ipv4(decoder, packet, data, offset, end)
    elif version == 6:
        ipv6(decoder, packet, data, offset, end)
    else:
        raise Malformed


def ipv4(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """IPv4 with options; the total length tells the payload from the padding behind it."""
    first, total_length, identification, fragment, ttl, protocol, source, destination = _read_ipv4(data, offset)
    header_length = (first & 0x0F) << 2
    if first >> 4 != 4 or header_length < 20:
        raise Malformed
    if not total_length:  # segmentation offload: the network card will fill it in
        total_length = end - offset
    if total_length < header_length:
        raise Malformed
    short = offset + total_length > end
    if not short:
        end = offset + total_length
    offset += header_length
    packet.source_ip = source
    packet.destination_ip = destination
    packet.ttl = ttl
    packet.protocol = protocol
    if fragment & 0x3FFF:  # more fragments, or an offset
        part = data[offset:end]
        joined = _fragment(decoder, packet, identification, (fragment & 0x1FFF) << 3, part)
        packet.cut_header = packet.cut_header and not short  # else it was the capture that cut it
        if packet.fragment:
            rest(packet, data, offset, end)
            return
        if joined is not None:
            data, offset, end = joined, 0, len(joined)
    layer = decoder.protocols.get(protocol)
    if layer is not None:
        layer(decoder, packet, data, offset, end)
    else:
        rest(packet, data, offset, end)
    if short:
        raise Truncated


def ipv6(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """IPv6 and its chain of extension headers, up to a limit."""
    first, payload_length, protocol, ttl, source, destination = _read_ipv6(data, offset)
    if first >> 4 != 6:
        raise Malformed
    offset += 40
    short = offset + payload_length > end
    if not short and payload_length:  # 0: a jumbogram, or segmentation offload
        end = offset + payload_length
    packet.source_ip = source
    packet.destination_ip = destination
    packet.ttl = ttl
    packet.protocol = protocol
    if protocol in _EXTENSION_HEADERS:
        offset, joined = _skip_extensions(decoder, packet, data, offset, end)
        packet.cut_header = packet.cut_header and not short
        if packet.fragment:
            rest(packet, data, offset, end)
            return
        if joined is not None:
            data, offset, end = joined, 0, len(joined)
    layer = decoder.protocols.get(packet.protocol)
    if layer is not None:
        layer(decoder, packet, data, offset, end)
    else:
        rest(packet, data, offset, end)
    if short:
        raise Truncated


def _skip_extensions(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> tuple[int, bytes | None]:
    """(The offset behind the extension headers, the beginning of a segment that a fragment completed).

    Sets the packet's protocol as it goes, and `fragment`.
    """
    for _ in range(MAX_EXTENSION_HEADERS):
        protocol = packet.protocol
        if protocol not in _EXTENSION_HEADERS:
            return offset, None
        following, length, word, identification = _read_extension(data, offset)
        if protocol == _FRAGMENT:
            offset += 8
        elif protocol == _AUTHENTICATION:
            offset += (length + 2) << 2
        else:
            offset += (length + 1) << 3
        if offset > end:
            raise Truncated
        packet.protocol = following
        if protocol == _FRAGMENT and word & 0xFFF9:  # else it is "atomic": the whole datagram (RFC 6946)
            joined = _fragment(decoder, packet, identification, word & 0xFFF8, data[offset:end])
            if packet.fragment or joined is not None:
                return offset, joined
    raise Malformed


def _fragment(decoder: Decoder, packet: Packet, identification: int, at: int, part: bytes) -> bytes | None:
    """Count a fragment, `at` bytes into its datagram, and mark the packet if it isn't the first.

    The beginning of a TCP segment is returned when this fragment completes a header that the ones before it cut.
    """
    decoder.fragments += 1
    joined = None
    packet.cut_header = at == 0 and len(part) < SMALLEST_FRAGMENT
    if packet.protocol == TCP:
        key = (packet.source_ip, packet.destination_ip, identification, packet.vlan)
        if at:
            joined = decoder.cut_headers.later(key, at, part)
        else:
            decoder.cut_headers.first(key, part)
    packet.fragment = at != 0 and joined is None
    return joined


def arp(_decoder: Decoder, packet: Packet, data: bytes, offset: int, _end: int) -> None:
    """ARP for IPv4 over Ethernet; `destination_mac` stays the frame's, which tells broadcasts from answers."""
    hardware, protocol, hardware_length, protocol_length, operation, mac, source, target = _read_arp(data, offset)
    if protocol != 0x0800 or hardware not in (1, 6):
        raise Unknown
    if hardware_length != 6 or protocol_length != 4:
        raise Malformed
    packet.protocol = ARP
    packet.arp_operation = operation
    packet.source_mac = mac
    packet.source_ip = source
    packet.destination_ip = target


def rest(packet: Packet, data: bytes, offset: int, end: int) -> None:
    """What is behind the network header, as it is."""
    packet.payload = data[offset:end]
    packet.payload_length = max(0, end - offset)
