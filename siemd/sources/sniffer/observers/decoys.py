"""Decoys (nmap -D): several sources that probe the same ports of one host at the same time."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.sources.sniffer.state import Aging

MAX_SOURCES = 16  # for each victim
PORTS = 32  # of each source, the latest
_HOSTS_A_VICTIM = 64  # a victim costs so much more than a host elsewhere: up to 50 KB
_FEWEST_PORTS = 8  # alike by chance: clients of the few services that are down
_ALIKE_PERCENT = 80
_TOGETHER_US = 60_000_000

_Kind = tuple[Any, ...]


class _Source(msgspec.Struct):
    """The ports that a source probed lately, oldest first, and when it probed last."""

    time_us: int
    ports: dict[int, None]


class Decoys:
    """Remembers who probes what of whom."""

    def __init__(self, cap: int) -> None:
        self._victims: Aging[_Kind, dict[bytes, _Source]] = Aging(max(16, cap // _HOSTS_A_VICTIM))

    def note(self, kind: _Kind, source: bytes, ports: set[int], time_us: int) -> None:
        """A source probed ports. kind: the victim, its VLAN, and the kind of probe."""
        sources = self._victims.get(kind)
        if sources is None:
            sources = {}
            self._victims.put(kind, sources)
        one = sources.pop(source, None)
        if one is None:
            if len(sources) >= MAX_SOURCES:
                oldest = next(iter(sources))
                if time_us - sources[oldest].time_us <= _TOGETHER_US:
                    return  # more decoys than are needed to tell that they are
                del sources[oldest]
            one = _Source(time_us, {})
        sources[source] = one  # the newest last
        one.time_us = max(one.time_us, time_us)
        for port in sorted(ports)[-PORTS:]:
            one.ports.pop(port, None)
            one.ports[port] = None
        while len(one.ports) > PORTS:
            del one.ports[next(iter(one.ports))]

    def alike(self, kind: _Kind, source: bytes) -> int:
        """How many other sources lately probed the same ports."""
        sources = self._victims.get(kind)
        if sources is None or len(sources) < 2 or (one := sources.get(source)) is None:
            return 0
        if len(one.ports) < _FEWEST_PORTS:
            return 0
        return sum(
            other is not one
            and abs(other.time_us - one.time_us) <= _TOGETHER_US
            and 100 * len(one.ports.keys() & other.ports.keys())
            >= _ALIKE_PERCENT * max(len(one.ports), len(other.ports))
            for other in sources.values()
        )

    @property
    def forgotten(self) -> int:
        """Victims that had to make room."""
        return self._victims.evicted

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._victims.age()
