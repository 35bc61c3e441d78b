"""The sensor on ICMP echo and ARP."""

from __future__ import annotations

import pytest

from siemd.sources.sniffer.packet import ICMP, ICMPV6
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import ATTACKER, VICTIM, Wire, facts_of, only, raw, rules_raised


@pytest.mark.parametrize(("source", "target"), [(ATTACKER, VICTIM), ("2001:db8::66", "2001:db8:1::10")])
def test_answered_pings_of_one_second_are_one_fact(source: str, target: str) -> None:
    wire = Wire(start_us=1_795_000_000_000_000)
    wire.ping(source, target, times=10, interval_s=0.01)
    (fact,) = only(facts_of(wire.packets), "ping")
    assert (fact.source_ip, fact.destination_ip, fact.count) == (source, target, 10)
    assert fact.fields["outcome"] == "answered"
    assert fact.fields["payload_bytes"] == 56
    assert fact.protocol == ("icmpv6" if ":" in source else "icmp")


def test_unanswered_pings() -> None:
    wire = Wire()
    wire.ping(ATTACKER, VICTIM, times=12, answered=False)
    facts = only(facts_of(wire.packets), "ping")
    assert {fact.fields["outcome"] for fact in facts} == {"unanswered"}
    assert sum(fact.count for fact in facts) == 12
    assert not any(fact.fields["answered_before"] for fact in facts)


def test_host_that_stops_answering_had_answered_before() -> None:
    wire = Wire()
    wire.ping(ATTACKER, VICTIM, times=5)
    wire.ping(ATTACKER, VICTIM, times=5, answered=False, ident=8)
    last = only(facts_of(wire.packets), "ping")[-1]
    assert (last.fields["outcome"], last.fields["answered_before"]) == ("unanswered", True)


def test_only_the_answers_are_seen() -> None:
    wire = Wire()
    wire.ping(ATTACKER, VICTIM)
    (fact,) = only(facts_of(wire.packets[1:]), "ping")
    assert (fact.source_ip, fact.destination_ip, fact.fields["outcome"]) == (ATTACKER, VICTIM, "answered")


@pytest.mark.parametrize(("kind", "reply", "name"), [(13, 14, "timestamp"), (17, 18, "address_mask")])
def test_other_questions(kind: int, reply: int, name: str) -> None:
    wire = Wire()
    wire.put(ICMP, ATTACKER, VICTIM, icmp_type=kind, ident=4)
    wire.put(ICMP, VICTIM, ATTACKER, icmp_type=reply, ident=4)
    (fact,) = facts_of(wire.packets)
    assert (fact.fields["request"], fact.fields["outcome"]) == (name, "answered")


def test_arp_requests_of_a_second_are_one_fact() -> None:
    wire = Wire()
    for number in range(1, 41):
        wire.arp("192.0.2.1", f"192.0.2.{number + 1}")
    wire.arp_answered("192.0.2.1", "192.0.2.200")
    facts = only(facts_of(wire.packets), "arp_request")
    by_outcome = {fact.fields["outcome"]: fact for fact in facts}
    assert len(facts) == 2
    assert by_outcome["answered"].fields["destination_ips"] == ["192.0.2.200"]
    assert len(by_outcome["unanswered"].fields["destination_ips"]) == 40
    assert by_outcome["unanswered"].fields["source_mac"] == "02:00:c0:00:02:01"
    assert by_outcome["unanswered"].fields["destination_ips"][0] == "192.0.2.2"


def test_host_that_was_heard_of_counts_as_answering() -> None:
    wire = Wire()
    wire.arp("192.0.2.9", "192.0.2.1", sender_mac=b"\x02\0\0\0\0\x09")
    wire.arp("192.0.2.1", "192.0.2.9")
    outcomes = {fact.source_ip: fact.fields["outcome"] for fact in only(facts_of(wire.packets), "arp_request")}
    assert outcomes == {"192.0.2.9": "answered", "192.0.2.1": "answered"}


def test_probes_for_ones_own_address_say_nothing() -> None:
    wire = Wire()
    for number in range(1, 60):
        wire.arp("0.0.0.0", f"192.0.2.{number}", sender_mac=bytes((2, 0, 0, 0, 1, number)))
        wire.arp(f"192.0.2.{number}", f"192.0.2.{number}", sender_mac=bytes((2, 0, 0, 0, 1, number)))
    assert only(facts_of(wire.packets), "arp_request") == []
    assert rules_raised(wire.packets) == []


def test_neighbour_solicitations_are_asked_like_arp() -> None:
    wire = Wire()
    for number in range(1, 31):
        target = raw(f"2001:db8::{number:x}")
        solicited = {"payload": target + bytes(8), "payload_length": 24, "ethernet_source": b"\x02\0\0\0\0\x01"}
        wire.put(ICMPV6, "2001:db8::66", f"ff02::1:ff00:{number:x}", icmp_type=135, **solicited)
        wire.put(ICMPV6, "::", f"ff02::1:ff00:{number:x}", icmp_type=135, **solicited)  # duplicate address detection
        if number == 7:
            wire.put(ICMPV6, "2001:db8::7", "2001:db8::66", icmp_type=136, payload=target, payload_length=16)
    facts = only(facts_of(wire.packets), "arp_request")
    asked = {fact.fields["outcome"]: fact.fields["destination_ips"] for fact in facts}
    assert asked["answered"] == ["2001:db8::7"]
    assert len(asked["unanswered"]) == 29
    assert {(fact.source_ip, fact.protocol) for fact in facts} == {("2001:db8::66", "ndp")}
    assert rules_raised(wire.packets) == ["arp_sweep"]


def test_a_flood_of_forged_requests_is_held_back_and_a_sweep_within_it_seen() -> None:
    wire = Wire(step_us=10)
    for number in range(3000):
        wire.arp(f"10.1.{number // 250}.{number % 250 + 1}", "192.0.2.1", sender_mac=number.to_bytes(6, "big"))
        if number < 60:
            wire.arp("192.0.2.66", f"192.0.2.{number + 100}")
    sensor = Sensor(SensorConfig())
    facts = only(sensor.feed(wire.packets) + sensor.finish(), "arp_request")
    assert {fact.source_ip for fact in facts} == {"192.0.2.66"}
    assert sensor.counters()["arp_requests_held_back"] == 3000
