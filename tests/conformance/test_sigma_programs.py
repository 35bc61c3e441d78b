"""All public rules on all recorded events: compiled programs match what each rule alone would."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from siemd.detection import Ruleset, load_ruleset
from siemd.detection.matcher import Matcher
from siemd.events import LogEvent
from siemd.sources.evtxfile import read_events
from support.plain_matcher import PlainMatcher

VARIATIONS = 4


@pytest.fixture(scope="module")
def recorded(corpus: Path) -> list[LogEvent]:
    """Every recorded event, and variations in which values of several are mixed."""
    files = sorted(corpus.rglob("*.evtx"))
    if not files:
        pytest.skip(f"no recorded events below {corpus}")
    events = [event for file in files for batch in read_events(file) for event in batch]
    source = random.Random(7)
    mixed = []
    for event in events * VARIATIONS:
        other, field = source.choice(events), source.choice(sorted(event.fields))
        fields = {**event.fields, field: other.fields.get(field, [event.fields[field], source.randrange(9)])}
        mixed.append(msgspec.structs.replace(event, fields=fields))
    return events + mixed


@pytest.fixture(scope="module")
def public(corpus: Path) -> Ruleset:
    return load_ruleset(sorted((corpus / "sigma").glob("rules*")))


def test_programs_match_what_the_rules_do(public: Ruleset, recorded: list[LogEvent]) -> None:
    matcher, plain = Matcher(public.plain), PlainMatcher(public.plain)
    matches = 0
    for event in recorded:
        expected = plain.match(event)
        assert list(matcher.match(event)) == expected, (event, expected)
        matches += len(expected)
    assert matches > len(recorded) / 2
