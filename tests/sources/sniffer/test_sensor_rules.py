"""Scripted attacks raise exactly their rule, once; what merely looks like them raises nothing."""

from __future__ import annotations

import pytest

from siemd.sources.sniffer.packet import ACK, FIN, PSH, SYN, URG
from support.conversation import (
    ATTACKER,
    VICTIM,
    Script,
    Wire,
    hardware,
    incidents_of,
    played,
    raw,
    rules_raised,
    twice,
)
from support.messages import AAAA, A, record, resolve

NONE, WRONG, RIGHT = (68, 52), (84, 52), (84, 28)


def syn_scan(wire: Wire) -> None:
    wire.syn_scan(range(1, 1001), open_ports=(22, 80))


def few_ports(wire: Wire) -> None:
    wire.syn_scan(range(1, 21), pause_s=0.4)


def polite_scan(wire: Wire) -> None:
    wire.syn_scan(range(1, 40), pause_s=15)


def paranoid_scan(wire: Wire) -> None:
    wire.syn_scan(range(1, 25), pause_s=300)


def filtered_scan(wire: Wire) -> None:
    wire.syn_scan(range(1, 101), filtered=True)


def fixed_source_port(wire: Wire) -> None:
    wire.syn_scan(range(1, 101), source_port=53)
    wire.wait(2)
    wire.syn_scan(range(1, 101), source_port=53)


def scan_over_ipv6(wire: Wire) -> None:
    wire.syn_scan(range(1, 101), source="2001:db8::66", victim="2001:db8:1::10")


def connect_scan(wire: Wire) -> None:
    for port in range(1, 101):
        if port in (22, 80):
            wire.connection(ATTACKER, VICTIM, port, exchange=False, reset=True)
        elif port % 9 == 0:
            wire.unanswered(ATTACKER, VICTIM, port)
        else:
            wire.refused(ATTACKER, VICTIM, port)


def fin_scan(wire: Wire) -> None:
    wire.odd_scan(FIN, range(1, 101), open_ports=(22, 80))


def null_scan(wire: Wire) -> None:
    wire.odd_scan(0, range(1, 101), open_ports=(22, 80))


def xmas_scan(wire: Wire) -> None:
    wire.odd_scan(FIN | PSH | URG, range(1, 101), open_ports=(22, 80))


def maimon_scan(wire: Wire) -> None:
    wire.odd_scan(FIN | ACK, range(1, 101))


def ack_scan(wire: Wire) -> None:
    wire.ack_scan(range(1, 101))


def udp_scan(wire: Wire) -> None:
    for port in range(1, 61):
        question = wire.udp(ATTACKER, 60_000, VICTIM, port, b"")
        if port % 10 == 0:
            wire.icmp_error(VICTIM, question)
        wire.wait(0.1)


def ping_sweep(wire: Wire) -> None:
    for number in range(1, 255):
        wire.ping(ATTACKER, f"198.51.100.{number}", ident=number, answered=number < 20, payload=0)


def ping_sweep_of_an_ordinary_ping(wire: Wire) -> None:
    for number in range(1, 255):
        wire.ping(ATTACKER, f"198.51.100.{number}", ident=number, answered=number < 20)


def ping_sweep_over_ipv6(wire: Wire) -> None:
    for number in range(1, 60):
        wire.ping("2001:db8::66", f"2001:db8:1::{number:x}", ident=number, answered=number < 3)


def arp_sweep(wire: Wire) -> None:
    for number in range(1, 255):
        if number < 10:
            wire.arp_answered("192.0.2.66", f"192.0.2.{number}")
        else:
            wire.arp("192.0.2.66", f"192.0.2.{number}")


def host_sweep(wire: Wire) -> None:
    for number in range(1, 255):
        wire.syn_scan((22,), victim=f"198.51.100.{number}", open_ports=(22,) if number < 5 else (), filtered=number > 9)


def host_sweep_by_connect(wire: Wire) -> None:
    for number in range(1, 255):
        if number < 30:
            wire.connection(ATTACKER, f"198.51.100.{number}", 22, exchange=False, reset=True)
        else:
            wire.unanswered(ATTACKER, f"198.51.100.{number}", 22)


def host_sweep_by_a_busy_host(wire: Wire) -> None:
    """Successes elsewhere don't hide a sweep."""
    for number in range(100):
        wire.connection(ATTACKER, f"203.{number}.113.80", 443)
    for number in range(100, 140):
        wire.refused(ATTACKER, f"198.51.100.{number}", 445)


