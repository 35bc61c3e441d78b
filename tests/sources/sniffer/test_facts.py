"""The declared facts, their page, and what the sensor really states are the same."""

from __future__ import annotations

from pathlib import Path

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import FACTS
from siemd.sources.sniffer.facts_page import page
from siemd.sources.sniffer.packet import ICMP, SCTP, SYN
from support.conversation import ATTACKER, VICTIM, Wire, facts_of
from support.messages import dhcp, netbios_answer, resolve, router_advertisement
from support.streams import ftp, hello, http, talk

PAGE = Path(__file__).parents[3] / "docs" / "facts.md"
ALWAYS = {"time_us", "event_type", "fields"}
STAMPED_LATER = {"host", "source", "seq"}


def test_page_is_that_of_the_declarations() -> None:
    assert PAGE.read_text() == page(), "run: python -m siemd.sources.sniffer.facts_page > docs/facts.md"


def test_every_kind_is_stated_with_its_declared_fields() -> None:
    wire = Wire()
    wire.ping(ATTACKER, VICTIM)
    wire.arp("192.0.2.1", "192.0.2.2")
    wire.udp(ATTACKER, 40_000, VICTIM, 9)
    wire.ssh([(68, 52), (84, 52)])
    wire.syn_scan(range(1, 5))
    wire.connection(ATTACKER, VICTIM, 81, exchange=False, reset=True)
    talk(wire, ftp("alice", ("wrong", False)), port=21)
    talk(wire, [(">", hello())], port=443)
    for _ in range(20):
        talk(wire, http("/absent", 404))
        wire.wait(5)
    own_protocols(wire)
    for number in range(70):
        wire.tcp(f"9.9.9.{number}", 2000, VICTIM, 80, SYN, number, window=512, header=20)
    wire.ping(ATTACKER, VICTIM, times=40, interval_s=0.001)
    for port in range(70):
        wire.udp(ATTACKER, 40_000 + port, VICTIM, 9, b"C" * 300)
    wire.put(SCTP, ATTACKER, VICTIM, source_port=7, destination_port=9, payload=b"\x01\0\0\4")
    wire.put(99, ATTACKER, VICTIM, cut_header=True)
    talk(wire, [(">", b"\x01default\n")], port=515)
    facts = facts_of(wire.packets)
    assert {fact.event_type for fact in facts} == set(FACTS)
    for fact in facts:
        kind = FACTS[fact.event_type]
        assert set(fact.fields) == set(kind.fields), fact.event_type
        assert stated_attributes(fact) <= set(kind.attributes) | {"count"}, fact.event_type
        for name in kind.attributes:
            assert getattr(fact, name) not in ("", None), f"{fact.event_type}.{name}"


def own_protocols(wire: Wire) -> None:
    """What happens on a segment itself."""
    wire.arp("192.0.2.1", "192.0.2.9", operation=2, sender_mac=b"\x02\0\0\0\0\x66")
    wire.udp("192.0.2.1", 67, "192.0.2.9", 68, dhcp(2, "192.0.2.1"))
    wire.udp("192.0.2.1", 137, "192.0.2.9", 137, netbios_answer("fileserver", "192.0.2.1"))
    router_advertisement(wire, "fe80::1", prefixes=["2001:db8::"])
    wire.put(ICMP, ATTACKER, VICTIM, icmp_type=8, payload=b"data that nobody sends in a ping", payload_length=32)
    wire.udp(ATTACKER, 40_000, VICTIM, 53, b"no DNS")
    for number in range(10):
        resolve(wire, ATTACKER, f"host{number}.example.com", code=3)


def stated_attributes(fact: NetworkEvent) -> set[str]:
    names = set(fact.__struct_fields__) - ALWAYS - STAMPED_LATER
    return {name for name in names if getattr(fact, name) not in ("", None)}
