"""The rarer scans, the fingerprints of scanners, and floods: each names its rule once; look-alikes name none."""

from __future__ import annotations

import pytest

from siemd.sources.sniffer.packet import ACK, FIN, ICMP, PSH, RST, SCTP, SYN, URG, Packet
from support.conversation import ATTACKER, VICTIM, Script, Wire, facts_of, incidents_of, only, played, rules_raised
from support.streams import talk

CLIENT = "192.0.2.5"
INIT, INIT_ACK, ABORT, COOKIE_ECHO, COOKIE_ACK = 1, 2, 6, 10, 11
NMAP_OPTIONS = bytes.fromhex("03030a01020405b4080affffffff000000000402")
ECN = 0xC0


def chunk(wire: Wire, source: str, source_port: int, destination: str, port: int, kind: int) -> Packet:
    content = bytes((kind, 0, 0, 4))
    return wire.put(
        SCTP,
        source,
        destination,
        source_port=source_port,
        destination_port=port,
        payload=content,
        payload_length=len(content),
    )


def sctp_scan(wire: Wire, kind: int = INIT, source: str = ATTACKER, victim: str = VICTIM) -> None:
    for port in range(1, 40):
        asked = chunk(wire, source, 40_000, victim, port, kind)
        if port == 22:
            if kind == INIT:
                chunk(wire, victim, port, source, 40_000, INIT_ACK)
                chunk(wire, source, 40_000, victim, port, ABORT)
        elif port % 5 == 0:
            wire.icmp_error(victim, asked, code=2)
        elif port % 5 != 1:
            chunk(wire, victim, port, source, 40_000, ABORT)


def sctp_cookie_scan(wire: Wire) -> None:
    sctp_scan(wire, COOKIE_ECHO)


def sctp_scan_over_ipv6(wire: Wire) -> None:
    sctp_scan(wire, source="2001:db8::66", victim="2001:db8:1::10")


def slow_sctp_scan(wire: Wire) -> None:
    for port in range(1, 20):
        chunk(wire, ATTACKER, 40_000, VICTIM, port, INIT)
        wire.wait(120)


def ip_protocol_scan(wire: Wire, source: str = ATTACKER, victim: str = VICTIM) -> None:
    for protocol in range(60, 90):
        asked = wire.put(protocol, source, victim)
        if protocol % 3:
            wire.icmp_error(victim, asked, *((3, 2) if len(asked.source_ip) == 4 else (4, 1)))


def ip_protocol_scan_over_ipv6(wire: Wire) -> None:
    ip_protocol_scan(wire, "2001:db8::66", "2001:db8:1::10")


def detect_os(wire: Wire, source: str = ATTACKER, victim: str = VICTIM) -> None:
    def probe(flags: int, window: int, port: int) -> None:
        wire.tcp(source, wire.fresh_port(), victim, port, flags, wire.fresh_seq(), window=window, header=40)
        wire.packets[-1].options = NMAP_OPTIONS

    for window in (1, 63, 4, 4, 16, 512):
        probe(SYN, window, 80)
    wire.tcp(source, wire.fresh_port(), victim, 80, SYN | ECN, wire.fresh_seq(), window=3, header=32)
    probe(0, 128, 80)
    probe(SYN | FIN | URG | PSH, 256, 80)
    probe(ACK, 1024, 80)
    probe(SYN, 31_337, 1)
    wire.udp(source, wire.fresh_port(), victim, 40_125, b"C" * 300)
    wire.ping(source, victim, payload=120)
    wire.packets[-2].icmp_code = 9


def detect_os_over_ipv6(wire: Wire) -> None:
    detect_os(wire, "2001:db8::66", "2001:db8:1::10")


def version_scan_of_a_web_server(wire: Wire) -> None:
    """nmap -sV awaits a banner before it asks."""
    talk(wire, [("<", b""), (">", b"GET / HTTP/1.0\r\n\r\n"), ("<", b"HTTP/1.0 200 OK\r\n\r\n")], pause_s=6)


def version_scan_of_something_unknown(wire: Wire) -> None:
    for question in (b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"OPTIONS / HTTP/1.0\r\n\r\n", b"HELP\r\n"):
        talk(wire, [(">", question)], port=7777)


def version_scan_by_a_marked_question(wire: Wire) -> None:
    talk(wire, [(">", b"OPTIONS / RTSP/1.0\r\n\r\n")], port=554)


