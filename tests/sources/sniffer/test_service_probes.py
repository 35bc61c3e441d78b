"""The questions that the sensor knows are those of the nmap that is installed, and no harmless words are among them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.events import NetworkEvent
from siemd.sources.sniffer.observers.service_probes import ServiceProbes
from siemd.sources.sniffer.packet import TCP, Packet

PROBES = Path("/usr/share/nmap/nmap-service-probes")
TARGET = (b"\x0a\0\0\1", b"\x0a\0\0\2", 80, 0)
FEWEST = 30


def facts_of(payload: bytes, quiet_us: int = 0) -> list[NetworkEvent]:
    observer = ServiceProbes(64)
    packet = Packet(5, 60, TCP, TARGET[0], TARGET[1], payload=payload, payload_length=len(payload))
    observer.first_words(TARGET, packet, quiet_us)
    return observer.tick()


def unescaped(text: str) -> bytes:
    plain = re.sub(r"\\0(?!x)", r"\\x00", text)
    return plain.encode().decode("unicode_escape").encode("latin-1")


def test_the_questions_of_the_installed_nmap_have_their_names() -> None:
    if not PROBES.is_file():
        pytest.skip("not installed: nmap (./dev test as root installs what the tests need)")
    known = set()
    for name, text in re.findall(r"^Probe TCP (\S+) q\|(.*?)\|", PROBES.read_text(errors="replace"), re.MULTILINE):
        for fact in facts_of(unescaped(text)):
            assert fact.fields["probes"] == [name]
            known.add(name)
    assert len(known) >= FEWEST, sorted(known)


@pytest.mark.parametrize(
    "words", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", b"SSH-2.0-a\r\n", b"\x16\x03\x01"]
)
def test_ordinary_first_words_are_none(words: bytes) -> None:
    assert facts_of(words, 60_000_000) == []


def test_a_plain_question_is_marked_after_silence() -> None:
    (quick,), (late,) = facts_of(b"\r\n\r\n"), facts_of(b"\r\n\r\n", 6_000_000)
    assert (quick.fields["marked"], late.fields["marked"]) == (False, True)


@given(st.binary(max_size=200))
def test_any_words(words: bytes) -> None:
    for fact in facts_of(words):
        assert fact.fields["probes"]
