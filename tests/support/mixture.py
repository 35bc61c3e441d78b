"""A mixture of traffic whose facts are the same however fast it goes by, and the sum of facts that shows it.

A replay has other times than its file. So every probe in it is answered and every connection ends, that nothing may
wait for a time to pass; what must depend on time all the same, such as rates and rhythms, is left out (see TIMED).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from siemd.events import NetworkEvent
from siemd.sources.sniffer.packet import Frame, Packet
from support.conversation import VICTIM, Wire, played
from support.messages import resolve
from support.streams import ftp, hello, http, talk
from support.traffic import frame_of

WEB = "198.51.100.80"
PORTS = range(1, 200)
# Facts about rates, rhythms and windows, and first sights, of which there may be so many in a tick.
TIMED = frozenset(
    (
        *("half_open_backlog", "icmp_flood_rate", "udp_rate", "periodicity"),
        *("dns_names", "nxdomain", "icmp_payload", "device"),
    )
)
TIMED_FIELDS = frozenset(
    ("alike_sources", "success_percent", "duration_s", "attempts", "error_percent")
)  # of a tick, or so far, or themselves times
Sums = dict[tuple[Any, ...], tuple[int, frozenset[Any]]]


def mixture(networks: int = 3) -> list[Frame]:
    """Downloads for the most part, and beside them logins, names, pings and scans, of hosts in so many networks.

    All hosts are busy at once, as on any link that carries much.
    """
    packets: list[Packet] = []
    for number in range(networks):
        network = f"192.0.{number}"
        for host in range(10, 18):
            packets += played(partial(_client, network, f"{network}.{host}"))
        for scene in (_logins, _scans):
            packets += played(partial(scene, network))
    return [frame_of(packet) for packet in sorted(packets, key=lambda packet: packet.time_us)]


def _client(network: str, client: str, wire: Wire) -> None:
    for _ in range(3):
        talk(wire, [(">", hello()), ("<", b"\x17\x03\x03" + bytes(300_000))], source=client, server=WEB, port=443)
    talk(wire, http(f"/{client}", body=300_000), source=client, server=WEB)
    talk(wire, http("/absent", 404), source=client, server=WEB)
    for name in range(4):
        resolve(wire, client, f"host{name}.example.org")
    wire.ping(client, VICTIM)
    wire.arp_answered(client, f"{network}.1")


def _logins(network: str, wire: Wire) -> None:
    for _ in range(3):
        wire.ssh([(60, 52), (100, 52), (100, 52)], source=f"{network}.30")
        talk(wire, ftp("ann", ("wrong", False), ("right", True)), source=f"{network}.31", port=21)


def _scans(network: str, wire: Wire) -> None:
    wire.syn_scan(PORTS, source=f"{network}.32")
    for port in PORTS:
        wire.refused(f"{network}.33", VICTIM, port)
        wire.icmp_error(VICTIM, wire.udp(f"{network}.34", 40_000, VICTIM, 20_000 + port))


def looped(frames: Sequence[Frame], count: int, step_us: int) -> Iterator[Frame]:
    """The first `count` frames of the mixture again and again, one every `step_us`."""
    start_us = frames[0].time_us
    for number in range(count):
        frame = frames[number % len(frames)]
        yield Frame(start_us + number * step_us, frame.data, frame.length)


def timeless(facts: Iterable[NetworkEvent]) -> list[NetworkEvent]:
    """The facts that do not depend on when packets came."""
    return [fact for fact in facts if fact.event_type not in TIMED]


def summed(facts: Iterable[NetworkEvent]) -> Sums:
    """How often each thing was stated in all, and of which targets, whatever the ticks were in which it was."""
    sums: Sums = {}
    for fact in facts:
        told = {name: value for name, value in fact.fields.items() if name not in TIMED_FIELDS}
        single = {name: value for name, value in told.items() if not isinstance(value, list)}
        listed = {(name, value) for name, values in told.items() if isinstance(values, list) for value in values}
        port = None if "destination_ports" in told else fact.destination_port  # the first of them
        key = (fact.event_type, fact.source_ip, fact.destination_ip, port, fact.protocol, fact.user_name)
        key += tuple(sorted(single.items()))
        count, targets = sums.get(key, (0, frozenset()))
        sums[key] = count + fact.count, targets | listed
    return sums
