"""Sets of rules from folders, what is switched off, and a detector that no event can break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.rulefile import read_rules
from siemd.events import Alert, Event, LogEvent, NetworkEvent, UsageSample

RULE = """
title: {name}
name: {name}
tags: [attack.{name}]
logsource: {{product: siemd, category: network}}
detection: {{s: {{event_type: probe}}, condition: s}}
"""
COUNT = """
title: {name}
name: {name}
correlation: {{type: event_count, rules: [{of}], timespan: 5m, condition: {{gte: 2}}}}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_folders_are_read_recursively_in_order(tmp_path: Path) -> None:
    write(tmp_path, b=RULE.format(name="b"), a=RULE.format(name="a"), deep__er__c=RULE.format(name="c"))
    (tmp_path / "d.yaml").write_text(RULE.format(name="d"))
    (tmp_path / "readme.md").write_text("not a rule")
    ruleset = load_ruleset([tmp_path, tmp_path / "a.yml"])
    assert not ruleset.problems
    assert [rule.name for rule in ruleset.rules] == ["a", "b", "d", "c"]


def test_a_broken_file_leaves_the_others(tmp_path: Path) -> None:
    write(tmp_path, a=RULE.format(name="a"), b="title: [", c=RULE.format(name="c"))
    ruleset = load_ruleset([tmp_path, tmp_path / "missing"])
    assert [rule.name for rule in ruleset.rules] == ["a", "c"]
    assert [Path(problem.path).name for problem in ruleset.problems] == ["b.yml", "missing"]


def test_the_configuration_names_the_folders(tmp_path: Path) -> None:
    write(tmp_path, mine=RULE.format(name="mine"))
    ruleset = load_ruleset(DetectionConfig(rules=["builtin", str(tmp_path)], disabled=["log_cleared"]))
    names = {rule.name for rule in ruleset.rules}
    assert {"mine", "new_service"} <= names
    assert "log_cleared" not in names


def test_doubles_are_problems(tmp_path: Path) -> None:
    identity = "id: 5e0b8d5c-0000-4000-8000-00000000000a\n"
    write(
        tmp_path,
        a=RULE.format(name="same"),
        b=RULE.format(name="same"),
        c=RULE.format(name="c") + identity,
        d=RULE.format(name="d") + identity,
    )
    ruleset = load_ruleset([tmp_path])
    assert [rule.name for rule in ruleset.rules] == ["same", "c"]
    assert [str(problem).split(": ")[0] for problem in ruleset.problems] == [
        f"{tmp_path / 'b.yml'}:3:7",
        f"{tmp_path / 'd.yml'}:7:5",
    ]


def test_correlations_may_come_before_their_rules_and_in_chains(tmp_path: Path) -> None:
    write(
        tmp_path,
        a=COUNT.format(name="a", of="b"),
        b=COUNT.format(name="b", of="c"),
        c=RULE.format(name="c"),
    )
    ruleset = load_ruleset([tmp_path])
    assert not ruleset.problems
    assert [one.name for one in ruleset.correlations] == ["b", "a"]


def test_circles_and_unknown_rules_are_problems(tmp_path: Path) -> None:
    write(
        tmp_path,
        a=COUNT.format(name="a", of="b"),
        b=COUNT.format(name="b", of="a"),
        c=COUNT.format(name="c", of="prob"),
        d=COUNT.format(name="d", of="c"),
        probe=RULE.format(name="probe"),
    )
    ruleset = load_ruleset([tmp_path])
    assert [rule.name for rule in ruleset.rules] == ["probe"]
    messages = sorted(problem.message for problem in ruleset.problems)
    assert messages == [
        "'a' refers to itself through its rules",
        "'b' refers to itself through its rules",
        "'d' refers to a rule that cannot be used",
        "there is no rule named 'prob'",
    ]


def test_disabled_by_name_id_or_tag_with_what_builds_on_it(tmp_path: Path) -> None:
    write(tmp_path, a=RULE.format(name="a"), b=RULE.format(name="b"), c=COUNT.format(name="c", of="b"))
    assert [rule.name for rule in load_ruleset([tmp_path], disabled=["a"]).rules] == ["b", "c"]
    ruleset = load_ruleset([tmp_path], disabled=["attack.b"])
    assert [rule.name for rule in ruleset.rules] == ["a"]
    assert ruleset.disabled == ["b", "c"]
    assert not ruleset.problems


