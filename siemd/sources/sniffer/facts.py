"""The facts that the sensor states: their names, fields and meaning in one place, and what they are gathered in."""

from __future__ import annotations

import socket
from collections import Counter
from functools import lru_cache
from typing import Any

import msgspec

from siemd.events import NetworkEvent, clamp_time_us
from siemd.sources.sniffer.apps.kinds import APPLICATION_FACTS
from siemd.sources.sniffer.fact_kind import VLAN as _VLAN
from siemd.sources.sniffer.fact_kind import FactKind
from siemd.sources.sniffer.scan_facts import SCAN_FACTS
from siemd.sources.sniffer.segment_facts import SEGMENT_FACTS

MAX_LISTED = 1024  # ports or addresses in one fact; a longer list goes on in further facts
MAX_TARGETS = 65_536
FLOOD_SOURCES = 64  # sources that reach for one host within a tick; beyond, those with a port or two say nothing
FLOOD_PORTS = 2
MAX_ASKERS = 1024  # hosts that ask by ARP within a tick; beyond, those that ask for an address or two say nothing
CONNECTIONS_A_TICK = 4096  # records stated in one tick
UDP_STREAM = 16  # unanswered datagrams of one flow that are a stream (RTP, logs), no probe; scanners send four at most


_PORTS = f"the distinct ports, ascending, at most {MAX_LISTED:,}; a longer list goes on in further facts"
_NETWORK = "the /24 (IPv4) or /64 (IPv6) that the destination is in"
_SUCCESS = (
    "share of the hosts of that network this source lately tried over TCP that exchanged data with it: high for a "
    "peer-to-peer client, near 0 for a scanner"
)
_NAMED = "whether a name server lately told that address: who connects to it follows a name, which a sweep does not"
_ALIKE = "how many other hosts lately probed the same ports of that host: decoys, of which one at most is real"

FACTS: dict[str, FactKind] = {
    kind.name: kind
    for kind in (
        FactKind(
            "ping",
            "An ICMP or ICMPv6 echo request (or timestamp or address mask request) was answered, or was not within "
            "`answer_timeout`. `count`: requests.",
            ("source_ip", "destination_ip", "protocol", "count", "message"),
            {
                "outcome": "answered or unanswered",
                "request": "echo, timestamp or address_mask",
                "payload_bytes": "bytes behind the ICMP header of the last request: 56 for ping, 0 for nmap",
                "answered_before": "whether the destination lately answered this source, or pinged it",
                "vlan": _VLAN,
            },
        ),
        FactKind(
            "tcp_probe",
            "A TCP packet that asks whether a port is open did not lead to a connection. Ports that lately accepted a "
            "connection from the same source are left out: a service that goes down is not a scan. During a flood "
            "from many sources only sources that tried several ports are stated. `count`: probes.",
            ("source_ip", "destination_ip", "destination_port", "protocol", "count", "message"),
            {
                "probe": "syn (made by hand: no option but MSS), connect (a SYN of an operating system), fin, null, "
                "xmas, maimon or ack",
                "outcome": "refused (RST or ICMP unreachable), unanswered (nothing within `answer_timeout`), or "
                "half_open (accepted, then never completed or reset at once)",
                "destination_ports": _PORTS,
                "destination_network": _NETWORK,
                "success_percent": _SUCCESS,
                "named": _NAMED,
                "alike_sources": _ALIKE,
                "vlan": _VLAN,
            },
        ),
        FactKind(
            "udp_probe",
            "A UDP datagram to a port of a host that had sent nothing from there was refused or not answered. Not: "
            "traceroute, multicast, broadcast, answers whose question was not seen, ports that lately answered. "
            "`count`: datagrams.",
            ("source_ip", "destination_ip", "destination_port", "protocol", "count", "message"),
            {
                "outcome": "refused (ICMP unreachable) or unanswered (nothing within `answer_timeout`)",
                "destination_ports": _PORTS,
                "destination_network": _NETWORK,
                "named": _NAMED,
                "alike_sources": _ALIKE,
                "vlan": _VLAN,
            },
        ),
        FactKind(
            "arp_request",
            "ARP requests (IPv6: neighbour solicitations, protocol ndp) of one host. Not: gratuitous ones and probes "
            "for a host's own address (RFC 5227). When more than "
            f"{MAX_ASKERS:,} hosts ask within a tick, only those that ask for several addresses are stated. `count`: "
            "requests.",
            ("source_ip", "protocol", "count", "message"),
            {
                "outcome": "answered (there was an answer, or the target was heard of lately) or unanswered",
                "source_mac": "the sender's hardware address",
                "destination_ips": f"the distinct addresses asked for, ascending, at most {MAX_LISTED:,} in a fact",
                "answers_seen": "whether any answer to this host was lately seen: a sensor that sees only what goes to "
                "all sees none",
                "vlan": _VLAN,
            },
        ),
        FactKind(
            "ssh_auth",
            "An SSH connection, recognised by its banner on any port, ended; or, some seconds after it, a login on it "
            "succeeded. `source_ip` is the client.",
            ("source_ip", "source_port", "destination_ip", "destination_port", "protocol", "message"),
            {
                "outcome": "success, failure (tries, none good) or none (no try)",
                "attempts": "tries to log in, the good one included; the question which methods there are is none",
                "failed_attempts": "the tries that failed",
                "refused_keys": "keys that were offered and refused, no tries: an agent offers every key that it has. "
                "Some ciphers hide the difference between a short key and a password; both are tries then",
                "client_version": "the client's banner",
                "server_version": "the server's banner",
                "vlan": _VLAN,
            },
        ),
        *APPLICATION_FACTS,
        *SCAN_FACTS,
        *SEGMENT_FACTS,
        FactKind(
            "connection",
            "A TCP connection, or an exchange of UDP datagrams, ended, was silent for `memory`, or the sensor stopped. "
            "Not: tries that came to nothing (they are probes), lone packets, DNS questions, datagrams without "
            f"an answer unless they are {UDP_STREAM} and more. Its time is that of the first packet. At most "
            f"{CONNECTIONS_A_TICK:,} a tick; the rest wait, and what finds no room is counted. They have a table of "
            "their own, `connections`. `count`: packets.",
            ("source_ip", "source_port", "destination_ip", "destination_port", "protocol", "count"),
            {
                "state": "closed (both sides ended it), reset_by_source, reset_by_destination, half_closed (one side "
                "ended it), open (no end was seen) or one_sided (nothing of the destination was seen)",
                "duration_s": "from the first packet to the last, in seconds",
                "source_packets": "packets of the source",
                "destination_packets": "packets of the destination",
                "source_bytes": "bytes of payload that the source sent, those sent again included",
                "destination_bytes": "the same of the destination",
                "service": "http, tls, ssh, ftp … if the protocol was recognised, of this connection or lately of "
                "another to the same port",
                "midstream": "whether the beginning of a TCP connection was not seen; then the side with a port below "
                "1024 is the destination, else who sent the first packet is the source",
                "vlan": _VLAN,
            },
            {
                "source_ip": "who opened it",
                "source_port": "the source's port",
                "destination_ip": "the other side",
                "destination_port": "the destination's port",
                "protocol": "tcp or udp",
            },
        ),
        FactKind(
            "half_open_backlog",
            "Within one tick at least 64 handshakes with one port were begun and not completed, or SYNs made by hand "
            "were refused there, whoever sent them; or with several ports of a host by more than 64 sources. "
            "`count`: handshakes.",
            ("destination_ip", "destination_port", "protocol", "count", "message"),
            {
                "source_count": "the distinct sources",
                "destination_network": _NETWORK,
                "vlan": _VLAN,
            },
        ),
    )
}