def host_sweep_over_udp(wire: Wire) -> None:
    for number in range(1, 255):
        wire.udp(ATTACKER, 40_000, f"198.51.100.{number}", 161)


def syn_flood(wire: Wire) -> None:
    for number in range(3000):
        wire.tcp(f"{1 + number % 200}.{number // 200}.7.9", 2000, VICTIM, 80, SYN, number, window=512, header=20)


def syn_flood_of_one_source(wire: Wire) -> None:
    for number in range(3000):
        wire.tcp(ATTACKER, 2000 + number, VICTIM, 80, SYN, number, window=512, header=20)


def ssh_guesses(wire: Wire) -> None:
    for _ in range(5):
        wire.ssh([NONE, *[WRONG] * 4])


def ssh_one_guess_a_connection(wire: Wire) -> None:
    for _ in range(12):
        wire.ssh([(148, 52)])
        wire.wait(3)


def ssh_slow_guesses(wire: Wire) -> None:
    for _ in range(40):
        wire.ssh([NONE, WRONG])
        wire.wait(240)


ATTACKS: list[tuple[Script, str]] = [
    (syn_scan, "port_scan_syn"),
    (few_ports, "port_scan_syn"),
    (polite_scan, "port_scan_syn"),
    (paranoid_scan, "port_scan_syn"),
    (filtered_scan, "port_scan_syn"),
    (fixed_source_port, "port_scan_syn"),
    (scan_over_ipv6, "port_scan_syn"),
    (connect_scan, "port_scan_connect"),
    (fin_scan, "port_scan_fin"),
    (null_scan, "port_scan_null"),
    (xmas_scan, "port_scan_xmas"),
    (maimon_scan, "port_scan_maimon"),
    (ack_scan, "port_scan_ack"),
    (udp_scan, "port_scan_udp"),
    (ping_sweep, "ping_sweep"),
    (ping_sweep_of_an_ordinary_ping, "ping_sweep"),
    (ping_sweep_over_ipv6, "ping_sweep"),
    (arp_sweep, "arp_sweep"),
    (host_sweep, "host_sweep"),
    (host_sweep_by_connect, "host_sweep"),
    (host_sweep_by_a_busy_host, "host_sweep"),
    (host_sweep_over_udp, "host_sweep"),
    (syn_flood, "syn_flood"),
    (syn_flood_of_one_source, "syn_flood"),
    (ssh_guesses, "ssh_bruteforce"),
    (ssh_one_guess_a_connection, "ssh_bruteforce"),
    (ssh_slow_guesses, "ssh_bruteforce"),
]


@pytest.mark.parametrize(("script", "rule"), ATTACKS, ids=lambda one: getattr(one, "__name__", ""))
def test_attack_is_one_incident(script: Script, rule: str) -> None:
    assert rules_raised(played(script)) == [rule]


def test_every_packet_captured_twice_is_still_one_incident() -> None:
    wire = Wire()
    syn_scan(wire)
    ssh_guesses(wire)
    assert rules_raised([packet for packet in wire.packets for _ in range(2)]) == ["port_scan_syn", "ssh_bruteforce"]


def test_decoys_are_an_incident_each() -> None:
    wire = Wire()
    for port in range(1, 101):
        for number in range(1, 4):
            wire.syn_scan((port,), source=f"203.0.113.{number}", filtered=True)
        wire.syn_scan((port,))
    incidents = incidents_of(wire.packets)
    assert [incident.rule for incident in incidents] == ["port_scan_syn"] * 4


def test_guessed_password_is_critical() -> None:
    wire = Wire()
    ssh_guesses(wire)
    wire.ssh([NONE, WRONG, RIGHT])
    incidents = {incident.rule: incident.level for incident in incidents_of(wire.packets)}
    assert incidents == {"ssh_bruteforce": "high", "ssh_bruteforce_success": "critical"}


def test_guessed_among_parallel_connections_is_critical() -> None:
    wire = Wire()
    wire.ssh_parallel([[NONE, *[WRONG] * 6], [NONE, *[WRONG] * 2, RIGHT], [NONE, *[WRONG] * 6], [NONE, *[WRONG] * 5]])
    assert rules_raised(wire.packets) == ["ssh_bruteforce", "ssh_bruteforce_success"]


def test_guesses_on_a_server_that_allows_many_a_connection() -> None:
    wire = Wire()
    wire.ssh([NONE, *[WRONG] * 30, RIGHT])
    assert rules_raised(wire.packets) == ["ssh_bruteforce", "ssh_bruteforce_success"]


# What merely looks like an attack.


