"""Handshakes that were begun and not completed, as the victim of a SYN flood has them."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import FLOOD_SOURCES, MAX_TARGETS, address, fact, network

BACKLOG_FLOOR = 64  # unfinished handshakes with one port within a tick


class _Unfinished(msgspec.Struct, gc=False):
    """Those of one port in this tick. source: of the first; sources: all of them, from the second on.

    A scan makes one of these for each port of a host: hence no set of its own until there is need for it.
    """

    time_us: int
    count: int
    source: bytes
    sources: set[bytes] | None = None

    def add(self, other: _Unfinished) -> None:
        """Those of another port, too."""
        self.time_us = max(self.time_us, other.time_us)
        self.count += other.count
        if self.sources is None:
            self.sources = {self.source}
        if len(self.sources) < MAX_TARGETS:
            if other.sources is None:
                self.sources.add(other.source)
            else:
                self.sources |= other.sources

    def source_count(self) -> int:
        return 1 if self.sources is None else len(self.sources)


class Backlog:
    """States `half_open_backlog`. lost: handshakes beyond the cap of ports."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._held: dict[tuple[bytes, int, int], _Unfinished] = {}
        self.lost = 0

    def add(self, source: bytes, destination: bytes, port: int, vlan: int, time_us: int) -> None:
        """One more, whatever rules will think of it."""
        held = self._held.get((destination, port, vlan))
        if held is None:
            if len(self._held) < self._cap:
                self._held[destination, port, vlan] = _Unfinished(time_us, 1, source)
            else:
                self.lost += 1
            return
        if time_us > held.time_us:
            held.time_us = time_us
        held.count += 1
        if held.sources is not None:
            if len(held.sources) < MAX_TARGETS:
                held.sources.add(source)
        elif source != held.source:
            held.sources = {held.source, source}

    def tick(self) -> list[NetworkEvent]:
        """By port; what is spread over the ports of a host by many sources, under the first of them."""
        facts: list[NetworkEvent] = []
        spread: dict[tuple[bytes, int], tuple[int, _Unfinished]] = {}
        held, self._held = self._held, {}
        for (destination, port, vlan), entry in held.items():
            if entry.count >= BACKLOG_FLOOR:
                facts.append(_fact(destination, port, vlan, entry))
                continue
            _, total = spread.setdefault((destination, vlan), (port, entry))
            if total is not entry:
                total.add(entry)
        for (destination, vlan), (port, entry) in spread.items():
            if entry.source_count() > FLOOD_SOURCES:
                facts.append(_fact(destination, port, vlan, entry))
        return facts


def _fact(destination: bytes, port: int, vlan: int, held: _Unfinished) -> NetworkEvent:
    return fact(
        "half_open_backlog",
        held.time_us,
        {"source_count": held.source_count(), "destination_network": network(destination), "vlan": vlan},
        destination_ip=address(destination),
        destination_port=port,
        protocol="tcp",
        count=held.count,
        message=f"{held.count} handshakes with {address(destination)} port {port} were not completed",
    )
