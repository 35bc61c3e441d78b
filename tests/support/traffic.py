"""Frames in bytes, random and hostile, of which the same seed makes the same; and how they become batches."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from siemd.sources.sniffer.frames import FrameBatch
from siemd.sources.sniffer.packet import ACK, ARP, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, Frame, Packet

START_US = 1_795_000_000_000_000
_SPOKEN = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"220 ftp\r\n",
    b"USER a\r\n",
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
)
_MACS = bytes.fromhex("020000000002 020000000001")


def batch_of(frames: Sequence[Frame]) -> FrameBatch:
    """The frames as a capture would give them, with other bytes before, between and behind them."""
    memory, starts = bytearray(b"\xa5" * 16), []
    for frame in frames:
        starts.append(len(memory))
        memory += frame.data + b"\x5a" * 5
    memory += b"\xa5" * 100
    columns = [
        starts,
        [len(frame.data) for frame in frames],
        [frame.length for frame in frames],
        [frame.time_us for frame in frames],
        [frame.link_type for frame in frames],
    ]
    return FrameBatch(np.frombuffer(memory, dtype=np.uint8), *(np.array(column, dtype=np.int64) for column in columns))


def split(frames: Sequence[Frame], chance: random.Random, largest: int) -> Iterator[list[Frame]]:
    """The frames in pieces of random sizes."""
    at = 0
    while at < len(frames):
        size = chance.randint(1, largest)
        yield list(frames[at : at + size])
        at += size


def ip(
    protocol: int,
    source: bytes,
    destination: bytes,
    rest: bytes,
    *,
    vlan: int = 0,
    ttl: int = 64,
    options: bytes = b"",
    pad: int = 0,
) -> bytes:
    """An Ethernet frame with IPv4 or IPv6, by the length of the addresses."""
    if len(source) == 4:
        first, length = 0x45 + len(options) // 4, 20 + len(options) + len(rest)
        header = struct.pack(">BBHHHBBH", first, 0, length, 1, 0, ttl, protocol, 0) + source + destination + options
        ethertype = 0x0800
    else:
        header = struct.pack(">IHBB", 6 << 28, len(rest), protocol, ttl) + source + destination
        ethertype = 0x86DD
    tag = struct.pack(">HH", 0x8100, vlan) if vlan else b""
    return _MACS + tag + struct.pack(">H", ethertype) + header + rest + bytes(pad)


def tcp(ports: tuple[int, int], flags: int, seq: int, ack: int, payload: bytes, *, options: bytes = b"") -> bytes:
    """A TCP segment."""
    word = (5 + len(options) // 4) << 12 | flags
    return struct.pack(">HHIIHHI", *ports, seq % (1 << 32), ack % (1 << 32), word, 1024, 0) + options + payload


def udp(ports: tuple[int, int], payload: bytes) -> bytes:
    """A UDP datagram."""
    return struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload


def frame_of(packet: Packet) -> Frame:
    """The frame that a scripted packet could be decoded from; TCP's options are zeros."""
    if packet.protocol == ARP:
        ends = packet.source_mac + packet.source_ip + bytes(6) + packet.destination_ip
        head = struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, packet.arp_operation)
        data = packet.destination_mac + packet.ethernet_source + head + ends
    else:
        data = ip(packet.protocol, packet.source_ip, packet.destination_ip, _above_ip(packet), ttl=packet.ttl)
    return Frame(packet.time_us, data, len(data))


def _above_ip(packet: Packet) -> bytes:
    ports = (packet.source_port, packet.destination_port)
    if packet.protocol == TCP:
        options = bytes(packet.header_length - 20)
        return tcp(ports, packet.flags, packet.seq, packet.ack, packet.payload, options=options)
    if packet.protocol == UDP:
        return udp(ports, packet.payload)
    if packet.protocol in (ICMP, ICMPV6):
        head = struct.pack(">BBHHH", packet.icmp_type, packet.icmp_code, 0, packet.ident, packet.seq % (1 << 16))
        return head + (frame_of(packet.quoted).data[14:] if packet.quoted else packet.payload)
    return packet.payload


def write_capture(path: Path, frames: Iterable[Frame]) -> None:
    """A pcap file of Ethernet frames."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for frame in frames:
            seconds, micros = divmod(frame.time_us, 1_000_000)
            file.write(struct.pack("<IIII", seconds, micros, len(frame.data), frame.length) + frame.data)


class Chatter:
    """Some hosts that talk, scan, end, begin anew, send nonsense and have bad clocks."""

    def __init__(self, seed: int, *, clocks: bool = True) -> None:
        self._chance = random.Random(seed)
        self._clocks = clocks
        self._odd = self._chance.choice((0.005, 0.02, 0.3))
        self._now_us = START_US
        self._hosts = [bytes((10, 0, 0, n)) for n in range(1, 5)] + [bytes(15) + bytes((n,)) for n in (1, 2)]

    def frames(self, count: int) -> list[Frame]:
        """So many frames."""
        return [self._frame() for _ in range(count)]

    def _frame(self) -> Frame:
        chance = self._chance
        data = self._data()
        self._now_us += chance.choice((0, 1, 20, 20, 500, 20_000))
        time_us = self._now_us
        if self._clocks and chance.random() < 0.02:
            time_us += chance.choice((-1, -100, -3_000_000, 2_000_000, 4_000_000_000, -(10**12)))
        if chance.random() < 0.001:
            self._now_us += chance.choice((6_000_000, 40_000_000, -5_000_000 if self._clocks else 0))
        length = len(data)
        if chance.random() < 0.02:
            data = data[: chance.randint(0, length)]
        if chance.random() < 0.01 and data:
            data = bytearray(data)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return Frame(max(0, time_us), bytes(data), max(length, len(data)), 1 if chance.random() < 0.99 else 101)

    def _data(self) -> bytes:
        chance = self._chance
        family = self._hosts[:4] if chance.random() < 0.7 else self._hosts[4:]
        source, destination = chance.sample(family, 2)
        kind = chance.random()
        if kind < 0.02:
            return chance.randbytes(chance.randint(0, 100))
        vlan = 7 if chance.random() < 0.1 else 0
        near = (chance.choice((40_000, 40_001)), chance.choice((22, 80, 443, 8000)))
        if kind > 0.98:
            near = (50_000, chance.randint(1, 2000))
        ports = near if source < destination else near[::-1]
        payload = chance.choice((b"", b"", b"x", b"abcdef" * 20, b"SSH-2.0-a\r\n", bytes(300), *_SPOKEN))
        if kind < 0.2:
            rest, protocol = udp(ports, payload), 17
        else:
            flags = chance.choice((ACK, PSH | ACK))
            if chance.random() < self._odd:
                flags = chance.choice((SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0, FIN))
            seq, ack = chance.choice((1, 2, 1000)), chance.choice((1, 2))
            rest, protocol = tcp(ports, flags, seq, ack, payload, options=bytes(12 * chance.randint(0, 1))), 6
        options = bytes(4) if len(source) == 4 and chance.random() < 0.02 else b""
        pad = chance.choice((0, 0, 0, 6))
        return ip(protocol, source, destination, rest, vlan=vlan, options=options, pad=pad)
