"""The ATT&CK coverage of rules, from their tags alone: tactics, techniques, and how many rules of each can fire."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from siemd.detection.rule import AnyRule

# The tactics in the order of an attack, those of several versions of ATT&CK; others follow by name.
TACTICS = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)
UNTOLD = "without a tactic"
SHARE = 0.5
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)")
_TACTIC = re.compile(r"attack\.([a-z][a-z-]+)")


class Cell(msgspec.Struct):
    """A technique within a tactic: rules that are about it, and how many of these can fire."""

    technique: str
    rules: int = 0
    firing: int = 0


class Row(msgspec.Struct):
    """A tactic with its techniques, the most covered first; rules and firing count each rule once."""

    tactic: str
    rules: int = 0
    firing: int = 0
    techniques: list[Cell] = []


def coverage(rules: Iterable[tuple[AnyRule, bool]]) -> list[Row]:
    """Rows in the order of TACTICS, from pairs of a rule and whether it can fire.

    Tags do not say to which of a rule's tactics each of its techniques belongs: a technique is put under the tactics
    that at least half of its rules name.
    """
    together: dict[str, Counter[str]] = {}
    counts: dict[str, list[int]] = {}
    rows: dict[str, Row] = {}
    for rule, fires in rules:
        techniques, tactics = _tags(rule)
        for tactic in tactics:
            row = rows.setdefault(tactic, Row(tactic, techniques=[]))
            row.rules += 1
            row.firing += fires
        for technique in techniques:
            together.setdefault(technique, Counter()).update(tactics)
            count = counts.setdefault(technique, [0, 0])
            count[0] += 1
            count[1] += fires
    for technique, seen in together.items():
        total, firing = counts[technique]
        for tactic, times in seen.items():
            if times >= SHARE * total:
                rows[tactic].techniques.append(Cell(technique.upper(), total, firing))
    for row in rows.values():
        row.techniques.sort(key=lambda cell: (-cell.firing, -cell.rules, cell.technique))
    order = {name: index for index, name in enumerate(TACTICS)}
    return sorted(rows.values(), key=lambda row: (order.get(row.tactic, len(order)), row.tactic))


def _tags(rule: AnyRule) -> tuple[set[str], set[str]]:
    """The techniques and tactics of a rule; a rule with techniques alone is under UNTOLD."""
    tags = [tag.lower().replace("_", "-") for tag in rule.tags]
    techniques = {found[1] for tag in tags if (found := _TECHNIQUE.fullmatch(tag))}
    tactics = {found[1] for tag in tags if (found := _TACTIC.fullmatch(tag))}
    return techniques, tactics or ({UNTOLD} if techniques else set())
