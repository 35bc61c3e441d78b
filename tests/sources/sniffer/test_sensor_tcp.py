"""The sensor on TCP: every kind of probe and outcome as one fact, and the packets that are no probe."""

from __future__ import annotations

import warnings

import pytest

from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.packet import ACK, FIN, ICMP, PSH, RST, SYN, URG, Frame, Packet
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import ATTACKER, BARE, RAW_SYN, START_US, VICTIM, WITH_TIMES, Wire, facts_of, only

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy import all as scapy


def probes(wire: Wire) -> dict[tuple[str, str], list[int]]:
    """(probe, outcome) -> ports, of the facts about ATTACKER and VICTIM."""
    found: dict[tuple[str, str], list[int]] = {}
    for fact in only(facts_of(wire.packets), "tcp_probe"):
        assert (fact.source_ip, fact.destination_ip) == (ATTACKER, VICTIM)
        found.setdefault((fact.fields["probe"], fact.fields["outcome"]), []).extend(fact.fields["destination_ports"])
    return found


def test_syn_scan_in_one_fact_an_outcome() -> None:
    wire = Wire()
    wire.syn_scan(range(20, 120), open_ports=(22, 80))
    wire.syn_scan((443, 8080), filtered=True)
    facts = only(facts_of(wire.packets), "tcp_probe")
    assert len(facts) == 3
    refused = next(fact for fact in facts if fact.fields["outcome"] == "refused")
    assert refused.count == 98
    assert refused.fields["destination_ports"] == [port for port in range(20, 120) if port not in (22, 80)]
    assert refused.fields["destination_network"] == "198.51.100.0/24"
    assert refused.destination_port == 20
    assert probes(wire)["syn", "half_open"] == [22, 80]
    assert probes(wire)["syn", "unanswered"] == [443, 8080]


def test_scan_of_all_ports_is_a_few_hundred_facts() -> None:
    wire = Wire(step_us=20)
    wire.syn_scan(range(1, 65_536), open_ports=(22, 80))
    facts = only(facts_of(wire.packets), "tcp_probe")
    assert len(facts) < 200
    ports = {port for fact in facts for port in fact.fields["destination_ports"]}
    assert ports == set(range(1, 65_536))
    assert sum(fact.count for fact in facts) == 65_535


def test_at_most_one_fact_a_tick() -> None:
    wire = Wire()
    for port in range(1000, 1020):
        wire.syn_scan((port,), pause_s=0.25)
    assert len(only(facts_of(wire.packets), "tcp_probe")) in (5, 6)


def test_connect_scan_counts_what_failed_only() -> None:
    wire = Wire()
    for port in range(20, 40):
        if port in (22, 25):
            wire.connection(ATTACKER, VICTIM, port, exchange=False, reset=True)
        else:
            wire.refused(ATTACKER, VICTIM, port)
    assert probes(wire) == {("connect", "refused"): [p for p in range(20, 40) if p not in (22, 25)]}


def test_retransmitted_syn_is_one_probe() -> None:
    wire = Wire()
    wire.unanswered(ATTACKER, VICTIM, 81, syns=3)
    (fact,) = only(facts_of(wire.packets), "tcp_probe")
    assert (fact.count, fact.fields["destination_ports"]) == (1, [81])


def test_program_that_gives_up_is_no_half_open_probe() -> None:
    wire = Wire()
    wire.tcp(ATTACKER, 40_000, VICTIM, 443, SYN, 5, header=40, window=64240)
    wire.tcp(VICTIM, 443, ATTACKER, 40_000, SYN | ACK, 9, 6, header=40)
    wire.tcp(ATTACKER, 40_000, VICTIM, 443, RST, 6, window=0, header=BARE)
    assert probes(wire) == {}


@pytest.mark.parametrize(
    ("flags", "probe"), [(FIN, "fin"), (0, "null"), (FIN | PSH | URG, "xmas")], ids=["fin", "null", "xmas"]
)
def test_odd_scans(flags: int, probe: str) -> None:
    wire = Wire()
    wire.odd_scan(flags, range(1, 31), open_ports=(22,))
    assert probes(wire) == {
        (probe, "refused"): [port for port in range(1, 31) if port != 22],
        (probe, "unanswered"): [22],
    }


