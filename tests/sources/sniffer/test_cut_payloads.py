"""A capture whose snap length leaves only the beginning of each payload still tells what its lines begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from siemd.sources.sniffer.packet import Packet
from support.conversation import ATTACKER, VICTIM, Script, Wire, facts_of, only, played, rules_raised
from support.streams import Turn, ftp, http, smb, talk

SNAP_BYTES = 30  # of payload: `tcpdump -s 96` of TCP with time stamps over Ethernet


def snapped(packets: Sequence[Packet]) -> list[Packet]:
    return [msgspec.structs.replace(packet, payload=packet.payload[:SNAP_BYTES]) for packet in packets]


def lines(*said: str) -> list[Turn]:
    return [(line[0], line[1:].encode() + b"\r\n") for line in said]


def ftp_guesses() -> list[Turn]:
    greeting = [("<", b"220 Welcome to the file server of this place\r\n")]
    return greeting + ftp("alice", *[("wrong", False)] * 3)[1:]


def smtp_guesses() -> list[Turn]:
    greeting = lines("<220 mail.example.org ESMTP of this place", ">EHLO client", "<250-mail.example.org is here")
    return greeting + lines(">AUTH PLAIN AGFsaWNlAHdyb25n", "<535 5.7.8 Error: authentication failed: wrong") * 3


def pop3_guesses() -> list[Turn]:
    guess = lines(">USER alice", "<+OK now say the password, please", ">PASS wrong", "<-ERR [AUTH] that one was bad")
    return lines("<+OK the mailboxes of this place are here") + guess * 3


def imap_guesses() -> list[Turn]:
    guess = lines(">a1 LOGIN alice wrong", "<a1 NO [AUTHENTICATIONFAILED] wrong password")
    return lines("<* OK the mailboxes of this place are here, too") + guess * 3


def guess(turns: Callable[[], list[Turn]], port: int) -> Script:
    def script(wire: Wire) -> None:
        for _ in range(10):
            talk(wire, turns(), port=port)
            wire.wait(1)

    return script


@pytest.mark.parametrize(
    ("turns", "port", "rule"),
    [
        (ftp_guesses, 21, "ftp_bruteforce"),
        (smtp_guesses, 25, "login_bruteforce"),
        (pop3_guesses, 110, "login_bruteforce"),
        (imap_guesses, 143, "login_bruteforce"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_guesses_are_counted_all_the_same(turns: Callable[[], list[Turn]], port: int, rule: str) -> None:
    packets = played(guess(turns, port))
    assert rules_raised(packets) == [rule]
    assert rules_raised(snapped(packets)) == [rule]
    whole = sum(fact.fields["attempts"] for fact in only(facts_of(packets), "login"))
    assert sum(fact.fields["attempts"] for fact in only(facts_of(snapped(packets)), "login")) == whole == 30


@pytest.mark.parametrize("version", [1, 2])
def test_guesses_by_smb(version: int) -> None:
    def script(wire: Wire) -> None:
        for _ in range(20):
            talk(wire, smb("alice", 0xC000006D, version=version), port=445)

    assert rules_raised(snapped(played(script))) == ["smb_bruteforce"]


@pytest.mark.parametrize("keep_alive", [1, 20])
def test_a_search_for_hidden_pages(keep_alive: int) -> None:
    wire = Wire()
    for at in range(0, 80, keep_alive):
        talk(wire, [turn for word in range(at, at + keep_alive) for turn in http(f"/{word:03}", 404, body=3000)])
    assert rules_raised(snapped(wire.packets)) == ["web_scan"]


def test_requests_of_which_only_the_beginning_is_there() -> None:
    wire = Wire()
    talk(wire, http("/a"))
    talk(wire, http("/a/path/that/is/longer/than/what/is/left", 404))
    talk(wire, http("/of-just-that-many-byt", 404))
    requests = only(facts_of(snapped(wire.packets)), "http_request")
    assert sorted((fact.fields["uri"], fact.fields["status"]) for fact in requests) == [
        ("/a", 200),
        ("/a/path/that/is/longer/tha", 404),
        ("/of-just-that-many-byt", 404),
    ]
    assert {(fact.source_ip, fact.destination_ip) for fact in requests} == {(ATTACKER, VICTIM)}


def test_ordinary_visits_raise_nothing() -> None:
    wire = Wire()
    for number in range(200):
        talk(wire, http(f"/{number}", 404 if number % 9 == 0 else 200, body=3000))
        talk(wire, ftp("alice", ("right", True)), port=21)
    assert rules_raised(snapped(wire.packets)) == []
