"""Datagrams of ordinary days that get no answer, or are one to a question that went to all: none is a scan."""

from __future__ import annotations

import pytest

from siemd.sources.sniffer.packet import Packet
from support.conversation import ATTACKER, VICTIM, Script, Wire, hardware, played, rules_raised, twice
from support.messages import A, answer, dhcp, netbios_answer, netbios_query, query, record

CLIENT, SERVER = "192.0.2.9", "192.0.2.2"


def classroom_that_boots(wire: Wire) -> None:
    """A server that answers each client at the address it is about to have (RFC 2131, 4.1)."""
    for number in range(30):
        address = f"192.0.2.{50 + number}"
        wire.udp("0.0.0.0", 68, "255.255.255.255", 67, b"\x01\x01\x06\0" + bytes(300))
        for kind in (2, 5):
            told = dhcp(kind, SERVER, offered=address, transaction=number, client=hardware(address))
            wire.udp(SERVER, 67, address, 68, told)
        wire.wait(2)


def search_for_devices(wire: Wire) -> None:
    """SSDP and WS-Discovery: from a new port each time, answered by every device, some from a port of their own."""
    for number in range(40):
        port = wire.fresh_port()
        wire.udp(CLIENT, port, "239.255.255.250", 1900, b"M-SEARCH * HTTP/1.1\r\n")
        for device in range(20, 25):
            wire.udp(f"192.0.2.{device}", 1900 if device % 2 else 40_000 + number, CLIENT, port, b"HTTP/1.1 200 OK\r\n")
        port = wire.fresh_port()
        wire.udp(CLIENT, port, "239.255.255.250", 3702, b"<?xml version='1.0'?>")
        wire.udp("192.0.2.30", 3702, CLIENT, port, b"<?xml version='1.0'?>")
        wire.wait(7)


def names_of_the_segment(wire: Wire) -> None:
    """A file server that is the master browser, and a printer, asked by all for what they are."""
    for number in range(30):
        asker = f"192.0.2.{50 + number}"
        wire.udp(asker, 137, "192.0.2.255", 137, netbios_query("FILES", ident=number))
        wire.udp(SERVER, 137, asker, 137, netbios_answer("FILES", SERVER, ident=number))
        wire.udp(asker, 5353, "224.0.0.251", 5353, query("_ipp._tcp.local", 12))
        wire.udp("192.0.2.10", 5353, asker, 5353, answer("_ipp._tcp.local", [record(12, b"\x04demo\xc0\x0c")], 12))
        wire.wait(3)
    for _ in range(40):
        port = wire.fresh_port()
        wire.udp(CLIENT, port, "224.0.0.252", 5355, query("host1"))
        wire.udp("192.0.2.31", 5355, CLIENT, port, answer("host1", [record(A, bytes((192, 0, 2, 31)))]))
        wire.wait(3)


def calls_whose_reports_are_not_answered(wire: Wire) -> None:
    for number in range(30):
        for _ in range(20):
            wire.udp(CLIENT, 16_384 + 2 * number, VICTIM, 20_000 + 2 * number, b"\x80\0" + bytes(170))
            wire.udp(VICTIM, 20_000 + 2 * number, CLIENT, 16_384 + 2 * number, b"\x80\0" + bytes(170))
        wire.udp(CLIENT, 16_385 + 2 * number, VICTIM, 20_001 + 2 * number, b"\x80\xc8\0\x06" + bytes(24))
        wire.wait(6)


def servers_of_which_only_the_answers_are_seen(wire: Wire) -> None:
    """For many clients behind one address: RADIUS, STUN, IPsec, SIP, L2TP."""
    for port in (1701, 1812, 3478, 4500, 5060):
        for number in range(40):
            wire.udp(VICTIM, port, "192.0.2.1", 40_000 + number, b"\x02\x05" + bytes(60))
        wire.wait(400)


def download_of_which_one_direction_is_seen(wire: Wire) -> None:
    """60 Mbit/s by QUIC."""
    for _ in range(60_000):
        wire.udp(VICTIM, 443, CLIENT, 50_000, b"\x40" * 40)
        wire.wait(0.0001)


def long_mtr(wire: Wire) -> None:
    """It takes a new port for each datagram, up to 65535, and its target refuses the last of each round."""
    port = 33_000
    for _ in range(300):
        for ttl in range(1, 9):
            question = wire.udp(CLIENT, 4321, VICTIM, port, ttl=ttl)
            wire.icmp_error(VICTIM if ttl == 8 else f"203.0.113.{ttl}", question, *((3, 3) if ttl == 8 else (11, 0)))
            port += 1
        wire.wait(1)


ORDINARY: list[Script] = [
    classroom_that_boots,
    search_for_devices,
    names_of_the_segment,
    calls_whose_reports_are_not_answered,
    servers_of_which_only_the_answers_are_seen,
    download_of_which_one_direction_is_seen,
    long_mtr,
]


@pytest.mark.parametrize("script", ORDINARY, ids=lambda one: one.__name__)
def test_they_raise_nothing(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(twice(packets)) == []
    assert rules_raised(packets[len(packets) // 3 + 1 :]) == []


@pytest.mark.parametrize("script", [classroom_that_boots, names_of_the_segment], ids=lambda one: one.__name__)
def test_answers_alone_raise_nothing(script: Script) -> None:
    """What a sensor has that sees one direction only."""

    def is_answer(packet: Packet) -> bool:
        return packet.source_port in (67, 137, 5353) and packet.destination_ip[-1] not in (251, 255)

    assert rules_raised([packet for packet in played(script) if is_answer(packet)]) == []


def test_a_scanner_that_asked_all_before() -> None:
    """Who awaits answers itself may not ask others for it."""
    wire = Wire()
    wire.udp(ATTACKER, 60_000, "239.255.255.250", 1900, b"M-SEARCH * HTTP/1.1\r\n")
    for port in range(1, 41):
        wire.udp(ATTACKER, 60_000, VICTIM, port, b"")
    assert rules_raised(wire.packets) == ["port_scan_udp"]


def test_scans_from_the_ports_of_services() -> None:
    for source_port in (53, 67, 500, 1900, 5353):
        wire = Wire()
        for port in range(1, 41):
            wire.udp(ATTACKER, source_port, VICTIM, port, b"")
        assert rules_raised(wire.packets) == ["port_scan_udp"], source_port