def monitoring(wire: Wire) -> None:
    for _ in range(30):
        for number in range(1, 31):
            wire.ping("192.0.2.5", f"198.51.100.{number}", ident=77, answered=number not in (7, 9))
            for port in (22, 80, 443, 3306):
                if number in (7, 9) or (port == 3306 and number == 3):
                    wire.unanswered("192.0.2.5", f"198.51.100.{number}", port)
                else:
                    wire.connection("192.0.2.5", f"198.51.100.{number}", port, exchange=False)
        wire.wait(30)


def network_outage_seen_by_monitoring(wire: Wire) -> None:
    for reachable in (True, True, False, False):
        for number in range(1, 61):
            wire.ping("192.0.2.5", f"198.51.100.{number}", ident=77, answered=reachable)
            if reachable:
                wire.connection("192.0.2.5", f"198.51.100.{number}", 22, exchange=False)
            else:
                wire.unanswered("192.0.2.5", f"198.51.100.{number}", 22)
        wire.wait(60)


def browser_with_happy_eyeballs(wire: Wire) -> None:
    """IPv6 leads nowhere: forty sites' first SYN is given up for IPv4."""
    for number in range(40):
        wire.unanswered("2001:db8::5", f"2001:db8:{number + 100:x}::80", 443)
        wire.connection("192.0.2.5", f"203.{number}.113.80", 443)


def sites_of_one_network_that_ipv6_does_not_reach(wire: Wire) -> None:
    """A content network: every address of every site was told by a name server."""
    for number in range(60):
        six, four = f"2001:db8:77::{number + 1:x}", f"203.{number}.113.80"
        resolve(wire, "192.0.2.5", f"www.site{number}.com", [record(AAAA, raw(six))], kind=AAAA)
        resolve(wire, "192.0.2.5", f"www.site{number}.com", [record(A, raw(four))])
        wire.udp("2001:db8::5", wire.fresh_port(), six, 443, bytes(1200))  # QUIC
        wire.unanswered("2001:db8::5", six, 443, syns=2)
        wire.connection("192.0.2.5", four, 443)
        wire.wait(2)


def browser_that_gives_up_the_slower_family(wire: Wire) -> None:
    for number in range(60):
        source_port, seq = wire.fresh_port(), wire.fresh_seq()
        address = f"2001:db8:100::{number + 1:x}"
        wire.syn("2001:db8::5", source_port, address, 443, seq, by_hand=False)
        wire.tcp(address, 443, "2001:db8::5", source_port, SYN | ACK, 9, seq + 1, header=40)
        wire.tcp("2001:db8::5", source_port, address, 443, 4, seq + 1, window=0, header=20)


def peer_to_peer(wire: Wire) -> None:
    for number in range(1, 200):
        peer = f"198.51.100.{number}"
        port = 6881 if number % 3 else 1024 + number * 251
        if number % 3 == 0:
            wire.connection("192.0.2.5", peer, port)
        elif number % 3 == 1:
            wire.refused("192.0.2.5", peer, port)
        else:
            wire.unanswered("192.0.2.5", peer, port)
        question = wire.udp("192.0.2.5", 6881, f"203.{number}.113.{number}", 1024 + number * 251)
        if number % 2:
            wire.icmp_error(f"203.{number}.113.{number}", question)


def closed_service_with_retries(wire: Wire) -> None:
    for _ in range(200):
        wire.refused("192.0.2.5", VICTIM, 5432)
        wire.wait(1)


def load_balancer_with_dead_backends(wire: Wire) -> None:
    for _ in range(100):
        for number in range(1, 13):
            if number in (4, 5, 6):
                wire.refused("192.0.2.5", f"198.51.100.{number}", 8080)
            else:
                wire.connection("192.0.2.5", f"198.51.100.{number}", 8080, exchange=False, reset=True)
        wire.wait(2)


def clients_behind_one_address(wire: Wire) -> None:
    for number in range(300):
        wire.connection("192.0.2.1", f"203.0.{number % 100}.80", (80, 443, 993, 22)[number % 4])


def traceroute_by_udp(wire: Wire) -> None:
    port = 33_434
    for ttl in range(1, 31):
        for _ in range(3):
            wire.udp("192.0.2.5", wire.fresh_port(), VICTIM, port, ttl=ttl)
            port += 1


def traceroute_by_tcp(wire: Wire) -> None:
    for hop in range(30):
        for _ in range(3):
            wire.unanswered("192.0.2.5", VICTIM, 443)
            if hop < 20:
                wire.icmp_error(f"203.0.113.{hop + 1}", wire.packets[-1], kind=11, code=0)


