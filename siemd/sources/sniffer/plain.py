"""The commonest frames in one step: TCP and UDP in IPv4 without options in untagged Ethernet, whole and unfragmented.

Layer by layer costs 2 µs a frame, mostly in attributes set one by one; one unpack and one construction cost a third.
Whatever is unusual gives None and is decoded layer by layer; a test holds that both ways agree.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from siemd.sources.sniffer.packet import TCP, UDP, Frame, Packet
from siemd.sources.sniffer.tunnels import PORTS

_TRANSPORT_AT = 14 + 20
_SHORTEST = _TRANSPORT_AT + 20
# Ethernet: destination, source, ethertype; IPv4: version and header length, total length, fragment, TTL, protocol,
# source, destination; TCP: ports, sequence, acknowledgement, header length and flags, window (UDP ends within these)
_read_headers = Struct(">6s6sHBxHxxHBBxx4s4sHHIIHH").unpack_from


def decode_plain(frame: Frame) -> Packet | None:
    """The packet of a plain frame of link type Ethernet, or None when it must go layer by layer."""
    data = frame.data
    return decode_plain_at(data, 0, len(data), frame.length, frame.time_us)


def decode_plain_at(data: bytes | memoryview, start: int, captured: int, length: int, time_us: int) -> Packet | None:
    """The same for a frame that begins at `start` of more data."""
    if captured < _SHORTEST:
        return None
    headers = _read_headers(data, start)
    (
        destination_mac,
        source_mac,
        ethertype,
        first,
        total_length,
        fragment,
        ttl,
        protocol,
        source,
        destination,
        source_port,
        destination_port,
        seq,
        ack,
        word,
        window,
    ) = headers
    end = 14 + total_length
    if ethertype != 0x0800 or first != 0x45 or fragment & 0x3FFF or end > length:
        return None
    if protocol == TCP:
        header_length = word >> 12 << 2
        payload = _TRANSPORT_AT + header_length
        if header_length < 20 or payload > end or payload > captured:
            return None
        return Packet(
            time_us,
            length,
            TCP,
            source,
            destination,
            source_mac,
            destination_mac,
            source_mac,
            0,
            ttl,
            source_port,
            destination_port,
            word & 0xFF,
            seq,
            ack,
            window,
            header_length,
            b"" if header_length == 20 else bytes(data[start + _SHORTEST : start + payload]),
            0,
            0,
            0,
            0,
            b"" if payload == end else bytes(data[start + payload : start + min(end, captured)]),
            end - payload,
        )
    if protocol != UDP or destination_port in PORTS:
        return None
    return _udp(data[start : start + min(end, captured)], length, time_us, headers, end)


def _udp(data: bytes | memoryview, length: int, time_us: int, headers: tuple[Any, ...], end: int) -> Packet | None:
    destination_mac, source_mac, _, _, _, _, ttl, _, source, destination, source_port, destination_port, word, *_ = (
        headers
    )
    udp_end = _TRANSPORT_AT + (word >> 16)  # where TCP has its sequence number, UDP has its length
    if not _TRANSPORT_AT + 8 <= udp_end <= end:
        return None
    return Packet(
        time_us,
        length,
        UDP,
        source,
        destination,
        source_mac,
        destination_mac,
        source_mac,
        0,
        ttl,
        source_port,
        destination_port,
        payload=bytes(data[_TRANSPORT_AT + 8 : udp_end]),
        payload_length=udp_end - _TRANSPORT_AT - 8,
    )
