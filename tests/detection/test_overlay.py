"""The overlay switches rules on and off and tunes them; its mistakes have a place; later entries win."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.config import ImportedConfig
from siemd.detection.overlay import read_overlay
from siemd.detection.rule import AnyRule, Correlation
from siemd.errors import FileError
from siemd.events import NetworkEvent

RULES = """
title: Probe
name: probe
id: 5e0b8d5c-0000-4000-8000-000000000001
level: low
status: experimental
tags: [attack.discovery, attack.t1046]
logsource: {product: siemd, category: network}
detection: {s: {event_type: probe}, condition: s}
---
title: Ping
name: ping
level: medium
status: stable
tags: [attack.discovery]
logsource: {product: siemd, category: network}
detection: {s: {event_type: ping}, condition: s}
---
title: Many pings
name: many_pings
level: high
correlation:
  type: event_count
  rules: [ping]
  group-by: [source_ip]
  timespan: 5m
  condition: {gte: 3}
"""


class Place:
    """A folder with rules, an overlay beside it, and what comes of them."""

    def __init__(self, folder: Path) -> None:
        self.rules, self.overlay = folder / "rules.yml", folder / "overlay.yml"
        self.rules.write_text(RULES, encoding="utf-8")

    def load(self, overlay: str, **config: Any) -> Ruleset:
        self.overlay.write_text(overlay, encoding="utf-8")
        return load_ruleset(DetectionConfig(rules=[str(self.rules)], overlay=[str(self.overlay)], **config))

    def whole(self, overlay: str, **config: Any) -> Ruleset:
        ruleset = self.load(overlay, **config)
        assert [str(one) for one in (*ruleset.problems, *ruleset.warnings)] == []
        return ruleset


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def named(ruleset: Ruleset, name: str) -> AnyRule:
    (rule,) = ruleset.find(name)
    return rule


@pytest.mark.parametrize(
    "rules",
    [
        "probe",
        "[probe]",
        "5E0B8D5C-0000-4000-8000-000000000001",
        "'prob*'",
        "[nobody, Probe, probe]",
        "[nob*, probe]",
        "{tag: attack.t1046}",
        "{tag: attack.t10*}",
        "{status: [experimental, deprecated]}",
        "{level: low}",
        "{name: '*', level: low, status: experimental}",
    ],
)
def test_rules_are_chosen_in_many_ways(place: Place, rules: str) -> None:
    ruleset = place.whole(f"overlay:\n  - {{rules: {rules}, enabled: false}}\n")
    assert ruleset.disabled == ["probe"]
    (reason,) = [reason for _, reason in ruleset.off.values()]
    assert reason == "switched off by the overlay"


def test_entries_for_rules_that_went_are_each_told(place: Place) -> None:
    entries = "".join(f"  - {{rules: prob{number}, enabled: false}}\n" for number in range(100))
    warnings = [str(one) for one in place.load("overlay:\n" + entries).warnings]
    assert len(warnings) == 100 and all("no rule is meant by" in one for one in warnings)
    assert "did you mean 'probe'?" in warnings[0]


def test_any_means_every_rule(place: Place) -> None:
    assert place.whole("overlay:\n  - {rules: any, enabled: false}\n").rules == []


def test_later_entries_win_and_rules_are_chosen_by_what_they_say(place: Place) -> None:
    ruleset = place.whole(
        "overlay:\n"
        "  - {rules: any, enabled: false, level: low}\n"
        "  - {rules: {level: medium}, enabled: true, level: critical, note: it matters here}\n"
        "  - {rules: {name: ping}, level: high}\n"
    )
    assert [rule.name for rule in ruleset.rules] == ["ping"]
    assert ruleset.rules[0].level == "high"
    notes = ruleset.notes[ruleset.rules[0].key]
    assert [note.removeprefix(str(place.overlay)) for note in notes] == [
        ":2: switched off, level low instead of medium",
        ":3: switched on, level critical instead of low (it matters here)",
        ":4: level high instead of critical",
    ]


def test_an_overlay_overrules_disabled(place: Place) -> None:
    off = place.whole("overlay:\n  - {rules: probe, note: x, level: high}\n", disabled=["probe"])
    assert off.disabled == ["probe"]
    on = place.whole("overlay:\n  - {rules: probe, enabled: true}\n", disabled=["probe"])
    assert on.disabled == []


def test_thresholds_are_tuned_and_act(place: Place, tools: Any) -> None:
    tuned = place.whole("overlay:\n  - {rules: many_pings, condition: {gt: 1}, timespan: 10s}\n")
    rule = named(tuned, "many_pings")
    assert isinstance(rule, Correlation)
    assert (rule.threshold.comparisons, rule.timespan_s) == ((("gt", 1),), 10.0)

    def fires(*times_s: float) -> bool:
        events = [tools.fact(time_s, "ping", source_ip="10.0.0.1") for time_s in times_s]
        return bool(Detector(tuned, DetectionConfig(), "h").process(events))

    assert fires(1, 2)
    assert not fires(1, 20)


def test_filters_add_up(place: Place, tools: Any) -> None:
    ruleset = place.whole(
        "overlay:\n"
        "  - rules: probe\n"
        "    filter: {source_ip|cidr: 10.0.0.0/8, destination_port: 22}\n"
        "  - rules: any\n"
        "    filter:\n"
        "      - {source_ip: 192.0.2.1}\n"
        "      - {user_name|startswith: scan}\n"
    )

    def fires(**columns: Any) -> bool:
        return bool(Detector(ruleset, DetectionConfig(), "h").process([tools.fact(1, "probe", **columns)]))

    assert fires(source_ip="10.0.0.1", destination_port=23)
    assert not fires(source_ip="10.0.0.1", destination_port=22)
    assert not fires(source_ip="192.0.2.1")
    assert not fires(source_ip="198.51.100.1", user_name="scanner")


def test_alert_and_group(place: Place, tools: Any) -> None:
    ruleset = place.whole(
        "overlay:\n"
        "  - {rules: probe, alert: false}\n"
        "  - {rules: ping, alert: true, group: [destination_ip]}\n"
        "  - {rules: many_pings, alert: false}\n"
    )
    assert [ruleset.alerts(named(ruleset, name)) for name in ("probe", "ping", "many_pings")] == [False, True, False]
    (alert,) = Detector(ruleset, DetectionConfig(), "h").process(
        [tools.fact(1, "ping", source_ip=f"10.0.0.{n}", destination_ip="10.0.0.9") for n in range(5)]
    )
    assert alert.group == {"destination_ip": "10.0.0.9"}


MISTAKES = [
    ("{}\n", 1, 1, "expected the key 'overlay'"),
    ("overlai: []\n", 1, 1, "did you mean 'overlay'?"),
    ("overlay: []\nmore: 1\n", 2, 1, "unknown key 'more'"),
    ("overlay: {rules: x}\n", 1, 10, "expected a list"),
    ("overlay:\n  - probe\n", 2, 5, "expected a mapping"),
    ("overlay:\n  - {enabled: false}\n", 2, 5, "the key 'rules' is missing"),
    ("overlay:\n  - {rules: probe}\n", 2, 5, "changes nothing"),
    ("overlay:\n  - {rules: probe, note: x}\n", 2, 5, "changes nothing"),
    ("overlay:\n  - {rules: probe, enabeld: false}\n", 2, 20, "did you mean 'enabled'?"),
    ("overlay:\n  - {rules: probe, enabled: off please}\n", 2, 29, "expected true or false"),
    ("overlay:\n  - {rules: probe, enabled: }\n", 2, 29, "'enabled' is empty"),
    ("overlay:\n  - {rules: [], enabled: true}\n", 2, 13, "'rules' is empty"),
    ("overlay:\n  - {rules: [[probe]], enabled: true}\n", 2, 14, "expected a text"),
    ("overlay:\n  - {rules: {nam: probe}, enabled: true}\n", 2, 14, "did you mean 'name'?"),
    ("overlay:\n  - {rules: {level: hihg}, enabled: true}\n", 2, 21, "unknown level 'hihg'"),
    ("overlay:\n  - {rules: {status: old}, enabled: true}\n", 2, 22, "unknown status 'old'"),
    ("overlay:\n  - {rules: probe, level: urgent}\n", 2, 27, "unknown level 'urgent'"),
    ("overlay:\n  - {rules: many_pings, timespan: soon}\n", 2, 35, "expected a duration"),
    ("overlay:\n  - {rules: many_pings, timespan: 0s}\n", 2, 35, "more than nothing"),
    ("overlay:\n  - {rules: many_pings, condition: gte 3}\n", 2, 36, "expected a mapping"),
    ("overlay:\n  - {rules: many_pings, condition: {gte: many}}\n", 2, 42, "expected a number"),
    ("overlay:\n  - {rules: many_pings, condition: {atleast: 3}}\n", 2, 37, "unknown key 'atleast'"),
    ("overlay:\n  - {rules: probe, timespan: 5m}\n", 2, 20, "'timespan' is for correlations"),
    ("overlay:\n  - {rules: many_pings, filter: {source_ip: x}}\n", 2, 25, "name what they count: ping"),
    ("overlay:\n  - {rules: many_pings, group: [source_ip]}\n", 2, 25, "'group' is for rules"),
    ("overlay:\n  - {rules: probe, filter: x}\n", 2, 28, "expected a detection"),
    ("overlay:\n  - {rules: probe, filter: {a|contians: x}}\n", 2, 29, "did you mean 'contains'?"),
    ("overlay:\n  - {rules: probe, filter: {a|re: '('}}\n", 2, 35, "not a regular expression"),
    ("overlay:\n  - {rules: a\n", 3, 1, "not valid YAML"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), MISTAKES)
def test_a_mistake_has_its_place(place: Place, text: str, line: int, column: int, message: str) -> None:
    (problem,) = place.load(text).problems
    assert str(problem).startswith(f"{place.overlay}:{line}:{column}: ")
    assert message in str(problem)


def test_a_mistake_leaves_the_other_entries(place: Place) -> None:
    ruleset = place.load("overlay:\n  - {rules: probe}\n  - {rules: ping, level: critical}\n")
    assert len(ruleset.problems) == 1
    assert named(ruleset, "ping").level == "critical"


def test_an_entry_that_means_no_rule_is_a_warning(place: Place) -> None:
    ruleset = place.load("overlay:\n  - {rules: prob, enabled: false}\n")
    assert ruleset.problems == []
    (warning,) = ruleset.warnings
    assert str(warning) == f"{place.overlay}:2:6: no rule is meant by 'prob'; did you mean 'probe'?"


def test_a_missing_overlay_is_a_problem(tmp_path: Path) -> None:
    (problem,) = load_ruleset(DetectionConfig(overlay=[str(tmp_path / "none.yml")])).problems
    assert "see `overlay` under `detection`" in str(problem)


def test_a_disabled_part_of_a_correlation_says_so(place: Place) -> None:
    ruleset = place.whole("overlay:\n  - {rules: ping, enabled: false}\n")
    reasons = {rule.name: reason for rule, reason in ruleset.off.values()}
    assert reasons["many_pings"] == "it builds on a rule that is switched off"


# the policy for imported rules


def imported(folder: Path, overlay: str = "", **policy: Any) -> Ruleset:
    (folder / "imported" / "x").mkdir(parents=True, exist_ok=True)
    (folder / "imported" / "x" / "rules.yml").write_text(RULES)
    (folder / "overlay.yml").write_text(overlay or "overlay: []\n")
    config = DetectionConfig(
        rules=["imported"],
        overlay=[str(folder / "overlay.yml")],
        imported=ImportedConfig(folder=str(folder / "imported"), **policy),
    )
    return load_ruleset(config)


def test_imported_rules_alert_from_a_level_on(tmp_path: Path) -> None:
    assert imported(tmp_path).off == {}
    ruleset = imported(tmp_path, min_level="medium")
    assert ruleset.disabled == ["probe"]
    assert "its level is low" in next(iter(ruleset.off.values()))[1]


def test_imported_rules_alert_by_status(tmp_path: Path) -> None:
    ruleset = imported(tmp_path, statuses=["stable"])
    assert ruleset.disabled == ["probe"]
    assert "its status is experimental" in next(iter(ruleset.off.values()))[1]


def test_what_an_alerting_correlation_counts_is_kept_and_quiet(tmp_path: Path) -> None:
    ruleset = imported(tmp_path, min_level="high")
    assert [rule.name for rule in ruleset.rules] == ["ping", "many_pings"]
    assert [ruleset.alerts(rule) for rule in ruleset.rules] == [False, True]


@pytest.mark.parametrize("change", ["enabled: true", "alert: true", "level: high"])
def test_the_overlay_has_the_last_word_on_imported_rules(tmp_path: Path, change: str) -> None:
    ruleset = imported(tmp_path, f"overlay:\n  - {{rules: probe, {change}}}\n", min_level="medium")
    assert ruleset.alerts(named(ruleset, "probe"))
    assert ruleset.off == {}


def test_imported_rules_that_are_broken_are_refused_and_no_problem(tmp_path: Path) -> None:
    folder = tmp_path / "imported"
    folder.mkdir()
    (folder / "bad.yml").write_text("title: [\n")
    (folder / "later.yml").write_text(
        "title: t\nlogsource: {product: windows}\ndetection: {s: {A|expand: '%x%'}, condition: s}\n"
    )
    ruleset = imported(tmp_path)
    assert (ruleset.problems, ruleset.warnings) == ([], [])
    assert sorted(Path(one.path).name for one in ruleset.refused) == ["bad.yml", "later.yml"]


# any input

words = st.sampled_from(
    [
        "rules",
        "overlay",
        "enabled",
        "level",
        "high",
        "timespan",
        "5m",
        "condition",
        "gte",
        "filter",
        "a|re",
        "any",
        "x*",
    ]
)
data = st.recursive(
    st.one_of(words, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(data, max_size=4))
def test_any_yaml_is_read_or_refused_with_a_place(entries: list[Any]) -> None:
    import yaml

    changes, problems = read_overlay("o.yml", yaml.safe_dump({"overlay": entries}, allow_unicode=True))
    assert len(changes) + len(problems) == len(entries)
    assert all(isinstance(problem, FileError) and problem.line and problem.message for problem in problems)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    changes, problems = read_overlay("o.yml", text)
    assert not changes or not problems


def test_a_filter_gets_the_placeholders_of_the_configuration(place: Place) -> None:
    overlay = "overlay: [{rules: probe, filter: {source_ip|expand: '%scanners%'}}]"
    ruleset = place.whole(overlay, placeholders={"scanners": ["10.0.0.1", "10.0.0.2"]})
    events = [
        NetworkEvent(time_us=1, event_type="probe", source_ip=source) for source in ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    ]
    alerts = Detector(ruleset, DetectionConfig(), "h").process(events)
    assert [alert.group["source_ip"] for alert in alerts] == ["10.0.0.3"]


def test_a_filter_whose_placeholders_have_no_values_is_a_mistake(place: Place) -> None:
    ruleset = place.load("overlay: [{rules: probe, filter: {source_ip|expand: '%scanners%'}}]")
    (problem,) = ruleset.problems
    assert "overlay.yml:1:" in str(problem)
    assert "%scanners% has no values" in str(problem)


def test_a_range_that_can_never_hold_is_a_mistake(place: Place) -> None:
    (problem,) = place.load("overlay: [{rules: many_pings, condition: {gte: 5, lte: 2}}]").problems
    assert "can never hold" in str(problem)
