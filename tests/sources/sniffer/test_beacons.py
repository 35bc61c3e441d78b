"""Contacts on a timer: told from people's, from monitoring and from what many hosts do."""

from __future__ import annotations

import random
from array import array

from hypothesis import given
from hypothesis import strategies as st

from siemd.sources.sniffer.observers.beacons import RING, regularity_of
from siemd.sources.sniffer.sensor import SensorConfig
from support.conversation import VICTIM, Wire, facts_of, only, rules_raised
from support.streams import Turn, hello, http, talk

IMPLANT = "192.0.2.5"
CALL = http("/submit.php?id=242", body=16)


def calls(
    wire: Wire,
    times: int,
    interval_s: float,
    jitter: float = 0,
    *,
    turns: list[Turn] | None = None,
    source: str = IMPLANT,
    servers: tuple[str, ...] = (VICTIM,),
    port: int = 443,
    seed: int = 1,
) -> None:
    """One host contacts servers on a timer; jitter: part of the interval, uniform, as implants have it."""
    chance = random.Random(seed)
    for _ in range(times):
        for server in servers:
            talk(wire, CALL if turns is None else turns, source=source, server=server, port=port)
        wire.wait(interval_s * (1 + chance.uniform(-jitter, jitter)))


def test_beacons_of_every_kind() -> None:
    encrypted: list[Turn] = [
        (">", hello()),
        ("<", b"\x16\x03\x03" + bytes(1200)),
        (">", b"\x17" * 300),
        ("<", b"\x17" * 200),
    ]
    unknown: list[Turn] = [(">", b"\x00" * 40), ("<", b"\x01" * 12)]
    for interval_s, jitter in ((5, 0.1), (5, 0), (60, 0.3), (10, 0.5), (1800, 0.2)):
        for turns in (None, encrypted, unknown):
            for seed in (1, 2, 3):
                wire = Wire()
                calls(wire, 40, interval_s, jitter, turns=turns, seed=seed)
                assert rules_raised(wire.packets) == ["beacon"], (interval_s, jitter, seed)


def test_sizes_may_vary() -> None:
    chance = random.Random(3)
    wire = Wire()
    for number in range(40):
        turns = http(f"/{'a' * chance.randint(1, 300)}", body=chance.randint(20, 2000))
        calls(wire, 1, 30, 0.3, turns=turns, seed=number)
    assert rules_raised(wire.packets) == ["beacon"]


def test_fields() -> None:
    wire = Wire()
    calls(wire, 12, 10)
    (fact,) = only(facts_of(wire.packets), "periodicity")
    assert (fact.source_ip, fact.destination_ip, fact.destination_port) == (IMPLANT, VICTIM, 443)
    assert fact.fields["score"] == 100
    assert fact.fields["contacts"] == 12
    assert fact.fields["interval_s"] == 10.0
    assert fact.fields["bytes_up"] == len(CALL[0][1])
    assert fact.fields["bytes_down"] == len(CALL[1][1])
    assert (fact.fields["periodic_targets"], fact.fields["periodic_sources"]) == (1, 1)
    assert (fact.fields["service"], fact.fields["name"]) == ("http", "/submit.php")


def test_a_pause_and_a_large_transfer_change_little() -> None:
    wire = Wire()
    calls(wire, 15, 60, 0.1)
    wire.wait(7200)
    talk(wire, http("/stage2", body=200_000), source=IMPLANT, port=443)
    calls(wire, 15, 60, 0.1, seed=2)
    assert rules_raised(wire.packets) == ["beacon"]


def test_parallel_connections_are_one_contact() -> None:
    wire = Wire()
    for _ in range(30):
        talk(wire, CALL, source=IMPLANT, port=443)
        talk(wire, CALL, source=IMPLANT, port=443)
        wire.wait(20)
    assert only(facts_of(wire.packets), "periodicity")[-1].fields["contacts"] == 28
    assert rules_raised(wire.packets) == ["beacon"]


def test_monitoring_of_several_targets_is_none() -> None:
    wire = Wire()
    calls(wire, 60, 5, servers=tuple(f"198.51.100.{last}" for last in range(10, 15)), port=80, turns=http("/"))
    assert rules_raised(wire.packets) == []


def test_a_service_that_many_contact_is_none() -> None:
    wire = Wire()
    for _ in range(40):
        for last in range(20, 26):
            talk(wire, http("/report", method="POST"), source=f"192.0.2.{last}", port=8086)
        wire.wait(10)
    assert rules_raised(wire.packets) == []


