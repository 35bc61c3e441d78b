"""ARP requests and IPv6 neighbour solicitations: who asks for which addresses, and which nobody answers for."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import FLOOD_PORTS, MAX_ASKERS, Held, Tally, address, fact, mac
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging, Deadlines

_REQUEST = 1
_SOLICITATION, _ADVERTISEMENT = 135, 136  # RFC 4861
_ADDRESS_BYTES = 16

_Key = tuple[bytes, bytes, int]


class _Request(msgspec.Struct, gc=False):
    """Requests of one host for one address."""

    time_us: int
    count: int
    sender_mac: bytes
    waiting: bool


class ArpObserver:
    """States `arp_request`. feed takes ARP packets only, neighbour ICMPv6."""

    def __init__(self, answer_timeout_us: int, cap: int) -> None:
        self._requests: Aging[_Key, _Request] = Aging(cap)
        self._heard: Aging[tuple[bytes, int], bool] = Aging(cap)
        self._told: Aging[tuple[bytes, int], bool] = Aging(cap)  # who was answered
        self._deadlines: Deadlines[tuple[_Key, _Request]] = Deadlines(answer_timeout_us, cap)
        self._tally = Tally(cap)
        self._held_back = 0

    def feed(self, packet: Packet, now_us: int) -> None:
        """Look at one packet."""
        sender, target = packet.source_ip, packet.destination_ip
        if not any(sender):
            return  # a host asks whether its own address is free
        self.hear(sender, packet.vlan)
        if packet.arp_operation != _REQUEST:
            self._answer(target, sender, packet.vlan)
        elif sender != target:
            self._request((sender, target, packet.vlan), packet, packet.source_mac, now_us)

    def neighbour(self, packet: Packet, now_us: int) -> None:
        """Look at an ICMPv6 packet: neighbour discovery does for IPv6 what ARP does for IPv4."""
        kind, target = packet.icmp_type, packet.payload[:_ADDRESS_BYTES]
        if len(target) != _ADDRESS_BYTES or not any(packet.source_ip):
            return
        if kind == _SOLICITATION:
            self.hear(packet.source_ip, packet.vlan)
            self._request((packet.source_ip, target, packet.vlan), packet, packet.ethernet_source, now_us)
        elif kind == _ADVERTISEMENT:
            self.hear(target, packet.vlan)
            self._answer(packet.destination_ip, target, packet.vlan)

    def hear(self, address: bytes, vlan: int) -> None:
        """Learn that an address is somebody's, or is about to be."""
        if self._heard.get((address, vlan)) is None:
            self._heard.put((address, vlan), True)

    def _answer(self, asker: bytes, target: bytes, vlan: int) -> None:
        if asker != target and self._told.get((asker, vlan)) is None:
            self._told.put((asker, vlan), True)
        request = self._requests.get((asker, target, vlan))
        if request is not None:
            self._close((asker, target, vlan), request)

    def _request(self, key: _Key, packet: Packet, sender_mac: bytes, now_us: int) -> None:
        request = self._requests.get(key)
        if request is not None and request.waiting:
            request.count += 1
            return
        request = _Request(packet.time_us, 1, sender_mac, True)
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
        for (sender, sender_mac, vlan, outcome), held in self._without_crowd().items():
            for targets, count in held.parts():
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
                            "answers_seen": self._told.get((sender, vlan)) is not None,
                            "vlan": vlan,
                        },
                        source_ip=address(sender),
                        protocol="arp" if len(sender) == 4 else "ndp",
                        count=count,
                        message=f"{address(sender)} asked for {what}: {outcome}",
                    )
                )
        return facts

    def _without_crowd(self) -> dict[tuple[Any, ...], Held]:
        """Who asked, but for those who asked for little among very many, most of whom somebody made up."""
        held = self._tally.take()
        if len(held) <= MAX_ASKERS:
            return held
        kept = {key: entry for key, entry in held.items() if len(entry.targets) > FLOOD_PORTS}
        self._held_back += len(held) - len(kept)
        return kept

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, request in self._deadlines.rest():
            self._close(key, request)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._requests.age()
        self._heard.age()
        self._told.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "arp_requests_held": len(self._requests),
            "arp_requests_forgotten": self._requests.evicted,
            "arp_requests_judged_early": self._deadlines.early,
            "arp_requests_lost": self._tally.lost,
            "arp_requests_held_back": self._held_back,
        }
