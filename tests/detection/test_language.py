"""Filters, placeholders, conditions in words and statistics: what Sigma 2.1 adds to plain selections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from siemd.detection import DetectionConfig, Ruleset, load_ruleset
from siemd.detection.reader import Unfilled
from siemd.detection.rulefile import read_rules
from siemd.events import Alert

RULE = "title: r\nname: r\nid: 11111111-1111-4111-8111-111111111111\nlogsource: {product: windows, service: test}\n"
DETECTION = "detection: {s: {A: bad}, condition: s}\n"
FACTS = """
title: {name}
name: {name}
logsource: {{product: siemd, category: network}}
detection: {{s: {{event_type: {name}}}, condition: s}}
---
"""
THREE = "".join(FACTS.format(name=name) for name in ("a", "b", "c"))


def fires(tools: Any, text: str, **fields: Any) -> bool:
    detector = tools.detector(tools.rules(RULE + DETECTION + text))
    return bool(detector.process([tools.log(**fields)]))


def a_filter(body: str, rules: str = "any", logsource: str = "{product: windows}") -> str:
    return f"---\ntitle: f\nlogsource: {logsource}\nfilter:\n  rules: {rules}\n  {body}\n"


@pytest.mark.parametrize(
    "body",
    [
        "selection: {User: good}\n  condition: selection",
        "selection: {User: good}\n  condition: not selection",
        "selection_1: {User: good}\n  selection_2: {User: x}\n  condition: not 1 of selection_*",
        "one: {User: good}\n  two: {User: x}\n  condition: one or two",
        "one: {User: good}\n  two: {User: x}\n  condition: not one and not two",
    ],
)
def test_a_filter_takes_out_what_it_selects_however_it_is_written(tools: Any, body: str) -> None:
    assert fires(tools, a_filter(body), A="bad", User="bob")
    assert fires(tools, a_filter(body), A="bad")
    assert not fires(tools, a_filter(body), A="bad", User="good")


def test_the_condition_tells_and_not_the_selection(tools: Any) -> None:
    """A selection that is negative by itself is still what goes."""
    body = "selection: {User|neq: bob}\n  condition: selection"
    assert fires(tools, a_filter(body), A="bad", User="bob")
    assert not fires(tools, a_filter(body), A="bad", User="eve")


@pytest.mark.parametrize(
    ("rules", "logsource", "concerned"),
    [
        ("any", "{product: windows}", True),
        ("[]", "{product: windows}", True),
        ("r", "{product: windows}", True),
        ("[x, r]", "{product: windows, service: test}", True),
        ("[11111111-1111-4111-8111-111111111111]", "{service: test}", True),
        ("[x]", "{product: windows}", False),
        ("any", "{product: linux}", False),
        ("[r]", "{product: windows, service: other}", False),
        ("[r]", "{product: windows, category: process_creation}", False),
    ],
)
def test_which_rules_a_filter_concerns(tools: Any, rules: str, logsource: str, concerned: bool) -> None:
    text = a_filter("selection: {User: good}\n  condition: selection", rules, logsource)
    assert fires(tools, text, A="bad", User="good") is not concerned
    warnings = tools.rules(RULE + DETECTION + text).warnings
    assert [one.message for one in warnings] == ([] if concerned else ["the filter 'f' concerns no rule"])


def test_several_filters_add_up_and_one_can_be_switched_off(tools: Any) -> None:
    text = (
        RULE
        + DETECTION
        + a_filter("s: {User: x}\n  condition: s")
        + a_filter("s: {User: y}\n  condition: s").replace("title: f", "title: f\nname: second")
    )
    for disabled, users in (((), ""), (("second",), "y")):
        detector = tools.detector(tools.rules(text, disabled=disabled))
        heard = [user for user in "xy" if detector.process([tools.log(A="bad", User=user)])]
        assert "".join(heard) == users


# --- placeholders


def test_placeholders_are_filled_in(tools: Any) -> None:
    text = RULE + "detection: {s: {A|contains|expand: '%hosts%.%domain%', E|expand: '%ids%'}, condition: s}\n"
    values = {"hosts": ["dc01", "dc*"], "domain": ["corp"], "ids": [4624, "7"]}
    rules, problems = read_rules("r.yml", text, values)
    assert not problems
    detector = tools.detector(Ruleset(rules))
    for content, number, hit in (
        ("\\\\DC01.CORP\\c$", 4624, True),
        ("dc-77.corp", "7", True),
        ("web.corp", 7, False),
        ("dc01.corp", 8, False),
    ):
        assert bool(detector.process([tools.log(A=content, E=number, user_name=content)])) is hit


def test_placeholders_combine_with_networks_expressions_and_all() -> None:
    text = (
        RULE
        + "detection: {s: {A|cidr|expand: '%nets%', B|re|expand: '^%dots%$', C|contains|all|expand: ['%x%', y]}, "
        + "condition: s}\n"
    )
    rules, problems = read_rules("r.yml", text, {"nets": ["10.0.0.0/8", "fe80::/10"], "dots": ["a.b"], "x": ["1", "2"]})
    assert not problems, problems
    assert rules[0].name == "r"


def test_a_rule_without_values_is_listed_and_no_problem(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(RULE + "detection: {s: {A|expand: ['x', '%hosts%']}, condition: s}\n")
    ruleset = load_ruleset(DetectionConfig(rules=[str(tmp_path)]))
    assert (ruleset.rules, ruleset.problems) == ([], [])
    (one,) = ruleset.unfilled
    assert isinstance(one, Unfilled)
    assert (one.line, one.column) == (5, 33)
    assert "%hosts% has no values" in str(one)
    assert "placeholders" in one.hint
    filled = load_ruleset(DetectionConfig(rules=[str(tmp_path)], placeholders={"hosts": ["h"]}))
    assert (len(filled.rules), filled.unfilled) == (1, [])


def test_per_cent_signs_that_are_no_placeholders(tools: Any) -> None:
    for text in ("100%", "%", "%%", "50% or 60 %", "%a b%"):
        assert tools.matches(f"selection: {{A|expand: '{text}'}}", A=text)
        assert tools.matches(f"selection: {{A: '%x%{text}'}}", A=f"%x%{text}")


# --- rules of Sigma 1


def test_dates_with_slashes_alone_are_no_reason(tools: Any) -> None:
    assert tools.rules(RULE + "date: 2021/03/09\n" + DETECTION).rules
    sysmon = "title: t\nlogsource: {product: windows, category: dns_query}\ndate: 2021/03/09\n"
    assert tools.rules(sysmon + "detection: {s: {QueryName: x, Image|endswith: y}, condition: s}\n").rules
    (problem,) = tools.problems(
        sysmon + "detection: {s: {QueryName: x}, f: {ParentImage: y}, condition: s and not f}\n"
    )
    assert "looks at 'ParentImage'" in problem


# --- correlations


def correlation(kind: str, condition: str, rules: str = "[a, b, c]", span: str = "60s", more: str = "") -> str:
    listed = f"  rules: {rules}\n" if rules else ""
    return (
        f"title: k\nname: k\nlevel: high\ncorrelation:\n  type: {kind}\n{listed}  group-by: [source_ip]\n"
        f"  timespan: {span}\n  condition: {condition}\n{more}"
    )


def run(tools: Any, text: str, facts: str, **config: Any) -> list[Alert]:
    """Incidents of the correlation for facts such as "a0 b30", fed one by one, until the end."""
    detector = tools.detector(tools.rules(THREE + text), late_s=10, **config)
    alerts: list[Alert] = []
    for fact in facts.split():
        alerts += detector.process([tools.fact(float(fact[1:]), fact[0], source_ip="x")])
    alerts += detector.finish()
    return [alert for alert in alerts if alert.rule == "k" and alert.revision == 1]


@pytest.mark.parametrize(
    ("condition", "facts", "hit"),
    [
        ("a and b", "a0 b50", True),
        ("a and b", "b0 a60", True),
        ("a and b", "a0 b61", False),
        ("a and b", "a0", False),
        ("(a or b) and c", "a0 c10", True),
        ("(a or b) and c", "c0 b10", True),
        ("(a or b) and c", "a0 b10", False),
        ("a or b", "b0", True),
        ("a and not b", "a0", True),
        ("a and not b", "b0", False),
        ("a and not b", "b0 a30", False),
        ("a and not b", "a0 b30", False),
        ("a and not b", "a0 b61", True),
        ("a and not b", "b0 a61", True),
        ("a and not b", "a0 b30 a200", True),
        ("a and not (b or c)", "a0 c59", False),
        ("a and not (b and c)", "a0 c59", True),
        ("a and not (b and c)", "a0 b3 c9", False),
        ("not not a", "a1", True),
        ("a and c and not b", "a0 c30", True),
        ("a and c and not b", "a0 b10 c30", False),
        ("1 of them", "c0", True),
    ],
)
def test_conditions_in_words(tools: Any, condition: str, facts: str, hit: bool) -> None:
    names = [name for name in "abc" if name in condition.replace("and", "")] or list("abc")
    assert bool(run(tools, correlation("temporal", condition, f"[{', '.join(names)}]"), facts)) is hit
    # without the list of rules, too (but with names to take from the condition)
    if "them" not in condition:
        assert bool(run(tools, correlation("temporal", condition, ""), facts)) is hit


@pytest.mark.parametrize(
    ("condition", "facts", "hit"),
    [
        ("a and b", "a0 b10", True),
        ("a and b", "b0 a10", False),
        ("(a or b) and c", "b0 c10", True),
        ("(a or b) and c", "c0 b10", False),
        ("a and not b and c", "a0 c10", True),
        ("a and not b and c", "a0 b5 c10", False),
        ("a and not b and c", "c0 a10", False),
    ],
)
def test_conditions_in_words_and_in_order(tools: Any, condition: str, facts: str, hit: bool) -> None:
    names = [name for name in "abc" if name in condition.replace("and", "")]
    assert bool(run(tools, correlation("temporal_ordered", condition, f"[{', '.join(names)}]"), facts)) is hit


@pytest.mark.parametrize(
    ("facts", "hit"), [("a0 c5", True), ("b0 c5", True), ("a0 b5", True), ("c0 b5", False), ("b0 a5", False)]
)
def test_an_order_of_some_of_the_rules(tools: Any, facts: str, hit: bool) -> None:
    assert bool(run(tools, correlation("temporal_ordered", "{gte: 2}"), facts)) is hit


def test_absence_is_told_when_it_is_sure(tools: Any) -> None:
    ruleset = tools.rules(THREE + correlation("temporal", "a and not b", "[a, b]"))
    detector = tools.detector(ruleset, late_s=10)
    assert not detector.process([tools.fact(0, "a", source_ip="x")])
    assert not detector.advance(69_000_000)
    (alert,) = detector.advance(70_000_000)
    assert (alert.rule, alert.first_seen_us, alert.last_seen_us, alert.count) == ("k", 0, 0, 1)
    assert alert.evidence[0]["event_type"] == "a"
    assert "a and not b" in alert.reason


def test_what_is_judged_late_counts_each_event_once(tools: Any) -> None:
    ruleset = tools.rules(THREE + correlation("temporal", "a and c and not b", "[a, b, c]"))
    detector = tools.detector(ruleset, late_s=10)
    assert not detector.process([tools.fact(moment, kind, source_ip="x") for moment, kind in enumerate("acaa")])
    alert = [*detector.advance(200_000_000), *detector.finish()][-1]
    assert (alert.count, alert.first_seen_us, alert.last_seen_us) == (4, 0, 3_000_000)
    assert [one["event_type"] for one in alert.evidence] == ["a", "c", "a", "a"]


def test_what_waits_to_be_judged_is_bounded(tools: Any) -> None:
    ruleset = tools.rules(THREE + correlation("temporal", "a and not b", "[a, b]"))
    detector = tools.detector(ruleset, max_entries=5)
    for moment in range(20):
        detector.process([tools.fact(moment, "a", source_ip="x")])
    assert detector.counters()["evicted_values"] >= 10


@pytest.mark.parametrize(
    ("kind", "condition", "amounts", "value"),
    [
        ("value_avg", "{field: size, gt: 20}", [10, 20, 39], "23"),
        ("value_median", "{field: size, gte: 30}", [10, 30, 50], "30"),
        ("value_median", "{field: size, gte: 20}", [1, 2, 38, 500], "20"),
        ("value_percentile", "{field: size, percentile: 90, gte: 9}", [*range(11)], "9"),
        ("value_percentile", "{field: size, percentile: 0, lt: 0}", [5, 4, -1], "-1"),
        ("value_sum", "{field: size, gte: 6, lt: 8}", [1, 2, 4], "7"),
    ],
)
def test_statistics(tools: Any, kind: str, condition: str, amounts: list[int], value: str) -> None:
    ruleset = tools.rules(THREE + correlation(kind, condition, "[a]"))
    detector = tools.detector(ruleset)
    told = [
        detector.process([tools.fact(moment, "a", source_ip="x", fields={"size": amount})])
        for moment, amount in enumerate(amounts)
    ]
    opened = [index for index, alerts in enumerate(told) if any(alert.rule == "k" for alert in alerts)]
    assert opened == [len(amounts) - 1]
    assert value in told[-1][0].reason


def test_text_that_spells_no_number_is_not_counted(tools: Any) -> None:
    detector = tools.detector(tools.rules(THREE + correlation("value_avg", "{field: size, gte: 1}", "[a]")))
    for content in ("x", "", None, True):
        assert not detector.process([tools.fact(1, "a", source_ip="x", fields={"size": content})])
    assert detector.counters()["ungrouped_events"] == 4
    assert detector.process([tools.fact(2, "a", source_ip="x", fields={"size": "0x10"})])


def test_value_count_of_several_fields_counts_their_combinations(tools: Any) -> None:
    text = correlation("value_count", "{field: [user_name, size], gte: 3}", "[a]")
    detector = tools.detector(tools.rules(THREE + text))
    told = [
        bool(detector.process([tools.fact(moment, "a", source_ip="x", user_name=user, fields={"size": size})]))
        for moment, (user, size) in enumerate([("u", 1), ("u", 2), ("U", "1"), ("v", 1)])
    ]
    assert told == [False, False, False, True]


def test_combinations_take_each_value_of_a_list(tools: Any) -> None:
    text = correlation("value_count", "{field: [destination_ip, ports], gte: 4}", "[a]")
    detector = tools.detector(tools.rules(THREE + text))

    def tried(moment: float, target: str, *ports: int) -> bool:
        fact = tools.fact(moment, "a", source_ip="x", destination_ip=target, fields={"ports": list(ports)})
        return bool(detector.process([fact]))

    assert [tried(0, "10.0.0.1", 21, 22), tried(1, "10.0.0.1", 22), tried(2, "10.0.0.2", 21, 22)] == [
        False, False, True,
    ]  # fmt: skip


def test_too_many_combinations_are_counted_as_forgotten(tools: Any) -> None:
    text = correlation("value_count", "{field: [ports, more], gte: 10000}", "[a]")
    detector = tools.detector(tools.rules(THREE + text))
    fields = {"ports": list(range(101)), "more": list(range(100))}
    assert detector.process([tools.fact(0, "a", source_ip="x", fields=fields)])
    assert detector.counters()["evicted_values"] == 100


def test_long_timespans_of_the_specification(tools: Any) -> None:
    (rule,) = tools.rules(THREE + correlation("event_count", "{gte: 2}", "[a]", span="1M")).correlations
    assert rule.timespan_s == 2_629_746


def test_aliases_may_name_a_rule_by_what_the_list_does_not(tools: Any) -> None:
    text = RULE.replace("name: r\n", "name: by_name\n") + DETECTION + "---\ntitle: k\nname: k\ncorrelation:\n"
    text += (
        "  type: value_count\n  rules: [11111111-1111-4111-8111-111111111111]\n  group-by: [who]\n  timespan: 5m\n"
        "  condition: {field: what, gte: 2}\n  aliases: {who: {by_name: U}, what: {by_name: P}}\n"
    )
    detector = tools.detector(tools.rules(text))
    alerts = detector.process([tools.log(A="bad", U="u", P="1"), tools.log(A="bad", U="u", P="2")])
    assert [alert.group for alert in alerts] == [{"who": "u"}]
    assert "an alias names 'by_nam'" in tools.problems(text.replace("{by_name: U}", "{by_nam: U}"))[0]
