"""Scans that look like something else: where every port is open, with flags that say nothing, from one port."""

from __future__ import annotations

import pytest

from siemd.sources.sniffer.packet import ACK, FIN, PSH, RST, SYN, URG
from support.conversation import (
    ATTACKER,
    BARE,
    SYSTEM_SYN,
    VICTIM,
    Script,
    Wire,
    facts_of,
    only,
    played,
    raw,
    rules_raised,
    twice,
)
from support.streams import talk

CLIENT = "192.0.2.5"


def check(wire: Wire, source: str, destination: str, port: int, *, polite: bool = False, banner: int = 0) -> None:
    """A connection that is only opened: `nmap -sT` resets it, `nc -z` (polite) ends it."""
    source_port, seq, peer = wire.fresh_port(), wire.fresh_seq(), wire.fresh_seq()
    wire.syn(source, source_port, destination, port, seq, by_hand=False)
    wire.tcp(destination, port, source, source_port, SYN | ACK, peer, seq + 1, header=SYSTEM_SYN)
    wire.tcp(source, source_port, destination, port, ACK, seq + 1, peer + 1)
    if banner:
        wire.tcp(destination, port, source, source_port, PSH | ACK, peer + 1, seq + 1, banner)
    if not polite:
        wire.tcp(source, source_port, destination, port, RST | ACK, seq + 1, peer + 1)
        return
    wire.tcp(source, source_port, destination, port, FIN | ACK, seq + 1, peer + 1)
    wire.tcp(destination, port, source, source_port, FIN | ACK, peer + 1, seq + 2)
    wire.tcp(source, source_port, destination, port, ACK, seq + 2, peer + 2)


def every_port_is_open(wire: Wire) -> None:
    for port in range(1, 60):
        check(wire, ATTACKER, VICTIM, port)


def every_port_is_open_and_greets(wire: Wire) -> None:
    for port in range(1, 60):
        check(wire, ATTACKER, VICTIM, port, banner=40)


def every_port_is_open_politely(wire: Wire) -> None:
    for port in range(1, 60):
        check(wire, ATTACKER, VICTIM, port, polite=True)


def half_of_the_ports_are_open(wire: Wire) -> None:
    for port in range(1, 81):
        if port % 2:
            check(wire, ATTACKER, VICTIM, port)
        else:
            wire.refused(ATTACKER, VICTIM, port)


def every_port_is_open_as_the_attackers_side_shows_it(wire: Wire) -> None:
    every_port_is_open_politely(wire)
    wire.packets = [packet for packet in wire.packets if packet.source_ip == raw(ATTACKER)]


def ack_scan_that_pushes(wire: Wire) -> None:
    _ack_scan_with(wire, ACK | PSH)


def ack_scan_that_is_urgent(wire: Wire) -> None:
    _ack_scan_with(wire, ACK | URG)


def _ack_scan_with(wire: Wire, flags: int) -> None:
    for port in range(1, 40):
        wire.tcp(ATTACKER, 52_807, VICTIM, port, flags, 0, 3_828_670_215, window=1024, header=BARE)
        wire.tcp(VICTIM, port, ATTACKER, 52_807, RST, 3_828_670_215, 0, window=0, header=BARE)


def maimon_scan_that_pushes(wire: Wire) -> None:
    for port in range(1, 40):
        wire.tcp(ATTACKER, 41_939, VICTIM, port, FIN | PSH | ACK, 374_018_629, 0, window=1024, header=BARE)
        wire.tcp(VICTIM, port, ATTACKER, 41_939, RST, 0, 0, window=0, header=BARE)


def maimon_scan_with_random_numbers(wire: Wire) -> None:
    """hping3 -F -A -p ++1"""
    for port in range(1, 40):
        ack = wire.fresh_seq()
        wire.tcp(ATTACKER, 2000 + port, VICTIM, port, FIN | ACK, wire.fresh_seq(), ack, window=512, header=BARE)
        wire.tcp(VICTIM, port, ATTACKER, 2000 + port, RST, ack, 0, window=0, header=BARE)


def ack_sweep(wire: Wire) -> None:
    """nmap -sn -PA80: one lone ACK for each host; who is there resets it."""
    for last in range(1, 60):
        wire.tcp(ATTACKER, 44_181, f"198.51.100.{last}", 80, ACK, 0, 1_898_643_904, window=1024, header=BARE)
        if last % 20 == 0:
            wire.tcp(f"198.51.100.{last}", 80, ATTACKER, 44_181, RST, 1_898_643_904, 0, window=0, header=BARE)


def syn_flood_from_one_port(wire: Wire) -> None:
    """hping3 -S -s 5555 -k --flood: the same ports in every packet."""
    for _ in range(3000):
        seq = wire.fresh_seq()
        wire.syn(ATTACKER, 5555, VICTIM, 80, seq, by_hand=True)
        wire.tcp(VICTIM, 80, ATTACKER, 5555, SYN | ACK, 77, seq + 1, header=BARE + 4)


ATTACKS: list[tuple[Script, str]] = [
    (every_port_is_open, "port_scan_connect"),
    (every_port_is_open_and_greets, "port_scan_connect"),
    (every_port_is_open_politely, "port_scan_connect"),
    (half_of_the_ports_are_open, "port_scan_connect"),
    (every_port_is_open_as_the_attackers_side_shows_it, "port_scan_connect"),
    (ack_scan_that_pushes, "port_scan_ack"),
    (ack_scan_that_is_urgent, "port_scan_ack"),
    (maimon_scan_that_pushes, "port_scan_maimon"),
    (maimon_scan_with_random_numbers, "port_scan_maimon"),
    (ack_sweep, "host_sweep"),
    (syn_flood_from_one_port, "syn_flood"),
]


