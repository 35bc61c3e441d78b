"""Whatever a segment is flooded with, its observers stay within their caps, and count what that costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from siemd.events import NetworkEvent
from siemd.sources.sniffer.packet import ICMP, Packet
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import START_US, Wire
from support.messages import answer, dhcp, netbios_answer, query, router_advertisement

CAP = 1024
Flood = Callable[[Wire, int], None]


def source(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def claims(wire: Wire, number: int) -> None:
    mac = number.to_bytes(6, "big")
    wire.arp(source(number), "192.0.2.1", operation=2, sender_mac=mac, to=b"\2" * 6)
    wire.arp("192.0.2.9", "192.0.2.1", operation=2, sender_mac=mac, to=b"\2" * 6)


def names_of_one_domain(wire: Wire, number: int) -> None:
    wire.udp("192.0.2.5", 40_000, "198.51.100.53", 53, query(f"{number:x}.example.org"))


def domains(wire: Wire, number: int) -> None:
    wire.udp("192.0.2.5", 40_000, "198.51.100.53", 53, query(f"www.{number:x}.com"))
    wire.udp("198.51.100.53", 53, "192.0.2.5", 40_000, answer(f"www.{number:x}.com", code=3))


def clients(wire: Wire, number: int) -> None:
    for name in range(12):
        wire.udp(source(number), 40_000, "198.51.100.53", 53, query(f"{name}.example.org"))


def pings(wire: Wire, number: int) -> None:
    payload = random.Random(number).randbytes(200)
    wire.put(ICMP, source(number), "192.0.2.1", icmp_type=8, payload=payload, payload_length=200)


def servers(wire: Wire, number: int) -> None:
    offered = source(number)
    wire.udp(source(number), 67, "255.255.255.255", 68, dhcp(2, source(number), offered=offered, transaction=number))
    wire.udp(source(number), 67, "192.0.2.1", 67, dhcp(2, source(number), relay=source(number)))
    router_advertisement(
        wire, f"fe80::{number >> 16:x}:{number & 0xFFFF:x}", prefixes=[f"2001:db8:{number & 0xFFFF:x}::"]
    )


def answers(wire: Wire, number: int) -> None:
    wire.udp(source(number), 137, "192.0.2.1", 137, netbios_answer(f"{number:x}", source(number)))
    wire.udp("192.0.2.2", 137, "192.0.2.1", 137, netbios_answer(f"{number:x}", "192.0.2.2", ident=number & 0xFFFF))


FLOODS: list[tuple[Flood, str]] = [
    (claims, "arp_claims_forgotten"),
    (claims, "devices_forgotten"),
    (claims, "devices_held_back"),
    (names_of_one_domain, "dns_queries_held_back"),
    (domains, "dns_names_forgotten"),
    (domains, "dns_queries_forgotten"),
    (clients, "dns_names_forgotten"),
    (pings, "icmp_payloads_forgotten"),
    (servers, "offers_forgotten"),
    (answers, "name_answers_lost"),
]


def batches(flood: Flood, count: int) -> Iterator[list[Packet]]:
    wire = Wire(START_US, step_us=20)
    for number in range(1, count):
        flood(wire, number)
        if len(wire.packets) >= 500:
            yield wire.packets
            wire.packets = []
    yield wire.packets


@pytest.mark.parametrize(("flood", "counter"), FLOODS, ids=lambda one: getattr(one, "__name__", one))
def test_a_flood_costs_what_the_counters_say_and_no_more(flood: Flood, counter: str) -> None:
    sensor = Sensor(SensorConfig(max_hosts=CAP, max_flows=1024))
    facts: list[NetworkEvent] = []
    for packets in batches(flood, 3_000):
        facts += sensor.feed(packets)
        for name, held in sensor.counters().items():
            if name.startswith(("arp", "device", "dns", "icmp")) and name.endswith("_held"):
                assert held <= CAP, name
        facts = [fact for fact in facts if fact.event_type == "nxdomain"]
    sensor.finish()
    assert sensor.counters()[counter] > 0
    assert all(len(fact.fields["domains"]) <= 1024 for fact in facts)