def version_scan_after_a_port_scan(wire: Wire) -> None:
    wire.syn_scan((22, 25), open_ports=(22, 25))
    wire.wait(1)
    for port in (22, 25):
        talk(wire, [("<", b"220 hello\r\n")], port=port)


def sctp_sweep(wire: Wire) -> None:
    for last in range(1, 60):
        chunk(wire, ATTACKER, 40_000, f"198.51.100.{last}", 80, INIT)


def cut_headers(wire: Wire) -> None:
    for port in range(1, 10):
        wire.udp(ATTACKER, 40_000, VICTIM, port, b"")
        wire.packets[-1].cut_header = True


def syn_flood_from_one_host(wire: Wire) -> None:
    """hping3 -S --flood: the system resets what it did not begin."""
    for number in range(3000):
        port, seq = 1024 + number, wire.fresh_seq()
        wire.tcp(ATTACKER, port, VICTIM, 80, SYN, seq, window=512, header=20)
        wire.tcp(VICTIM, 80, ATTACKER, port, SYN | ACK, 7, seq + 1, header=24)
        wire.tcp(ATTACKER, port, VICTIM, 80, RST, seq + 1, window=0, header=20)


def syn_flood_of_a_closed_port(wire: Wire) -> None:
    for number in range(3000):
        port, seq = 1024 + number, wire.fresh_seq()
        wire.tcp(ATTACKER, port, VICTIM, 80, SYN, seq, window=512, header=20)
        wire.tcp(VICTIM, 80, ATTACKER, port, RST | ACK, 0, seq + 1, window=0, header=20)


def forged(number: int) -> str:
    return f"{1 + number % 220}.{number // 220 % 250}.1.{number % 250 + 1}"


def syn_flood_of_all_ports(wire: Wire) -> None:
    for number in range(3000):
        wire.tcp(forged(number), 2000, VICTIM, 1 + number, SYN, number, window=512, header=20)


def udp_flood_from_one_host(wire: Wire) -> None:
    for number in range(3000):
        wire.udp(ATTACKER, 1024 + number, VICTIM, 5000, b"")


def udp_flood_from_forged_hosts(wire: Wire) -> None:
    for number in range(3000):
        wire.udp(forged(number), 1024 + number, VICTIM, 53, b"")


def udp_flood_of_one_flow(wire: Wire) -> None:
    for _ in range(60_000):
        wire.udp(ATTACKER, 1024, VICTIM, 5000, b"")


def amplification(wire: Wire) -> None:
    for number in range(3000):
        wire.udp(forged(number % 500), 53, VICTIM, 4444, b"\0\0\x81\x80" + bytes(400))


def icmp_flood(wire: Wire) -> None:
    wire.ping(ATTACKER, VICTIM, times=2000, interval_s=0.001)


def icmp_flood_over_ipv6(wire: Wire) -> None:
    wire.ping("2001:db8::66", "2001:db8:1::10", times=2000, interval_s=0.001)


def smurf(wire: Wire) -> None:
    for number in range(2000):
        wire.put(ICMP, f"198.51.100.{number % 8 + 1}", CLIENT, icmp_type=0, ident=9, seq=number)


def icmp_flood_from_forged_hosts(wire: Wire) -> None:
    for number in range(2000):
        wire.ping(forged(number), VICTIM)


ATTACKS: list[tuple[Script, str]] = [
    (sctp_scan, "port_scan_sctp"),
    (sctp_cookie_scan, "port_scan_sctp"),
    (sctp_scan_over_ipv6, "port_scan_sctp"),
    (slow_sctp_scan, "port_scan_sctp"),
    (ip_protocol_scan, "ip_protocol_scan"),
    (ip_protocol_scan_over_ipv6, "ip_protocol_scan"),
    (detect_os, "os_fingerprint"),
    (detect_os_over_ipv6, "os_fingerprint"),
    (version_scan_of_a_web_server, "service_version_scan"),
    (version_scan_of_something_unknown, "service_version_scan"),
    (version_scan_by_a_marked_question, "service_version_scan"),
    (version_scan_after_a_port_scan, "service_version_scan"),
    (sctp_sweep, "host_sweep"),
    (cut_headers, "fragmented_header"),
    (syn_flood_from_one_host, "syn_flood"),
    (syn_flood_of_a_closed_port, "syn_flood"),
    (syn_flood_of_all_ports, "syn_flood"),
    (udp_flood_from_one_host, "udp_flood"),
    (udp_flood_from_forged_hosts, "udp_flood"),
    (udp_flood_of_one_flow, "udp_flood"),
    (amplification, "udp_flood"),
    (icmp_flood, "icmp_flood"),
    (icmp_flood_over_ipv6, "icmp_flood"),
    (icmp_flood_from_forged_hosts, "icmp_flood"),
    (smurf, "icmp_flood"),
]


