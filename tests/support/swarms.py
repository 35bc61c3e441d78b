"""Frames from millions of hosts, to millions of ports, about millions of names: whole batches in a few steps of numpy.

Each kind of swarm has a template, of which frame number n differs by what makes n another host, port or name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np

from siemd.sources.sniffer.frames import FrameBatch, Memory, Numbers
from siemd.sources.sniffer.packet import ACK, PSH, SYN
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream
from support.messages import answer, query
from support.own_process import resident_bytes
from support.traffic import START_US, ip, tcp, udp

BATCH = 4096
_HOST, _PEER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
_HOST6, _PEER6 = bytes(16), bytes.fromhex("20010db8" + "00" * 11 + "02")
_SOURCE, _DESTINATION, _PORT = 26, 30, 36  # where they stand in a frame with IPv4
_SOURCE6 = 22
_SPREAD = 2_654_435_761  # odd, so that other numbers stay other numbers
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_NAME = "00000000"

Swarm = Callable[[Numbers], list[Memory]]


def _frames(data: bytes, numbers: Numbers) -> Memory:
    return np.tile(np.frombuffer(data, dtype=np.uint8), (len(numbers), 1))


def _put(frames: Memory, at: int, values: Numbers, size: int = 4) -> None:
    """Write the lowest bytes of the values, big endian."""
    frames[:, at : at + size] = values.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - size :]


def _spread(numbers: Numbers) -> Numbers:
    return numbers * _SPREAD % (1 << 32)


def _put_name(frames: Memory, template: bytes, numbers: Numbers) -> None:
    at = template.index(_NAME.encode())
    for digit in range(8):
        frames[:, at + digit] = _HEX[numbers >> (4 * (7 - digit)) & 15]


def syn_sources(numbers: Numbers) -> list[Memory]:
    """A SYN flood with forged sources."""
    frames = _frames(ip(6, _HOST, _PEER, tcp((2000, 80), SYN, 1, 0, b"", options=bytes(4))), numbers)
    _put(frames, _SOURCE, _spread(numbers))
    return [frames]


def ports_of_targets(numbers: Numbers) -> list[Memory]:
    """One host asks every port of one host after the other."""
    frames = _frames(ip(6, _HOST, _PEER, tcp((2000, 80), SYN, 1, 0, b"", options=bytes(4))), numbers)
    _put(frames, _DESTINATION, 0x0A010000 + numbers // 65_535)
    _put(frames, _PORT, 1 + numbers % 65_535, 2)
    return [frames]


def udp_sources(numbers: Numbers) -> list[Memory]:
    """Datagrams with forged sources to all ports."""
    frames = _frames(ip(17, _HOST, _PEER, udp((2000, 9), bytes(20))), numbers)
    _put(frames, _SOURCE, _spread(numbers))
    _put(frames, _PORT, 1 + numbers % 65_535, 2)
    return [frames]


def ipv6_sources(numbers: Numbers) -> list[Memory]:
    """SYNs of forged hosts in forged networks."""
    frames = _frames(ip(6, _HOST6, _PEER6, tcp((2000, 80), SYN, 1, 0, b"", options=bytes(4))), numbers)
    _put(frames, _SOURCE6, _spread(numbers))
    _put(frames, _SOURCE6 + 12, numbers)
    return [frames]


def arp_addresses(numbers: Numbers) -> list[Memory]:
    """Hosts that ask for a router, each with a card and an address of its own."""
    ends = bytes(6) + _HOST + bytes(6) + _PEER
    template = b"\xff" * 6 + bytes(6) + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + ends + bytes(18)
    frames = _frames(template, numbers)
    for at in (6, 22):
        _put(frames, at, 0x0200 << 32 | numbers, 6)
    _put(frames, 28, _spread(numbers))
    return [frames]


def pings(numbers: Numbers) -> list[Memory]:
    """Echo requests with forged sources."""
    frames = _frames(ip(1, _HOST, _PEER, struct.pack(">BBHHH", 8, 0, 0, 7, 1) + bytes(56)), numbers)
    _put(frames, _SOURCE, _spread(numbers))
    return [frames]


def domains(numbers: Numbers) -> list[Memory]:
    """One host asks for domains, of which none exists."""
    name = f"www.{_NAME}.com"
    question = ip(17, _HOST, _PEER, udp((40_000, 53), query(name)))
    refusal = ip(17, _PEER, _HOST, udp((53, 40_000), answer(name, code=3)))
    asked, refused = _frames(question, numbers), _frames(refusal, numbers)
    _put_name(asked, question, numbers)
    _put_name(refused, refusal, numbers)
    return [asked, refused]


def names_of_a_domain(numbers: Numbers) -> list[Memory]:
    """One host asks for names of one domain, as a tunnel does."""
    question = ip(17, _HOST, _PEER, udp((40_000, 53), query(f"{_NAME}.example.org")))
    frames = _frames(question, numbers)
    _put_name(frames, question, numbers)
    return [frames]


def web_requests(numbers: Numbers) -> list[Memory]:
    """Requests, each from another host and for another name, whose handshakes were not seen."""
    said = f"GET /{_NAME} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    template = ip(6, _HOST, _PEER, tcp((2000, 80), PSH | ACK, 1, 1, said))
    frames = _frames(template, numbers)
    _put_name(frames, template, numbers)
    _put(frames, _SOURCE, _spread(numbers))
    return [frames]


SWARMS: dict[str, Swarm] = {
    swarm.__name__: swarm
    for swarm in (
        syn_sources,
        ports_of_targets,
        udp_sources,
        ipv6_sources,
        arp_addresses,
        pings,
        domains,
        names_of_a_domain,
        web_requests,
    )
}


def _batches(swarm: Swarm, count: int, step_us: int) -> Iterator[FrameBatch]:
    time_us = START_US
    for first in range(0, count, BATCH):
        numbers = np.arange(first, min(first + BATCH, count), dtype=np.int64)
        for frames in swarm(numbers):
            width = frames.shape[1]
            starts = np.arange(len(numbers), dtype=np.int64) * width
            size = np.full(len(numbers), width, dtype=np.int64)
            times_us = time_us + np.arange(len(numbers), dtype=np.int64) * step_us
            yield FrameBatch(frames.reshape(-1), starts, size, size, times_us, np.ones(len(numbers), dtype=np.int64))
        time_us += len(numbers) * step_us


def run_swarm(
    *, name: str, count: int, warm: int, step_us: int, max_flows: int, max_hosts: int
) -> dict[str, int | dict[str, int]]:
    """The whole sensor takes a swarm; memory before it, after the first `warm` of it, and at its end, in bytes.

    step_us: between two numbers of the swarm.
    """
    stream = Stream(Sensor(SensorConfig(max_flows=max_flows, max_hosts=max_hosts)))
    before_bytes = resident_bytes()
    warm_bytes = facts = 0
    for batch in _batches(SWARMS[name], count, step_us):
        facts += len(stream.feed(batch))
        if not warm_bytes and stream.packets >= warm:
            warm_bytes = resident_bytes()
    counters = stream.sensor.counters()
    return {
        "packets": stream.packets,
        "facts": facts,
        "before_bytes": before_bytes,
        "warm_bytes": warm_bytes,
        "end_bytes": resident_bytes(),
        "counters": {counter: number for counter, number in counters.items() if number},
    }
