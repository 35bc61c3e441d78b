"""The sensor on UDP: refused and unanswered ports, and all the datagrams that are no probe."""

from __future__ import annotations

from siemd.sources.sniffer.packet import Packet
from support.conversation import ATTACKER, VICTIM, Wire, facts_of, only, raw


def probes(packets: list[Packet]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for fact in only(facts_of(packets), "udp_probe"):
        found.setdefault(fact.fields["outcome"], []).extend(fact.fields["destination_ports"])
    return found


def test_scan_of_open_closed_and_filtered_ports() -> None:
    wire = Wire()
    for port in range(1, 31):
        question = wire.udp(ATTACKER, 60_000, VICTIM, port, b"")
        if port == 7:
            wire.udp(VICTIM, port, ATTACKER, 60_000, b"answer")
        elif port % 2:
            wire.icmp_error(VICTIM, question)
    refused = [port for port in range(1, 31) if port % 2 and port != 7]
    assert probes(wire.packets) == {"refused": refused, "unanswered": list(range(2, 31, 2))}


def test_scan_from_a_service_port() -> None:
    """nmap -g 53: a DNS server would not send empty datagrams, nor to well-known ports."""
    wire = Wire()
    for port in range(1000, 1050):
        wire.udp(ATTACKER, 53, VICTIM, port, b"")
    assert probes(wire.packets) == {"unanswered": list(range(1000, 1050))}


def test_only_the_refusals_are_seen() -> None:
    wire = Wire()
    for port in range(1, 21):
        wire.icmp_error(VICTIM, wire.udp(ATTACKER, 60_000, VICTIM, port))
    assert probes(wire.packets[1::2]) == {"refused": list(range(1, 21))}


def test_an_error_about_another_host_than_its_receiver_frames_nobody() -> None:
    wire = Wire()
    for port in range(1, 21):
        wire.icmp_error(ATTACKER, wire.udp(VICTIM, 60_000, ATTACKER, port))
        wire.packets[-1].destination_ip = raw("198.51.100.99")
    assert probes(wire.packets[1::2]) == {}


def test_ipv6() -> None:
    wire = Wire()
    for port in range(1, 21):
        question = wire.udp("2001:db8::66", 60_000, "2001:db8:1::10", port)
        wire.icmp_error("2001:db8:1::10", question, kind=1, code=4)
    assert probes(wire.packets) == {"refused": list(range(1, 21))}


def test_traceroute_is_no_probe() -> None:
    wire = Wire()
    port = 33_434
    for ttl in range(1, 12):
        for _ in range(3):
            question = wire.udp(ATTACKER, wire.fresh_port(), VICTIM, port, ttl=ttl)
            if ttl < 10:
                wire.icmp_error(f"203.0.113.{ttl}", question, kind=11, code=0)
            else:
                wire.icmp_error(VICTIM, question)
            port += 1
    assert probes(wire.packets) == {}


def test_resolver_with_timeouts_and_late_answers() -> None:
    """The client closed its socket before the answer came and refuses it by ICMP: one distinct port for each."""
    wire = Wire()
    for _ in range(40):
        port = wire.fresh_port()
        wire.udp("192.0.2.5", port, "192.0.2.53", 53, b"\x12\x34\x01\0" + bytes(20))
        wire.wait(8)
        answer = wire.udp("192.0.2.53", 53, "192.0.2.5", port, b"\x12\x34\x81\x80" + bytes(40))
        wire.icmp_error("192.0.2.5", answer)
    found = only(facts_of(wire.packets), "udp_probe")
    assert {(fact.source_ip, fact.destination_port) for fact in found} <= {("192.0.2.5", 53)}


def test_answers_whose_questions_were_not_seen() -> None:
    wire = Wire()
    for number in range(40):
        wire.udp("192.0.2.53", 53, "192.0.2.5", 1024 + number * 997, b"\x12\x34\x81\x80" + bytes(40))
        wire.udp("203.0.113.9", 443, "192.0.2.5", 1025 + number * 997, bytes(1200))
        wire.udp("203.0.113.7", 123, "192.0.2.5", 1026 + number * 997, b"\x24" + bytes(47))
    refused = [packet for packet in wire.packets if packet.source_port == 443]
    for packet in refused:
        wire.icmp_error("192.0.2.5", packet)
    assert probes(wire.packets) == {}


def test_multicast_and_broadcast_are_no_probes() -> None:
    wire = Wire()
    for number in range(30):
        wire.udp("192.0.2.5", 5353, "224.0.0.251", 5353 + number)
        wire.udp("192.0.2.5", 68, "255.255.255.255", 67 + number)
        wire.udp("fe80::1", 5353, "ff02::fb", 5353 + number)
        wire.udp("192.0.2.5", 138, "192.0.2.255", 138 + number)
    assert probes(wire.packets) == {}


def test_streams_are_no_probes() -> None:
    """One-way media to a recorder: many ports of one host, hundreds of datagrams each."""
    wire = Wire()
    ports = range(10_000, 10_060, 2)
    for _ in range(40):
        for port in ports:
            wire.udp("192.0.2.5", port + 5000, "192.0.2.9", port, bytes(172))
        wire.wait(0.02)
    wire.wait(10)
    wire.ping("192.0.2.5", "192.0.2.9")
    assert probes(wire.packets) == {}


def test_port_that_answered_before_is_no_probe() -> None:
    wire = Wire()
    wire.udp("192.0.2.5", 40_000, "192.0.2.9", 161)
    wire.udp("192.0.2.9", 161, "192.0.2.5", 40_000)
    wire.udp("192.0.2.5", 40_001, "192.0.2.9", 161)
    assert probes(wire.packets) == {}
