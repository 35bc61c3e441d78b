"""The sensor on what pings carry."""

from __future__ import annotations

import hashlib

import pytest

from siemd.sources.sniffer.packet import ICMP, ICMPV6
from support.conversation import ATTACKER, VICTIM, Script, Wire, facts_of, only, played, rules_raised, twice

RAMP = bytes(range(256)) * 8
ALPHABET = b"abcdefghijklmnopqrstuvw" * 100
TEXT = b"".join(b"%d,alice,alice%d@example.org,+49 30 %07d,secret\n" % (n, n, n * 7919 % 10**7) for n in range(400))


def noise(number: int, size: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d %d" % (number, part)).digest() for part in range(size // 32 + 1))[:size]


def echo(
    wire: Wire,
    payload: bytes,
    reply: bytes | None = b"",
    *,
    number: int = 1,
    ident: int = 7,
    source: str = ATTACKER,
    target: str = VICTIM,
) -> None:
    """A request and its reply. reply: empty for the same payload, None for none."""
    protocol, asks, says = (ICMPV6, 128, 129) if ":" in source else (ICMP, 8, 0)
    rest = {"ident": ident, "seq": number}
    wire.put(protocol, source, target, icmp_type=asks, payload=payload, payload_length=len(payload), **rest)
    if reply is not None:
        back = reply or payload
        wire.put(protocol, target, source, icmp_type=says, payload=back, payload_length=len(back), **rest)


def clock(number: int, size: int = 16) -> bytes:
    return noise(number, size)


# What real tools do


def hping3_with_a_file(wire: Wire) -> None:
    for number in range(30):
        echo(wire, noise(number, 900), number=number)
        wire.wait(0.05)


def hping3_with_a_text(wire: Wire) -> None:
    for number in range(40):
        echo(wire, TEXT[number * 100 : number * 100 + 100], number=number)
        wire.wait(1)


def requests_nobody_answers(wire: Wire) -> None:
    for number in range(20):
        echo(wire, noise(number, 400), None, number=number)


def replies_without_requests(wire: Wire) -> None:
    for number in range(20):
        payload = noise(number, 500)
        wire.put(ICMP, ATTACKER, VICTIM, icmp_type=0, ident=9, seq=number, payload=payload, payload_length=500)


def text_in_ordinary_pings(wire: Wire) -> None:
    for number in range(40):
        echo(wire, TEXT[number * 56 : number * 56 + 56], number=number)
        wire.wait(1)


def ptunnel(wire: Wire) -> None:
    for number in range(40):
        head = b"\xd5\x20\x08\x80" + bytes(20)
        echo(wire, head + noise(number, 60), head + noise(~number, 300), number=number)
        wire.wait(0.1)


def one_page_through_ptunnel(wire: Wire) -> None:
    """As captured: the kernel echoes, and the tool answers beside it, with numbers of its own."""
    head = bytes.fromhex("d5200880") + bytes(8) + b"\x40\0\0\x02\0\0\xff\xff\0\0\0v"
    echo(wire, head, number=0)
    echo(wire, head + TEXT[:118], number=1)
    for number, size in enumerate((28, 1028, 244, 4, 4)):
        payload = head[:12] + b"\x80\0\0\x02\0\0\0" + bytes((number,)) + TEXT[200 : 200 + size]
        rest = {"ident": 7, "seq": number, "payload": payload, "payload_length": len(payload)}
        wire.put(ICMP, VICTIM, ATTACKER, icmp_type=0, **rest)


def hans(wire: Wire) -> None:
    """Polls that carry little; replies that carry packets."""
    for number in range(12):
        echo(wire, b"hanc" + bytes(1), b"hans" + noise(number, 84), number=number)
        wire.wait(0.3)


def icmpsh(wire: Wire) -> None:
    """A shell: empty polls; commands in replies, their output in requests."""
    number = 0
    for command, lines in ((b"whoami\n", 1), (b"ipconfig\n", 4), (b"dir\n", 6), (b"net user\n", 3)):
        for _ in range(5):
            number += 1
            echo(wire, b"", number=number)
            wire.wait(0.2)
        number += 1
        echo(wire, b"C:\\>" + command[:2], command, number=number)
        for line in range(lines):
            number += 1
            at = number * 64 + line
            echo(wire, TEXT[at : at + 64], b"\0", number=number)
            wire.wait(0.2)


def patterns_of_ping(wire: Wire) -> None:
    """xxd -p -c 16 file | while read line; do ping -c 1 -p $line …"""
    for number in range(20):
        pattern = TEXT[number * 16 : number * 16 + 16]
        echo(wire, clock(number) + (pattern * 4)[:40], number=1, ident=number)
        wire.wait(1)


def tunnel_over_ipv6(wire: Wire) -> None:
    for number in range(30):
        echo(wire, noise(number, 1000), number=number, source="2001:db8::66", target="2001:db8:1::10")


TUNNELS: list[Script] = [
    hping3_with_a_file,
    hping3_with_a_text,
    requests_nobody_answers,
    replies_without_requests,
    text_in_ordinary_pings,
    ptunnel,
    one_page_through_ptunnel,
    hans,
    icmpsh,
    patterns_of_ping,
    tunnel_over_ipv6,
]


@pytest.mark.parametrize("script", TUNNELS, ids=lambda one: one.__name__)
def test_a_tunnel_is_one_incident(script: Script) -> None:
    assert rules_raised(played(script)) == ["icmp_tunnel"]


# What merely looks like it


def ping_of_linux(wire: Wire) -> None:
    for number in range(300):
        echo(wire, clock(number) + RAMP[16:56], number=number)
        wire.wait(1)


def ping_of_windows(wire: Wire) -> None:
    for number in range(300):
        echo(wire, ALPHABET[:32], number=number)
    for size in (500, 1000, 1472):
        echo(wire, ALPHABET[:size], number=size)


def sizes_of_a_path(wire: Wire) -> None:
    for size in range(600, 1500, 10):
        echo(wire, clock(size) + RAMP[16 : 16 + size], None if size > 1400 else b"", number=size)
        echo(wire, clock(size) + RAMP[16:1600], number=size + 1)


def pattern_of_ones_own(wire: Wire) -> None:
    for ident, pattern in enumerate((b"\xff", b"\xa5\x5a", b"\xde\xad\xbe\xef")):
        for number in range(60):
            echo(wire, clock(number) + (pattern * 400)[:1400], number=number, ident=ident)


def monitors(wire: Wire) -> None:
    fillings = (b"SolarWinds Status Query 2026 (C) " * 2, b"Prometheus Blackbox Exporter" * 3, bytes(100), b"x" * 68)
    for number in range(300):
        for ident, filling in enumerate(fillings[:3]):
            echo(wire, clock(number, 24) + filling, number=number, ident=ident)
        wire.wait(1)


def monitor_with_random_data(wire: Wire) -> None:
    """icmplib, as Home Assistant uses it; fping -R."""
    for number in range(1800):
        echo(wire, noise(number, 56), number=number)
        wire.wait(1)


def hosts_that_cut_replies(wire: Wire) -> None:
    for number in range(100):
        payload = clock(number) + RAMP[16:1400]
        echo(wire, payload, payload[:64], number=number)


def replies_of_a_broken_device(wire: Wire) -> None:
    for number in range(100):
        echo(wire, clock(number) + RAMP[16:56], b"\xee" * 56, number=number)


def many_on_their_way(wire: Wire) -> None:
    for start in range(0, 300, 10):
        for number in range(start, start + 10):
            echo(wire, clock(number) + RAMP[16:1400], None, number=number)
        for number in range(start, start + 10):
            payload = clock(number) + RAMP[16:1400]
            wire.put(ICMP, VICTIM, ATTACKER, icmp_type=0, ident=7, seq=number, payload=payload, payload_length=1400)


def probes_of_scanners(wire: Wire) -> None:
    for number in range(255):
        echo(wire, b"", number=number)
        echo(wire, noise(1, 120), number=number, ident=9)


def traceroute(wire: Wire) -> None:
    for number in range(90):
        echo(wire, bytes(32), None, number=number)
        echo(wire, b"\x48\x49\x4a\x4b" * 8, None, number=number)


BENIGN: list[Script] = [
    ping_of_linux,
    ping_of_windows,
    sizes_of_a_path,
    pattern_of_ones_own,
    monitors,
    monitor_with_random_data,
    hosts_that_cut_replies,
    replies_of_a_broken_device,
    many_on_their_way,
    probes_of_scanners,
    traceroute,
]


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_is_silent(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(twice(packets)) == []
    assert rules_raised(packets[1::2]) == []


def test_ordinary_pings_say_nothing_of_their_payload() -> None:
    wire = Wire()
    ping_of_linux(wire)
    ping_of_windows(wire)
    assert only(facts_of(wire.packets), "icmp_payload") == []


def test_what_a_fact_tells() -> None:
    wire = Wire(start_us=1_795_000_000_000_000)
    for number in range(4):
        echo(wire, noise(number, 500), noise(~number, 100), number=number)
    (fact,) = only(facts_of(wire.packets), "icmp_payload")
    assert (fact.source_ip, fact.destination_ip, fact.count) == (ATTACKER, VICTIM, 8)
    assert (fact.fields["data_bytes"], fact.fields["largest"], fact.fields["altered_replies"]) == (2400, 500, 4)
    assert fact.fields["text_bytes"] == 0
    assert fact.fields["entropy"] > 6.5