def test_checks_that_say_nothing_or_what_they_are_are_none() -> None:
    wire = Wire()
    calls(wire, 40, 5, turns=[], port=5432)
    calls(wire, 40, 5, turns=[("<", b"220 ready\r\n")], port=2121, source="192.0.2.7")
    calls(wire, 40, 10, turns=http("/", agent="kube-probe/1.29"), source="192.0.2.8")
    calls(wire, 40, 10, turns=http("/healthz", agent="Go-http-client/1.1"), source="192.0.2.9")
    mail: list[Turn] = [("<", b"* OK ready\r\n"), (">", b"a LOGIN x y\r\n"), ("<", b"a OK\r\n")]
    calls(wire, 40, 60, turns=mail, port=1143, source="192.0.2.10")
    calls(wire, 40, 60, turns=[(">", hello()), ("<", bytes(3000))], port=993, source="192.0.2.11")
    assert rules_raised(wire.packets) == []


def test_people_and_streams_are_none() -> None:
    chance = random.Random(7)
    wire = Wire()
    for number in range(200):
        talk(wire, http(f"/page{number}", body=chance.randint(300, 40_000)), source="192.0.2.20")
        wire.wait(chance.expovariate(1 / 8))
    for number in range(60):
        talk(wire, http(f"/segment{number}.ts", body=chance.randint(80_000, 120_000)), source="192.0.2.21")
        wire.wait(6)
    for number in range(60):  # a script that fetches one thing after the other
        talk(wire, http(f"/file{number}", body=1000), source="192.0.2.22")
        wire.wait(0.4)
    assert rules_raised(wire.packets) == []


def test_logins_in_a_loop_are_none() -> None:
    wire = Wire()
    for _ in range(60):
        wire.ssh([(68, 52), (84, 28)], source="192.0.2.30")
        wire.wait(10)
    assert rules_raised(wire.packets) == []


def test_switched_off() -> None:
    config = SensorConfig()
    config.applications.beacons = False
    wire = Wire()
    calls(wire, 30, 10)
    assert only(facts_of(wire.packets, config), "periodicity") == []


numbers = st.lists(st.integers(0, (1 << 32) - 1), max_size=RING)


@given(st.lists(st.integers(-(1 << 50), 1 << 52), max_size=RING), numbers, numbers, numbers)
def test_any_contacts(times: list[int], up: list[int], down: list[int], durations: list[int]) -> None:
    found = regularity_of(array("q", times), array("Q", up), array("Q", down), array("Q", durations))
    assert 0 <= found.score <= 100
    assert -1 <= found.interval_skew <= 1
    assert found.interval_us >= 0


def test_programs_that_poll_and_say_who_they_are_are_none() -> None:
    wire = Wire()
    polls = [
        http("/", method="HEAD", agent="Wget/1.21"),
        [(">", b"OPTIONS / HTTP/1.0\r\n\r\n"), ("<", b"HTTP/1.0 200 OK\r\n\r\n")],
        http("/api/v4/jobs/request", 204, method="POST", agent="gitlab-runner 16.0", body=0),
        http("/repo.git/info/refs?service=git-upload-pack", agent="git/2.39.2", body=900),
        http("/generate_204", 204, agent="Dalvik/2.1.0", body=0),
        http("/feed.xml", 304, agent="Mozilla/5.0", body=0),
    ]
    for number, turns in enumerate(polls):
        calls(wire, 40, 30, turns=turns, port=8080, source=f"192.0.2.{40 + number}")
    assert rules_raised(wire.packets) == []


def test_what_is_polled_by_its_nature_is_none() -> None:
    redis: list[Turn] = [(">", b"*1\r\n$4\r\nPING\r\n"), ("<", b"+PONG\r\n")]
    modbus: list[Turn] = [(">", b"\0\1\0\0\0\6\1\3\0\0\0\x0a"), ("<", b"\0\1\0\0\0\x17\1\3\x14" + bytes(20))]
    wire = Wire()
    calls(wire, 40, 5, turns=redis, port=6379)
    calls(wire, 40, 5, turns=modbus, port=502, source="192.0.2.7")
    assert rules_raised(wire.packets) == []


def test_who_pings_as_well_watches() -> None:
    wire = Wire()
    for _ in range(40):
        wire.ping(IMPLANT, VICTIM, ident=wire.fresh_port())
        calls(wire, 1, 30, turns=http("/"))
    assert only(facts_of(wire.packets), "periodicity")[-1].fields["pings"] == 40
    assert rules_raised(wire.packets) == []