def test_only_one_rule_with_what_it_needs(tmp_path: Path) -> None:
    write(tmp_path, a=RULE.format(name="a"), b=RULE.format(name="b"), c=COUNT.format(name="c", of="b"))
    ruleset = load_ruleset([tmp_path])
    assert [rule.name for rule in ruleset.only("c").rules] == ["b", "c"]
    assert [rule.name for rule in ruleset.only("b").rules] == ["b"]
    assert [rule.name for rule in ruleset.only("nothing").rules] == []


def test_switching_a_correlation_off_lets_its_rule_speak(tmp_path: Path) -> None:
    write(tmp_path, b=RULE.format(name="b"), c=COUNT.format(name="c", of="b"))
    quiet, loud = load_ruleset([tmp_path]), load_ruleset([tmp_path], disabled=["c"])
    assert not quiet.alerts(quiet.rules[0])
    assert loud.alerts(loud.rules[0])


def test_a_rule_set_without_rules(tools: Any) -> None:
    detector = Detector(Ruleset([]), DetectionConfig(), "h")
    assert detector.process([tools.fact()]) == []
    assert detector.counters()["checked_events"] == 1


WIDE = r"""
title: wide
logsource: {product: LOGSOURCE}
detection:
  text: {A: x, 'B|contains': [y, 'a*b?c'], 'C|startswith': z, 'D|endswith|cased': Q}
  number: {'A|lt': 5, 'B|gte': 1.5, C: 7}
  net: {'A|cidr': [10.0.0.0/8, '::/0']}
  re: {'A|re|i': '^(a|b)+$'}
  ref: {'A|fieldref': B, 'C|fieldref|endswith': D}
  date: {'A|hour': 3, 'B|week|gt': 4}
  null_: {A: null, 'B|exists': false}
  word: [evil, 'e*l', 7, '|re']
  any_re: {'|re': 'x+'}
  condition: 1 of them or not all of *e*
"""
SUM = """
---
title: {kind}
name: {kind}
correlation: {{type: {kind}, rules: [wide_1], group-by: [A], timespan: 5m, condition: {{field: B, gte: 2}}}}
"""
SCALARS = st.one_of(
    st.text(max_size=6),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["10.0.0.1", "fe80::1%x", "2026-11-22T03:04:05Z", "0x" + "f" * 60, "9" * 60, 10**400, "evil"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner)),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from(["A", "B", "C", "D", "EventID", "Channel", "x.y"]), VALUES, max_size=6)
TIMES = st.integers(0, 4_102_444_800_000_000)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        LogEvent,
        time_us=TIMES,
        table=st.just("channel_logs"),
        platform=st.sampled_from(["windows", "linux", "siemd", ""]),
        channel=st.text(max_size=5),
        provider=st.text(max_size=5),
        event_id=st.integers(),
        user_name=st.text(max_size=5),
        fields=FIELDS,
    ),
    st.builds(
        NetworkEvent, time_us=TIMES, event_type=st.text(max_size=5), source_ip=st.text(max_size=5), fields=FIELDS
    ),
    st.builds(UsageSample, time_us=TIMES, cpu_percent=st.floats(), ram_percent=st.floats()),
    st.builds(
        Alert,
        time_us=TIMES,
        incident_id=st.text(max_size=3),
        rule=st.text(max_size=3),
        rule_id=st.just(""),
        title=st.just(""),
        level=st.just("low"),
        first_seen_us=TIMES,
        last_seen_us=TIMES,
    ),
)


def wide_ruleset() -> Ruleset:
    rules = []
    for product in ("windows", "linux", "siemd"):
        text = WIDE.replace("LOGSOURCE", product)
        if product == "windows":
            text += SUM.format(kind="value_count") + SUM.format(kind="value_sum")
            found, problems = read_rules("wide.yml", text.replace("title: wide", "title: wide\nname: wide_1"))
        else:
            found, problems = read_rules(f"{product}.yml", text)
        assert not problems, problems
        rules += found
    ruleset = Ruleset(rules)
    assert not ruleset.problems
    return ruleset


RULESET = wide_ruleset()


@given(st.lists(st.lists(EVENTS, max_size=4), max_size=4), st.integers(0, 4_102_444_800_000_000))
def test_no_event_breaks_the_detector(batches: list[list[Event]], now_us: int) -> None:
    detector = Detector(RULESET, DetectionConfig(max_groups=2, max_values=2, max_incidents=3), "h")
    for batch in batches:
        alerts = detector.process(batch)
        assert all(isinstance(alert, Alert) for alert in alerts)
        assert all(alert.first_seen_us <= alert.last_seen_us for alert in alerts)
    detector.advance(now_us)
    detector.finish()
    assert all(value >= 0 for value in detector.counters().values())