@pytest.mark.parametrize(("script", "rule"), ATTACKS, ids=lambda one: getattr(one, "__name__", one))
def test_attack_is_one_incident_of_its_rule(script: Script, rule: str) -> None:
    packets = played(script)
    assert rules_raised(packets) == [rule]
    assert rules_raised(twice(packets)) == [rule]


def monitoring_by_connections(wire: Wire) -> None:
    for _ in range(30):
        for port in range(8000, 8020):
            check(wire, CLIENT, VICTIM, port, polite=True)
        wire.wait(10)


def passive_ftp(wire: Wire) -> None:
    """Listings and files: the server sends and ends first, whether there was something to send or not."""
    for number in range(60):
        port, source_port, seq, peer = 50_000 + 7 * number, wire.fresh_port(), wire.fresh_seq(), wire.fresh_seq()
        wire.syn(CLIENT, source_port, VICTIM, port, seq, by_hand=False)
        wire.tcp(VICTIM, port, CLIENT, source_port, SYN | ACK, peer, seq + 1, header=SYSTEM_SYN)
        wire.tcp(CLIENT, source_port, VICTIM, port, ACK, seq + 1, peer + 1)
        if number % 2:
            wire.tcp(VICTIM, port, CLIENT, source_port, PSH | ACK, peer + 1, seq + 1, 500)
            peer += 500
        wire.tcp(VICTIM, port, CLIENT, source_port, FIN | ACK, peer + 1, seq + 1)
        wire.tcp(CLIENT, source_port, VICTIM, port, FIN | ACK, seq + 1, peer + 2)


def downloads_that_clients_end(wire: Wire) -> None:
    """They say nothing and have what they came for: far more than a greeting."""
    for port in range(50_000, 50_060):
        talk(wire, [("<", bytes(20_000))], source=CLIENT, port=port)


def connections_of_many_ports(wire: Wire) -> None:
    for port in range(8000, 8060):
        wire.connection(CLIENT, VICTIM, port, reset=port % 2 == 0)


def ports_used_again(wire: Wire) -> None:
    for _ in range(2000):
        seq, peer = wire.fresh_seq(), wire.fresh_seq()
        wire.syn(CLIENT, 40_000, VICTIM, 80, seq, by_hand=False)
        wire.tcp(VICTIM, 80, CLIENT, 40_000, SYN | ACK, peer, seq + 1, header=SYSTEM_SYN)
        wire.tcp(CLIENT, 40_000, VICTIM, 80, PSH | ACK, seq + 1, peer + 1, 80)
        wire.tcp(VICTIM, 80, CLIENT, 40_000, PSH | ACK, peer + 1, seq + 81, 200)


def test_who_uses_what_a_scan_found_examines_no_services() -> None:
    """The next steps of an attack, or the ordinary use of a host that someone scanned from there before."""
    wire = Wire()
    wire.syn_scan(range(20, 100), open_ports=(22, 80))
    wire.wait(30)
    wire.connection(ATTACKER, VICTIM, 22)
    wire.connection(ATTACKER, VICTIM, 80)
    assert rules_raised(wire.packets) == ["port_scan_syn"]


def connections_that_a_firewall_forgot(wire: Wire) -> None:
    """To many servers, and of clients behind one address; either side goes on, or ends, and is reset or not heard."""
    for last in range(1, 60):
        for port, flags in ((443, ACK), (443, FIN | ACK)):
            ack = wire.fresh_seq()
            source_port = wire.fresh_port()
            wire.tcp(CLIENT, source_port, f"203.0.113.{last}", port, flags, wire.fresh_seq(), ack, header=BARE)
            if last % 2:
                wire.tcp(f"203.0.113.{last}", port, CLIENT, source_port, RST, ack, 0, window=0, header=BARE)
        wire.tcp(VICTIM, 443, CLIENT, 2000 + last, FIN | ACK, wire.fresh_seq(), ack, header=BARE)
        wire.tcp(CLIENT, 2000 + last, VICTIM, 443, RST, ack, 0, window=0, header=BARE)


def test_who_examines_what_a_scan_found_scans_no_more() -> None:
    """nmap -sS -sV of a host where every port is open."""
    wire = Wire()
    wire.syn_scan(range(20, 80), open_ports=range(20, 80))
    for port in range(20, 80):
        check(wire, ATTACKER, VICTIM, port, banner=40)
    assert rules_raised(wire.packets) == ["port_scan_syn", "service_version_scan"]


@pytest.mark.parametrize(
    "script",
    [
        connections_that_a_firewall_forgot,
        monitoring_by_connections,
        passive_ftp,
        downloads_that_clients_end,
        connections_of_many_ports,
        ports_used_again,
    ],
    ids=lambda one: one.__name__,
)
def test_benign_look_alike_is_silent(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(packets[7:]) == []


def test_the_first_check_of_a_port_is_stated_and_no_other() -> None:
    wire = Wire()
    for _ in range(5):
        for port in (80, 22):
            check(wire, CLIENT, VICTIM, port)
        wire.wait(20)
    (fact,) = only(facts_of(wire.packets), "tcp_check")
    assert (fact.source_ip, fact.destination_ip, fact.destination_port, fact.count) == (CLIENT, VICTIM, 22, 2)
    assert fact.fields == {"destination_ports": [22, 80], "vlan": 0}
