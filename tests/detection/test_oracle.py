"""The matcher against an independent, naive evaluator written from the specification, on generated rules and events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.rulefile import read_rules
from siemd.events import LogEvent

# --- the naive evaluator: parsed rule (a dict) and fields (a dict) -> bool


def unescape(text: str) -> list[str]:
    """Characters of a pattern; the wildcards are the two-character items '**' and '??'."""
    out: list[str] = []
    index = 0
    while index < len(text):
        if text[index] == "\\" and index + 1 < len(text) and text[index + 1] in "*?\\":
            out.append(text[index + 1])
            index += 2
        else:
            out.append(text[index] * 2 if text[index] in "*?" else text[index])
            index += 1
    return out


def glob(pattern: list[str], text: str) -> bool:
    """Classic dynamic programming over pattern and text."""
    row = [True] + [False] * len(text)
    for item in pattern:
        new = [row[0] and item == "**"]
        for at, sign in enumerate(text):
            if item == "**":
                new.append(new[at] or row[at + 1])
            else:
                new.append(row[at] and item in ("??", sign))
        row = new
    return row[-1]


def spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def one_value(found: Any, wanted: Any, modifiers: list[str]) -> bool:
    if wanted is None:
        return found in (None, "")
    if isinstance(wanted, int) and not isinstance(wanted, bool) and not modifiers:
        return not isinstance(found, bool) and spell(found) == str(wanted)
    pattern = unescape(spell(wanted))
    for modifier in modifiers:
        if modifier in ("contains", "endswith"):
            pattern = ["**", *pattern]
        if modifier in ("contains", "startswith"):
            pattern = [*pattern, "**"]
    text = spell(found)
    if "cased" not in modifiers:
        text = text.lower()
        pattern = [item.lower() for item in pattern]
    return glob(pattern, text)


def one_field(name: str, wanted: Any, fields: dict[str, Any]) -> bool:
    field, *modifiers = name.split("|")
    wanted = wanted if isinstance(wanted, list) else [wanted]
    missing = field not in fields
    found = [] if missing else fields[field] if isinstance(fields[field], list) else [fields[field]]

    def holds(value: Any) -> bool:
        if value is None and (missing or all(item in (None, "") for item in found)):
            return True
        return value is not None and any(one_value(item, value, modifiers) for item in found)

    results = [holds(value) for value in wanted]
    return all(results) if "all" in modifiers else any(results)


def detection(content: Any, fields: dict[str, Any]) -> bool:
    if isinstance(content, list):
        return any(detection(item, fields) for item in content)
    return all(one_field(name, wanted, fields) for name, wanted in content.items())


def condition(tree: Any, verdicts: dict[str, bool]) -> bool:
    match tree:
        case str(name):
            return verdicts[name]
        case ("not", item):
            return not condition(item, verdicts)
        case ("and", left, right):
            return condition(left, verdicts) and condition(right, verdicts)
        case ("or", left, right):
            return condition(left, verdicts) or condition(right, verdicts)
        case ("of", quantifier, prefix):
            chosen = [verdict for name, verdict in verdicts.items() if name.startswith(prefix)]
            return all(chosen) if quantifier == "all" else any(chosen)
    raise AssertionError(tree)


def write(tree: Any, level: int = 0) -> str:
    """The condition as text, with parentheses only where precedence needs them."""
    match tree:
        case str(name):
            return name
        case ("not", item):
            return f"not {write(item, 3)}"
        case ("of", quantifier, prefix):
            return f"{quantifier} of {prefix}*"
        case (word, left, right):
            own = {"or": 1, "and": 2}[word]
            text = f"{write(left, own)} {word} {write(right, own)}"
            return f"({text})" if own < level else text
    raise AssertionError(tree)


# --- generated rules and events

NAMES = ["sel_a", "sel_b", "filter_a"]
PATTERNS = st.text(alphabet="aAb*?\\-", max_size=5)
VALUES = st.one_of(PATTERNS, st.integers(0, 20))
PLAIN = st.one_of(VALUES, st.booleans(), st.none())
SUFFIXES = ["contains", "startswith", "endswith", "cased", "contains|cased", "contains|all", "endswith|all"]


def field_items() -> st.SearchStrategy[tuple[str, Any]]:
    names = st.sampled_from(["A", "B", "C"])
    plain = st.tuples(names, st.one_of(PLAIN, st.lists(PLAIN, min_size=1, max_size=3)))
    modified = st.tuples(
        st.tuples(names, st.sampled_from(SUFFIXES)).map("|".join),
        st.one_of(VALUES, st.lists(VALUES, min_size=1, max_size=3)),
    )
    return st.one_of(plain, modified)


MAPS = st.lists(field_items(), min_size=1, max_size=3).map(dict)
DETECTIONS = st.one_of(MAPS, st.lists(MAPS, min_size=1, max_size=2))
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from(NAMES),
        st.tuples(st.just("of"), st.sampled_from(["1", "all", "any"]), st.sampled_from(["sel_", "filter_"])),
    ),
    lambda inner: st.one_of(st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=6,
)
TEXTS = st.text(alphabet="aAb*?\\-1", max_size=5)
FIELD_VALUES = st.one_of(TEXTS, st.integers(0, 20), st.booleans(), st.none())
EVENTS = st.dictionaries(
    st.sampled_from(["A", "B", "C"]),
    st.one_of(FIELD_VALUES, st.lists(FIELD_VALUES, min_size=1, max_size=3)),
    max_size=3,
)


@settings(max_examples=400)
@given(st.tuples(DETECTIONS, DETECTIONS, DETECTIONS), TREES, st.lists(EVENTS, min_size=1, max_size=4))
def test_the_verdict_equals_the_naive_one(contents: Any, tree: Any, events: list[dict[str, Any]]) -> None:
    detections = dict(zip(NAMES, contents, strict=True))
    rule = {
        "title": "t",
        "logsource": {"product": "windows"},
        "detection": {**detections, "condition": write(tree)},
    }
    rules, problems = read_rules("generated.yml", json.dumps(rule))
    assert not problems, problems
    ruleset = Ruleset(rules)
    for fields in events:
        event = LogEvent(time_us=0, table="channel_logs", platform="windows", channel="c", event_id=1, fields=fields)
        verdicts = {name: detection(content, fields) for name, content in detections.items()}
        fired = bool(Detector(ruleset, DetectionConfig(), "h").process([event]))
        assert fired is condition(tree, verdicts), (rule, fields)
