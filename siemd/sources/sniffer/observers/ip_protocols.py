"""Probes of IP protocols (nmap -sO): packets of protocols that a host refuses or does not answer."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact, to_many
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging, Deadlines

_Key = tuple[bytes, bytes, int, int]  # source, destination, vlan, IP protocol


class _Asked(msgspec.Struct, gc=False):
    """Packets of one protocol. waiting: not answered, not given up. bare: nothing was behind the IP header."""

    time_us: int
    count: int
    waiting: bool
    bare: bool


class IpProtocolObserver:
    """States `ip_protocol_probe`. feed takes packets of protocols that no other observer reads."""

    def __init__(self, answer_timeout_us: int, cap: int) -> None:
        self._asked: Aging[_Key, _Asked] = Aging(cap)
        self._deadlines: Deadlines[tuple[_Key, _Asked]] = Deadlines(answer_timeout_us, cap)
        self._tally = Tally(cap)

    def feed(self, packet: Packet, now_us: int) -> None:
        """Look at one packet."""
        source, destination, vlan, protocol = packet.source_ip, packet.destination_ip, packet.vlan, packet.protocol
        if to_many(destination):
            return
        answered = self._asked.get((destination, source, vlan, protocol))
        if answered is not None:
            answered.waiting = False
            return
        key = (source, destination, vlan, protocol)
        asked = self._asked.get(key)
        if asked is not None:
            asked.count += asked.waiting
            return
        asked = _Asked(packet.time_us, 1, True, not packet.payload_length)
        self._asked.put(key, asked)
        early = self._deadlines.push(now_us, (key, asked))
        if early is not None:
            self._give_up(*early)

    def error(self, packet: Packet, quoted: Packet) -> None:
        """An ICMP error about such a packet."""
        key = (quoted.source_ip, quoted.destination_ip, packet.vlan, quoted.protocol)
        asked = self._asked.get(key)
        if asked is not None and asked.waiting:
            asked.waiting = False
            self._state(key, asked, "refused")

    def _state(self, key: _Key, asked: _Asked, outcome: str) -> None:
        source, destination, vlan, protocol = key
        self._tally.add((source, destination, vlan, outcome), asked.time_us, protocol, asked.count)

    def _give_up(self, key: _Key, asked: _Asked) -> None:
        if asked.waiting:
            asked.waiting = False
            if asked.bare:  # what carries something needs no answer: tunnels, routers, the nonsense of broken hosts
                self._state(key, asked, "unanswered")

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for key, asked in self._deadlines.due(now_us):
            self._give_up(key, asked)
        return [
            fact(
                "ip_protocol_probe",
                held.time_us,
                {"outcome": outcome, "ip_protocols": sorted(held.targets), "vlan": vlan},
                source_ip=address(source),
                destination_ip=address(destination),
                protocol="ip",
                count=held.count,
                message=f"{address(source)} sent {address(destination)} packets of {len(held.targets)} IP protocols: "
                f"{outcome}",
            )
            for (source, destination, vlan, outcome), held in self._tally.take_without_flood().items()
        ]

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, asked in self._deadlines.rest():
            self._give_up(key, asked)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._asked.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "ip_protocols_held": len(self._asked),
            "ip_protocols_forgotten": self._asked.evicted,
            "ip_protocols_judged_early": self._deadlines.early,
            "ip_protocols_held_back": self._tally.held_back,
            "ip_protocols_lost": self._tally.lost,
        }
