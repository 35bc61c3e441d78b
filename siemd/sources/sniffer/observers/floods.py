"""Floods as the victim sees them: rates of unanswered UDP and of ICMP, whoever the senders claim to be."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import address, fact
from siemd.sources.sniffer.packet import Packet

UDP_FLOOR = 64  # datagrams within a tick
ICMP_FLOOR = 32
MAX_SOURCES = 1024
MAX_PORTS = 1024
MAX_PAYLOADS = 64
DETAILS_A_HOST = 4  # sources, ports and payloads remembered in a tick, on average over all hosts that there may be
_VARIED_AFTER = 16  # ping puts a time stamp before; a few numbers make no payload another one

_T = TypeVar("_T")
_Victim = tuple[bytes, int]  # address, VLAN


class _Room:
    """How many details of all hosts together there is room for in a tick; those beyond are left out.

    The clock of a capture may stand still, so a tick alone bounds nothing.
    """

    def __init__(self, hosts: int) -> None:
        self._left = DETAILS_A_HOST * hosts

    def add(self, values: set[_T], value: _T, limit: int) -> None:
        """Put a value into a set."""
        if value not in values and len(values) < limit and self._left > 0:
            self._left -= 1
            values.add(value)

    def count(self, ports: Counter[int], port: int, datagrams: int) -> None:
        """Count a port; of a host that is reached at very many only those that came first."""
        if port in ports:
            ports[port] += datagrams
        elif len(ports) < MAX_PORTS and self._left > 0:
            self._left -= 1
            ports[port] = datagrams


class _Udp(msgspec.Struct):
    """What reached one host in this tick."""

    time_us: int = 0
    count: int = 0
    length: int = 0
    flows: int = 0
    sources: set[bytes] = msgspec.field(default_factory=set)
    ports: Counter[int] = msgspec.field(default_factory=Counter)
    source_ports: Counter[int] = msgspec.field(default_factory=Counter)


class UdpRates:
    """Counts the datagrams of unanswered flows by victim and states `udp_rate`. lost: those beyond the cap of hosts."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._room = _Room(cap)
        self._victims: dict[_Victim, _Udp] = {}
        self.lost = 0

    def unanswered(self, packet: Packet, datagrams: int = 1, *, first: bool) -> None:
        """So many datagrams of a flow without answers, the newest of them; first: it begins the flow."""
        key = packet.destination_ip, packet.vlan
        victim = self._victims.get(key)
        if victim is None:
            if len(self._victims) >= self._cap:
                self.lost += 1
                return
            victim = self._victims[key] = _Udp()
        victim.time_us = max(victim.time_us, packet.time_us)
        victim.count += datagrams
        victim.length += datagrams * packet.length
        if first:
            victim.flows += 1
            self._room.add(victim.sources, packet.source_ip, MAX_SOURCES)
        self._room.count(victim.ports, packet.destination_port, datagrams)
        self._room.count(victim.source_ports, packet.source_port, datagrams)

    def answered(self, packet: Packet, datagrams: int) -> None:
        """The first answer of a flow: so many datagrams of it were counted too early, in this tick or before."""
        victim = self._victims.get((packet.source_ip, packet.vlan))
        if victim is None:
            return
        victim.count = max(0, victim.count - datagrams)
        victim.flows = max(0, victim.flows - 1)
        left = victim.ports[packet.source_port] - datagrams
        if left > 0:
            victim.ports[packet.source_port] = left
        else:
            del victim.ports[packet.source_port]

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        victims, self._victims = self._victims, {}
        self._room = _Room(self._cap)
        facts = []
        for (destination, vlan), held in victims.items():
            if held.count < UDP_FLOOR:
                continue
            port, packets = max(held.ports.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
            source_port = max(held.source_ports, key=lambda port: (held.source_ports[port], -port), default=0)
            facts.append(
                fact(
                    "udp_rate",
                    held.time_us,
                    {
                        "source_count": len(held.sources),
                        "flow_count": held.flows,
                        "port_packets": packets,
                        "source_port": source_port,
                        "bytes": held.length,
                        "vlan": vlan,
                    },
                    destination_ip=address(destination),
                    destination_port=port,
                    protocol="udp",
                    count=held.count,
                    message=f"{held.count} UDP datagrams to {address(destination)} were not answered, "
                    f"most of them to port {port}",
                )
            )
        return facts


class _Icmp(msgspec.Struct):
    """What reached one host in this tick. asked: requests that it sent itself. latest: which request came last."""

    time_us: int = 0
    requests: int = 0
    replies: int = 0
    asked: int = 0
    length: int = 0
    latest: tuple[bytes, int, int, int] = (b"", 0, 0, 0)
    sources: set[bytes] = msgspec.field(default_factory=set)
    payloads: set[int] = msgspec.field(default_factory=set)


class IcmpRates:
    """Counts requests and unasked echo replies by victim and states `icmp_flood_rate`. lost: as UdpRates."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._room = _Room(cap)
        self._victims: dict[_Victim, _Icmp] = {}
        self.lost = 0

    def request(self, packet: Packet) -> None:
        """An echo, timestamp or address mask request."""
        victim = self._victim(packet.destination_ip, packet.vlan)
        if victim is not None:
            latest = packet.source_ip, packet.icmp_type, packet.ident, packet.seq
            if latest == victim.latest:
                return  # captured twice
            victim.latest = latest
            victim.requests += 1
            self._note(victim, packet)
        sender = self._victim(packet.source_ip, packet.vlan)
        if sender is not None:
            sender.asked += 1

    def reply(self, packet: Packet) -> None:
        """An answer to one."""
        victim = self._victim(packet.destination_ip, packet.vlan)
        if victim is not None:
            victim.replies += 1
            self._note(victim, packet)

    def _victim(self, host: bytes, vlan: int) -> _Icmp | None:
        victim = self._victims.get((host, vlan))
        if victim is None:
            if len(self._victims) >= self._cap:
                self.lost += 1
                return None
            victim = self._victims[host, vlan] = _Icmp()
        return victim

    def _note(self, victim: _Icmp, packet: Packet) -> None:
        victim.time_us = max(victim.time_us, packet.time_us)
        victim.length += packet.length
        self._room.add(victim.sources, packet.source_ip, MAX_SOURCES)
        self._room.add(victim.payloads, hash(packet.payload[_VARIED_AFTER:]), MAX_PAYLOADS)

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        victims, self._victims = self._victims, {}
        self._room = _Room(self._cap)
        facts = []
        for (destination, vlan), held in victims.items():
            count = held.requests + max(0, held.replies - held.asked)
            if count < ICMP_FLOOR:
                continue
            protocol = "icmp" if len(destination) == 4 else "icmpv6"
            facts.append(
                fact(
                    "icmp_flood_rate",
                    held.time_us,
                    {
                        "source_count": len(held.sources),
                        "payload_count": len(held.payloads),
                        "bytes": held.length,
                        "vlan": vlan,
                    },
                    destination_ip=address(destination),
                    protocol=protocol,
                    count=count,
                    message=f"{count} {protocol.upper()} requests or unasked replies reached {address(destination)}",
                )
            )
        return facts
