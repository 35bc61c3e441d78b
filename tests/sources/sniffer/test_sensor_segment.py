"""The sensor on a segment's own protocols: claims to addresses, offers of servers and routers, names, new devices."""

from __future__ import annotations

import pytest

from siemd.sources.sniffer.packet import ICMPV6
from siemd.sources.sniffer.sensor import SensorConfig
from siemd.units import Seconds
from support.conversation import (
    BROADCAST,
    START_US,
    Script,
    Wire,
    facts_of,
    hardware,
    only,
    played,
    raw,
    rules_raised,
    twice,
)
from support.messages import (
    AAAA,
    A,
    answer,
    dhcp,
    dhcpv6,
    netbios_answer,
    netbios_query,
    query,
    record,
    router_advertisement,
)

GATEWAY, VICTIM, OTHER = "192.0.2.1", "192.0.2.10", "192.0.2.11"
EVIL, SPARE = b"\x02\0\0\0\0\x66", b"\x02\0\0\0\0\x77"


# ARP and neighbour discovery


def arpspoof(wire: Wire) -> None:
    """dsniff: unasked answers every 2 s; the victim asks now and then."""
    wire.arp_answered(VICTIM, GATEWAY)
    for turn in range(15):
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)
        if turn % 5 == 4:
            wire.arp_answered(VICTIM, GATEWAY)
        wire.wait(2)


def arpspoof_that_ends(wire: Wire) -> None:
    """At its end it tells the truth five times, from its own card."""
    arpspoof(wire)
    for _ in range(5):
        wire.arp(GATEWAY, VICTIM, operation=2).ethernet_source = EVIL
        wire.wait(1)


def arpspoof_of_everyone(wire: Wire) -> None:
    """Without -t: answers to all, every 2 s."""
    wire.arp_answered(VICTIM, GATEWAY)
    for _ in range(15):
        wire.arp(GATEWAY, "255.255.255.255", operation=2, sender_mac=EVIL, to=BROADCAST)
        wire.wait(2)


def arpspoof_of_both_sides(wire: Wire) -> None:
    wire.arp_answered(VICTIM, GATEWAY)
    wire.arp_answered(GATEWAY, VICTIM)
    for _ in range(15):
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)
        wire.arp(VICTIM, GATEWAY, operation=2, sender_mac=EVIL)
        wire.wait(2)


def arpspoof_of_an_owner_who_is_silent(wire: Wire) -> None:
    for _ in range(10):
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)
        wire.wait(1)


def ettercap(wire: Wire) -> None:
    """Answers to both sides every 10 s, after a faster beginning."""
    wire.arp_answered(VICTIM, GATEWAY)
    for pause in (1, 1, 1, 10, 10, 10):
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)
        wire.arp(VICTIM, GATEWAY, operation=2, sender_mac=EVIL)
        wire.wait(pause)


def both_answer_each_question(wire: Wire) -> None:
    for _ in range(4):
        wire.arp_answered(VICTIM, GATEWAY)
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)
        wire.wait(8)


def requests_in_the_gateways_name(wire: Wire) -> None:
    """scapy's arpcachepoison: questions, whose sender is believed too."""
    wire.arp_answered(VICTIM, GATEWAY)
    for number in range(8):
        wire.arp(GATEWAY, VICTIM, sender_mac=EVIL, to=hardware(VICTIM))
        if number % 2:
            wire.arp(GATEWAY, OTHER)
        wire.wait(5)


def gateway_told_by_dhcp(wire: Wire) -> None:
    wire.udp(GATEWAY, 67, VICTIM, 68, dhcp(5, GATEWAY))
    wire.arp_answered(VICTIM, GATEWAY)
    wire.wait(100)
    wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)


def neighbour(wire: Wire, target: str, told: str, *, mac: bytes, solicited: bool = True) -> None:
    payload = raw(target) + b"\x02\x01" + mac
    packet = wire.put(ICMPV6, target, told, icmp_type=136, payload=payload, payload_length=len(payload))
    packet.ttl, packet.ethernet_source = 255, mac


def solicit(wire: Wire, asker: str, target: str) -> None:
    payload = raw(target) + b"\x01\x01" + hardware(asker)
    packet = wire.put(ICMPV6, asker, target, icmp_type=135, payload=payload, payload_length=len(payload))
    packet.ttl, packet.ethernet_source = 255, hardware(asker)


