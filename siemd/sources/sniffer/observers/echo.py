"""Pings: echo, timestamp and address mask requests of ICMP and ICMPv6, answered or not."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact
from siemd.sources.sniffer.observers.floods import IcmpRates
from siemd.sources.sniffer.packet import ICMPV6, Packet
from siemd.sources.sniffer.state import Aging, Deadlines

_REQUESTS = {8: "echo", 13: "timestamp", 17: "address_mask"}
_REPLIES = {0: 8, 14: 13, 18: 17}

_Key = tuple[bytes, bytes, int, int, int]


class _Echo(msgspec.Struct, gc=False):
    """Requests of one identifier between two hosts. waiting: not answered, not given up."""

    time_us: int
    count: int
    payload_bytes: int
    waiting: bool


class EchoObserver:
    """States `ping` and `icmp_flood_rate`. feed takes ICMP and ICMPv6 packets only."""

    def __init__(self, answer_timeout_us: int, cap: int) -> None:
        self._echoes: Aging[_Key, _Echo] = Aging(cap)
        self._known: Aging[tuple[bytes, bytes, int], int] = Aging(cap)  # how many answers
        self._deadlines: Deadlines[tuple[_Key, _Echo]] = Deadlines(answer_timeout_us, cap)
        self._tally = Tally(cap)
        self._rates = IcmpRates(cap)

    def feed(self, packet: Packet, now_us: int) -> None:
        """Look at one packet."""
        kind = packet.icmp_type
        if packet.protocol == ICMPV6:
            if kind == 128:
                self._request(packet, now_us, 8)
            elif kind == 129:
                self._reply(packet, 8)
        elif kind in _REQUESTS:
            self._request(packet, now_us, kind)
        elif kind in _REPLIES:
            self._reply(packet, _REPLIES[kind])

    def _request(self, packet: Packet, now_us: int, kind: int) -> None:
        self._rates.request(packet)
        asked_before = (packet.destination_ip, packet.source_ip, packet.vlan)  # who asks is there
        if self._known.get(asked_before) is None:
            self._known.put(asked_before, 0)
        key = (packet.source_ip, packet.destination_ip, packet.vlan, packet.ident, kind)
        echo = self._echoes.get(key)
        if echo is not None and echo.waiting:
            echo.count += 1
            echo.time_us = packet.time_us
            return
        echo = _Echo(packet.time_us, 1, packet.payload_length, True)
        self._echoes.put(key, echo)
        early = self._deadlines.push(now_us, (key, echo))
        if early is not None:
            self._give_up(*early)

    def _reply(self, packet: Packet, kind: int) -> None:
        self._rates.reply(packet)
        key = (packet.destination_ip, packet.source_ip, packet.vlan, packet.ident, kind)
        self._known.put(key[:3], self.answers(*key[:3]) + 1)
        echo = self._echoes.get(key)
        if echo is None:  # only this direction is seen
            echo = _Echo(packet.time_us, 1, packet.payload_length, True)
            self._echoes.put(key, echo)
        if echo.waiting:
            echo.waiting = False
            self._state(key, echo, "answered", True)

    def answers(self, source: bytes, destination: bytes, vlan: int) -> int:
        """How many answers the source lately had from the destination."""
        return self._known.get((source, destination, vlan)) or 0

    def _state(self, key: _Key, echo: _Echo, outcome: str, known: bool) -> None:
        source, destination, vlan, _, kind = key
        self._tally.add((source, destination, vlan, kind, outcome, known), echo.time_us, echo.payload_bytes, echo.count)

    def _give_up(self, key: _Key, echo: _Echo) -> None:
        if echo.waiting:
            echo.waiting = False
            self._state(key, echo, "unanswered", self._known.get(key[:3]) is not None)

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for key, echo in self._deadlines.due(now_us):
            self._give_up(key, echo)
        facts = []
        for (source, destination, vlan, kind, outcome, known), held in self._tally.take_without_flood().items():
            request = _REQUESTS[kind]
            facts.append(
                fact(
                    "ping",
                    held.time_us,
                    {
                        "outcome": outcome,
                        "request": request,
                        "payload_bytes": min(held.targets),
                        "answered_before": known,
                        "vlan": vlan,
                    },
                    source_ip=address(source),
                    destination_ip=address(destination),
                    protocol="icmp" if len(source) == 4 else "icmpv6",
                    count=held.count,
                    message=f"{address(source)} pinged {address(destination)} ({request}): {outcome}",
                )
            )
        return facts + self._rates.tick()

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, echo in self._deadlines.rest():
            self._give_up(key, echo)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._echoes.age()
        self._known.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "pings_held": len(self._echoes),
            "pings_forgotten": self._echoes.evicted,
            "pings_judged_early": self._deadlines.early,
            "pings_held_back": self._tally.held_back,
            "pings_lost": self._tally.lost,
            "icmp_rates_lost": self._rates.lost,
        }
