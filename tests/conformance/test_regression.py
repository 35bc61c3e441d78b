"""The official regression samples: each record fires the rule that it was made for, with all public rules loaded."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.sources.evtxfile import read_events


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[dict[str, str]]:
    path = corpus / "sigma" / "regression.tsv"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_sample_fires_its_rule(corpus: Path, rows: list[dict[str, str]], public: Ruleset) -> None:
    """Not one test a row: each worker of a parallel run would load all rules again."""
    detector = Detector(public, DetectionConfig(), "h")
    silent = []
    for row in rows:
        last = {}
        for events in read_events(corpus / "sigma" / row["sample"]):
            last.update((alert.incident_id, alert) for alert in detector.process(events))
        last.update((alert.incident_id, alert) for alert in detector.finish())
        counts: Counter[str] = Counter()
        for alert in last.values():
            counts[alert.rule_id] += alert.count
        if counts[row["rule_id"]] < int(row["min_matches"]):
            silent.append(f"{row['rule_file']}: {counts[row['rule_id']]} of {row['min_matches']}")
    assert silent == []
    assert rows


def test_every_sample_has_a_rule(rows: list[dict[str, str]], public: Ruleset) -> None:
    ids = {rule.id for rule in public.rules}
    assert [row["rule_file"] for row in rows if row["rule_id"] not in ids] == []