def parasite6(wire: Wire) -> None:
    """thc-ipv6: an answer of its own to each question."""
    for _ in range(4):
        solicit(wire, "2001:db8::10", "2001:db8::1")
        neighbour(wire, "2001:db8::1", "2001:db8::10", mac=hardware("2001:db8::1"))
        neighbour(wire, "2001:db8::1", "2001:db8::10", mac=EVIL)
        wire.wait(5)


def fake_advertise6(wire: Wire) -> None:
    solicit(wire, "2001:db8::10", "2001:db8::1")
    neighbour(wire, "2001:db8::1", "2001:db8::10", mac=hardware("2001:db8::1"))
    for _ in range(8):
        neighbour(wire, "2001:db8::1", "2001:db8::10", mac=EVIL)
        wire.wait(5.5)


# DHCP, routers


def second_dhcp_server(wire: Wire) -> None:
    for transaction in range(3):
        wire.udp("0.0.0.0", 68, "255.255.255.255", 67)
        wire.udp(GATEWAY, 67, "255.255.255.255", 68, dhcp(2, GATEWAY, transaction=transaction))
        evil = dhcp(2, OTHER, gateway=OTHER, dns=(OTHER,), offered="192.0.2.77", transaction=transaction)
        wire.udp(OTHER, 67, "255.255.255.255", 68, evil)
        wire.wait(5)


def second_dhcp_server_with_another_resolver(wire: Wire) -> None:
    wire.udp(GATEWAY, 67, "255.255.255.255", 68, dhcp(5, GATEWAY, transaction=1))
    wire.wait(60)
    wire.udp(OTHER, 67, "255.255.255.255", 68, dhcp(5, OTHER, dns=(OTHER,), transaction=2))


def forgotten_router_with_another_network(wire: Wire) -> None:
    strange = dhcp(2, "192.168.1.1", offered="192.168.1.20", gateway="192.168.1.1", dns=("192.168.1.1",))
    wire.udp(GATEWAY, 67, "255.255.255.255", 68, dhcp(2, GATEWAY))
    wire.udp("192.168.1.1", 67, "255.255.255.255", 68, strange)


def servers_that_say_nothing_but_an_address(wire: Wire) -> None:
    for server, offered in ((GATEWAY, "192.0.2.50"), (OTHER, "192.0.2.51")):
        wire.udp(server, 67, "255.255.255.255", 68, dhcp(2, server, gateway=None, dns=(), offered=offered))


def second_dhcpv6_server(wire: Wire) -> None:
    for server, duid in (("fe80::1", b"\0\x03\0\x01router"), ("fe80::66", b"\0\x03\0\x01attack")):
        wire.udp(server, 547, "fe80::10", 546, dhcpv6(2, duid, offered="2001:db8::50", dns=(server,)))


def second_router(wire: Wire) -> None:
    for _ in range(3):
        router_advertisement(wire, "fe80::1", prefixes=["2001:db8:1::"])
        wire.wait(10)
        router_advertisement(wire, "fe80::66", prefixes=["2001:db8:bad::"])


# Names


def responder(wire: Wire) -> None:
    """Whatever is asked for is answered, in all services, with the attacker's address."""
    for ident, text in enumerate(("fileserv", "prnt01", "intranett", "wpad-proxy"), 1):
        wire.udp(VICTIM, 55_000, "224.0.0.252", 5355, query(text, A, ident=ident, flags=0))
        wire.udp(OTHER, 5355, VICTIM, 55_000, answer(text, [record(A, raw(OTHER))], ident=ident))
        wire.udp(VICTIM, 137, "192.0.2.255", 137, netbios_query(text, ident=ident))
        wire.udp(OTHER, 137, VICTIM, 137, netbios_answer(text, OTHER, ident=ident))
        wire.wait(20)


def netbios_only(wire: Wire) -> None:
    for ident, text in enumerate(("SRV1", "SRV2", "SRV3"), 1):
        wire.udp(OTHER, 137, VICTIM, 137, netbios_answer(text, OTHER, ident=ident))


def answer_for_wpad(wire: Wire) -> None:
    wire.udp(OTHER, 5355, VICTIM, 55_000, answer("wpad", [record(A, raw(OTHER))]))


