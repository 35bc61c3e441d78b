"""How close events came to a threshold is told for every kind of correlation, and changes no answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.reached import Reached
from siemd.events import Event, NetworkEvent

SECOND = 1_000_000
START_US = 1_795_000_000 * SECOND
RULES = """
title: Probe
name: probe
logsource: {product: siemd, category: network}
detection:
  selection: {event_type: tcp_probe}
  condition: selection
---
title: Other
name: other
logsource: {product: siemd, category: network}
detection:
  selection: {event_type: ping}
  condition: selection
---
title: Measured
name: measured
level: high
correlation:
  type: TYPE
  rules: [probe, other]
  group-by: [source_ip]
  timespan: 10s
  condition: CONDITION
"""


def ruleset(folder: Path, kind: str, condition: str) -> Ruleset:
    (folder / "rule.yml").write_text(RULES.replace("TYPE", kind).replace("CONDITION", condition))
    found = load_ruleset(DetectionConfig(rules=[str(folder)]))
    assert not found.problems, found.problems
    return found


def event(second: float, port: int = 1, *, source: str = "192.0.2.1", kind: str = "tcp_probe", count: int = 1) -> Event:
    return NetworkEvent(
        time_us=START_US + int(second * SECOND),
        event_type=kind,
        source_ip=source,
        destination_port=port,
        count=count,
        fields={},
    )


def reached(rules: Ruleset, events: list[Event]) -> Reached:
    detector = Detector(rules, DetectionConfig(), "host")
    detector.measure()
    detector.process(events)
    detector.finish()
    (found,) = detector.reached()
    return found


@pytest.mark.parametrize(
    ("kind", "condition", "value"),
    [
        ("event_count", "{gte: 10}", 4),
        ("value_count", "{field: destination_port, gte: 10}", 3),
        ("value_sum", "{field: count, gt: 100}", 22),
        ("value_avg", "{field: destination_port, gte: 10}", 2.5),
        ("temporal", "{gte: 2}", 1),
        ("temporal_ordered", "{gte: 2}", 1),
    ],
)
def test_the_highest_value_its_group_and_its_time(tmp_path: Path, kind: str, condition: str, value: float) -> None:
    quiet = [event(second, 1, source="192.0.2.9") for second in (0, 20)]
    busy = [event(30, 1), event(31, 2), event(32, 3), event(38, 3, count=1 if kind != "value_sum" else 19)]
    if kind == "value_avg":
        busy = [event(30, 2), event(32, 3)]
    found = reached(ruleset(tmp_path, kind, condition), [*quiet, *busy, event(70, 1)])
    assert found.value == value
    if not kind.startswith("temporal"):
        assert found.group == {"source_ip": "192.0.2.1"}
        assert found.first_us == START_US + 30 * SECOND
        assert "192.0.2.1" in found.sentence()
    assert found.percent < 100


def test_what_fires_is_at_a_hundred_percent_or_more(tmp_path: Path) -> None:
    found = reached(ruleset(tmp_path, "event_count", "{gte: 10}"), [event(second / 2) for second in range(15)])
    assert found.percent == 150


def test_thresholds_that_a_number_falls_to_are_left_out(tmp_path: Path) -> None:
    detector = Detector(ruleset(tmp_path, "event_count", "{lt: 10}"), DetectionConfig(), "host")
    detector.measure()
    detector.process([event(1)])
    assert detector.reached() == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from("ab")), max_size=60))
def test_measuring_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, str]]
) -> None:
    rules = ruleset(tmp_path_factory.mktemp("rules"), "value_count", "{field: destination_port, gte: 5}")
    events = [event(second, port, source=source) for second, port, source in steps]
    answers = []
    for measured in (False, True):
        detector = Detector(rules, DetectionConfig(), "host")
        if measured:
            detector.measure()
        alerts = detector.process(events) + detector.finish()
        answers.append([(alert.revision, alert.reason, alert.count) for alert in alerts])
        if measured and (found := detector.reached()):
            assert (found[0].percent >= 100) == bool(alerts)
    assert answers[0] == answers[1]
