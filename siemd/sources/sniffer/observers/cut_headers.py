"""Fragments too small to be any link's: transport headers are cut so to slip through filters."""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact
from siemd.sources.sniffer.packet import Packet


class CutHeaderObserver:
    """States `fragmented_header`. feed takes the packets that the decoder marked."""

    def __init__(self, cap: int) -> None:
        self._tally = Tally(cap)

    def feed(self, packet: Packet) -> None:
        """Look at one packet."""
        key = (packet.source_ip, packet.destination_ip, packet.vlan, packet.protocol)
        self._tally.add(key, packet.time_us, 0)

    def tick(self, _now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        return [
            fact(
                "fragmented_header",
                held.time_us,
                {"vlan": vlan},
                source_ip=address(source),
                destination_ip=address(destination),
                protocol=_NAMES.get(protocol, str(protocol)),
                count=held.count,
                message=f"{address(source)} sent {address(destination)} {held.count} fragments that cut their headers",
            )
            for (source, destination, vlan, protocol), held in self._tally.take_without_flood().items()
        ]

    def age(self) -> None:
        """Nothing is remembered for longer than a tick."""

    def counters(self) -> dict[str, int]:
        """Losses."""
        return {
            "fragmented_headers_held_back": self._tally.held_back,
            "fragmented_headers_lost": self._tally.lost,
        }


_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
