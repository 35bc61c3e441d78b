"""Connections made only to see whether a port is open: whoever opened them ended them first and had sent nothing."""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact
from siemd.sources.sniffer.observers.connections import Target
from siemd.sources.sniffer.state import Aging


class TcpChecks:
    """States `tcp_check`: of a port that is checked again and again, as monitoring does, the first check only."""

    def __init__(self, cap: int) -> None:
        self._known: Aging[Target, bool] = Aging(cap)
        self._tally = Tally(cap)

    def checked(self, target: Target, time_us: int) -> None:
        """A connection to this target was such a check."""
        if self._known.get(target) is None:
            self._known.put(target, True)
            source, destination, port, vlan = target
            self._tally.add((source, destination, vlan), time_us, port)

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        facts = []
        for (source, destination, vlan), held in self._tally.take().items():
            for ports, count in held.parts():
                what = f"port {ports[0]} is" if len(ports) == 1 else f"{len(ports)} ports are"
                facts.append(
                    fact(
                        "tcp_check",
                        held.time_us,
                        {"destination_ports": ports, "vlan": vlan},
                        source_ip=address(source),
                        destination_ip=address(destination),
                        destination_port=ports[0],
                        protocol="tcp",
                        count=count,
                        message=f"{address(source)} checked whether TCP {what} open at {address(destination)}",
                    )
                )
        return facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._known.age()

    def counters(self) -> dict[str, int]:
        """Losses."""
        return {"tcp_checks_lost": self._tally.lost, "tcp_checks_forgotten": self._known.evicted}