@pytest.mark.parametrize(("script", "rule"), ATTACKS, ids=lambda one: getattr(one, "__name__", one))
def test_attack_is_one_incident_of_its_rule(script: Script, rule: str) -> None:
    assert rules_raised(played(script)) == [rule]


def telephone_association(wire: Wire) -> None:
    """Real SCTP: associations that are completed, to many ports even."""
    for port in range(2900, 2950):
        chunk(wire, CLIENT, 40_000, VICTIM, port, INIT)
        chunk(wire, VICTIM, port, CLIENT, 40_000, INIT_ACK)
        chunk(wire, CLIENT, 40_000, VICTIM, port, COOKIE_ECHO)
        chunk(wire, VICTIM, port, CLIENT, 40_000, COOKIE_ACK)
        chunk(wire, CLIENT, 40_000, VICTIM, port, 0)


def sctp_server_that_is_down(wire: Wire) -> None:
    for _ in range(200):
        chunk(wire, CLIENT, 2905, VICTIM, 2905, INIT)
        chunk(wire, VICTIM, 2905, CLIENT, 2905, ABORT)
        wire.wait(2)


def routers_and_tunnels(wire: Wire) -> None:
    for protocol in (2, 4, 47, 50, 51, 88, 89, 103, 112):
        for _ in range(50):
            wire.put(protocol, CLIENT, "224.0.0.5")
            wire.put(protocol, CLIENT, VICTIM)
            wire.put(protocol, VICTIM, CLIENT)


def one_way_tunnels(wire: Wire) -> None:
    for protocol in (47, 50, 89, 103, 112):
        for _ in range(50):
            wire.put(protocol, CLIENT, VICTIM)
            wire.wait(0.2)


def directory_and_printers(wire: Wire) -> None:
    """Clients whose first words nmap took over."""
    for _ in range(30):
        talk(wire, [(">", bytes.fromhex("300c020101600702010204008000"))], source=CLIENT, port=389)
        talk(wire, [(">", b"\x01default\n")], source=CLIENT, port=515)
        wire.wait(100)


def nonsense_of_a_broken_host(wire: Wire) -> None:
    for protocol in range(60, 250):
        wire.put(protocol, CLIENT, VICTIM, payload=bytes(26), payload_length=26)


def balancer_checks_health(wire: Wire) -> None:
    for number in range(60):
        talk(wire, [(">", b"GET / HTTP/1.0\r\n\r\n"), ("<", b"HTTP/1.0 200 OK\r\n\r\n")], source=CLIENT)
        talk(wire, [(">", b"OPTIONS / HTTP/1.0\r\n\r\n"), ("<", b"HTTP/1.0 200 OK\r\n\r\n")], source=CLIENT, port=8080)
        talk(wire, [("<", b"220 mail\r\n"), (">", b"HELP\r\n")], source=CLIENT, port=25)
        wire.wait((1, 40, 3, 90, 14, 2, 200, 7)[number * number % 8])


def video_stream_that_nobody_answers(wire: Wire) -> None:
    for number in range(20_000):
        wire.udp("192.0.2.5", 5004, VICTIM, 5004 + number % 2, bytes(100))
        wire.wait(0.0005)


def busy_log_collector(wire: Wire) -> None:
    for number in range(20_000):
        wire.udp(f"192.0.2.{number % 200 + 1}", 40_000 + number % 200, VICTIM, 514, b"<13>hello")
        wire.wait(0.001)


def busy_resolver(wire: Wire) -> None:
    for number in range(5000):
        client, port = f"192.0.2.{number % 200 + 1}", wire.fresh_port()
        wire.udp(client, port, VICTIM, 53, b"\x12\x34\x01\0" + bytes(20))
        wire.wait(0.0002)
        wire.udp(VICTIM, 53, client, port, b"\x12\x34\x81\x80" + bytes(40))