def multicast_names(wire: Wire) -> None:
    for number in range(10):
        owner = b"\x06typo%02d\x05local\0" % number
        payload = b"\0\0\x84\0\0\0\0\x01\0\0\0\0" + record(A, raw(OTHER), owner)
        wire.udp(OTHER, 5353, "224.0.0.251", 5353, payload)


ATTACKS: list[tuple[str, Script]] = [
    ("arp_spoof", arpspoof),
    ("arp_spoof", arpspoof_that_ends),
    ("arp_spoof", arpspoof_of_everyone),
    ("arp_spoof", arpspoof_of_both_sides),
    ("arp_spoof", arpspoof_of_an_owner_who_is_silent),
    ("arp_spoof", ettercap),
    ("arp_spoof", both_answer_each_question),
    ("arp_spoof", requests_in_the_gateways_name),
    ("arp_spoof", gateway_told_by_dhcp),
    ("arp_spoof", parasite6),
    ("arp_spoof", fake_advertise6),
    ("dhcp_rogue", second_dhcp_server),
    ("dhcp_rogue", second_dhcp_server_with_another_resolver),
    ("dhcp_rogue", forgotten_router_with_another_network),
    ("dhcp_rogue", servers_that_say_nothing_but_an_address),
    ("dhcp_rogue", second_dhcpv6_server),
    ("ra_rogue", second_router),
    ("llmnr_poisoning", responder),
    ("llmnr_poisoning", netbios_only),
    ("llmnr_poisoning", answer_for_wpad),
    ("llmnr_poisoning", multicast_names),
]


@pytest.mark.parametrize(("rule", "script"), ATTACKS, ids=lambda one: getattr(one, "__name__", one))
def test_an_attack_is_one_incident(rule: str, script: Script) -> None:
    assert rules_raised(played(script)) == [rule]


# What merely looks like it


def failover_with_announcements(wire: Wire) -> None:
    """keepalived: five announcements at once, and again after 5 s."""
    wire.arp_answered(VICTIM, GATEWAY)
    for _ in range(2):
        for operation in (1, 2) * 5:
            wire.arp(GATEWAY, GATEWAY, operation=operation, sender_mac=SPARE, to=BROADCAST)
        wire.wait(5)
    for _ in range(5):
        wire.arp(VICTIM, GATEWAY)
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=SPARE)
        wire.wait(20)


def failover_and_back(wire: Wire) -> None:
    wire.arp_answered(VICTIM, GATEWAY)
    for sender_mac in (SPARE, hardware(GATEWAY)):
        for _ in range(5):
            wire.arp(GATEWAY, GATEWAY, sender_mac=sender_mac)
        wire.wait(20)
        wire.arp(VICTIM, GATEWAY)
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=sender_mac)
        wire.wait(5)


def address_that_was_taken(wire: Wire) -> None:
    """RFC 5227: probes, an announcement, the defence."""
    for _ in range(3):
        wire.arp("0.0.0.0", VICTIM, sender_mac=SPARE)
    wire.arp(VICTIM, VICTIM, sender_mac=SPARE)
    wire.arp(VICTIM, VICTIM)
    wire.wait(2)
    wire.arp("0.0.0.0", OTHER, sender_mac=SPARE)
    wire.arp(OTHER, OTHER, sender_mac=SPARE)


def virtual_routers(wire: Wire) -> None:
    """GLBP: one address, another virtual MAC for each host."""
    for turn in range(30):
        wire.arp(VICTIM, GATEWAY)
        wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=b"\0\x07\xb4\0\x01" + bytes((turn % 3,)))
        wire.wait(3)


def neighbours_that_look_after_each_other(wire: Wire) -> None:
    for _ in range(30):
        wire.arp(VICTIM, GATEWAY, to=hardware(GATEWAY))
        wire.arp(GATEWAY, VICTIM, operation=2)
        wire.arp(GATEWAY, VICTIM, to=hardware(VICTIM))
        wire.arp(VICTIM, GATEWAY, operation=2)
        wire.wait(10)


def proxy_arp(wire: Wire) -> None:
    for number in range(100, 200):
        wire.arp(VICTIM, f"192.0.2.{number}")
        wire.arp(f"192.0.2.{number}", VICTIM, operation=2, sender_mac=hardware(GATEWAY))