def test_maimon_scan() -> None:
    wire = Wire()
    wire.odd_scan(FIN | ACK, range(1, 31))
    assert probes(wire) == {("maimon", "refused"): list(range(1, 31))}


def test_ack_scan() -> None:
    wire = Wire()
    wire.ack_scan(range(1, 31))
    assert probes(wire) == {("ack", "refused"): list(range(1, 31))}


def test_ack_scan_with_data() -> None:
    """nmap -sA --data-length: told from connections that the sensor did not see begin by the constant numbers."""
    wire = Wire()
    for port in range(1, 31):
        wire.tcp(ATTACKER, 52_807, VICTIM, port, ACK, 0, 3_828_670_215, 25, window=1024, header=BARE)
        wire.tcp(VICTIM, port, ATTACKER, 52_807, RST, 3_828_670_215, 0, window=0, header=BARE)
    assert probes(wire) == {("ack", "refused"): list(range(2, 31))}


def test_filtered_ack_scan_is_told_by_its_constant_numbers() -> None:
    wire = Wire()
    wire.ack_scan(range(1, 31), answered=False)
    assert probes(wire) == {("ack", "unanswered"): list(range(2, 31))}


@pytest.mark.parametrize("code", [0, 1, 3, 9, 10, 13])
def test_icmp_unreachable_refuses(code: int) -> None:
    wire = Wire()
    wire.syn(ATTACKER, 50_000, VICTIM, 23, 1, by_hand=True)
    wire.icmp_error("203.0.113.1", wire.packets[-1], code=code)
    assert probes(wire) == {("syn", "refused"): [23]}


def test_time_exceeded_is_traceroute_not_refusal() -> None:
    wire = Wire()
    for hop in range(5):
        wire.tcp(ATTACKER, 50_000 + hop, VICTIM, 80, SYN, hop, window=5840, header=40)
        wire.icmp_error("203.0.113.1", wire.packets[-1], kind=11, code=0)
    assert probes(wire) == {}


def test_ipv6() -> None:
    wire = Wire()
    wire.syn_scan(range(1, 21), source="2001:db8::66", victim="2001:db8:1::10")
    (fact,) = only(facts_of(wire.packets), "tcp_probe")
    assert (fact.source_ip, fact.destination_ip) == ("2001:db8::66", "2001:db8:1::10")
    assert fact.fields["destination_network"] == "2001:db8:1::/64"


def test_icmpv6_unreachable_refuses() -> None:
    wire = Wire()
    wire.syn("2001:db8::66", 50_000, "2001:db8:1::10", 23, 1, by_hand=True)
    wire.icmp_error("2001:db8:1::10", wire.packets[-1], kind=1, code=4)
    (fact,) = only(facts_of(wire.packets), "tcp_probe")
    assert fact.fields["outcome"] == "refused"


def test_vlans_are_apart() -> None:
    wire = Wire()
    wire.syn(ATTACKER, 50_000, VICTIM, 80, 1, by_hand=True)
    wire.vlan = 20  # the answer to another customer's connection with the same addresses
    wire.tcp(VICTIM, 80, ATTACKER, 50_000, SYN | ACK, 5, 2)
    wire.tcp(ATTACKER, 50_000, VICTIM, 80, ACK, 2, 6)
    (fact,) = only(facts_of(wire.packets), "tcp_probe")
    assert (fact.fields["outcome"], fact.fields["vlan"]) == ("unanswered", 0)


def test_every_packet_twice_changes_nothing_but_counts() -> None:
    wire = Wire()
    wire.syn_scan(range(20, 60), open_ports=(22,))
    wire.ack_scan(range(100, 140))
    wire.odd_scan(FIN, range(200, 240), open_ports=(210,))
    for port in (80, 443):
        wire.connection(ATTACKER, VICTIM, port)
    once = probes(wire)
    wire.packets = [packet for packet in wire.packets for _ in range(2)]
    assert probes(wire) == once


