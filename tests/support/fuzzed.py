"""Frames to fuzz with: of real captures, made by scapy, and scripted; and damage of every kind done to them."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from siemd.sources.sniffer.decode import LINK_TYPES
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.pcapfile import read_frames
from support.conversation import ATTACKER, VICTIM, Wire
from support.messages import (
    answer,
    dhcp,
    dhcpv6,
    netbios_answer,
    netbios_query,
    query,
    record,
    resolve,
    router_advertisement,
    txt,
)
from support.streams import ftp, hello, http, old_smb, rdp, smb, talk
from support.traffic import START_US, frame_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy import all as scapy

ETHER = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
_HEADERS = 80  # bytes in which most of a frame's structure is
_LEFT_ALONE = 0.5  # of the frames, so that conversations go deep before something is wrong in them
_RUN = 300  # frames in their order before another place is gone to
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def shapes() -> Iterator[Any]:
    """Stacks of layers that cover every path of the decoder, for scapy's fuzz()."""
    ip4, ip6 = scapy.IP(), scapy.IPv6()
    for network in (ip4, ip6):
        for transport in (scapy.TCP(), scapy.UDP(), scapy.SCTP() / scapy.SCTPChunkInit(), scapy.GRE()):
            yield network / transport
    yield ip4 / scapy.ICMP()
    yield ip4 / scapy.ICMP(type=3) / scapy.IPerror() / scapy.UDPerror()
    yield ip4 / scapy.ICMP(type=11) / scapy.IPerror() / scapy.TCPerror()
    yield ip6 / scapy.ICMPv6EchoRequest()
    yield ip6 / scapy.ICMPv6DestUnreach() / scapy.IPv6() / scapy.UDP()
    yield ip6 / scapy.ICMPv6ND_NS()
    yield ip6 / scapy.IPv6ExtHdrHopByHop() / scapy.IPv6ExtHdrFragment() / scapy.UDP()
    yield ip6 / scapy.IPv6ExtHdrDestOpt() / scapy.IPv6ExtHdrRouting() / scapy.TCP()
    yield scapy.ARP()


def seeds(count: int) -> list[bytes]:
    """Frames with random values in every field that scapy knows."""
    stacks = [scapy.fuzz(shape) for shape in shapes()]
    made: list[bytes] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while len(made) < count:
            stack = stacks[len(made) % len(stacks)]
            links = (ETHER, ETHER / scapy.Dot1Q(vlan=1) / scapy.Dot1Q(vlan=2))
            made.extend(bytes(link / stack)[:400] for link in links)
    return made


def spoken() -> list[Frame]:
    """Conversations in every protocol that the sensor reads, and probes of every kind."""
    wire = Wire()
    logins = (ftp("a", ("b", False), ("c", True)), smb("a", 0xC000006D), smb("a", 0, version=1), old_smb("a", 0))
    for port, turns in zip((21, 445, 139, 445), logins, strict=True):
        talk(wire, turns, port=port)
    for turns in (http(), http("/x", 404, method="POST"), [(">", hello()), ("<", hello())]):
        talk(wire, turns, port=443, segment=200)
    talk(wire, rdp("a", 1000), port=3389, end="reset")
    talk(wire, [("<", b"\xff\xfd\x18login: "), (">", b"a\r\n"), ("<", b"Password: "), (">", b"b\r\n")], port=23)
    talk(wire, [("<", b"* OK IMAP\r\n"), (">", b"1 LOGIN a b\r\n"), ("<", b"1 NO no\r\n")], port=143)
    talk(wire, [("<", b"220 m\r\n"), (">", b"AUTH PLAIN AGEAYg==\r\n"), ("<", b"535 no\r\n")], port=25)
    wire.ssh([(60, 52), (100, 52), (100, 36)])
    wire.syn_scan(range(1, 40), open_ports=(22,))
    wire.odd_scan(1, range(40, 60))
    wire.ack_scan(range(60, 80))
    for number in range(5):
        resolve(wire, ATTACKER, f"host{number}.example.org", [record(1, bytes(4)), txt(b"t" * 300)])
        resolve(wire, ATTACKER, f"{number}.absent.example", code=3)
    wire.udp(ATTACKER, 40_000, VICTIM, 53, query("axfr.example", 252))
    wire.udp(VICTIM, 137, ATTACKER, 137, netbios_query("wpad"))
    wire.udp(ATTACKER, 137, VICTIM, 137, netbios_answer("wpad", ATTACKER))
    wire.udp(ATTACKER, 5355, VICTIM, 40_000, answer("wpad", [record(1, bytes(4))]))
    wire.udp(VICTIM, 67, "255.255.255.255", 68, dhcp(2, VICTIM))
    wire.udp(ATTACKER, 68, "255.255.255.255", 67, dhcp(1, VICTIM))
    wire.udp("2001:db8::1", 547, "2001:db8::2", 546, dhcpv6(7, b"duid", offered="2001:db8::9", dns=("2001:db8::53",)))
    router_advertisement(wire, "fe80::1", prefixes=["2001:db8::"], dns=["2001:db8::53"])
    wire.ping(ATTACKER, VICTIM, payload=600, times=3)
    wire.ping("2001:db8::1", "2001:db8::2")
    wire.arp_answered(ATTACKER, "192.0.2.1")
    wire.put(132, ATTACKER, VICTIM, payload=b"\0\1\0\2" + bytes(8) + b"\1\0\0\x14" + bytes(16))
    return [frame_of(packet) for packet in wire.packets]


