"""DHCP servers and routers that offer themselves to a segment, and whether others there offer something else."""

from __future__ import annotations

from collections import deque

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.dhcp import Offer, parse_dhcp, parse_dhcpv6, parse_router_advertisement
from siemd.sources.sniffer.facts import address, fact, mac, network_part
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging

MAX_SERVERS = 32  # of one segment; the one that was silent for longest gives way
MAX_RIVALS = 8  # named in one fact
_SILENT_US = 3_600_000_000  # who was not heard for an hour is no rival
_SEGMENTS = 1024
_TRANSACTIONS = 16

DHCP_SERVER_PORT, DHCPV6_SERVER_PORT, DHCPV6_CLIENT_PORT = 67, 547, 546
ROUTER_ADVERTISEMENT = 134

_Name = tuple[bytes, bytes]  # the server's own identifier (a router's address), its MAC
_Settings = tuple[tuple[bytes, ...], tuple[bytes, ...]]
_Segment = tuple[str, int, bytes]  # dhcp, dhcpv6 or router; VLAN; relay


class _Server(msgspec.Struct):
    """Who offers: the settings it gives, all that it gave, networks of its addresses, the latest questions answered."""

    time_us: int
    source: bytes
    settings: _Settings
    given: set[_Settings]
    networks: set[bytes]
    transactions: deque[bytes]


class _Held(msgspec.Struct):
    """What becomes a fact: the newest offer of a server in this tick."""

    time_us: int
    count: int
    server: _Server
    rivals: list[bytes]
    packet: Packet
    offer: Offer | None = None
    lifetime_s: int = 0
    managed: bool = False


class OfferObserver:
    """States `dhcp_offer` and `router_advertisement`."""

    def __init__(self) -> None:
        self._segments: Aging[_Segment, dict[_Name, _Server]] = Aging(_SEGMENTS)
        self._held: dict[tuple[_Segment, _Name, str], _Held] = {}
        self.forgotten = 0

    def dhcp(self, packet: Packet, now_us: int) -> Offer | None:
        """Look at a datagram from a server's port; the offer, if it is one."""
        if packet.source_port == DHCP_SERVER_PORT:
            offer, kind = parse_dhcp(packet.payload), "dhcp"
        else:
            offer, kind = parse_dhcpv6(packet.payload), "dhcpv6"
        if offer is None or not (offer.offered or offer.dns_servers):
            return None
        if kind == "dhcp" and not offer.offered:
            return None  # the answer to a client that has its address already
        segment = (kind, packet.vlan, offer.relay)
        name = (offer.server or packet.source_ip, packet.source_mac)
        networks = {network_part(offer.offered)} if offer.offered else set()
        server = self._server(segment, name, packet, (offer.gateways, offer.dns_servers), now_us)
        server.networks |= networks if len(server.networks) < MAX_SERVERS else set()
        server.transactions.append(offer.transaction)
        held = self._hold(segment, name, offer.message, packet, server)
        held.offer = offer
        return offer

    def router(self, packet: Packet, now_us: int) -> None:
        """Look at a router advertisement."""
        told = parse_router_advertisement(packet.ident, packet.seq, packet.payload)
        if told is None or not told.lifetime_s or packet.ttl != 255:
            return  # not a default router: Thread border routers, and routers that say goodbye
        segment, name = ("router", packet.vlan, b""), (packet.source_ip, packet.source_mac)
        server = self._server(segment, name, packet, (told.prefixes, told.dns_servers), now_us)
        held = self._hold(segment, name, "", packet, server)
        held.lifetime_s, held.managed = told.lifetime_s, told.managed

    def _server(self, segment: _Segment, name: _Name, packet: Packet, settings: _Settings, now_us: int) -> _Server:
        servers = self._segments.get(segment)
        if servers is None:
            servers = {}
            self._segments.put(segment, servers)
        server = servers.pop(name, None)
        if server is None:
            server = _Server(now_us, packet.source_ip, settings, set(), set(), deque(maxlen=_TRANSACTIONS))
            if len(servers) >= MAX_SERVERS:
                del servers[next(iter(servers))]
                self.forgotten += 1
        servers[name] = server
        server.time_us = now_us
        server.settings = settings
        if len(server.given) < MAX_SERVERS:
            server.given.add(settings)
        return server

    def _hold(self, segment: _Segment, name: _Name, message: str, packet: Packet, server: _Server) -> _Held:
        rivals = self._rivals(segment, name, server)
        held = self._held.get((segment, name, message))
        if held is None:
            if len(self._held) >= _SEGMENTS:
                self._held.pop(next(iter(self._held)))
                self.forgotten += 1
            held = self._held[segment, name, message] = _Held(packet.time_us, 0, server, rivals, packet)
        held.count += 1
        held.time_us = max(held.time_us, packet.time_us)
        held.packet = packet
        held.rivals = rivals
        return held

    def _rivals(self, segment: _Segment, name: _Name, server: _Server) -> list[bytes]:
        """Those who offer something else to the same hosts. Servers that agree stand in for one another."""
        servers = self._segments.get(segment) or {}
        found = []
        for other_name, other in servers.items():
            if other_name == name or server.time_us - other.time_us > _SILENT_US:
                continue
            if _agree(segment[0], server, other):
                continue
            if segment[0] == "router" and other_name[1] == name[1]:
                continue  # one router with several addresses
            shared = segment[0] == "router" or not server.networks.isdisjoint(other.networks)
            if shared or any(one in other.transactions for one in server.transactions):
                found.append(other.source)
        return found[-MAX_RIVALS:]

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        taken, self._held = self._held, {}
        return [_dhcp_fact(one) if one.offer is not None else _router_fact(one) for one in taken.values()]

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"offers_forgotten": self.forgotten + self._segments.evicted}


