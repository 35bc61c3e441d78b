"""Suppressions hide matches from incidents until they expire, count them, and must have an owner and a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, load_ruleset
from siemd.detection.suppressionfile import load_suppressions, read_suppressions
from siemd.detection.suppressions import Suppressions
from siemd.errors import FileError
from siemd.events import Alert

RULES = """
title: l
name: logged
logsource: {product: windows}
detection: {s: {A: x}, condition: s}
---
title: Ping
name: ping
level: medium
logsource: {product: siemd, category: network}
detection: {s: {event_type: ping}, condition: s}
siemd: {alert: true}
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
HEAD = "name: scan, owner: anna@example.org, reason: the nightly scan, expires: 2030-01-31"
SATURDAY_S = 1_893_456_000 + 4 * 86_400  # 2030-01-01 was a Tuesday: this is Saturday, 2030-01-05, 00:00 UTC


def detector_of(tmp_path: Path, entry: str) -> Detector:
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "quiet.yml").write_text(f"suppressions:\n  - {{{entry}}}\n")
    config = DetectionConfig(rules=[str(tmp_path / "rules.yml")], suppressions=[str(tmp_path / "quiet.yml")])
    ruleset = load_ruleset(config)
    assert [str(one) for one in (*ruleset.problems, *ruleset.warnings)] == []
    return Detector(ruleset, config, "web-1")


def rules_of(alerts: list[Alert]) -> list[str]:
    return [alert.rule for alert in alerts]


def test_hidden_matches_open_no_incident_and_are_counted(tmp_path: Path, tools: Any) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: ping")
    events = [tools.fact(n, "ping", source_ip="10.0.0.1") for n in range(4)]
    assert rules_of(detector.process(events)) == ["many_pings"], "what counts the hidden goes on"
    assert detector.counters()["hidden_by.scan"] == 4
    assert detector.counters()["open_incidents"] == 1


@pytest.mark.parametrize(
    ("condition", "hidden"),
    [
        ("source: 10.0.0.0/24", True),
        ("source: [192.0.2.1, 10.0.0.1]", True),
        ("source: 10.0.1.0/24", False),
        ("source: 2001:db8::/32", False),
        ("host: web-*", True),
        ("host: [db-*, WEB-1]", True),
        ("host: db-*", False),
        ("group: {source_ip: 10.0.*}", True),
        ("group: {destination_ip: '10.0.0.?'}", True),
        ("group: {source_ip: 10.0.0.1, destination_ip: 10.9.*}", False),
        ("group: {user_name: '*'}", False),
        ("group: {destination_port: 22}", True),
    ],
)
def test_conditions(tmp_path: Path, tools: Any, condition: str, hidden: bool) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: ping, {condition}")
    fact = tools.fact(1, "ping", source_ip="10.0.0.1", destination_ip="10.0.0.9", destination_port=22)
    assert (detector.process([fact]) == []) is hidden
    assert detector.counters()["hidden_by.scan"] == hidden


@pytest.mark.parametrize(("host", "hidden"), [("ws*", True), ("web-1", True), ("dc*", False)])
def test_a_host_is_this_one_or_the_computer_of_the_record(tmp_path: Path, tools: Any, host: str, hidden: bool) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: logged, host: {host}")
    event = tools.log(1, A="x")
    event.computer = "WS9.example.org"
    assert (detector.process([event]) == []) is hidden


@pytest.mark.parametrize(
    ("condition", "hours", "hidden"),
    [
        ('from: "08:00", to: "17:00"', 8, True),
        ('from: "08:00", to: "17:00"', 17, False),
        ("from: 22:00, to: 06:00", 23, True),  # YAML reads 22:00 as 1320
        ("from: 22:00, to: 06:00", 5, True),
        ("from: 22:00, to: 06:00", 6, False),
        ('from: "08:00"', 23.99, True),
        ("days: [sat, sun]", 12, True),
        ("days: friday", 12, False),
        ('days: fri, from: "22:00", to: "06:00"', 5, True),  # the night from Friday to Saturday
        ('days: sat, from: "22:00", to: "06:00"', 5, False),
        ('from: "08:00", to: "09:00", timezone: Asia/Tokyo', 23.5, True),
        ('from: "08:00", to: "09:00", timezone: Asia/Tokyo', 8.5, False),
    ],
)
def test_times_of_day(tmp_path: Path, tools: Any, condition: str, hours: float, hidden: bool) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: any, {condition}")
    fact = tools.fact(SATURDAY_S + hours * 3600, "ping", source_ip="10.0.0.1")
    assert (detector.process([fact]) == []) is hidden


