"""Servers, routers and hosts of an ordinary segment, beside one another: nothing that they say is an attack."""

from __future__ import annotations

import pytest

from support.conversation import BROADCAST, Script, Wire, hardware, played, raw, rules_raised, twice
from support.messages import dhcp, router_advertisement

GATEWAY, SERVER, SECOND = "192.0.2.1", "192.0.2.2", "192.0.2.3"
ALL = "255.255.255.255"


def server_that_asks_whether_addresses_are_free(wire: Wire) -> None:
    """A classroom boots: nobody has what the server is about to give, and none speaks by ARP for seconds after it."""
    for number in range(30):
        address = f"192.0.2.{50 + number}"
        wire.udp("0.0.0.0", 68, ALL, 67, b"\x01\x01\x06\0" + bytes(300))
        wire.arp(SERVER, address)
        wire.wait(1)
        wire.arp(SERVER, address)
        for kind in (2, 5):
            told = dhcp(kind, SERVER, offered=address, transaction=number, client=hardware(address))
            wire.udp(SERVER, 67, address, 68, told)
        wire.wait(7)
        wire.arp_answered(address, GATEWAY)


def servers_that_know_phones_from_computers(wire: Wire) -> None:
    for number in range(30):
        address, phone = f"192.0.2.{50 + number}", number > 2 and number % 3 == 2
        server = SECOND if number % 2 else SERVER
        for kind in (2, 5):
            told = dhcp(
                kind,
                server,
                offered=address,
                gateway="192.0.2.254" if phone else GATEWAY,
                transaction=number,
                client=hardware(address),
            )
            wire.udp(server, 67, ALL, 68, told)
        wire.wait(2)


def routers_between_two_providers(wire: Wire) -> None:
    """One names more resolvers than the other, and learns of a new network earlier."""
    for turn in range(10):
        first = ["2001:db8:1::"] if turn < 4 else ["2001:db8:3::", "2001:db8:1::"]
        second = ["2001:db8:1::"] if turn < 6 else ["2001:db8:1::", "2001:db8:3::"]
        router_advertisement(wire, "fe80::1", prefixes=first, dns=["2001:db8:1::53", "2001:db8::54"])
        wire.wait(5)
        router_advertisement(wire, "fe80::2", prefixes=second, dns=["2001:db8:1::53"])
        wire.wait(200)


def failovers_that_are_announced_for_long(wire: Wire) -> None:
    """By `arping -c 10`, and by keepalived that is to refresh every 5 s."""
    for last, times, pause_s in ((100, 10, 1), (101, 30, 5)):
        address = f"192.0.2.{last}"
        wire.arp_answered(GATEWAY, address)
        wire.wait(5)
        for _ in range(times):
            wire.arp(address, address, sender_mac=b"\x02\0\0\0\0\x77")
            wire.wait(pause_s)


ORDINARY: list[Script] = [
    server_that_asks_whether_addresses_are_free,
    servers_that_know_phones_from_computers,
    routers_between_two_providers,
    failovers_that_are_announced_for_long,
]


@pytest.mark.parametrize("script", ORDINARY, ids=lambda one: one.__name__)
def test_they_raise_nothing(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(twice(packets)) == []
    assert rules_raised(packets[len(packets) // 2 :]) == []


def test_a_router_that_names_a_shared_network_but_its_own_resolver() -> None:
    wire = Wire()
    for _ in range(3):
        router_advertisement(wire, "fe80::1", prefixes=["2001:db8:1::"], dns=["2001:db8:1::53"])
        router_advertisement(wire, "fe80::66", prefixes=["2001:db8:1::"], dns=["fe80::66"])
        wire.wait(10)
    assert rules_raised(wire.packets) == ["ra_rogue"]


def test_a_server_whose_settings_the_other_never_gave() -> None:
    wire = Wire()
    for number in range(10):
        for server, gateway in ((SERVER, "192.0.2.254" if number % 3 else GATEWAY), (SECOND, SECOND)):
            told = dhcp(2, server, gateway=gateway, transaction=number)
            wire.udp(server, 67, ALL, 68, told)
        wire.wait(5)
    assert rules_raised(wire.packets) == ["dhcp_rogue"]


def router_among_many(wire: Wire) -> None:
    """It answers each of its hosts now and then, and asks for them."""
    for turn in range(3):
        for number in range(40):
            address = f"192.0.2.{50 + number}"
            wire.arp(address, GATEWAY)
            wire.arp(GATEWAY, address, operation=2)
            wire.arp(GATEWAY, address)
            wire.arp(address, GATEWAY, operation=2)
            wire.wait(0.5)
        wire.wait(40 + turn)


def test_a_sensor_that_sees_what_goes_to_all() -> None:
    """It is no mirror: answers go past it."""
    packets = [packet for packet in played(router_among_many) if packet.destination_mac == BROADCAST]
    assert rules_raised([packet for packet in packets if raw(GATEWAY) == packet.source_ip]) == []


def test_a_sensor_that_sees_what_one_sends() -> None:
    packets = [packet for packet in played(router_among_many) if raw(GATEWAY) == packet.source_ip]
    assert rules_raised(packets) == []


def test_a_sweep_whose_answers_are_out_of_sight() -> None:
    wire = Wire()
    for number in range(1, 255):
        wire.arp("192.0.2.66", f"192.0.2.{number}")
    assert rules_raised(wire.packets) == ["arp_sweep"]


def test_everyone_is_told_by_a_spoofer() -> None:
    """Answers to each host of the segment in turn, which none of them asked for; its owner is silent."""
    for hosts in (1, 10, 100, 250):
        wire = Wire()
        for _ in range(20):
            for number in range(hosts):
                wire.arp(GATEWAY, f"192.0.2.{2 + number}", operation=2, sender_mac=b"\x02\0\0\0\0\x66")
            wire.wait(2)
        assert rules_raised(wire.packets) == ["arp_spoof"], hosts
