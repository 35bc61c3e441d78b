"""Logins by FTP, mail protocols, telnet, SMB and RDP: how they went, for whom, and never the password."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.events import NetworkEvent
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import ATTACKER, VICTIM, Wire, facts_of, only
from support.streams import Turn, cut, ftp, hello, mix_up, old_smb, rdp, smb, talk, without

SECRET = "hunter2!x"
Told = tuple[str, str, int, str]  # service, outcome, attempts, user


def logins(wire: Wire) -> list[Told]:
    facts = facts_of(wire.packets)
    assert not any(SECRET in repr(fact) for fact in facts)
    return [_told(fact) for fact in only(facts, "login")]


def _told(fact: NetworkEvent) -> Told:
    assert (fact.source_ip, fact.destination_ip) == (ATTACKER, VICTIM)
    return fact.fields["service"], fact.fields["outcome"], fact.fields["attempts"], fact.user_name


def of(turns: list[Turn], port: int, *, end: str = "fin") -> list[Told]:
    wire = Wire()
    talk(wire, turns, port=port, end=end)
    return logins(wire)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def lines(*said: str) -> list[Turn]:
    """Lines that begin with "> " are the client's, with "< " the server's."""
    return [(line[0], line[2:].encode() + b"\r\n") for line in said]


@pytest.mark.parametrize("port", [21, 2121])
def test_ftp(port: int) -> None:
    assert of(ftp("bob", (SECRET, False), (SECRET, False)), port) == [("ftp", "failure", 2, "bob")]
    assert of(ftp("bob", (SECRET, True)), port) == [("ftp", "success", 1, "bob")]
    assert of(ftp("bob", (SECRET, False), (SECRET, True)), port) == [
        ("ftp", "failure", 1, "bob"),
        ("ftp", "success", 1, "bob"),
    ]


def test_ftp_details() -> None:
    before = lines(
        "< 220-Welcome", "< 220 ready", "> SYST", "< 530 Please login with USER and PASS.", "> FEAT", "< 500 no"
    )
    assert of(before, 21) == []
    assert of([*before, *ftp("bob", (SECRET, False))[1:]], 21) == [("ftp", "failure", 1, "bob")]
    assert of(lines("< 220 FTP", "> user bob", "< 331 p", f"> pass {SECRET}", "< 230-Hi", "< 230 in"), 21) == [
        ("ftp", "success", 1, "bob")
    ]
    assert of(lines("< 220 FTP", "> USER bob", "< 331 p", f"> PASS {SECRET}"), 21, end="reset") == [
        ("ftp", "unknown", 1, "bob")
    ]
    assert of(lines("< 220 FTP", "> USER bob", "< 331 p", f"> PASS {SECRET}", "< 421 too many"), 21) == [
        ("ftp", "failure", 1, "bob")
    ]
    assert of(lines("< 220 FTP", "> USER bob", "< 230 no password needed"), 21) == [("ftp", "success", 1, "bob")]


def test_ftp_of_which_only_the_server_is_seen() -> None:
    wire = Wire()
    talk(wire, ftp("bob", (SECRET, False), (SECRET, False)), port=21)
    wire.packets = [packet for packet in wire.packets if packet.source_port == 21]
    assert logins(wire) == [("ftp", "failure", 2, "")]


def test_ftp_of_which_the_beginning_is_not_seen() -> None:
    wire = Wire()
    talk(wire, ftp("bob", (SECRET, False), (SECRET, False)), port=21)
    wire.packets = wire.packets[5:]
    assert logins(wire) == [("ftp", "failure", 2, "bob")]


def test_smtp() -> None:
    hello_ = lines("< 220 mail ESMTP", "> EHLO me", "< 250-mail", "< 250 AUTH PLAIN LOGIN")
    plain = f"> AUTH PLAIN {b64(chr(0) + 'bob' + chr(0) + SECRET)}"
    assert of([*hello_, *lines(plain, "< 535 no", plain, "< 235 yes")], 2525) == [
        ("smtp", "failure", 1, "bob"),
        ("smtp", "success", 1, "bob"),
    ]
    login = (
        "> AUTH LOGIN",
        "< 334 VXNlcm5hbWU6",
        f"> {b64('bob')}",
        "< 334 UGFzc3dvcmQ6",
        f"> {b64(SECRET)}",
        "< 535 no",
    )
    assert of([*hello_, *lines(*login, *login)], 25) == [("smtp", "failure", 2, "bob")]
    waiting = ("> AUTH PLAIN", "< 334 ", f"> {b64(chr(0) + 'bob' + chr(0) + SECRET)}", "< 235 yes")
    assert of([*hello_, *lines(*waiting)], 587) == [("smtp", "success", 1, "bob")]
    assert (
        of([*hello_, *lines("> AUTH LOGIN", "< 334 x", "> *", "< 501 gone", "> MAIL FROM:<a>", "< 550 no")], 25) == []
    )


def test_a_greeting_that_both_ftp_and_smtp_have() -> None:
    assert of(
        lines("< 220 hi", "> EHLO x", "< 250 y", f"> AUTH PLAIN {b64(chr(0) + 'bob' + chr(0) + 'p')}", "< 535 n"), 99
    ) == [("smtp", "failure", 1, "bob")]
    assert of(ftp("bob", (SECRET, False)), 99) == [("ftp", "failure", 1, "bob")]


def test_pop3() -> None:
    user = ("> USER bob", "< +OK", f"> PASS {SECRET}")
    assert of(lines("< +OK ready", *user, "< -ERR no", *user, "< +OK 3 messages"), 110) == [
        ("pop3", "failure", 1, "bob"),
        ("pop3", "success", 1, "bob"),
    ]
    assert of(lines("< +OK <1@x>", "> APOP bob c4c9334bac560ecc979e58001b3e22fb", "< -ERR"), 110) == [
        ("pop3", "failure", 1, "bob")
    ]
    assert of(lines("< +OK", "> AUTH PLAIN", "< + ", f"> {b64(chr(0) + 'bob' + chr(0) + SECRET)}", "< +OK"), 1110) == [
        ("pop3", "success", 1, "bob")
    ]


def test_imap() -> None:
    assert of(
        lines(
            "< * OK ready", f'> a1 LOGIN "bob" "{SECRET}"', "< * x", "< a1 NO no", f"> a2 login bob {SECRET}", "< a2 OK"
        ),
        143,
    ) == [
        ("imap", "failure", 1, "bob"),
        ("imap", "success", 1, "bob"),
    ]
    literal = ("> a LOGIN {3}", "< + go", "> bob {9}", "< + go", f"> {SECRET}", "< a NO no")
    assert of(lines("< * OK ready", *literal, *literal), 143) == [("imap", "failure", 2, "bob")]
    plain = b64(chr(0) + "bob" + chr(0) + SECRET)
    assert of(lines("< * OK", f"> a AUTHENTICATE PLAIN {plain}", "< a OK"), 143) == [("imap", "success", 1, "bob")]
    assert of(lines("< * OK", "> a AUTHENTICATE PLAIN", "< +", f"> {plain}", "< a NO"), 143) == [
        ("imap", "failure", 1, "bob")
    ]


@pytest.mark.parametrize(
    "before",
    [
        lines("< 220 FTP", "> AUTH TLS", "< 234 go"),
        lines("< 220 x ESMTP", "> EHLO a", "< 250 STARTTLS", "> STARTTLS", "< 220 go"),
        lines("< +OK", "> STLS", "< +OK go"),
        lines("< * OK", "> a STARTTLS", "< a OK go"),
    ],
)
def test_tls_takes_over(before: list[Turn]) -> None:
    wire = Wire()
    talk(wire, [*before, (">", hello(server_name=b"mail.example"))], port=4444)
    facts = facts_of(wire.packets)
    assert [fact.fields["server_name"] for fact in only(facts, "tls_hello")] == ["mail.example"]
    assert only(facts, "login") == []


TELNET = [
    ("<", b"\xff\xfd\x18\xff\xfd\x20"),
    (">", b"\xff\xfc\x18\xff\xfb\x20"),
    ("<", b"\xff\xfa\x18\x01\xff\xf0Debian GNU/Linux\r\nhost login: "),
]


def test_telnet() -> None:
    typed: list[Turn] = [(">", bytes((code,))) for code in b"bpb\x7f\x7fob\r\0"]
    failed: list[Turn] = [*typed, ("<", b"bob\r\nPassword: "), (">", SECRET.encode() + b"\r\0"), ("<", b"\r\n")]
    again: list[Turn] = [("<", b"Login incorrect\r\nhost login: ")]
    assert of([*TELNET, *failed, *again, *failed, *again], 23) == [("telnet", "failure", 2, "bob")]
    inside: list[Turn] = [("<", b"Last login: Mon\r\n$ "), (">", b"su\r\n"), ("<", b"Password: "), (">", b"x\r\n")]
    assert of([*TELNET, *failed, *inside], 2323) == [("telnet", "success", 1, "bob")]
    assert of([*TELNET, *failed], 23) == [("telnet", "unknown", 1, "bob")]


@pytest.mark.parametrize("version", [1, 2])
def test_smb(version: int) -> None:
    assert of(smb("bob", 0xC000006D, version=version), 445) == [("smb", "failure", 1, "bob")]
    assert of(smb("bob", 0, version=version), 445) == [("smb", "success", 1, "bob")]
    assert of(smb("", 0, version=version), 445) == []  # the anonymous session
    assert of(smb("bob", 0xC0000016, version=version), 445) == []


@pytest.mark.parametrize("unicode", [True, False])
def test_smb_1_without_ntlm_messages(unicode: bool) -> None:
    assert of(old_smb("bob", 0xC000006D, unicode=unicode), 445) == [("smb", "failure", 1, "bob")]
    assert of(old_smb("bob", 0, unicode=unicode), 445) == [("smb", "success", 1, "bob")]
    assert of(old_smb("", 0, unicode=unicode), 445) == []


def test_smb_with_a_large_message_in_between() -> None:
    turns = smb("bob", 0xC000006D)
    large = (">", b"\0\0\xff\xff\xfeSMB" + bytes(0xFFFF - 4))
    assert of([*turns, large, *turns], 445) == [("smb", "failure", 2, "bob")]


def test_rdp() -> None:
    assert of(rdp("bob", 2000), 3389) == [("rdp", "failure", 1, "bob")]
    assert of(rdp("", 2000), 13_389) == [("rdp", "failure", 1, "")]
    assert of(rdp("bob", 50_000), 3389) == [("rdp", "unknown", 1, "bob")]
    assert of(rdp("bob", 0)[:2], 3389) == []  # a look at what the server can
    assert of(rdp("bob", 0)[:1], 3389) == []
    wire = Wire()
    talk(wire, rdp("bob", 2000), port=3389)
    (fact,) = only(facts_of(wire.packets), "tls_hello")
    assert fact.fields["server_name"] == ""


def test_failures_of_a_tick_are_one_fact_with_all_users() -> None:
    wire = Wire(step_us=5)
    for number in range(6):
        talk(wire, ftp(f"user{number % 3}", (SECRET, False), (SECRET, False)), port=21, pause_s=0)
    (fact,) = only(facts_of(wire.packets), "login")
    assert fact.count == fact.fields["attempts"] == 12
    assert fact.fields["user_names"] == ["user0", "user1", "user2"]
    assert fact.fields["cleartext"] is True


def test_a_success_is_stated_after_the_failures_beside_it() -> None:
    """Servers delay a refusal, so the right guess is answered before wrong ones that were sent earlier."""
    wire = Wire()
    talk(wire, ftp("bob", (SECRET, True)), port=21)
    sensor = Sensor(SensorConfig())
    facts = sensor.feed(wire.packets)
    wire.packets.clear()
    wire.wait(3)
    talk(wire, ftp("bob", *[(SECRET, False)] * 5), port=21)
    facts += sensor.feed(wire.packets) + sensor.finish()
    tries = only(facts, "login")
    assert [fact.fields["outcome"] for fact in tries] == ["failure", "success"]
    assert tries[0].time_us <= tries[1].time_us


@pytest.mark.parametrize("segment", [1, 2, 5, 1000])
def test_segments_of_any_size(segment: int) -> None:
    for turns, port in ((ftp("bob", (SECRET, False)), 21), (smb("bob", 0xC000006D), 445), (rdp("bob", 2000), 3389)):
        wire = Wire()
        talk(wire, turns, port=port)
        wire.packets = cut(wire.packets, segment)
        assert [told[1:] for told in logins(wire)] == [("failure", 1, "bob")]


def test_doubled_and_lost_segments() -> None:
    turns = ftp("bob", *[(SECRET, False)] * 10)
    for seed in range(10):
        wire = Wire()
        talk(wire, turns, port=21)
        wire.packets = mix_up(wire.packets, seed, twice=0.5)
        assert logins(wire) == [("ftp", "failure", 10, "bob")]
    wire = Wire()
    talk(wire, turns, port=21)
    lost = iter([False, True] * 10)
    wire.packets = without(wire.packets, lambda packet: packet.payload[:3] == b"530" and next(lost))
    assert logins(wire) == [("ftp", "failure", 9, "bob"), ("ftp", "unknown", 1, "bob")]  # the last one's answer is lost


def test_switched_off() -> None:
    config = SensorConfig()
    config.applications.logins = False
    wire = Wire()
    talk(wire, ftp("bob", (SECRET, False)), port=21)
    assert only(facts_of(wire.packets, config), "login") == []


BEGINNINGS = [b"220 FTP\r\n", b"220 ESMTP\r\n", b"220 x\r\n", b"+OK\r\n", b"* OK\r\n", b"\xff\xfd\x18"]
BEGINNINGS += [b"SSH-2.0-x\r\n", smb("bob", 0)[0][1], rdp("bob", 1)[0][1], hello()]
WORDS = [b"USER a", b"PASS b", b"530 x", b"230 x", b"AUTH LOGIN", b"AUTH PLAIN AGEAYg==", b"AUTH", b"STARTTLS", b"EHLO"]
WORDS += [
    b"a LOGIN {1}",
    b"a LOGIN b c",
    b"a OK",
    b"+OK",
    b"-ERR",
    b"334",
    b"535 x",
    b"login: ",
    b"password: ",
    b"\xff",
]
WORDS += [
    smb("bob", 1)[-1][1],
    smb("bob", 0xC000006D, version=1)[-1][1],
    b"\0\0\0\5\xfeSMB",
    b"\x03\0\0\0",
    b"{1}",
    b"*",
]
SAID = st.one_of(st.binary(max_size=40), st.sampled_from(WORDS), st.sampled_from([word + b"\r\n" for word in WORDS]))


@given(
    st.sampled_from(BEGINNINGS),
    st.sampled_from("<>"),
    st.lists(st.tuples(st.sampled_from("<>"), SAID), max_size=25),
    st.sampled_from([21, 23, 25, 445, 3389, 9999]),
    st.integers(1, 60),
)
def test_any_bytes(beginning: bytes, who: str, turns: list[Turn], port: int, segment: int) -> None:
    wire = Wire()
    talk(wire, [(who, beginning), *turns], port=port, segment=segment)
    for fact in facts_of(wire.packets):
        assert len(fact.user_name) <= 300
