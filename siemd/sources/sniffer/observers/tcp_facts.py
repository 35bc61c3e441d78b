"""From failed TCP handshakes to facts: coalesced by source and destination, and by victim during a flood."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import (
    Held,
    Tally,
    address,
    fact,
    network,
    network_part,
)
from siemd.sources.sniffer.observers.backlog import Backlog
from siemd.sources.sniffer.observers.decoys import Decoys
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.tcp_checks import TcpChecks
from siemd.sources.sniffer.state import Aging

MAX_PEERS = 256  # hosts remembered for each source and network

Key = tuple[bytes, bytes, int, str, str]  # source, destination, vlan, probe, outcome


class _Peers(msgspec.Struct, gc=False):
    """The hosts of one network that one source lately tried: who exchanged data with it, and who did not."""

    good: set[bytes]
    bad: set[bytes]

    def success_percent(self) -> int:
        """Share of the hosts that exchanged data."""
        good = len(self.good)
        total = good + len(self.bad - self.good)
        return 100 * good // total if total else 0


class TcpFacts:
    """Gathers failures and states `tcp_probe`; beside them what the victim has of them, and what did not fail."""

    def __init__(self, cap: int, named: NamedAddresses) -> None:
        self._named = named
        self._tally = Tally(cap)
        self.backlog = Backlog(cap)
        self._peers: Aging[tuple[bytes, bytes, int], _Peers] = Aging(cap)
        self._decoys = Decoys(cap)
        self.checks = TcpChecks(cap)

    def failed(self, key: Key, time_us: int, port: int) -> None:
        """A probe of this kind failed at a port."""
        self._tally.add(key, time_us, port)

    def succeeded(self, source: bytes, destination: bytes, vlan: int) -> None:
        """The two exchanged data."""
        peers = self._peers_of(source, destination, vlan)
        if len(peers.good) < MAX_PEERS:
            peers.good.add(destination)

    def _peers_of(self, source: bytes, destination: bytes, vlan: int) -> _Peers:
        key = (source, network_part(destination), vlan)
        peers = self._peers.get(key)
        if peers is None:
            peers = _Peers(set(), set())
            self._peers.put(key, peers)
        return peers

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        facts: list[NetworkEvent] = []
        probes = self._tally.take_without_flood()
        for (source, destination, vlan, probe, _), entry in probes.items():
            self._decoys.note((destination, vlan, probe), source, entry.targets, entry.time_us)
        for key, entry in probes.items():
            facts += self._probe_facts(key, entry)
        return facts + self.backlog.tick() + self.checks.tick()

    def _probe_facts(self, key: tuple[Any, ...], held: Held) -> list[NetworkEvent]:
        source, destination, vlan, probe, outcome = key
        peers = self._peers_of(source, destination, vlan)
        if len(peers.bad) < MAX_PEERS:
            peers.bad.add(destination)
        percent = peers.success_percent()
        alike = self._decoys.alike((destination, vlan, probe), source)
        facts = []
        for ports, count in held.parts():
            what = f"port {ports[0]}" if len(ports) == 1 else f"{len(ports)} ports"
            facts.append(
                fact(
                    "tcp_probe",
                    held.time_us,
                    {
                        "probe": probe,
                        "outcome": outcome,
                        "destination_ports": ports,
                        "destination_network": network(destination),
                        "success_percent": percent,
                        "named": self._named.knows(destination, vlan),
                        "alike_sources": alike,
                        "vlan": vlan,
                    },
                    source_ip=address(source),
                    destination_ip=address(destination),
                    destination_port=ports[0],
                    protocol="tcp",
                    count=count,
                    message=f"{address(source)} probed TCP {what} of {address(destination)} ({probe}): {outcome}",
                )
            )
        return facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._peers.age()
        self._decoys.age()
        self.checks.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "tcp_probes_held_back": self._tally.held_back,
            "tcp_probes_lost": self._tally.lost + self.backlog.lost,
            "tcp_sources_forgotten": self._peers.evicted,
            "tcp_victims_forgotten": self._decoys.forgotten,
            **self.checks.counters(),
        }