def neighbours_over_ipv6(wire: Wire) -> None:
    for _ in range(20):
        solicit(wire, "2001:db8::10", "2001:db8::1")
        neighbour(wire, "2001:db8::1", "2001:db8::10", mac=hardware("2001:db8::1"))
        neighbour(wire, "2001:db8::1", "ff02::1", mac=hardware("2001:db8::1"))
        wire.wait(5)


def address_given_to_another(wire: Wire) -> None:
    for turn in range(5):
        wire.arp(OTHER, GATEWAY, sender_mac=bytes((2, 0, 0, 0, 9, turn)))
        wire.wait(40)


def one_dhcp_server(wire: Wire) -> None:
    for transaction in range(30):
        for message in (2, 5):
            given = {"offered": f"192.0.2.{50 + transaction}", "transaction": transaction}
            wire.udp(GATEWAY, 67, "255.255.255.255", 68, dhcp(message, GATEWAY, **given))
        wire.wait(5)


def servers_that_stand_in_for_one_another(wire: Wire) -> None:
    both = ("192.0.2.2", "192.0.2.3")
    for server, dns in (("192.0.2.2", both), ("192.0.2.3", both[::-1])):
        wire.udp(server, 67, "255.255.255.255", 68, dhcp(2, server, dns=dns, transaction=4))


def boot_server(wire: Wire) -> None:
    wire.udp(GATEWAY, 67, "255.255.255.255", 68, dhcp(2, GATEWAY))
    boot = dhcp(2, OTHER, offered="0.0.0.0", gateway=None, dns=(), vendor=b"PXEClient")
    wire.udp(OTHER, 67, "255.255.255.255", 68, boot)


def relays_of_two_networks(wire: Wire) -> None:
    for third in (2, 3):
        gateway = f"192.0.{third}.1"
        for server in ("198.51.100.1", "198.51.100.2"):
            given = {"offered": f"192.0.{third}.60", "gateway": gateway, "relay": gateway, "transaction": third}
            wire.udp(server, 67, gateway, 67, dhcp(2, server, dns=("198.51.100.3",), **given))


def networks_of_virtual_machines(wire: Wire) -> None:
    for third, transaction in ((121, 1), (122, 2), (123, 3)):
        server = f"192.168.{third}.1"
        given = {"offered": f"192.168.{third}.7", "gateway": server, "dns": (server,), "transaction": transaction}
        wire.udp(server, 67, f"192.168.{third}.7", 68, dhcp(5, server, **given))


def settings_without_an_address(wire: Wire) -> None:
    for server in (GATEWAY, OTHER):
        wire.udp(server, 67, VICTIM, 68, dhcp(5, server, offered="0.0.0.0", gateway=None, dns=(server,)))


def routers_that_agree(wire: Wire) -> None:
    for router in ("fe80::1", "fe80::2"):
        router_advertisement(wire, router, prefixes=["2001:db8:1::"], dns=["2001:db8:1::53"])


def border_router_of_thread(wire: Wire) -> None:
    router_advertisement(wire, "fe80::1", prefixes=["2001:db8:1::"])
    router_advertisement(wire, "fe80::77", prefixes=["fd12:3456::"], lifetime_s=0)


def hosts_that_know_their_names(wire: Wire) -> None:
    for number in range(20, 40):
        host, text = f"192.0.2.{number}", f"desktop-{number}"
        wire.udp(VICTIM, 55_000, "224.0.0.252", 5355, query(text, A, ident=number, flags=0))
        wire.udp(host, 5355, VICTIM, 55_000, answer(text, [record(A, raw(host))], ident=number))
        wire.udp(host, 5355, VICTIM, 55_000, answer(text, [record(AAAA, bytes(16))], AAAA, ident=number))
        wire.udp(host, 137, VICTIM, 137, netbios_answer(text[:15], host, ident=number))
        wire.udp(host, 137, VICTIM, 137, netbios_answer("OFFICE", host, ident=number, suffix=0x1B))