@pytest.mark.parametrize(
    ("condition", "fields", "hidden"),
    [
        ("group: {ports: '443'}", {"ports": [443]}, True),
        ("group: {ports: '443'}", {"ports": [443, 22]}, False),
        ("group: {ports: ['443', '22']}", {"ports": [443, 22]}, True),
        ("group: {ports: '*'}", {"ports": []}, False),
        ("group: {ports: '*'}", {}, False),
        ("group: {ports: '*'}", {"ports": [443, {"a": 22}]}, False),
    ],
)
def test_all_values_of_a_list_must_be_meant(
    tmp_path: Path, tools: Any, condition: str, fields: dict[str, Any], hidden: bool
) -> None:
    """Who puts a value that is known beside another must not hide the other one with it."""
    detector = detector_of(tmp_path, f"{HEAD}, rules: ping, {condition}")
    alerts = detector.process([tools.fact(0, "ping", source_ip="10.0.0.1", fields=fields)])
    assert rules_of(alerts) == ([] if hidden else ["ping"])


def test_a_list_of_sources_is_hidden_only_if_all_are_inside(tmp_path: Path, tools: Any) -> None:
    (tmp_path / "rules.yml").write_text(
        "title: t\nname: r\nlogsource: {product: windows}\ndetection: {s: {A: x}, condition: s}\nsiemd: {group: [A]}\n"
    )
    entry = f"{HEAD}, rules: r, source: 10.0.0.0/8"
    (tmp_path / "quiet.yml").write_text(f"suppressions:\n  - {{{entry}}}\n")
    config = DetectionConfig(rules=[str(tmp_path / "rules.yml")], suppressions=[str(tmp_path / "quiet.yml")])
    detector = Detector(load_ruleset(config), config, "web-1")
    assert rules_of(detector.process([tools.log(0, A="x", source_ip=["10.0.0.1", "10.0.0.2"])])) == []
    assert rules_of(detector.process([tools.log(0, A="x", source_ip=["10.0.0.1", "8.8.8.8"])])) == ["r"]


def test_an_expired_one_hides_nothing_and_is_told(tmp_path: Path, tools: Any) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: ping")
    suppressions = detector.ruleset.suppressions
    end_s = SATURDAY_S + 27 * 86_400  # the end of 2030-01-31
    assert detector.process([tools.fact(end_s - 1, "ping", source_ip="a")]) == []
    assert suppressions.expired(int((end_s - 1) * 1e6)) == []
    assert rules_of(detector.process([tools.fact(end_s, "ping", source_ip="a")])) == ["ping"]
    (told,) = suppressions.expired(int(end_s * 1e6))
    assert str(told).startswith(f"{tmp_path / 'quiet.yml'}:2:12: the suppression scan of anna@example.org expired")
    assert detector.counters()["hidden_by.scan"] == 1


def test_counts_outlive_a_reload(tmp_path: Path, tools: Any) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: ping")
    detector.process([tools.fact(1, "ping", source_ip="a")])
    detector.reload(detector.ruleset)
    detector.reload(detector_of(tmp_path, f"{HEAD}, rules: any").ruleset)
    detector.process([tools.fact(2, "ping", source_ip="a")])
    assert detector.counters()["hidden_by.scan"] == 2


def test_a_new_suppression_lets_the_open_incident_end(tmp_path: Path, tools: Any) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    config = DetectionConfig(rules=[str(tmp_path / "rules.yml")])
    detector = Detector(load_ruleset(config), config, "h")
    (opened,) = detector.process([tools.fact(0, "ping", source_ip="a")])
    detector.reload(detector_of(tmp_path, f"{HEAD}, rules: ping").ruleset)
    assert detector.process([tools.fact(60, "ping", source_ip="a")]) == []
    (closed,) = detector.process([tools.fact(700, "ping", source_ip="a")])
    assert (closed.status, closed.count, closed.incident_id) == ("closed", 1, opened.incident_id)


def test_the_past_is_not_counted_again(tmp_path: Path, tools: Any) -> None:
    detector = detector_of(tmp_path, f"{HEAD}, rules: ping")
    past = [[tools.fact(n, "ping", source_ip="a") for n in range(2)]]
    assert detector.rebuild([], past, 3_000_000) == []
    assert detector.counters()["hidden_by.scan"] == 0
    assert rules_of(detector.process([tools.fact(3, "ping", source_ip="a")])) == ["many_pings"]
    assert detector.counters()["hidden_by.scan"] == 1


