"""Tries that are refused at once are told from columns, and are told the same as packet by packet."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from siemd.sources.sniffer.observers.attempts import Refusal
from siemd.sources.sniffer.packet import ACK, ICMP, PSH, RST, SYN, TCP, UDP, Frame
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.units import Seconds
from support.conversation import only
from support.same import in_batches, one_by_one
from support.traffic import START_US, ip, tcp, udp

SMALL = SensorConfig(max_flows=1024, max_hosts=256, memory_s=Seconds(20))
HOSTS = [bytes((10, 0, 0, number)) for number in range(1, 5)]
SYNS = (  # window, bytes of options
    *((1024, 4), (2048, 4), (65535, 4), (512, 0), (64240, 20), (65535, 24), (29200, 4), (1, 20), (31337, 20), (16, 4)),
)
ECE_CWR = 0xC0


class Tries:
    """Hosts that try ports of one another, most of them in vain, beside all that may come between."""

    def __init__(self, seed: int, *, vain: float, ports: int) -> None:
        self._chance = random.Random(seed)
        self._vain = vain
        self._ports = ports
        self._window = self._chance.choice(SYNS)

    def frames(self, count: int) -> list[Frame]:
        """So many tries."""
        now_us, frames = START_US, []
        late: list[bytes] = []
        for _ in range(count):
            for data in self._try():
                late.append(data)
                if self._chance.random() < 0.9 or len(late) > 3:
                    frames += [(now_us, data) for data in late]
                    late = []
                now_us += self._chance.choice((0, 1, 30, 30, 700, 20_000))
            if self._chance.random() < 0.003:
                now_us += self._chance.choice((900_000, 6_000_000, 30_000_000, -3_000_000))
        return [Frame(time_us, data, len(data)) for time_us, data in frames]

    def _try(self) -> Iterator[bytes]:
        chance = self._chance
        source, destination = chance.sample(HOSTS, 2)
        ports = (chance.choice((40_000, 40_001, chance.randint(1, 65_535))), chance.randint(1, self._ports))
        seq = chance.choice((1, 1, 2, chance.getrandbits(32)))
        if chance.random() < 0.05:
            self._window = chance.choice(SYNS)
        flags = SYN | chance.choice((0,) * 20 + (ECE_CWR, PSH))
        syn = self._syn(source, destination, ports, flags, seq)
        reset = ip(
            TCP, destination, source, tcp(ports[::-1], chance.choice((RST | ACK, RST | ACK, RST)), 0, seq + 1, b"")
        )
        yield syn
        if chance.random() < self._vain:
            yield reset
            return
        kind = chance.randrange(10)
        if kind == 0:
            yield from (syn, reset)
        elif kind == 1:
            yield from (reset, reset)
        elif kind == 2:
            yield ip(ICMP, destination, source, struct.pack(">BBHI", chance.choice((3, 11)), 1, 0, 0) + syn[14:46])
            yield reset
        elif kind == 3:
            yield ip(UDP, source, destination, udp(ports, b"x"))
            yield reset
        elif kind < 7:
            yield from self._connection(source, destination, ports, seq)
        elif kind == 7:
            yield from (self._syn(destination, source, ports[::-1], SYN, 5), reset)
        elif kind == 8:
            yield reset[:14] + b"\x46" + reset[15:34] + bytes(4) + reset[34:]

    def _syn(self, source: bytes, destination: bytes, ports: tuple[int, int], flags: int, seq: int) -> bytes:
        window, options = self._window
        payload = b"early" if self._chance.random() < 0.01 else b""
        data = bytearray(tcp(ports, flags, seq, 0, payload, options=bytes(options)))
        data[14:16] = struct.pack(">H", window)
        vlan = 7 if self._chance.random() < 0.03 else 0
        extra = bytes(4) if self._chance.random() < 0.01 else b""
        return ip(TCP, source, destination, bytes(data), vlan=vlan, options=extra)

    def _connection(self, source: bytes, destination: bytes, ports: tuple[int, int], seq: int) -> Iterator[bytes]:
        yield ip(TCP, destination, source, tcp(ports[::-1], SYN | ACK, 9, seq + 1, b""))
        yield ip(TCP, source, destination, tcp(ports, ACK, seq + 1, 10, b""))
        if self._chance.random() < 0.5:
            yield ip(TCP, source, destination, tcp(ports, PSH | ACK, seq + 1, 10, b"hello"))
            yield ip(TCP, destination, source, tcp(ports[::-1], RST | ACK, 10, seq + 6, b""))


@pytest.mark.parametrize("seed", range(24))
def test_tries_tell_the_same(seed: int) -> None:
    vain, ports = (0.5, 0.9, 0.99)[seed % 3], (20, 2000, 60_000)[seed % 4 % 3]
    frames = Tries(seed, vain=vain, ports=ports).frames(3000)
    config = SMALL if seed % 2 else SensorConfig()
    alone, counters = one_by_one(frames, config)
    assert only(alone, "tcp_probe")
    for largest in (300, 3000):
        batched, same, _ = in_batches(frames, config, seed, largest)
        assert batched == alone
        assert same == counters


def test_a_scan_makes_hardly_a_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    take = Sensor.refused

    def counted(self: Sensor, tries: list[Refusal]) -> int:
        nonlocal taken
        done = take(self, tries)
        taken += done
        return done

    monkeypatch.setattr(Sensor, "refused", counted)
    frames = []
    for port in range(1, 5001):
        for data in (
            ip(TCP, HOSTS[0], HOSTS[1], tcp((40_000, port), SYN, port, 0, b"", options=bytes(4))),
            ip(TCP, HOSTS[1], HOSTS[0], tcp((port, 40_000), RST | ACK, 0, port + 1, b"")),
        ):
            frames.append(Frame(START_US + len(frames), data, len(data)))
    facts, _, stream = in_batches(frames, SensorConfig(), 1, 1000)
    assert taken > 4500
    assert stream.packets == 10_000
    assert sum(fact.count for fact in only(facts, "tcp_probe")) == 5000
