"""Connections that are read: told apart by their first bytes, bounded in number and in what they hold."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from siemd.sources.sniffer.apps.identify import Spoken, identify
from siemd.sources.sniffer.packet import ACK, PSH, Packet
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import ATTACKER, VICTIM, Wire, facts_of, only
from support.streams import ftp, hello, http, talk


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", Spoken("http", True)),
        (b"PROPFIND /x HTTP/1.1\r\n", Spoken("http", True)),
        (b"OPTIONS * HTTP/1.1\r\n", Spoken("http", True)),
        (b"CONNECT a.example:443 HTTP/1.1\r\n", Spoken("http", True)),
        (b"HTTP/1.1 200 OK\r\n", Spoken("http", False)),
        (hello(), Spoken("tls", True)),
        (b"220 (vsFTPd 3.0.3)\r\n", Spoken("ftp", False)),
        (b"220 mail.example ESMTP Postfix\r\n", Spoken("smtp", False)),
        (b"220 hi\r\n", Spoken("ftp_or_smtp", False)),
        (b"+OK Dovecot ready.\r\n", Spoken("pop3", False)),
        (b"* OK [CAPABILITY IMAP4rev1]\r\n", Spoken("imap", False)),
        (b"\xff\xfd\x18", Spoken("telnet", None)),
        (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0", Spoken("rdp", True)),
        (b"\x16\x03\x01\x00\x05\x02", None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
        (b"MAIL FROM:<a@b>\r\n", None),
        (b"\xff\xff\xff\xff", None),
        (b"", None),
    ],
)
def test_identification(data: bytes, expected: Spoken | None) -> None:
    assert identify(data, 9999, from_start=True) == expected


def test_more_connections_than_fit() -> None:
    config = SensorConfig()
    config.applications.max_connections = 64
    sensor = Sensor(config)
    wire = Wire()
    for number in range(300):
        talk(wire, ftp("bob", ("x", False))[: 2 + number % 3], port=21, end="")
    talk(wire, ftp("alice", ("x", False)), port=21)
    facts = sensor.feed(wire.packets)
    assert sensor.counters()["applications_held"] <= 64
    assert sensor.counters()["applications_forgotten"] == 300 - 64 + 1
    facts += sensor.finish()
    assert only(facts, "login")[-1].user_name == "alice"
    assert sensor.counters()["applications_held"] == 0


def test_what_connections_hold_is_bounded_in_all() -> None:
    """Heads that never end, and segments behind a hole."""
    sensor = Sensor(SensorConfig())
    wire = Wire(step_us=1)
    held = 0
    for number in range(3_000):
        begun = [(">", b"GET / HTTP/1.1\r\nX: " + b"y" * 15_000)] if number % 2 else [(">", b"GET / HTTP/1.1\r\n")]
        talk(wire, begun, end="", source=f"10.1.{number >> 8}.{number & 255}", pause_s=0)
        last = wire.packets[-1]
        for ahead in range(5_000, 16_000, 1_400):
            wire.tcp(*_ends(last), PSH | ACK, last.seq + last.payload_length + ahead, 1, 1_300)
        sensor.feed(wire.packets)
        wire.packets.clear()
        held = max(held, sensor.counters()["application_bytes"])
    assert 16 << 20 < held <= (32 << 20) + 100_000
    assert sensor.counters()["applications_forgotten"] > 0
    sensor.finish()
    assert sensor.counters()["application_bytes"] == 0


def test_what_waits_for_a_tick_is_bounded() -> None:
    """A flood of distinct texts within a second: what does not fit is counted."""
    sensor = Sensor(SensorConfig())
    wire = Wire(step_us=0)
    facts = []
    for number in range(20_000):
        source = f"10.1.{number >> 8}.{number & 255}"
        talk(wire, http(f"/{number}{'x' * 900}", 404, agent="y" * 200, body=0), source=source, pause_s=0)
        if len(wire.packets) > 1000:
            facts += sensor.feed(wire.packets)
            wire.packets.clear()
    counters = sensor.counters()
    facts += sensor.feed(wire.packets) + sensor.finish()
    assert counters["http_requests_held_back"] > 1000
    assert counters["application_facts_lost"] > 1000
    assert 5_000 < len(only(facts, "http_request")) < 16_000
    talk(wire, http("/after"))
    assert only(sensor.feed(wire.packets[-10:]) + sensor.finish(), "http_request")


def _ends(packet: Packet) -> tuple[str, int, str, int]:
    return str(ip_address(packet.source_ip)), packet.source_port, VICTIM, packet.destination_port


def test_bulk_is_not_read_to_its_end() -> None:
    sensor = Sensor(SensorConfig())
    wire = Wire()
    talk(wire, http("/large", body=3 << 20), end="")
    sensor.feed(wire.packets)
    assert sensor.counters()["applications_held"] == 0


def test_the_same_ports_again() -> None:
    wire = Wire()
    talk(wire, http("/one"))
    first = list(wire.packets)
    wire.wait(10)
    talk(wire, http("/two"))
    for packet in wire.packets[len(first) :]:
        if packet.source_port != 80:
            packet.source_port = first[0].source_port
        else:
            packet.destination_port = first[0].source_port
    facts = only(facts_of(wire.packets), "http_request")
    assert [fact.fields["uri"] for fact in facts] == ["/one", "/two"]


def test_nothing_is_read_when_all_is_off() -> None:
    config = SensorConfig()
    applications = config.applications
    applications.http = applications.tls = applications.logins = applications.beacons = False
    config.connections = False
    wire = Wire()
    talk(wire, http("/"))
    talk(wire, ftp("bob", ("x", False)), port=21, source=ATTACKER)
    assert facts_of(wire.packets, config) == []
