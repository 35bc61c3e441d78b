"""ARP requests: who asks for which addresses, and which of them nobody answers for."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact, mac
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging, Deadlines

_REQUEST = 1
_NO_ADDRESS = bytes(4)

_Key = tuple[bytes, bytes, int]


class _Request(msgspec.Struct, gc=False):
    """Requests of one host for one address."""

    time_us: int
    count: int
    sender_mac: bytes
    waiting: bool


class ArpObserver:
    """States `arp_request`. feed takes ARP packets only."""

    def __init__(self, answer_timeout_us: int, cap: int) -> None:
        self._requests: Aging[_Key, _Request] = Aging(cap)
        self._heard: Aging[tuple[bytes, int], bool] = Aging(cap)
        self._deadlines: Deadlines[tuple[_Key, _Request]] = Deadlines(answer_timeout_us, cap)
        self._tally = Tally(cap)

    def feed(self, packet: Packet, now_us: int) -> None:
        """Look at one packet."""
        sender, target, vlan = packet.source_ip, packet.destination_ip, packet.vlan
        if sender == _NO_ADDRESS:
            return  # a host asks whether its own address is free
        if self._heard.get((sender, vlan)) is None:
            self._heard.put((sender, vlan), True)
        if packet.arp_operation != _REQUEST:
            request = self._requests.get((target, sender, vlan))
            if request is not None:
                self._close((target, sender, vlan), request)
        elif sender != target:
            key = (sender, target, vlan)
            request = self._requests.get(key)
            if request is not None and request.waiting:
                request.count += 1
                return
            request = _Request(packet.time_us, 1, packet.source_mac, True)
            self._requests.put(key, request)
            early = self._deadlines.push(now_us, (key, request))
            if early is not None:
                self._close(*early)

    def _close(self, key: _Key, request: _Request) -> None:
        if request.waiting:
            request.waiting = False
            sender, target, vlan = key
            heard = self._heard.get((target, vlan)) is not None
            outcome = "answered" if heard else "unanswered"
            self._tally.add((sender, request.sender_mac, vlan, outcome), request.time_us, target, request.count)

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for key, request in self._deadlines.due(now_us):
            self._close(key, request)
        facts = []
        for (sender, sender_mac, vlan, outcome), held in self._tally.take().items():
            lists = held.lists()
            for targets in lists:
                names = [address(target) for target in targets]
                what = names[0] if len(names) == 1 else f"{len(names)} addresses"
                facts.append(
                    fact(
                        "arp_request",
                        held.time_us,
                        {
                            "outcome": outcome,
                            "source_mac": mac(sender_mac),
                            "destination_ips": names,
                            "vlan": vlan,
                        },
                        source_ip=address(sender),
                        protocol="arp",
                        count=held.count if len(lists) == 1 else len(names),
                        message=f"{address(sender)} asked by ARP for {what}: {outcome}",
                    )
                )
        return facts

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, request in self._deadlines.rest():
            self._close(key, request)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._requests.age()
        self._heard.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "arp_requests_held": len(self._requests),
            "arp_requests_forgotten": self._requests.evicted,
            "arp_requests_judged_early": self._deadlines.early,
            "arp_requests_lost": self._tally.lost,
        }