def test_only_the_attackers_packets_are_seen() -> None:
    wire = Wire()
    wire.syn_scan(range(20, 40), open_ports=(22,))
    wire.packets = [packet for packet in wire.packets if packet.source_port == 50_000]
    assert probes(wire) == {
        ("syn", "half_open"): [22],
        ("syn", "unanswered"): [port for port in range(20, 40) if port != 22],
    }


def test_only_the_victims_answers_are_seen() -> None:
    wire = Wire()
    wire.syn_scan(range(20, 40), open_ports=(22,))
    wire.packets = [packet for packet in wire.packets if packet.destination_port == 50_000]
    found = probes(wire)
    assert found["syn", "refused"] == [port for port in range(21, 40) if port != 22]
    assert found["connect", "refused"] == [20]


def test_only_the_victims_resets_of_an_ack_scan_are_seen() -> None:
    wire = Wire()
    wire.ack_scan(range(1, 31))
    wire.packets = wire.packets[1::2]
    assert probes(wire) == {("ack", "refused"): list(range(2, 31))}


def test_connections_of_which_one_side_is_seen_are_no_probes() -> None:
    for seen in (ATTACKER, VICTIM):
        wire = Wire()
        for port in range(1, 40):
            wire.connection(ATTACKER, VICTIM, port)
        source = Wire()
        source.packets = [packet for packet in wire.packets if packet.source_ip == _raw(seen)]
        assert only(facts_of(source.packets), "tcp_probe") == []


def test_capture_that_begins_in_the_middle() -> None:
    wire = Wire()
    for port in range(1, 60):
        wire.connection(ATTACKER, VICTIM, port, exchange=False, reset=port % 2 == 0)
        wire.connection(VICTIM, ATTACKER, port)
    for begin in range(1, 12):
        cut = [packet for packet in wire.packets if not packet.flags & SYN]
        assert only(facts_of(cut[begin:]), "tcp_probe") == []


@pytest.mark.parametrize("header", [BARE, WITH_TIMES])
def test_server_that_forgot_its_clients_is_not_scanned(header: int) -> None:
    """A pool of connections from before the capture, answered by RST after the client came back from a crash."""
    wire = Wire()
    for port in range(40_000, 40_040):
        wire.tcp(VICTIM, 443, ATTACKER, port, ACK, wire.fresh_seq(), seq := wire.fresh_seq(), header=header)
        wire.tcp(ATTACKER, port, VICTIM, 443, RST, seq, window=0, header=BARE)
    assert only(facts_of(wire.packets), "tcp_probe") == []


def test_service_that_goes_down_is_not_scanned() -> None:
    wire = Wire()
    ports = range(8000, 8020)
    for port in ports:
        wire.connection(ATTACKER, VICTIM, port)
    wire.wait(30)
    for port in ports:
        wire.refused(ATTACKER, VICTIM, port)
    assert only(facts_of(wire.packets), "tcp_probe") == []


def test_success_percent_tells_a_sociable_host() -> None:
    wire = Wire()
    for number in range(1, 11):
        if number <= 4:
            wire.connection(ATTACKER, f"198.51.100.{number}", 6881)
        else:
            wire.unanswered(ATTACKER, f"198.51.100.{number}", 6881)
    facts = only(facts_of(wire.packets), "tcp_probe")
    assert facts[-1].fields["success_percent"] == 40


