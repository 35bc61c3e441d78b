"""Transport layers: TCP, UDP, SCTP, and ICMP with the packets that its errors quote."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from siemd.sources.sniffer.layer import Malformed, Truncated
from siemd.sources.sniffer.packet import Packet

if TYPE_CHECKING:
    from siemd.sources.sniffer.decode import Decoder

_ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))  # unreachable, source quench, redirect, time exceeded, parameter problem
_ICMP_WITH_IDENT = frozenset((0, 8, 13, 14, 15, 16, 17, 18))  # echo, timestamp, information, address mask
_ICMPV6_ERRORS = frozenset((1, 2, 3, 4))
_ICMPV6_WITH_IDENT = frozenset((128, 129, 134))  # echo; of router advertisements, hop limit, flags and lifetime

_TCP_TO_WINDOW = 16  # bytes of a TCP header up to the window

_read_ports = Struct(">HH").unpack_from
_read_tcp = Struct(">HHIIHH").unpack_from
_read_udp = Struct(">HHHxx").unpack_from
_read_sctp = Struct(">HHxxxxxxxx").unpack_from
_read_icmp = Struct(">BBxxHH").unpack_from


def tcp(_decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """TCP with its options as they came."""
    captured = min(end, len(data))
    if captured - offset < _TCP_TO_WINDOW:
        _cut(packet, data, offset, captured)
        if captured - offset >= 8:
            packet.seq = int.from_bytes(data[offset + 4 : offset + 8], "big")
        raise Truncated
    packet.source_port, packet.destination_port, packet.seq, packet.ack, word, packet.window = _read_tcp(data, offset)
    header_length = (word >> 12) << 2
    payload = offset + header_length
    cut = (
        captured - offset < 20
    )  # before checksum and urgent pointer, as `nmap --mtu 16` does: all that counts is there
    if header_length < 20 or (payload > end and not cut):
        raise Malformed
    packet.flags = word & 0xFF
    packet.header_length = header_length
    if cut:
        raise Truncated
    if header_length > 20:
        packet.options = data[offset + 20 : payload]
        if payload > captured:
            packet.payload_length = end - payload
            raise Truncated
    if payload < end:
        packet.payload = data[payload:end]
        packet.payload_length = end - payload


def udp(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """UDP, or what it carries; a length of 0 means "to the end" (jumbograms, segmentation offload)."""
    captured = min(end, len(data))
    if captured - offset < 8:
        _cut(packet, data, offset, captured)
        raise Truncated
    packet.source_port, packet.destination_port, length = _read_udp(data, offset)
    if length:
        if length < 8:
            raise Malformed
        end = min(end, offset + length)  # the first fragment of a longer datagram ends before its length
    tunnel = decoder.tunnel_ports.get(packet.destination_port)
    if tunnel is not None and tunnel(decoder, packet, data, offset + 8, end):
        return
    packet.payload = data[offset + 8 : end]
    packet.payload_length = end - offset - 8


def sctp(_decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """SCTP's common header; the payload begins with the first chunk."""
    captured = min(end, len(data))
    if captured - offset < 12:
        _cut(packet, data, offset, captured)
        raise Truncated
    packet.source_port, packet.destination_port = _read_sctp(data, offset)
    packet.payload = data[offset + 12 : end]
    packet.payload_length = end - offset - 12


def icmp(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """ICMP; `seq` is the echo's number, the payload of an error is what it quotes."""
    _icmp(decoder, packet, data, offset, end, _ICMP_WITH_IDENT, _ICMP_ERRORS)


def icmpv6(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """ICMPv6, likewise."""
    _icmp(decoder, packet, data, offset, end, _ICMPV6_WITH_IDENT, _ICMPV6_ERRORS)


def _icmp(
    decoder: Decoder,
    packet: Packet,
    data: bytes,
    offset: int,
    end: int,
    with_ident: frozenset[int],
    errors: frozenset[int],
) -> None:
    if min(end, len(data)) - offset < 8:
        packet.icmp_type = -1  # not 0, which is an echo reply
        raise Truncated
    kind, packet.icmp_code, ident, number = _read_icmp(data, offset)
    packet.icmp_type = kind
    packet.payload = data[offset + 8 : end]
    packet.payload_length = end - offset - 8
    if kind in with_ident:
        packet.ident = ident
        packet.seq = number
    elif kind in errors:
        packet.quoted = decoder.quoted(packet, data, offset + 8, end)


def _cut(packet: Packet, data: bytes, offset: int, captured: int) -> None:
    """What is left of a header that is cut: the ports, if they are there."""
    if captured - offset >= 4:
        packet.source_port, packet.destination_port = _read_ports(data, offset)