def telephone_calls(wire: Wire) -> None:
    for number in range(20_000):
        port = 10_000 + 2 * (number % 40)
        wire.udp(CLIENT, port, VICTIM, port, bytes(172))
        wire.udp(VICTIM, port, CLIENT, port, bytes(172))
        wire.wait(0.0005)


def download_by_quic(wire: Wire) -> None:
    wire.udp(CLIENT, 50_000, VICTIM, 443, bytes(1200))
    for _ in range(30_000):
        wire.udp(VICTIM, 443, CLIENT, 50_000, bytes(1200))


def peer_to_peer_that_just_left(wire: Wire) -> None:
    for number in range(4000):
        wire.udp(forged(number), 6881, VICTIM, 51_413, bytes(100))
        wire.wait(0.05)


def many_monitors_ping(wire: Wire) -> None:
    for second in range(30):
        for number in range(30):
            wire.ping(f"192.0.2.{number + 1}", VICTIM, ident=number)
        wire.wait(1 if second else 1.5)


def knocking(wire: Wire) -> None:
    """Port knocking: a few closed ports, then a login."""
    for _ in range(20):
        for port in (7000, 8000, 9000):
            wire.refused(CLIENT, VICTIM, port)
        wire.connection(CLIENT, VICTIM, 22)
        wire.wait(60)


def clients_of_a_service_that_went_down(wire: Wire) -> None:
    for number in range(3000):
        wire.refused(f"192.0.2.{number % 50 + 1}", VICTIM, 8080)
        wire.wait(0.002)


BENIGN: list[Script] = [
    telephone_association,
    sctp_server_that_is_down,
    routers_and_tunnels,
    one_way_tunnels,
    balancer_checks_health,
    directory_and_printers,
    nonsense_of_a_broken_host,
    video_stream_that_nobody_answers,
    busy_log_collector,
    busy_resolver,
    telephone_calls,
    download_by_quic,
    peer_to_peer_that_just_left,
    many_monitors_ping,
    knocking,
    clients_of_a_service_that_went_down,
]


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_is_silent(script: Script) -> None:
    assert rules_raised(played(script)) == []


def test_a_slow_scan_is_said_to_be_slow_and_a_quick_one_is_not() -> None:
    slow, quick = Wire(), Wire()
    slow.syn_scan(range(1, 40), pause_s=120)
    quick.syn_scan(range(1, 400), pause_s=2)
    (told,) = incidents_of(slow.packets)
    assert "slowly" in told.reason
    (told,) = incidents_of(quick.packets)
    assert "slowly" not in told.reason


def test_a_long_scan_is_told_with_all_its_ports() -> None:
    wire = Wire()
    wire.syn_scan(range(1, 401), pause_s=2)
    (told,) = incidents_of(wire.packets)
    assert "probed 400 TCP ports" in told.reason


@pytest.mark.parametrize("pause_s", [0, 1.5])
def test_decoys_are_said_to_be_decoys(pause_s: float) -> None:
    wire = Wire()
    for port in range(1, 40):
        for last in (66, 67, 68, 69):
            wire.syn_scan((port,), source=f"192.0.2.{last}", open_ports=(22,))
        wire.wait(pause_s)
    found = incidents_of(wire.packets)
    assert {alert.rule for alert in found} == {"port_scan_syn"}
    assert len(found) == 4
    for alert in found:
        assert "3 other hosts did the same" in alert.reason
        assert "decoys" in alert.title


def test_two_scanners_of_different_ports_are_no_decoys() -> None:
    wire = Wire()
    for port in range(1, 60):
        wire.syn_scan((port,), source="192.0.2.66")
        wire.syn_scan((port + 100,), source="192.0.2.67")
    assert {fact.fields["alike_sources"] for fact in only(facts_of(wire.packets), "tcp_probe")} == {0}


def test_more_decoys_than_are_remembered() -> None:
    wire = Wire()
    for port in range(1, 40):
        for last in range(60, 90):
            wire.syn_scan((port,), source=f"192.0.2.{last}")
        wire.wait(0.5)
    found = incidents_of(wire.packets)
    assert len(found) == 30
    assert sum("decoys" in alert.title for alert in found) >= 16