@lru_cache(maxsize=65_536)
def address(raw: bytes) -> str:
    """An address of 4 or 16 bytes as text; "" for none."""
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    return socket.inet_ntop(socket.AF_INET6, raw) if len(raw) == 16 else ""


def network_part(raw: bytes) -> bytes:
    """The bytes of an address that name its /24 or /64."""
    return raw[:3] if len(raw) == 4 else raw[:8]


def network(raw: bytes) -> str:
    """The /24 or /64 of an address, as text."""
    return address(network_part(raw).ljust(len(raw), b"\0")) + ("/24" if len(raw) == 4 else "/64")


def to_many(destination: bytes) -> bool:
    """Multicast, or a broadcast as far as an address tells."""
    if len(destination) != 4:
        return destination[:1] == b"\xff"
    return destination[0] >= 224 or destination[3] == 255


def mac(raw: bytes) -> str:
    """A hardware address as text."""
    return raw.hex(":")


def fact(event_type: str, time_us: int, fields: dict[str, Any], **attributes: Any) -> NetworkEvent:
    """A NetworkEvent of this kind; `fields` and `attributes` as FACTS declares them."""
    return NetworkEvent(event_type=event_type, time_us=clamp_time_us(time_us), fields=fields, **attributes)


class Held(msgspec.Struct):
    """What was gathered for one fact: time of the last packet, packets, distinct targets (ports or addresses)."""

    time_us: int
    count: int
    targets: set[Any]

    def parts(self) -> list[tuple[list[Any], int]]:
        """The targets in order, in lists short enough for one fact each, and each one's share of the packets.

        Whose packets they were is not known where there are several lists: each then counts one for a target.
        """
        ordered = sorted(self.targets)
        lists = [ordered[at : at + MAX_LISTED] for at in range(0, len(ordered), MAX_LISTED)]
        return [(part, self.count if len(lists) == 1 else len(part)) for part in lists]


class Tally:
    """Gathers what becomes facts at the next tick, by key (any tuple). lost: packets beyond the cap of keys."""

    __slots__ = ("_cap", "held", "held_back", "lost")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self.held: dict[tuple[Any, ...], Held] = {}
        self.lost = 0
        self.held_back = 0

    def add(self, key: tuple[Any, ...], time_us: int, target: Any, count: int = 1) -> None:
        """Add packets to the fact of this key."""
        held = self.held.get(key)
        if held is not None:
            held.time_us = max(held.time_us, time_us)
            held.count += count
            if len(held.targets) < MAX_TARGETS:
                held.targets.add(target)
        elif len(self.held) < self._cap:
            self.held[key] = Held(time_us, count, {target})
        else:
            self.lost += count

    def take(self) -> dict[tuple[Any, ...], Held]:
        """Everything gathered, in the order it began; the tally is empty then."""
        held, self.held = self.held, {}
        return held

    def take_without_flood(self) -> dict[tuple[Any, ...], Held]:
        """The same for keys (source, destination, vlan, …), without the sources of a flood.

        When more than FLOOD_SOURCES sources reach for one destination within a tick, those with a port or two are
        most likely forged, and say nothing about themselves.
        """
        held = self.take()
        if len(held) <= FLOOD_SOURCES:
            return held
        sources = Counter(key[1:3] for key, entry in held.items() if len(entry.targets) <= FLOOD_PORTS)
        flooded = {victim for victim, count in sources.items() if count > FLOOD_SOURCES}
        if not flooded:
            return held
        kept = {
            key: entry for key, entry in held.items() if key[1:3] not in flooded or len(entry.targets) > FLOOD_PORTS
        }
        self.held_back += len(held) - len(kept)
        return kept
