"""The ATT&CK coverage is told from tags: tactics in order, techniques under the tactics that their rules name."""

from __future__ import annotations

from typing import Any

from siemd.detection.attack import UNTOLD, coverage
from siemd.detection.rule import AnyRule


def tagged(tools: Any, name: str, *tags: str) -> AnyRule:
    text = f"title: t\nname: {name}\nlogsource: {{product: windows}}\ndetection: {{s: {{A: x}}, condition: s}}\n"
    (rule,) = tools.rules(text + f"tags: {list(tags)}\n").rules
    return rule  # type: ignore[no-any-return]


def test_rows_and_cells(tools: Any) -> None:
    rows = coverage(
        [
            (tagged(tools, "a", "attack.execution", "attack.t1059.001", "attack.g0016", "car.2013-05-004"), True),
            (tagged(tools, "b", "attack.execution", "attack.initial-access", "attack.t1059.001"), False),
            (tagged(tools, "c", "attack.initial_access", "attack.t1190", "cve.2021-44228"), False),
            (tagged(tools, "d", "attack.T1485"), True),
            (tagged(tools, "e", "attack.a-tactic-to-come"), True),
            (tagged(tools, "f"), True),
        ]
    )
    shown = [
        (row.tactic, row.firing, row.rules, [(c.technique, c.firing, c.rules) for c in row.techniques]) for row in rows
    ]
    assert shown == [
        ("initial-access", 0, 2, [("T1059.001", 1, 2), ("T1190", 0, 1)]),
        ("execution", 1, 2, [("T1059.001", 1, 2)]),
        ("a-tactic-to-come", 1, 1, []),
        (UNTOLD, 1, 1, [("T1485", 1, 1)]),
    ]


def test_a_technique_is_not_put_under_a_tactic_that_few_of_its_rules_name(tools: Any) -> None:
    rules = [(tagged(tools, f"r{n}", "attack.impact", "attack.t1485"), True) for n in range(3)]
    rules.append((tagged(tools, "odd", "attack.execution", "attack.impact", "attack.t1485"), True))
    rows = {row.tactic: row for row in coverage(rules)}
    assert rows["execution"].techniques == []
    assert [cell.technique for cell in rows["impact"].techniques] == ["T1485"]


def test_no_rules_no_rows() -> None:
    assert coverage([]) == []
