"""Guesses of which one direction is seen: who asks again had been refused, and a server says so by itself."""

from __future__ import annotations

import pytest

from support.conversation import ATTACKER, VICTIM, Wire, facts_of, only, raw, rules_raised
from support.streams import Turn, ftp, talk

PROMPT = b"\xff\xfd\x18\r\nhost login: "


def telnet(passwords: int) -> list[Turn]:
    turns: list[Turn] = [("<", PROMPT)]
    for _ in range(passwords):
        turns += [(">", b"root\r\n"), ("<", b"root\r\nPassword: "), (">", b"wrong\r\n")]
        turns += [("<", b"\r\nLogin incorrect\r\nhost login: ")]
    return turns


def seen_from(wire: Wire, sender: str) -> list[str]:
    return rules_raised([packet for packet in wire.packets if packet.source_ip == raw(sender)])


@pytest.mark.parametrize("sender", [ATTACKER, VICTIM])
def test_guesses_by_ftp(sender: str) -> None:
    wire = Wire()
    for _ in range(10):
        talk(wire, ftp("alice", *[("wrong", False)] * 3), port=21)
        wire.wait(1)
    assert seen_from(wire, sender) == ["ftp_bruteforce"]


def test_guesses_by_telnet_of_which_the_server_is_seen() -> None:
    wire = Wire()
    for _ in range(10):
        talk(wire, telnet(3), port=23)
        wire.wait(1)
    packets = [packet for packet in wire.packets if packet.source_ip == raw(VICTIM)]
    assert rules_raised(packets) == ["login_bruteforce"]
    assert sum(fact.fields["attempts"] for fact in only(facts_of(packets), "login")) == 30


@pytest.mark.parametrize("sender", [ATTACKER, VICTIM])
def test_logins_that_succeed_at_once(sender: str) -> None:
    wire = Wire()
    for _ in range(60):
        talk(wire, ftp("alice", ("right", True)), port=21)
        welcome: list[Turn] = [("<", b"root\r\nPassword: "), (">", b"right\r\n"), ("<", b"\r\nWelcome\r\n$ ")]
        talk(wire, [("<", PROMPT), (">", b"root\r\n"), *welcome], port=23)
        wire.wait(1)
    assert seen_from(wire, sender) == []