@pytest.mark.parametrize("size", [8, 16, 24])
@pytest.mark.parametrize(
    ("probe", "flags", "options"), [("syn", "S", [("MSS", 1460)]), ("xmas", "FPU", []), ("ack", "A", [])]
)
def test_fragmented_scan(size: int, probe: str, flags: str, options: list[tuple[str, int]]) -> None:
    """nmap -f and --mtu 16: the TCP header in fragments, of which only the first has the ports."""
    decoder, packets = Decoder(), []
    for port in range(1, 21):
        there = scapy.IP(src=ATTACKER, dst=VICTIM, id=port)
        back = scapy.IP(src=VICTIM, dst=ATTACKER)
        whole = scapy.TCP(sport=50_000, dport=port, seq=99, ack=0, window=1024, flags=flags, options=options)
        reset = scapy.TCP(sport=port, dport=50_000, seq=0, ack=100, window=0, flags="RA" if probe != "ack" else "R")
        frames = [bytes(frame) for frame in (*scapy.fragment(there / whole, fragsize=size), back / reset)]
        packets += decoder.decode([Frame(START_US + port, frame, len(frame), 101) for frame in frames])
    facts = only(facts_of(packets), "tcp_probe")
    assert [(fact.fields["probe"], fact.fields["outcome"]) for fact in facts] == [(probe, "refused")]
    assert facts[0].fields["destination_ports"] == list(range(1, 21))
    assert facts[0].count == 20


def test_flood_from_many_sources_is_a_fact_about_the_victim() -> None:
    wire = Wire(step_us=200)
    for number in range(10_000):
        source = f"{1 + number % 200}.{number // 200 % 256}.7.{number % 251}"
        wire.tcp(source, 2000 + number % 60_000, VICTIM, 80, SYN, number, window=512, header=BARE)
    facts = facts_of(wire.packets)
    assert only(facts, "tcp_probe") == []
    backlog = only(facts, "half_open_backlog")
    assert sum(fact.count for fact in backlog) == 10_000
    assert {(fact.destination_ip, fact.destination_port) for fact in backlog} == {(VICTIM, 80)}
    assert max(fact.fields["source_count"] for fact in backlog) > 1000
    assert len(facts) < 20


