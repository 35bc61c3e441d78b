"""The official regression samples: each record fires the rule that it was made for, with all public rules loaded."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.rulefile import read_rules
from siemd.sources.evtxfile import read_events

CORRELATION = """---
title: c
name: many_{0}
correlation: {{type: event_count, rules: [{0}], group-by: [Computer], timespan: 1h, condition: {{gte: 1}}}}
"""
FILTER = """---
title: f
logsource: {{product: windows}}
filter: {{rules: [{0}], selection: {{EventID|exists: true}}, condition: selection}}
"""


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


def test_correlations_and_filters_take_up_every_rule_that_fires(
    corpus: Path, rows: list[dict[str, str]], public: Ruleset
) -> None:
    """A correlation over each rule fires too, by Computer; with a filter on the rule neither does."""
    ids = {row["rule_id"] for row in rows}
    rules = [rule for rule in public.rules if rule.id in ids]
    correlations, problems = read_rules("correlations.yml", "".join(map(CORRELATION.format, sorted(ids))))
    filters, more = read_rules("filters.yml", "".join(map(FILTER.format, sorted(ids))))
    assert [*problems, *more] == []
    open_set, closed_set = Ruleset([*rules, *correlations]), Ruleset([*rules, *correlations, *filters])
    assert [str(one) for one in (*open_set.problems, *closed_set.problems, *closed_set.warnings)] == []
    opened, closed = (Detector(one, DetectionConfig(), "h") for one in (open_set, closed_set))
    fired: set[str] = set()
    for row in rows:
        for events in read_events(corpus / "sigma" / row["sample"]):
            fired |= {alert.rule for alert in opened.process(events) if alert.group.get("Computer")}
            assert closed.process(events) == []
    assert fired == {f"many_{name}" for name in ids}
    assert opened.counters()["ungrouped_events"] == 0
