"""Hostile text: whatever comes in, one visible line of limited length goes out."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import Alert
from siemd.notify.config import NotifyConfig
from siemd.notify.render import Item, Writer, brief
from siemd.notify.text import tame
from support.incidents import incident


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_what_comes_out_is_one_visible_line(text: str, limit: int) -> None:
    tamed = tame(text, limit)
    assert len(tamed) <= limit
    assert len(tamed.splitlines()) <= 1
    assert not {unicodedata.category(character) for character in tamed} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    tamed.encode("utf-8")


@settings(deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_plain_text_stays(text: str) -> None:
    assert tame(text, 40) == text


@pytest.mark.parametrize(
    "text", ["a\r\nBcc: x@y", "\u202egnp.exe", "a\x1b[31mb", "a\u2028b", "x\ud800y", "z" + "\u0301" * 500]
)
def test_known_tricks(text: str) -> None:
    tamed = tame(text, 400)
    assert not set(tamed) & set("\r\n\u202e\x1b\u2028\ud800")
    assert tamed.count("\u0301") <= 3


def test_a_megabyte_is_cut() -> None:
    alert = incident(title="t" * 1_000_000, reason="\n" * 1_000_000 + "r", group={"k" * 1_000_000: "v\r" * 500_000})
    message = Writer(NotifyConfig(), "h").message("u", "r", [Item("open", brief(alert))], 0)
    assert len(message.subject) <= 150
    assert len(message.text) < 3000
    assert len(str(message.incidents)) < 5000


def test_the_text_of_one_incident() -> None:
    config = NotifyConfig(zone="Europe/Berlin", console_url="https://siem.example/")
    alert = incident(
        rule="ssh_bruteforce",
        title="SSH password guessing",
        level="high",
        reason="192.0.2.77 tried 12 passwords",
        count=12,
        tags=["attack.credential_access", "attack.t1110.001"],
        group={"source_ip": "192.0.2.77"},
        first_seen_us=1_795_000_000_000_000,
        last_seen_us=1_795_000_120_000_000,
    )
    message = Writer(config, "web-1").message("u", "ops", [Item("open", brief(alert))], 0)
    assert message.subject == "HIGH: SSH password guessing on lab"
    assert message.text.splitlines() == [
        "192.0.2.77 tried 12 passwords",
        "HIGH, rule ssh_bruteforce on lab",
        "12 events, Wed 18 Nov 12:06 to 12:08 CET",
        "source_ip: 192.0.2.77",
        "ATT&CK: T1110.001",
        "https://siem.example/alerts/i1",
    ]
    bare = incident(reason="", group={}, tags=[])
    lines = Writer(NotifyConfig(zone="UTC"), "h").message("u", "ops", [Item("grow", brief(bare))], 0).text.splitlines()
    assert lines == ["A title", "MEDIUM, rule a_rule on lab (grew to 1)", "1 events, Wed 18 Nov 11:06 UTC"]


def test_the_text_of_many() -> None:
    alerts: list[Alert] = [incident(f"i{n}", level="critical" if n == 7 else "low", reason=f"r{n}") for n in range(30)]
    message = Writer(NotifyConfig(zone="UTC"), "h").message(
        "u", "ops", [Item("open", brief(a)) for a in alerts], 0, "why"
    )
    assert message.subject == "30 incidents on lab: 1 critical, 29 low"
    assert message.text.splitlines()[1:4] == ["why", "", "CRITICAL: r7"]
    assert message.text.endswith("and 10 more")
    assert message.total == len(message.incidents) == 30


def test_a_template_of_ones_own() -> None:
    config = NotifyConfig(subject="[siemd] {rule}", text="{incident_id} {host}\nnothing: {link}\n{{x}}")
    message = Writer(config, "h").message("u", "ops", [Item("open", brief(incident()))], 0)
    assert message.subject == "[siemd] a_rule"
    assert message.text.splitlines()[0] == "i1 lab"
    assert "nothing" not in message.text


def test_fields_in_hostile_values_are_not_filled_in() -> None:
    message = Writer(NotifyConfig(), "h").message("u", "r", [Item("open", brief(incident(reason="{host}{link}")))], 0)
    assert message.text.startswith("{host}{link}\n")
