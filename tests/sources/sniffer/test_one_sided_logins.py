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


POP3 = (b"USER alice\r\n", b"+OK\r\n", b"PASS wrong\r\n", b"-ERR no\r\n")


def pop3(passwords: int) -> list[Turn]:
    guess: list[Turn] = [(">" if number % 2 == 0 else "<", said) for number, said in enumerate(POP3)]
    return [("<", b"+OK ready\r\n"), *guess * passwords, (">", b"QUIT\r\n"), ("<", b"+OK bye\r\n")]


def test_a_refusal_that_was_lost_is_no_success() -> None:
    """What comes next is said to something else."""
    wire = Wire()
    for _ in range(20):
        talk(wire, pop3(3), port=110)
    packets = [packet for packet in wire.packets if not packet.payload.startswith(b"-ERR")]
    assert rules_raised(packets) == ["login_bruteforce"]
    outcomes = [(fact.fields["outcome"], fact.fields["attempts"]) for fact in only(facts_of(packets), "login")]
    assert outcomes == [("failure", 40), ("unknown", 20)]


def test_guesses_by_smtp_of_which_the_server_is_seen() -> None:
    wire = Wire()
    for _ in range(30):
        talk(
            wire, [("<", b"220 mail ESMTP\r\n"), (">", b"AUTH PLAIN AGEAYg==\r\n"), ("<", b"535 5.7.8 no\r\n")], port=25
        )
    assert seen_from(wire, VICTIM) == ["login_bruteforce"]


@pytest.mark.parametrize("sender", [ATTACKER, VICTIM])
def test_logins_that_succeed_at_once(sender: str) -> None:
    wire = Wire()
    for _ in range(60):
        talk(wire, ftp("alice", ("right", True)), port=21)
        welcome: list[Turn] = [("<", b"root\r\nPassword: "), (">", b"right\r\n"), ("<", b"\r\nWelcome\r\n$ ")]
        talk(wire, [("<", PROMPT), (">", b"root\r\n"), *welcome], port=23)
        wire.wait(1)
    assert seen_from(wire, sender) == []