def material(corpus: Path | None) -> list[Frame]:
    """What is to be damaged: captures one after the other, scapy's inventions, scripted conversations."""
    frames = [Frame(START_US, data, len(data)) for data in seeds(500)]
    for _ in range(10 if corpus is None else 3):
        frames += spoken()
    for path in sorted((corpus / "pcap").glob("*.pcap*")) if corpus else ():
        with path.open("rb") as file:
            frames += [frame for some in read_frames(file) for frame in some]
    return frames


def every_prefix(frame: Frame) -> Iterator[Frame]:
    """The frame cut behind each of its bytes: by the snap length, and as if no more had been sent."""
    for end in range(len(frame.data) + 1):
        cut = frame.data[:end]
        yield Frame(frame.time_us, cut, frame.length if end % 2 else end, frame.link_type)


def damaged(frames: Sequence[Frame], chance: random.Random, count: int) -> Iterator[Frame]:
    """So many frames: runs of the given ones in their order, many of them changed, on a clock that may err."""
    now_us = START_US
    while count > 0:
        start = chance.randrange(len(frames))
        for frame in frames[start : start + min(count, chance.randint(1, _RUN))]:
            count -= 1
            now_us += chance.choice((0, 1, 50, 50, 2_000, 100_000))
            time_us = now_us
            if chance.random() < 0.001:
                time_us = max(0, time_us + chance.choice((-1, -5_000_000, 10**7, -(10**12), 4 * 10**9)))
            if chance.random() < _LEFT_ALONE:
                yield Frame(time_us, frame.data, frame.length, frame.link_type)
            else:
                yield msgspec.structs.replace(_damage(frame, chance, frames), time_us=time_us)


def _damage(frame: Frame, chance: random.Random, others: Sequence[Frame]) -> Frame:
    data = bytearray(frame.data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        if data:
            chance.choice(_DAMAGES)(data, chance, others)
    length = max(0, len(data) + chance.choice((0, 0, 0, -3, 40)))
    link_type = frame.link_type if chance.random() < 0.97 else chance.choice((*LINK_TYPES, 147))
    return Frame(0, bytes(data), length, link_type)


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(min(len(data), _HEADERS) if chance.random() < 0.7 else len(data))


def _flip(data: bytearray, chance: random.Random, _: Sequence[Frame]) -> None:
    data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: random.Random, _: Sequence[Frame]) -> None:
    at = _place(data, chance)
    value = chance.choice((*_EXTREMES, chance.randrange(256)))
    for index in range(at, min(at + chance.choice((1, 2, 4)), len(data))):
        data[index] = value


def _cut(data: bytearray, chance: random.Random, _: Sequence[Frame]) -> None:
    del data[_place(data, chance) :]


def _drop(data: bytearray, chance: random.Random, _: Sequence[Frame]) -> None:
    at = _place(data, chance)
    del data[at : at + chance.randint(1, 20)]


def _double(data: bytearray, chance: random.Random, _: Sequence[Frame]) -> None:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.randint(1, 40)]


def _splice(data: bytearray, chance: random.Random, others: Sequence[Frame]) -> None:
    at = _place(data, chance)
    data[at:] = chance.choice(others).data[at:]


def _readdress(data: bytearray, chance: random.Random, _: Sequence[Frame]) -> None:
    """Another host, so that whoever remembers hosts has to forget some."""
    data[26:30] = chance.randbytes(4)


_DAMAGES: tuple[Callable[[bytearray, random.Random, Sequence[Frame]], None], ...] = (
    _flip,
    _set,
    _cut,
    _drop,
    _double,
    _splice,
    _readdress,
)