MISTAKES = [
    ("{}\n", 1, 1, "expected the key 'suppressions'"),
    ("suppressions:\n  - {owner: a, reason: b, expires: 2030-01-01, rules: x}\n", 2, 5, "the key 'name' is missing"),
    ("suppressions:\n  - {name: a, reason: b, expires: 2030-01-01, rules: x}\n", 2, 5, "the key 'owner' is missing"),
    ("suppressions:\n  - {name: a, owner: b, expires: 2030-01-01, rules: x}\n", 2, 5, "the key 'reason' is missing"),
    ("suppressions:\n  - {name: a, owner: b, reason: c, rules: x}\n", 2, 5, "the key 'expires' is missing"),
    ("suppressions:\n  - {name: a, owner: b, reason: c, expires: 2030-01-01}\n", 2, 5, "the key 'rules' is missing"),
    ("suppressions:\n  - {name: a, owner: '', reason: c, expires: 2030-01-01, rules: x}\n", 2, 22, "'owner' is empty"),
    ("suppressions:\n  - {name: a b, owner: b, reason: c, expires: 2030-01-01, rules: x}\n", 2, 12, "64 letters"),
    ("suppressions:\n  - {name: a, owner: b, reason: c, expires: never, rules: x}\n", 2, 45, "expected a date"),
    ("suppressions:\n  - {name: a, owner: b, reason: c, expires: 12, rules: x}\n", 2, 45, "expected a date"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, owners: y}}\n", 2, 100, "did you mean 'owner'?"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, source: 10.0.0}}\n", 2, 108, "an address or network"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, group: y}}\n", 2, 107, "fields and values"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, group: {{}}}}\n", 2, 107, "'group' is empty"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, days: someday}}\n", 2, 106, "unknown day 'someday'"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, from: noon}}\n", 2, 106, "a time of day"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, from: '24:00'}}\n", 2, 106, "a time of day"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, from: '08:00', to: '08:00'}}\n", 2, 119, "same as 'from'"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, to: '00:00'}}\n", 2, 104, "same as 'from'"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, timezone: Mars/Base}}\n", 2, 110, "no time zone"),
    (f"suppressions:\n  - {{{HEAD}, rules: x, timezone: ../../etc/passwd}}\n", 2, 110, "no time zone"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), MISTAKES)
def test_a_mistake_has_its_place(text: str, line: int, column: int, message: str) -> None:
    entries, (problem,) = read_suppressions("quiet.yml", text)
    assert entries == []
    assert str(problem).startswith(f"quiet.yml:{line}:{column}: ")
    assert message in str(problem)


def test_a_name_stands_once_over_all_files(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text(f"suppressions:\n  - {{{HEAD}, rules: x}}\n")
    suppressions, (problem,) = load_suppressions([tmp_path / "a.yml", tmp_path / "b.yml"])
    assert len(suppressions.entries) == 1
    assert str(problem).startswith(
        f"{tmp_path / 'b.yml'}:2:12: the name 'scan' is already that of {tmp_path / 'a.yml'}:2"
    )


def test_one_that_means_no_alerting_rule_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "quiet.yml").write_text(f"suppressions:\n  - {{{HEAD}, rules: pign}}\n")
    config = DetectionConfig(rules=[str(tmp_path / "rules.yml")], suppressions=[str(tmp_path / "quiet.yml")])
    ruleset = load_ruleset(config)
    assert ruleset.problems == []
    assert "is about no rule that alerts: 'pign'; did you mean 'ping'?" in str(ruleset.warnings[0])


def test_expiry_may_be_a_moment_with_an_offset() -> None:
    text = HEAD.replace("2030-01-31", "2030-01-05T02:00:00+02:00")
    (one,), _ = read_suppressions("q.yml", f"suppressions:\n  - {{{text}, rules: x}}\n")
    assert one.expires_us == SATURDAY_S * 1_000_000


def test_without_suppressions_nothing_is_counted() -> None:
    assert Suppressions().counters() == {}


keys = st.sampled_from(
    ["name", "owner", "reason", "expires", "rules", "group", "host", "source", "days", "from", "to", "timezone"]
)
values = st.one_of(
    st.sampled_from(["a", "any", "2030-01-01", "0001-01-01", "9999-12-31", "10.0.0.0/8", "mon", "08:00", "UTC", "*"]),
    st.dates(),
    st.datetimes(),
    st.integers(),
    st.none(),
    st.text(max_size=6),
    st.lists(st.text(max_size=4), max_size=2),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)


@given(st.lists(st.dictionaries(keys, values, min_size=4), max_size=3), st.integers(0, 4_102_444_800_000_000))
def test_any_entry_is_read_or_refused_and_can_be_asked(entries: list[dict[str, Any]], time_us: int) -> None:
    found, problems = read_suppressions("q.yml", yaml.safe_dump({"suppressions": entries}, allow_unicode=True))
    assert len(found) + len(problems) == len(entries)
    assert all(isinstance(problem, FileError) and problem.line for problem in problems)
    for one in found:
        assert one.owner and one.reason
        one.covers({"source_ip": "10.0.0.1"}, "h", time_us, lambda name: name)
    Suppressions(found).expired(time_us)
