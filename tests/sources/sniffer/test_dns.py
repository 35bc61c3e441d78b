"""The parser of DNS messages, and which domain a name belongs to."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import dns as scapy_dns

from siemd.sources.sniffer.dns import MAX_ANSWERS, MAX_TEXT, name_text, netbios_name, parse, type_name
from siemd.sources.sniffer.suffixes import registered
from support.messages import AAAA, CNAME, MX, NULL, TXT, A, answer, name, netbios, query, record, txt

labels = st.lists(st.binary(min_size=1, max_size=63), min_size=1, max_size=6).filter(
    lambda some: sum(map(len, some)) + len(some) <= 254
)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    message = parse(data)
    if message is not None:
        assert len(message.answers) <= MAX_ANSWERS
        name_text(message.labels)
        registered(message.labels)
        netbios_name(message.labels)


@given(st.binary(min_size=12, max_size=200))
def test_any_bytes_behind_a_header_that_promises_much(data: bytes) -> None:
    for head in (
        b"\0\0\x80\0\0\x01\xff\xff\0\0\0\0",
        b"\0\0\x80\0\xff\xff\xff\xff\0\0\0\0",
        b"\0\0\0\0\0\x01\0\0\0\0\0\0",
    ):
        message = parse(head + data)
        assert message is None or len(message.answers) <= MAX_ANSWERS


@given(labels, st.integers(0, 65_535), st.integers(0, 65_535))
def test_a_question_is_read_as_it_was_written(some: list[bytes], kind: int, ident: int) -> None:
    message = parse(query(some, kind, ident=ident))
    assert message is not None
    assert message.labels == tuple(label.lower() for label in some)
    assert (message.record_type, message.ident, message.response, message.answers) == (kind, ident, False, [])
    assert "\n" not in name_text(message.labels)


@given(labels, st.data())
def test_every_prefix_of_a_message(some: list[bytes], data: st.DataObject) -> None:
    whole = answer(some, [record(A, b"\x01\x02\x03\x04"), txt(b"x" * 300), record(CNAME, name("a.example"))])
    cut = data.draw(st.integers(0, len(whole)))
    message = parse(whole[:cut])
    question = 12 + len(name(some)) + 4
    assert (message is not None) == (cut >= question)


def test_answers_as_people_write_them() -> None:
    records = [
        record(A, bytes((192, 0, 2, 1))),
        record(AAAA, bytes(15) + b"\x01"),
        record(CNAME, name("Other.Example.ORG")),
        record(MX, b"\0\x0a" + name("mail.example.org")),
        record(33, struct.pack(">HHH", 1, 2, 5060) + b"\xc0\x0c"),
        txt(b"v=spf1 -all"),
        record(NULL, b"\0\xff"),
    ]
    message = parse(answer("www.example.org", records))
    assert message is not None
    assert [one.text for one in message.answers] == [
        "192.0.2.1",
        "::1",
        "other.example.org",
        "mail.example.org",
        "www.example.org:5060",
        "v=spf1 -all",
        "",
    ]
    assert message.answers[0].labels == (b"www", b"example", b"org")


def test_long_texts_are_cut() -> None:
    message = parse(answer("x.example", [txt(b"y" * 4000)], TXT))
    assert message is not None
    assert message.answers[0].text == "y" * MAX_TEXT


@pytest.mark.parametrize(
    "bad",
    [
        b"\xc0\x0c",  # a name that is itself
        b"\x01a\xc0\x0c",  # a name that ends in itself
        b"\xc0\x10",  # forwards
        b"\x40" + bytes(64),  # a length that doesn't exist
        b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\x01a\0",  # 255 bytes and one
    ],
)
def test_names_that_no_server_would_write(bad: bytes) -> None:
    assert parse(b"\0\0\x01\0\0\x01\0\0\0\0\0\0" + bad + b"\0\x01\0\x01") is None


def test_a_ladder_of_pointers_ends() -> None:
    ladder = b"\x01a\0" + b"".join(struct.pack(">H", 0xC000 | max(12, 12 + 3 + 2 * (step - 1))) for step in range(200))
    data = b"\0\0\x81\x80\0\0\xff\xff\0\0\0\0" + ladder + struct.pack(">H", 0xC000 | 12 + 3 + 2 * 198)
    message = parse(data)
    assert message is not None and message.answers == []


def test_what_scapy_writes_is_read() -> None:
    packet = scapy_dns.DNS(
        id=77,
        qr=1,
        rcode=3,
        qd=scapy_dns.DNSQR(qname="a.B.example.com", qtype="AAAA"),
        an=scapy_dns.DNSRR(rrname="a.b.example.com", type="AAAA", rdata="2001:db8::1"),
    )
    message = parse(bytes(packet))
    assert message is not None
    assert (message.ident, message.response, message.response_code) == (77, True, 3)
    assert name_text(message.labels) == "a.b.example.com"
    assert [one.text for one in message.answers] == ["2001:db8::1"]


def test_letters_that_no_name_has_are_escaped() -> None:
    assert name_text((b"a.b", b"c d", b"\xe4", b"\n")) == r"a\.b.c\032d.\228.\010"
    assert name_text(()) == ""


def test_types_by_name() -> None:
    assert [type_name(number) for number in (1, 10, 65, 65_399)] == ["A", "NULL", "HTTPS", "TYPE65399"]


def test_netbios_names() -> None:
    message = parse(b"\0\x01\x01\x10\0\x01\0\0\0\0\0\0" + netbios("Fileserver") + b"\0\x20\0\x01")
    assert message is not None
    assert netbios_name(message.labels) == ("fileserver", 0x20)
    assert netbios_name((b"www", b"example")) is None
    assert netbios_name((b"z" * 32,)) is None
    assert netbios_name(()) is None


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("www.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("x.d111.cloudfront.net", "d111.cloudfront.net"),
        ("x.shop.blob.core.windows.net", "shop.blob.core.windows.net"),
        ("a.b.xn--p1ai", "b.xn--p1ai"),
        ("a.example.lab", "example.lab"),
        ("host", ""),
        ("dnscat.a1b2.c3d4", ""),
        ("", ""),
    ],
)
def test_registered_domains(text: str, domain: str) -> None:
    assert name_text(registered(tuple(text.encode().split(b".") if text else ()))) == domain
