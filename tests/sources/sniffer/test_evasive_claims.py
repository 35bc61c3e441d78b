"""Who tells a whole segment that an address is his own, by answers that nobody asked for."""

from __future__ import annotations

import pytest

from support.conversation import BROADCAST, Script, Wire, played, rules_raised, twice

GATEWAY, VICTIM, ALL = "192.0.2.1", "192.0.2.10", "255.255.255.255"
EVIL = b"\x02\0\0\0\0\x66"


def answers_to_all(wire: Wire, times: int, pause_s: float = 2) -> None:
    """arpspoof without -t."""
    for _ in range(times):
        wire.arp(GATEWAY, ALL, operation=2, sender_mac=EVIL, to=BROADCAST)
        wire.wait(pause_s)


def for_a_few_seconds(wire: Wire) -> None:
    wire.arp_answered(VICTIM, GATEWAY)
    answers_to_all(wire, 5)


def while_the_owner_is_silent(wire: Wire) -> None:
    answers_to_all(wire, 8)


def of_a_known_owner_later(wire: Wire) -> None:
    wire.arp(GATEWAY, VICTIM)
    wire.wait(20)
    answers_to_all(wire, 12, pause_s=5)


@pytest.mark.parametrize(
    "script", [for_a_few_seconds, while_the_owner_is_silent, of_a_known_owner_later], ids=lambda one: one.__name__
)
def test_answers_to_all_are_an_attack(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == ["arp_spoof"]
    assert rules_raised(twice(packets)) == ["arp_spoof"]


def failover_by_answers_to_all(wire: Wire) -> None:
    """Some at once, and again after 5 s."""
    wire.arp_answered(VICTIM, GATEWAY)
    for _ in range(2):
        for _ in range(5):
            wire.arp(GATEWAY, ALL, operation=2, sender_mac=EVIL, to=BROADCAST)
            wire.wait(0.15)
        wire.wait(5)


def announcements_of_its_own(wire: Wire) -> None:
    """A device that announces itself again and again, as some do."""
    for _ in range(20):
        wire.arp(VICTIM, VICTIM, operation=2, to=BROADCAST)
        wire.wait(5)


def answers_to_all_that_were_asked_for(wire: Wire) -> None:
    """An access point that sends answers to all."""
    for _ in range(20):
        wire.arp(VICTIM, GATEWAY)
        wire.arp(GATEWAY, VICTIM, operation=2, to=BROADCAST)
        wire.wait(3)


@pytest.mark.parametrize(
    "script",
    [failover_by_answers_to_all, announcements_of_its_own, answers_to_all_that_were_asked_for],
    ids=lambda one: one.__name__,
)
def test_honest_announcements_are_none(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(twice(packets)) == []


def test_a_quick_sweep_of_addresses_that_nobody_has() -> None:
    """No answer is seen to any request: there is none, or the sensor sees only what goes to all."""
    wire = Wire()
    for last in range(100, 131):
        wire.arp("192.0.2.66", f"192.0.2.{last}")
        wire.wait(0.05)
    assert rules_raised(wire.packets) == ["arp_sweep"]
