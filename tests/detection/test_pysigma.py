"""pySigma as the oracle for reading: rules as it parses them, evaluated naively, give our verdicts.

It parses, splits escapes and applies modifiers; what its values mean is spelled out here. Where siemd decides
otherwise on purpose (docs/rules.md), the rules here keep clear of it.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.nodes import ANY, Wildcard
from siemd.detection.pattern import parse
from siemd.detection.rulefile import read_rules
from siemd.events import LogEvent

pytest.importorskip("sigma.rule", reason="pySigma, a dependency of development on Linux, is not installed")

from sigma import conditions, types
from sigma.correlations import SigmaCorrelationRule
from sigma.rule import SigmaRule


def spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def glob(text: types.SigmaString, *, inside: bool = False) -> str:
    """A string of pySigma as a regular expression."""
    signs = {types.SpecialChars.WILDCARD_MULTI: ".*", types.SpecialChars.WILDCARD_SINGLE: "."}
    body = "".join(re.escape(part) if isinstance(part, str) else signs[part] for part in text.s)
    return f"(?s:.*{body}.*)" if inside else f"(?s:{body})"


def number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def equals(found: Any, wanted: Any) -> bool:
    """Whether one value of an event is what a value of pySigma says."""
    text = spelled(found)
    match wanted:
        case types.SigmaCasedString():
            return re.fullmatch(glob(wanted), text) is not None
        case types.SigmaString():
            return re.fullmatch(glob(wanted).lower(), text.lower()) is not None
        case types.SigmaNumber():
            return not isinstance(found, bool) and text == str(wanted.number)
        case types.SigmaBool():
            return text.lower() == str(wanted.boolean).lower()
        case types.SigmaNull():
            return found in (None, "")
        case types.SigmaRegularExpression():
            flags = 0
            for flag in wanted.flags:
                flags |= {"IGNORECASE": re.IGNORECASE, "MULTILINE": re.MULTILINE, "DOTALL": re.DOTALL}[flag.name]
            return re.search(str(wanted.regexp), text, flags) is not None
        case types.SigmaCompareExpression():
            value, limit = number(found), float(wanted.number.number)
            if value is None:
                return False
            return {"LT": value < limit, "LTE": value <= limit, "GT": value > limit, "GTE": value >= limit}[
                wanted.op.name
            ]
        case types.SigmaCIDRExpression():
            try:
                return ipaddress.ip_address(text) in ipaddress.ip_network(wanted.cidr, strict=False)
            except ValueError:
                return False
    raise AssertionError(wanted)


def holds(node: Any, fields: dict[str, Any]) -> bool:
    """A condition of pySigma against the fields of an event."""
    match node:
        case conditions.ConditionAND():
            return all(holds(item, fields) for item in node.args)
        case conditions.ConditionOR():
            return any(holds(item, fields) for item in node.args)
        case conditions.ConditionNOT():
            return not holds(node.args[0], fields)
        case conditions.ConditionValueExpression():
            texts = [spelled(value) for value in fields.values()]
            return any(re.fullmatch(glob(node.value, inside=True).lower(), text.lower()) for text in texts)
    field, wanted = node.field, node.value
    if isinstance(wanted, types.SigmaExists):
        return (field in fields) is bool(wanted.exists)
    if isinstance(wanted, types.SigmaExpansion):
        return any(field in fields and equals(fields[field], value) for value in wanted.values)
    if isinstance(wanted, types.SigmaFieldReference):
        return field in fields and wanted.field in fields and refers(fields[field], fields[wanted.field], wanted)
    if isinstance(wanted, types.SigmaNull):
        return field not in fields or equals(fields[field], wanted)
    return field in fields and equals(fields[field], wanted)


def refers(found: Any, other: Any, wanted: Any) -> bool:
    text, part = spelled(found).lower(), spelled(other).lower()
    if wanted.starts_with and wanted.ends_with:
        return part in text
    if wanted.starts_with:
        return text.startswith(part)
    return text.endswith(part) if wanted.ends_with else text == part


PATTERNS = st.text(alphabet="aAb*?\\-/1", min_size=1, max_size=6)
PLAIN = st.text(alphabet="aAb-/1 ", min_size=1, max_size=6)
NUMBERS = st.integers(-3, 20)
FIELDS = st.sampled_from(["A", "B", "C"])


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


def item(modifiers: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.tuples(FIELDS, st.sampled_from(modifiers)).map("|".join), values)


ITEMS = st.one_of(
    st.tuples(FIELDS, several(st.one_of(PATTERNS, NUMBERS, st.booleans(), st.none()))),
    item(["contains", "startswith", "endswith", "cased", "contains|cased", "startswith|cased"], several(PATTERNS)),
    item(["contains|all", "startswith|all"], st.lists(PATTERNS, min_size=2, max_size=3)),
    item(["base64|contains", "wide|base64offset|contains", "wide|base64|contains"], PLAIN),
    # pySigma makes of a single character, which has no sign of its own in Base64, a text that is everywhere
    item(["base64offset|contains"], PLAIN.filter(lambda text: len(text) > 1)),
    item(["windash|contains", "contains|windash"], several(PLAIN)),
    item(["lt", "lte", "gt", "gte"], NUMBERS),
    item(["neq", "contains|neq"], several(PATTERNS)),
    item(["exists"], st.booleans()),
    item(["re", "re|i", "re|s|m"], st.sampled_from(["a+", "^b", "a.b$", "A", r"\d", "[ab]{2}"])),
    item(["cidr"], st.sampled_from(["10.0.0.0/8", "10.1.2.0/24", "fe80::/10"])),
    item(["fieldref", "fieldref|contains", "fieldref|startswith", "fieldref|endswith"], FIELDS),
)
MAPS = st.lists(ITEMS, min_size=1, max_size=2).map(dict)
KEYWORDS = st.lists(PLAIN, min_size=1, max_size=2)
DETECTIONS = st.one_of(MAPS, st.lists(MAPS, min_size=1, max_size=2), KEYWORDS)
CONDITIONS = st.sampled_from(
    [
        "s1",
        "s1 and s2",
        "s1 or s2 and not s1",
        "not s1 and s2",
        "1 of s*",
        "all of them",
        "not (s1 or s2)",
        "not 1 of s*",
    ]
)
VALUES = st.one_of(
    st.text(alphabet="aAb*?\\-/1 ", max_size=6),
    PLAIN.map(lambda text: base64.b64encode(("x" + text).encode()).decode()),
    NUMBERS,
    st.booleans(),
    st.sampled_from(["10.1.2.3", "10.9.9.9", "fe80::1", "", None]),
)


@settings(max_examples=600)
@given(st.tuples(DETECTIONS, DETECTIONS), CONDITIONS, st.lists(st.dictionaries(FIELDS, VALUES), min_size=1, max_size=5))
def test_the_verdict_is_that_of_the_rule_as_pysigma_reads_it(
    contents: Any, condition: str, events: list[dict[str, Any]]
) -> None:
    detections = {"s1": contents[0], "s2": contents[1], "condition": condition}
    rule = {"title": "t", "logsource": {"product": "windows"}, "detection": detections}
    theirs = SigmaRule.from_dict(rule).detection.parsed_condition[0].parsed
    ours, problems = read_rules("generated.yml", json.dumps(rule))
    assert not problems, problems
    for fields in events:
        event = LogEvent(time_us=0, table="channel_logs", platform="windows", level="", fields=fields)
        fired = bool(Detector(Ruleset(ours), DetectionConfig(), "h").process([event]))
        assert fired is holds(theirs, fields), (rule, fields)


@given(st.text(alphabet="ab*?\\", max_size=8))
def test_escapes_are_split_as_pysigma_splits_them(text: str) -> None:
    signs = {types.SpecialChars.WILDCARD_MULTI: "*", types.SpecialChars.WILDCARD_SINGLE: "?"}
    theirs = [part if isinstance(part, str) else Wildcard(signs[part]) for part in types.SigmaString(text).s]
    theirs = [part for part in theirs if part != ""]
    star = Wildcard(ANY)
    thin = [part for index, part in enumerate(theirs) if not (part == star and index and theirs[index - 1] == star)]
    assert list(parse(text)) == thin


@pytest.mark.parametrize(
    ("text", "fits", "fits_not"),
    [
        (r"a\*b", ["a*b"], ["axb", r"a\*b"]),
        (r"a\\*b", ["a\\b", "a\\xb"], ["a*b", "axb"]),
        (r"a\\\*b", [r"a\*b"], [r"a\xb", "a*b"]),
        (r"a\b", [r"a\b"], ["ab"]),
        (r"a\\b", [r"a\b"], [r"a\\b"]),
        (r"\\\\a", [r"\\a"], [r"\a"]),
        (r"a\?b", ["a?b"], ["axb"]),
    ],
)
def test_the_seven_traps_of_escapes(text: str, fits: list[str], fits_not: list[str]) -> None:
    rule = {"title": "t", "logsource": {"product": "windows"}, "detection": {"s": {"A": text}, "condition": "s"}}
    theirs = SigmaRule.from_dict(rule).detection.parsed_condition[0].parsed
    ours = Ruleset(read_rules("r.yml", json.dumps(rule))[0])
    for value in (*fits, *fits_not):
        event = LogEvent(time_us=0, table="channel_logs", platform="windows", fields={"A": value})
        fired = bool(Detector(ours, DetectionConfig(), "h").process([event]))
        assert fired is (value in fits) is holds(theirs, {"A": value}), value


NAMES = st.sampled_from(["a", "b", "c"])
WORDS: st.SearchStrategy[str] = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        inner.map(lambda text: f"not {text}" if " " not in text else f"not ({text})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
    ),
    max_leaves=5,
)


@given(WORDS, st.sets(NAMES))
def test_conditions_in_words_mean_what_pysigma_reads(text: str, matched: set[str]) -> None:
    correlation = {"type": "temporal", "group-by": ["x"], "timespan": "5m", "condition": text}
    rule = {"title": "t", "correlation": correlation}
    theirs = SigmaCorrelationRule.from_dict(rule).condition.parsed
    found, problems = read_rules("r.yml", json.dumps(rule))
    if problems:
        assert "can never hold" in problems[0].message or "when nothing happens" in problems[0].message
        return
    one = found[0]
    positions = {name: position for position, name in enumerate(one.rules)}
    inside = {positions[name] for name in matched if name in positions}
    ours = any(inside.issuperset(way.wanted) and inside.isdisjoint(way.unwanted) for way in one.threshold.alternatives)
    assert ours is truth(theirs, matched)


def truth(node: Any, matched: set[str]) -> bool:
    match type(node).__name__:
        case "CorrelationConditionAND":
            return all(truth(item, matched) for item in node.args)
        case "CorrelationConditionOR":
            return any(truth(item, matched) for item in node.args)
        case "CorrelationConditionNOT":
            return not truth(node.args[0], matched)
    return node.reference in matched