def _agree(kind: str, one: _Server, other: _Server) -> bool:
    """Whether one of them gives what the other gave as well. Servers give phones other settings than computers.

    Routers need not name every network and server of the link (RFC 4861, 6.2.7), but have some in common.
    """
    if kind != "router":
        newest = {one.settings} & other.given | {other.settings} & one.given
        return any(any(settings) for settings in newest)
    if one.settings == other.settings:
        return any(one.settings)
    (prefixes, servers), (others, other_servers) = one.settings, other.settings
    shared = set(servers) & set(other_servers)
    return not set(prefixes).isdisjoint(others) and (bool(shared) or servers == other_servers)


def _dhcp_fact(held: _Held) -> NetworkEvent:
    packet, offer = held.packet, held.offer
    assert offer is not None
    six = len(packet.source_ip) == 16
    source, offered = address(packet.source_ip), address(offer.offered)
    rivals = sorted({address(one) for one in held.rivals})
    return fact(
        "dhcp_offer",
        held.time_us,
        {
            "dhcp_message": offer.message,
            "server": mac(offer.server) if six else address(offer.server) or source,
            "source_mac": mac(packet.source_mac),
            "client_mac": mac(offer.client_mac),
            "offered_ip": offered,
            "gateways": [address(one) for one in offer.gateways],
            "dns_servers": [address(one) for one in offer.dns_servers],
            "rivals": rivals,
            "rival_count": len(held.rivals),
            "vlan": packet.vlan,
        },
        source_ip=source,
        destination_ip=address(packet.destination_ip),
        protocol="dhcpv6" if six else "dhcp",
        count=held.count,
        message=f"DHCP server {source} offers {offered or 'its settings'}" + _unlike(rivals),
    )


def _router_fact(held: _Held) -> NetworkEvent:
    packet = held.packet
    source, (prefixes, dns_servers) = address(packet.source_ip), held.server.settings
    rivals = sorted({address(one) for one in held.rivals})
    return fact(
        "router_advertisement",
        held.time_us,
        {
            "source_mac": mac(packet.source_mac),
            "prefixes": [f"{address(one)}/64" for one in prefixes],
            "dns_servers": [address(one) for one in dns_servers],
            "lifetime_s": held.lifetime_s,
            "managed": held.managed,
            "rivals": rivals,
            "rival_count": len(held.rivals),
            "vlan": packet.vlan,
        },
        source_ip=source,
        protocol="icmpv6",
        count=held.count,
        message=f"{source} advertises itself as a router" + _unlike(rivals),
    )


def _unlike(rivals: list[str]) -> str:
    return f", unlike {', '.join(rivals)}" if rivals else ""