def test_scan_beneath_a_flood_is_still_seen() -> None:
    wire = Wire()
    for number in range(5_000):
        wire.tcp(f"9.{number // 250}.1.{number % 250}", 3000, VICTIM, 80, SYN, number, window=512, header=BARE)
        if number % 50 == 0:
            wire.syn_scan((number // 50 + 1,), filtered=True)
    assert probes(wire)["syn", "unanswered"] == list(range(1, 101))


def test_probes_are_judged_when_their_time_is_over() -> None:
    sensor = Sensor(SensorConfig())
    wire = Wire()
    wire.unanswered(ATTACKER, VICTIM, 81)
    assert sensor.feed(wire.packets) == []
    assert sensor.advance(wire.now_us + 3_000_000) == []
    (fact,) = sensor.advance(wire.now_us + 7_000_000)
    assert fact.fields["outcome"] == "unanswered"
    assert fact.time_us == wire.packets[0].time_us
    assert sensor.finish() == []


def test_clock_that_is_set_back_in_silence_holds_nothing_up() -> None:
    sensor = Sensor(SensorConfig())
    wire = Wire()
    wire.syn_scan((80,), filtered=True)
    assert sensor.feed(wire.packets) == []
    set_back_us = wire.now_us - 3600 * 1_000_000
    assert sensor.advance(set_back_us) == []
    assert sensor.advance(set_back_us + 3_000_000) == []
    (fact,) = sensor.advance(set_back_us + 7_000_000)
    assert fact.fields["outcome"] == "unanswered"


def test_clock_that_is_set_back_does_not_stop_the_sensor() -> None:
    wire = Wire()
    wire.ping(ATTACKER, VICTIM)
    wire.wait(-3600)
    wire.syn_scan(range(1, 101), pause_s=0.1)
    sensor = Sensor(SensorConfig())
    facts = sensor.feed(wire.packets)
    assert only(facts, "tcp_probe")


def test_packet_from_the_future_does_not_judge_the_others() -> None:
    wire = Wire()
    wire.tcp(ATTACKER, 40_000, VICTIM, 443, SYN, 5, header=40, window=64240)
    stray = wire.ping("192.0.2.1", "192.0.2.2")
    assert stray is None
    wire.packets[-1].time_us = wire.packets[-2].time_us = wire.now_us + 40 * 365 * 86_400_000_000
    wire.packets.pop()
    wire.tcp(VICTIM, 443, ATTACKER, 40_000, SYN | ACK, 9, 6, header=40)
    wire.tcp(ATTACKER, 40_000, VICTIM, 443, ACK, 6, 10)
    assert probes(wire) == {}


def test_merged_captures_whose_clocks_differ() -> None:
    """Both ends of the same connections, one clock ten seconds late: nothing looks unanswered."""
    wire = Wire(step_us=2000)
    for port in range(1, 60):
        wire.connection(ATTACKER, VICTIM, port)
    merged: list[Packet] = []
    for number, packet in enumerate(wire.packets):
        if number % 2:
            packet.time_us -= 10_000_000
        merged.append(packet)
    assert only(facts_of(merged), "tcp_probe") == []


def test_icmp_error_about_an_unknown_packet_says_nothing() -> None:
    wire = Wire()
    about = Packet(wire.now_us, 60, 6, b"\x01\x02\x03\x04", b"\x05\x06\x07\x08", source_port=5, destination_port=6)
    wire.icmp_error(VICTIM, about)
    wire.put(ICMP, VICTIM, ATTACKER, icmp_type=3, icmp_code=1)
    assert facts_of(wire.packets) == []


def test_raw_and_system_syn_are_told_apart() -> None:
    wire = Wire()
    forms = {1: (RAW_SYN, 1024), 2: (RAW_SYN, 4096), 3: (BARE, 512), 4: (RAW_SYN, 65535)}
    forms |= {5: (40, 64240), 6: (32, 8192), 7: (44, 65535), 8: (RAW_SYN, 5840)}
    for port, (header, window) in forms.items():
        wire.tcp(ATTACKER, 50_000, VICTIM, port, SYN, port, header=header, window=window)
    assert probes(wire) == {("syn", "unanswered"): [1, 2, 3, 4], ("connect", "unanswered"): [5, 6, 7, 8]}


def _raw(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


@pytest.mark.parametrize("payload", [0, 10])
def test_a_forged_handshake_hides_no_refusal(payload: int) -> None:
    """A scanner that sends SYN and ACK at once, without waiting for an answer, has no connection."""
    wire = Wire()
    for port in range(1, 21):
        wire.syn(ATTACKER, 50_000, VICTIM, port, 99, by_hand=True)
        wire.tcp(ATTACKER, 50_000, VICTIM, port, ACK, 100, 1, payload, header=BARE)
        wire.tcp(VICTIM, port, ATTACKER, 50_000, RST | ACK, 0, 100, window=0, header=BARE)
        wire.tcp(VICTIM, port, ATTACKER, 50_000, RST, 1, 0, window=0, header=BARE)
    assert probes(wire) == {("syn", "refused"): list(range(1, 21))}


@pytest.mark.parametrize(("probe", "flags"), [("fin", FIN), ("null", 0), ("xmas", FIN | PSH | URG)])
def test_a_second_odd_packet_makes_no_connection(probe: str, flags: int) -> None:
    wire = Wire()
    for port in range(1, 21):
        for seq in (99, 100):
            wire.tcp(ATTACKER, 50_000, VICTIM, port, flags, seq, window=1024, header=BARE)
        for _ in range(2):
            wire.tcp(VICTIM, port, ATTACKER, 50_000, RST | ACK, 0, 100, window=0, header=BARE)
    assert probes(wire) == {(probe, "refused"): list(range(1, 21))}


def test_a_connection_seen_from_one_side_is_no_probe() -> None:
    """Only the client's packets pass the sensor; its own RST ends the connection."""
    wire = Wire()
    for port in range(8000, 8020):
        wire.syn(ATTACKER, 50_000, VICTIM, port, 99, by_hand=False)
        wire.tcp(ATTACKER, 50_000, VICTIM, port, ACK, 100, 1)
        wire.tcp(ATTACKER, 50_000, VICTIM, port, PSH | ACK, 100, 1, 80)
        wire.tcp(ATTACKER, 50_000, VICTIM, port, RST | ACK, 180, 500)
    assert probes(wire) == {}
