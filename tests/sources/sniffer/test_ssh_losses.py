"""SSH of which the sensor misses packets, or sees them late: sizes are told by what the other side acknowledges."""

from __future__ import annotations

import random

import pytest

from siemd.sources.sniffer.packet import Packet
from support.conversation import ATTACKER, Wire, facts_of, only, rules_raised

NONE, WRONG, RIGHT = (68, 52), (84, 52), (84, 28)
OFFER_ACCEPTED, SIGNED, SESSION = (140, 100), (308, 28), [(112, 544), (112, 72), (36, 124)]


def logins(wire: Wire) -> None:
    for _ in range(60):
        wire.ssh([NONE, OFFER_ACCEPTED, SIGNED, *SESSION], source="192.0.2.5")
        wire.wait(0.2)


def guesses(wire: Wire) -> None:
    for _ in range(15):
        wire.ssh([NONE, *[WRONG] * 5])


def exchanged(packets: list[Packet], every: int) -> list[Packet]:
    """Each so many packets two of them the other way round."""
    packets = list(packets)
    for at in range(0, len(packets) - 1, every):
        packets[at], packets[at + 1] = packets[at + 1], packets[at]
    return packets


@pytest.mark.parametrize("lost", [0.02, 0.1, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_packets_that_were_missed(lost: float, seed: int) -> None:
    for script, expected in ((logins, []), (guesses, ["ssh_bruteforce"])):
        wire, chance = Wire(), random.Random(seed)
        script(wire)
        assert rules_raised([packet for packet in wire.packets if chance.random() >= lost]) == expected


@pytest.mark.parametrize("every", [3, 5, 7, 11])
def test_packets_that_came_late(every: int) -> None:
    for script, expected in ((logins, []), (guesses, ["ssh_bruteforce"])):
        wire = Wire()
        script(wire)
        assert rules_raised(exchanged(wire.packets, every)) == expected


def test_the_answer_that_was_missed_was_the_success() -> None:
    wire = Wire()
    wire.ssh([NONE, WRONG, RIGHT, *SESSION], source=ATTACKER)
    (success,) = (at for at, packet in enumerate(wire.packets) if packet.payload == b"\xdd" * 28)
    del wire.packets[success]
    (fact,) = only(facts_of(wire.packets), "ssh_auth")
    assert (fact.fields["outcome"], fact.fields["failed_attempts"]) == ("success", 1)