def name_server_of_netbios(wire: Wire) -> None:
    for ident in range(1, 40):
        wire.udp(VICTIM, 137, OTHER, 137, netbios_query(f"HOST{ident}", ident=ident))
        wire.udp(OTHER, 137, VICTIM, 137, netbios_answer(f"HOST{ident}", f"192.0.2.{ident}", ident=ident, flags=0x8580))


def reflector_of_multicast_names(wire: Wire) -> None:
    for number in range(20, 60):
        owner = b"\x06host%02d\x05local\0" % number
        payload = b"\0\0\x84\0\0\0\0\x01\0\0\0\0" + record(A, raw(f"198.51.100.{number}"), owner)
        wire.udp(OTHER, 5353, "224.0.0.251", 5353, payload)


def names_that_do_not_exist(wire: Wire) -> None:
    for ident in range(40):
        wire.udp(VICTIM, 55_000, "224.0.0.252", 5355, query(f"typo{ident}", A, ident=ident, flags=0))
        wire.udp(VICTIM, 137, "192.0.2.255", 137, netbios_query(f"TYPO{ident}", ident=ident))
        wire.udp(OTHER, 5355, VICTIM, 55_000, answer(f"typo{ident}", [], ident=ident))


BENIGN: list[Script] = [
    failover_with_announcements,
    failover_and_back,
    address_that_was_taken,
    virtual_routers,
    neighbours_that_look_after_each_other,
    proxy_arp,
    neighbours_over_ipv6,
    address_given_to_another,
    one_dhcp_server,
    servers_that_stand_in_for_one_another,
    boot_server,
    relays_of_two_networks,
    networks_of_virtual_machines,
    settings_without_an_address,
    routers_that_agree,
    border_router_of_thread,
    hosts_that_know_their_names,
    name_server_of_netbios,
    reflector_of_multicast_names,
    names_that_do_not_exist,
]


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_is_silent(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(twice(packets)) == []
    assert rules_raised(packets[len(packets) // 3 + 1 :]) == []


def test_one_move_is_told_as_such() -> None:
    wire = Wire()
    wire.arp(GATEWAY, GATEWAY)
    wire.wait(400)
    wire.arp(GATEWAY, GATEWAY, sender_mac=SPARE)
    (fact,) = only(facts_of(wire.packets), "arp_conflict")
    assert (fact.source_ip, fact.fields["moves"], fact.fields["unasked_answers"]) == (GATEWAY, 1, 0)
    assert (fact.fields["source_mac"], fact.fields["other_mac"]) == ("02:00:00:00:00:77", "02:00:c0:00:02:01")


def test_the_attacker_is_named_whoever_is_seen_first() -> None:
    for attacker_first in (True, False):
        wire = Wire()
        if not attacker_first:
            wire.arp_answered(VICTIM, GATEWAY)
        for _ in range(4):
            wire.arp(GATEWAY, VICTIM, operation=2, sender_mac=EVIL)
            wire.wait(2)
        wire.arp_answered(VICTIM, GATEWAY)
        facts = only(facts_of(wire.packets), "arp_conflict")
        assert {fact.fields["source_mac"] for fact in facts if fact.fields["unasked_answers"] > 2} == {
            "02:00:00:00:00:66"
        }


def test_new_devices() -> None:
    wire = Wire()
    wire.arp_answered(VICTIM, GATEWAY)
    wire.wait(30)
    wire.arp(OTHER, GATEWAY, sender_mac=b"\x00\x1b\x21\0\0\x01")
    wire.arp(OTHER, VICTIM, sender_mac=b"\x00\x1b\x21\0\0\x01")
    facts = only(facts_of(wire.packets, SensorConfig(learning_s=Seconds(10))), "device")
    assert [(fact.source_ip, fact.fields["learning"]) for fact in facts] == [
        (VICTIM, True),
        (GATEWAY, True),
        (OTHER, False),
    ]
    assert facts[2].fields == {
        "source_mac": "00:1b:21:00:00:01",
        "random_mac": False,
        "learning": False,
        "vlan": 0,
    }


def test_a_flood_of_devices_is_no_flood_of_facts() -> None:
    wire = Wire(start_us=START_US // 10**6 * 10**6, step_us=10)
    for number in range(5000):
        wire.arp(f"10.{number >> 8}.{number & 255}.1", GATEWAY)
    assert len(only(facts_of(wire.packets), "device")) == 32