def traceroute_by_icmp(wire: Wire) -> None:
    wire.ping("192.0.2.5", VICTIM, times=90, answered=False, interval_s=0.1)


def resolver_and_clock_with_timeouts(wire: Wire) -> None:
    for number in range(100):
        for server in ("198.51.100.53", "203.0.113.53", "192.0.2.53"):
            port = wire.fresh_port()
            wire.udp("192.0.2.5", port, server, 53, b"\x12\x34\x01\0" + bytes(20))
            if number % 3:
                wire.udp(server, 53, "192.0.2.5", port, b"\x12\x34\x81\x80" + bytes(40))
        wire.udp("192.0.2.5", 123, f"203.0.{number % 7}.123", 123, bytes(48))
        wire.wait(2)


def boot_of_many_hosts(wire: Wire) -> None:
    for number in range(50, 120):
        address = f"192.0.2.{number}"
        wire.udp("0.0.0.0", 68, "255.255.255.255", 67)
        for _ in range(3):
            wire.arp("0.0.0.0", address, sender_mac=hardware(address))
        wire.arp(address, address)
        wire.arp_answered(address, "192.0.2.1")
        wire.arp(address, "192.0.2.250")  # a printer that is off
        wire.arp_answered("192.0.2.1", address)


def hosts_that_pinged_and_went_away(wire: Wire) -> None:
    """Containers that looked for their gateway, which looks for them later."""
    for number in range(1, 41):
        for _ in range(3):
            wire.ping(f"198.51.100.{number}", "192.0.2.1", ident=number)
        wire.wait(1)
        wire.ping("192.0.2.1", f"198.51.100.{number}", ident=77, answered=False)


def pings_of_one_host(wire: Wire) -> None:
    wire.ping(ATTACKER, VICTIM, times=300, interval_s=0.01)


def good_logins(wire: Wire) -> None:
    for _ in range(60):
        wire.ssh([NONE, (140, 100), (308, 28), (112, 544)], source="192.0.2.5")


def agents_with_wrong_keys(wire: Wire) -> None:
    for _ in range(20):
        wire.ssh([NONE, *[(140, 52)] * 4, (140, 100), (308, 28), (112, 544)], source="192.0.2.5")
        wire.wait(5)


def keys_that_are_refused(wire: Wire) -> None:
    """An agent's, by a server that knows none of them, again and again; and those of a job, by many servers."""
    for number in range(30):
        wire.ssh([NONE, *[(140, 52)] * 6], source="192.0.2.5")
        wire.ssh([NONE, (140, 52)], source="192.0.2.6", server=f"198.51.100.{number + 1}")
        wire.wait(5)


def forgetful_user(wire: Wire) -> None:
    wire.ssh([NONE, WRONG, WRONG, WRONG], source="192.0.2.5")
    wire.wait(20)
    wire.ssh([NONE, WRONG, WRONG, RIGHT], source="192.0.2.5")


def ssh_checks_without_login(wire: Wire) -> None:
    for _ in range(100):
        wire.ssh([], source="192.0.2.5")
        wire.ssh([NONE], source="192.0.2.5")


def busy_server_seen_one_way(wire: Wire) -> None:
    for number in range(500):
        wire.connection(f"203.0.{number % 50}.{number % 200 + 1}", VICTIM, 443)
    wire.packets = [packet for packet in wire.packets if packet.source_port == 443]


def slow_downloads(wire: Wire) -> None:
    for port in range(1, 40):
        wire.connection("192.0.2.5", VICTIM, port)
        wire.wait(400)


BENIGN: list[Script] = [
    monitoring,
    network_outage_seen_by_monitoring,
    browser_with_happy_eyeballs,
    sites_of_one_network_that_ipv6_does_not_reach,
    browser_that_gives_up_the_slower_family,
    peer_to_peer,
    closed_service_with_retries,
    load_balancer_with_dead_backends,
    clients_behind_one_address,
    traceroute_by_udp,
    traceroute_by_tcp,
    traceroute_by_icmp,
    resolver_and_clock_with_timeouts,
    boot_of_many_hosts,
    hosts_that_pinged_and_went_away,
    pings_of_one_host,
    good_logins,
    agents_with_wrong_keys,
    keys_that_are_refused,
    forgetful_user,
    ssh_checks_without_login,
    busy_server_seen_one_way,
    slow_downloads,
]


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_is_silent(script: Script) -> None:
    assert rules_raised(played(script)) == []


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_from_the_middle_on_is_silent(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets[len(packets) // 3 + 1 :]) == []


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_captured_twice_is_silent(script: Script) -> None:
    packets = played(script)
    assert rules_raised(twice(packets)) == []
