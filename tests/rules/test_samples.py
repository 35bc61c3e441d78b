"""Every rule that ships with siemd raises its name on its matching samples, and not on the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.events import Event, decode_event_json

SAMPLES = Path(__file__).parent
FOLDERS = sorted(path for path in SAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return load_ruleset(DetectionConfig())


def raised(ruleset: Ruleset, samples: Path) -> set[str]:
    detector = Detector(ruleset, DetectionConfig(), "sample-host")
    lines = samples.read_bytes().splitlines()
    events: list[Event] = [decode_event_json(line) for line in lines if line.strip()]
    assert events, f"{samples} holds no events"
    alerts = detector.process(events) + detector.finish()
    return {alert.rule for alert in alerts}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_matching_samples_raise_the_rule(folder: Path, ruleset: Ruleset) -> None:
    assert folder.name in raised(ruleset, folder / "match.jsonl")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_other_samples_do_not(folder: Path, ruleset: Ruleset) -> None:
    assert folder.name not in raised(ruleset, folder / "nomatch.jsonl")


def test_the_shipped_rules_are_whole(ruleset: Ruleset) -> None:
    assert [str(problem) for problem in ruleset.problems] == []
    for rule in ruleset.rules:
        assert rule.id and rule.description and rule.tags and rule.author, f"{rule.name} in {rule.path}"


def test_every_rule_that_alerts_has_samples(ruleset: Ruleset) -> None:
    names = {rule.name for rule in ruleset.rules if ruleset.alerts(rule)}
    assert sorted(names - {folder.name for folder in FOLDERS}) == []


def test_every_folder_belongs_to_a_rule(ruleset: Ruleset) -> None:
    assert sorted({folder.name for folder in FOLDERS} - {rule.name for rule in ruleset.rules}) == []
