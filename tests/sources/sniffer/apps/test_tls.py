"""TLS: names, versions and JA4 out of a ClientHello, in however many pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.sources.sniffer.apps.ja4 import ja4
from siemd.sources.sniffer.apps.tls import parse_hello
from support.conversation import Wire, facts_of, only
from support.streams import cut, hello, talk

BROWSER_SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"
BROWSER_CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"


def numbers(listed: str) -> list[int]:
    return [int(one, 16) for one in listed.split(",")]


# Pairs of published raw lists (JA4_ro) and fingerprints: the specification's own example, and browsers as recorded by
# services that show a visitor's fingerprint.
@pytest.mark.parametrize(
    ("ciphers", "extensions", "signatures", "alpn", "expected"),
    [
        (
            BROWSER_CIPHERS,
            "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015",
            BROWSER_SIGNATURES,
            b"h2",
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
        ),
        (
            BROWSER_CIPHERS,
            "002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,001b",
            BROWSER_SIGNATURES,
            b"h2",
            "t13d1516h2_8daaf6152771_d8a2da3f94cd",
        ),
    ],
)
def test_known_fingerprints(ciphers: str, extensions: str, signatures: str, alpn: bytes, expected: str) -> None:
    with_grease = [0x0A0A, *numbers(ciphers)], [0x1A1A, *numbers(extensions), 0xFAFA]
    assert ja4(0x0304, *with_grease, numbers(signatures), alpn) == expected


def test_ends_of_the_protocols_name() -> None:
    assert ja4(0x0303, [0x1301], [0], [], b"").startswith("t12d010100_")
    assert ja4(0x0303, [0x1301], [], [], b"x").startswith("t12i0100xx_")
    assert ja4(0x0301, [0x1301], [], [], b"\xab\xcd").startswith("t10i0100ad_")
    assert ja4(0x0301, [0x1301], [], [], b"h\xff").startswith("t10i01006f_")
    assert ja4(0x7777, [], [], [], b"").endswith("_000000000000_000000000000")


def test_what_a_hello_tells() -> None:
    extensions = [
        (0x000A, b"\x00\x02\x00\x1d"),
        (0x000D, b"\x00\x04\x04\x03\x08\x04"),
        (0x002B, b"\x06\x9a\x9a\x03\x04\x03\x03"),
    ]
    found = parse_hello(hello(extensions=extensions)[9:])
    assert found is not None
    assert found.server_name == "www.example.org"
    assert found.version == "1.3"
    assert found.alpn == ("h2", "http/1.1")
    assert found.ja4 == ja4(0x0304, [0x1301, 0x1302, 0xC02F], [0, 0x10, 0x0A, 0x0D, 0x2B], [0x0403, 0x0804], b"h2")


def test_old_and_bare_hellos() -> None:
    found = parse_hello(hello(server_name=b"", alpn=(), version=0x0301)[9:])
    assert found is not None
    assert (found.server_name, found.version, found.alpn) == ("", "1.0", ())
    assert found.ja4.startswith("t10i030000_")


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    parse_hello(data)


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    whole = bytearray(hello()[9:])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    parse_hello(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@pytest.mark.parametrize("record", [5, 60, 16_000])
@pytest.mark.parametrize("segment", [1, 7, 100, 1400])
def test_pieces_of_any_size(record: int, segment: int) -> None:
    wire = Wire()
    talk(wire, [(">", hello(record=record)), ("<", b"\x16\x03\x03\x00\x04\x02\0\0\0")], port=8443)
    (fact,) = only(facts_of(cut(wire.packets, segment)), "tls_hello")
    assert fact.destination_port == 8443
    assert fact.fields["server_name"] == "www.example.org"


def test_equal_hellos_of_a_tick_are_one_fact_and_there_is_a_limit_to_different_ones() -> None:
    wire = Wire(step_us=1)
    for _ in range(3):
        talk(wire, [(">", hello())], port=443, pause_s=0)
    (fact,) = only(facts_of(wire.packets), "tls_hello")
    assert fact.count == 3
    wire = Wire(step_us=1)
    for number in range(200):
        talk(wire, [(">", hello(server_name=b"h%d.example" % number))], port=443, pause_s=0)
    assert len(only(facts_of(wire.packets), "tls_hello")) == 64
