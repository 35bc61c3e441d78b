"""A segment's own protocols: who has which address, who offers what, which names are asked for, what pings carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from siemd.events import NetworkEvent
from siemd.sources.sniffer.observers.claims import ClaimObserver
from siemd.sources.sniffer.observers.devices import DeviceObserver
from siemd.sources.sniffer.observers.dns import DNS_PORT, DnsLimits, DnsObserver
from siemd.sources.sniffer.observers.name_answers import SERVICES, NameAnswerObserver
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.offers import (
    DHCP_SERVER_PORT,
    DHCPV6_CLIENT_PORT,
    DHCPV6_SERVER_PORT,
    ROUTER_ADVERTISEMENT,
    OfferObserver,
)
from siemd.sources.sniffer.observers.payloads import PayloadObserver
from siemd.sources.sniffer.packet import ICMPV6, Packet

_DHCP_CLIENT_PORT = 68
PORTS = frozenset((DNS_PORT, DHCP_SERVER_PORT, DHCPV6_SERVER_PORT, DHCPV6_CLIENT_PORT, _DHCP_CLIENT_PORT, *SERVICES))
_SHORTEST_MESSAGE = 12
_WHOLE_SEGMENT = 500  # bytes of a TCP segment from which on its DNS message may go on in the next
_NEIGHBOURS = (135, 136)


class SegmentLimits(NamedTuple):
    """How much is remembered, and for how long. dns_queries: whether to state `dns_query`."""

    answer_timeout_us: int
    memory_us: int
    learning_us: int
    cap: int
    dns_queries: bool


class SegmentObserver:
    """The observers of local protocols behind one interface."""

    def __init__(self, limits: SegmentLimits, heard: Callable[[bytes, int], None], named: NamedAddresses) -> None:
        """heard: is told of addresses (with their VLAN) that a server gives to a host. named: of those in answers."""
        cap = limits.cap
        self._heard = heard
        self._claims = ClaimObserver(cap)
        self._devices = DeviceObserver(limits.learning_us, cap)
        self._offers = OfferObserver()
        self._names = NameAnswerObserver(cap)
        self._payloads = PayloadObserver(cap)
        self._dns = DnsObserver(DnsLimits(limits.answer_timeout_us, limits.memory_us, cap, limits.dns_queries), named)

    def arp(self, packet: Packet, now_us: int) -> None:
        """Look at an ARP packet."""
        self._claims.feed(packet, now_us)
        self._devices.feed(packet, packet.source_mac, packet.source_ip, now_us)

    def icmp(self, packet: Packet, now_us: int) -> None:
        """Look at an ICMP or ICMPv6 packet that is no error."""
        self._payloads.feed(packet)
        if packet.protocol != ICMPV6:
            return
        if packet.icmp_type in _NEIGHBOURS:
            self._claims.neighbour(packet, now_us)
            self._devices.feed(packet, packet.ethernet_source, packet.source_ip, now_us)
        elif packet.icmp_type == ROUTER_ADVERTISEMENT:
            self._offers.router(packet, now_us)
            self._claims.gateway(packet.source_ip, packet.vlan)

    def udp(self, packet: Packet, now_us: int) -> None:
        """Look at a datagram to or from one of PORTS."""
        source, destination = packet.source_port, packet.destination_port
        if DNS_PORT in (source, destination):
            self._dns.feed(packet, now_us, packet.payload)
        elif (service := SERVICES.get(destination) or SERVICES.get(source)) is not None:
            self._names.feed(packet, service)
        elif source in (DHCP_SERVER_PORT, DHCPV6_SERVER_PORT):
            offer = self._offers.dhcp(packet, now_us)
            if offer is None:
                return
            if offer.offered:  # a server asks by ARP before whether it is free
                self._heard(offer.offered, packet.vlan)
            for router in offer.gateways:
                self._claims.gateway(router, packet.vlan)
        elif source in (_DHCP_CLIENT_PORT, DHCPV6_CLIENT_PORT):
            self._devices.feed(packet, packet.ethernet_source or packet.source_mac, packet.source_ip, now_us)

    def dns_stream(self, packet: Packet, now_us: int) -> None:
        """Look at a TCP segment of port 53 with a payload: a message that begins in it, behind its length."""
        payload = packet.payload
        size = int.from_bytes(payload[:2], "big")
        if size >= _SHORTEST_MESSAGE and (size <= len(payload) - 2 or len(payload) >= _WHOLE_SEGMENT):
            self._dns.feed(packet, now_us, payload[2 : 2 + size])

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        facts = self._devices.tick() + self._claims.tick(now_us) + self._offers.tick() + self._names.tick()
        return facts + self._payloads.tick() + self._dns.tick(now_us)

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        self._dns.finish()

    def age(self) -> None:
        """Forget what was not used for a generation."""
        for observer in (self._claims, self._names, self._payloads, self._dns):
            observer.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        counters: dict[str, int] = {}
        for observer in (self._claims, self._devices, self._offers, self._names, self._payloads, self._dns):
            counters.update(observer.counters())
        return counters
