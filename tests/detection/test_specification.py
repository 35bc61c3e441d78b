"""The specification's appendix of modifiers, its escapes and its conditions, line by line: a verdict for each."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.rulefile import read_rules
from siemd.events import LogEvent

PLACEHOLDERS: dict[str, list[str | int]] = {"who": ["adm*", "root"], "net": ["10.0.0.0/8", "fe80::/10"], "n": [1, 2]}


def verdict(detections: dict[str, Any], condition: Any, fields: dict[str, Any]) -> bool:
    rule = {"title": "t", "logsource": {"product": "windows"}, "detection": {**detections, "condition": condition}}
    rules, problems = read_rules("r.yml", json.dumps(rule), PLACEHOLDERS)
    assert problems == []
    event = LogEvent(time_us=0, table="channel_logs", platform="windows", channel="c", event_id=1, fields=fields)
    return bool(Detector(Ruleset(rules), DetectionConfig(), "h").process([event]))


def encoded(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


# (what stands after the field `A`, the value in the rule, the value in the event, whether it matches)
ITEMS: list[tuple[str, Any, Any, bool]] = [
    ("", r"a\*b", "a*b", True),
    ("", r"a\*b", "axb", False),
    ("", r"a\\*b", "a\\zzb", True),
    ("", r"a\\*b", "a*b", False),
    ("", r"a\\\*b", "a\\*b", True),
    ("", r"a\\\*b", "a\\xb", False),
    ("", r"a\?b", "a?b", True),
    ("", r"a\?b", "axb", False),
    ("", r"a\b", "a\\b", True),
    ("", r"a\\b", "a\\b", True),
    ("", r"a\\\\b", r"a\\b", True),
    ("", r"a\\\b", r"a\\b", True),
    ("", "?", "", False),
    ("", "a?c", "abbc", False),
    ("", True, "TRUE", True),
    ("", "true", True, True),
    ("", True, 1, False),
    ("", 3, "3", True),
    ("", 3, "0x3", True),
    ("", 3, "33", False),
    ("", "3", [1, 3], True),
    ("", [None, "x"], "y", False),
    ("", None, "", True),
    ("|contains|all", ["x", "y"], "zzYX", True),
    ("|all|contains", ["x", "y"], "x", False),
    ("|contains|all", ["x", "y"], ["x", "y"], True),
    ("|windash|contains|all", [" -a", " /b"], "q /a –b", True),
    ("|contains|windash", " -enc ", "ps ―enc x", True),
    ("|windash|contains|cased", "-Enc", "a /enc", False),
    ("|windash|endswith", "-x", "foo /x", True),
    ("|windash|base64offset|contains", "-enc", encoded("a /enc z"), True),
    ("|base64", "abc", encoded("abc"), True),
    ("|base64offset|contains", "http://", encoded("yyhttp://evil"), True),
    ("|wide|base64offset|contains", "http://", encoded("yhttp://evil".encode("utf-16le")), True),
    ("|utf16be|base64offset|contains", "http://", encoded("yhttp://evil".encode("utf-16be")), True),
    ("|utf16|base64|startswith", "abc", encoded(b"\xff\xfe" + "abc".encode("utf-16le")), True),
    ("|re", "a.c", "xabcx", True),
    ("|re", "A.C", "abc", False),
    ("|re|i", "A.C", "abc", True),
    ("|re|ignorecase", "A.C", "abc", True),
    ("|re", "a.c", "a\nc", False),
    ("|re|s", "a.c", "a\nc", True),
    ("|re|dotall", "a.c", "a\nc", True),
    ("|re", "^b$", "a\nb\nc", False),
    ("|re|m", "^b$", "a\nb\nc", True),
    ("|re|multiline", "^b$", "a\nb\nc", True),
    ("|re|i|m|s", "^B.c", "x\nb\nc", True),
    ("|re|all", ["b", "^a"], "ab", True),
    ("|re", 123, "51234", True),
    ("|re|contains", "b|x", "abc", True),
    ("|re|startswith", "b|c", "cab", True),
    ("|re|startswith", "b|c", "ab", False),
    ("|re|startswith|i", "B", "bc", True),
    ("|re|startswith", "(?i)B", "bc", True),
    ("|re|endswith", "b|c", "ab", True),
    ("|re|endswith", "b|c", "ba", False),
    ("|re|neq", "x", "abc", True),
    ("|cidr", "10.0.0.0/8", "10.2.3.4", True),
    ("|cidr", "10.0.0.0/8", "::ffff:10.1.1.1", True),
    ("|cidr", ["fe80::/10", "10.0.0.0/8"], "FE80::1%3", True),
    ("|cidr", "10.0.0.0/8", "", False),
    ("|cidr|neq", "10.0.0.0/8", "11.0.0.1", True),
    ("|expand", "%who%", "adm1", True),
    ("|contains|expand", "%who%", "xroot", True),
    ("|expand|contains|windash", " -%who%", "x /root", True),
    ("|cidr|expand", "%net%", "10.1.1.1", True),
    ("|re|expand", "^%who%$", "root", True),
    ("|gt|expand", "%n%", 2, True),
    ("|expand", r"\%plain%who%", "%plainroot", True),
    ("|expand", r"\%who\%", "%who%", True),
    ("|expand", r"\%who\%", "root", False),
    ("", "%who%", "%who%", True),
    ("|exists", True, None, True),
    ("|exists", False, "x", False),
    ("|cased", "X*", "Xy", True),
    ("|contains|cased", "X", "ax", False),
    ("|neq", ["x", "y"], "y", False),
    ("|neq", 5, "5", False),
    ("|contains|neq", "x", "abc", True),
    ("|lt", 5, "4", True),
    ("|gte", "5", 5, True),
    ("|lte", 5.5, "5.5", True),
    ("|gt", 5, [1, 9], True),
    ("|gt", 5, "abc", False),
    ("|lt", 5, "", False),
    ("|gt|all", [1, 2], 2, False),
]


@pytest.mark.parametrize(("modifiers", "wanted", "found", "matches"), ITEMS)
def test_one_line_of_a_selection(modifiers: str, wanted: Any, found: Any, matches: bool) -> None:
    assert verdict({"s": {f"A{modifiers}": wanted}}, "s", {"A": found}) is matches


@pytest.mark.parametrize(
    ("modifiers", "wanted", "matches"),
    [("", "*", False), ("", "", False), ("", None, True), ("|exists", False, True), ("|neq", "x", True)],
)
def test_a_line_about_a_field_that_is_missing(modifiers: str, wanted: Any, matches: bool) -> None:
    assert verdict({"s": {f"A{modifiers}": wanted}}, "s", {"B": "x"}) is matches


@pytest.mark.parametrize(
    ("modifiers", "other", "matches"),
    [
        ("fieldref", "XYZ", True),
        ("fieldref", "xy", False),
        ("fieldref|cased", "XYZ", False),
        ("fieldref|startswith", "XY", True),
        ("startswith|fieldref", "XY", True),
        ("fieldref|endswith", "yz", True),
        ("fieldref|contains", "y", True),
        ("fieldref|neq", "xyz", False),
        ("fieldref|neq", "other", True),
        ("fieldref|expand", "xyz", True),
    ],
)
def test_two_fields_of_an_event(modifiers: str, other: str, matches: bool) -> None:
    assert verdict({"s": {f"A|{modifiers}": "B"}}, "s", {"A": "xyz", "B": other}) is matches


PARTS = {"minute": 30, "hour": 13, "day": 4, "week": 10, "month": 3, "year": 2024}
MOMENTS: list[str | int] = [
    "2024-03-04T13:30:00.1234567Z",
    "2024-03-04 13:30:00.123",
    "2024-03-04T13:30:00.12+02:00",
    "2024-03-04T13:30",
    "2024/03/04 13:30:00",
    "2024-03-04 13:30:00 UTC",
    1709559000,
    "1709559000",
    1709559000123,
    1709559000123456,
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_parts_of_a_date(moment: str | int) -> None:
    for unit, value in PARTS.items():
        assert verdict({"s": {f"A|{unit}": [value, 1]}}, "s", {"A": moment}), unit
        assert not verdict({"s": {f"A|{unit}": value + 1}}, "s", {"A": moment}), unit
        assert verdict({"s": {f"A|{unit}|gte": value}}, "s", {"A": moment}), unit
        assert verdict({"s": {f"A|{unit}|neq": value + 1}}, "s", {"A": moment}), unit


@pytest.mark.parametrize("moment", ["", "yesterday", "2024-13-04", True, None, 5, -1, "9" * 30])
def test_what_is_no_date_has_no_parts(moment: Any) -> None:
    assert not any(verdict({"s": {f"A|{unit}|gte": 0}}, "s", {"A": moment}) for unit in PARTS)


@pytest.mark.parametrize(
    ("keywords", "matches"),
    [
        (["foo", "bar"], True),
        (["BAR"], True),
        ("f*o", True),
        ({"|all": ["foo", "bar"]}, True),
        ({"|all": ["foo", "nothing"]}, False),
        ({"|contains|all": ["foo", "bar"]}, True),
        ({"|re": "fo+$"}, True),
        ({"|re|i": ["FO+", "x"]}, True),
        ({"|cased": ["Foo"]}, False),
        ([4625], True),
        ([r"a\*b"], True),
        ({"|windash": [" -x"]}, True),
        ({"|base64offset|contains": ["foo:"]}, True),
        ({"|neq": "nothing"}, True),
        (["nothing", {"N": 4625}], True),
        (["named"], False),
    ],
)
def test_keywords(keywords: Any, matches: bool) -> None:
    fields = {
        "A": "xfoo",
        "C": {"D": ["ybarz"]},
        "N": 4625,
        "S": "1 /x 1*b",
        "E": encoded("xxfoo:bar"),
        "Named": "ka*bk",
    }
    assert verdict({"s": keywords}, "s", fields) is matches


DETECTIONS = {"sel_a": {"A": 1}, "sel_b": {"B": 1}, "filter_x": {"X": 1}, "_h": {"H": 1}}


@pytest.mark.parametrize(
    ("condition", "fields", "matches"),
    [
        ("1 of sel_*", "A", True),
        ("all of sel_*", "A", False),
        ("all of sel_*", "AB", True),
        ("any of sel*", "B", True),
        ("1 of them", "H", False),
        ("1 of them", "X", True),
        ("all of them", "ABX", True),
        ("not 1 of filter_*", "", True),
        ("not all of sel_*", "A", True),
        ("sel_a and not (sel_b or filter_x)", "A", True),
        ("sel_a and not (sel_b or filter_x)", "AX", False),
        ("not sel_a and sel_b", "B", True),
        ("not (sel_a and sel_b)", "B", True),
        ("sel_a or sel_b and filter_x", "A", True),
        ("(sel_a or sel_b) and filter_x", "A", False),
        ("sel_a AND NOT sel_b", "A", True),
        ("1 OF sel_* OR _h", "H", True),
        ("not (not sel_a)", "A", True),
        ("1 of s*_b", "B", True),
        ("1 of _*", "H", True),
        ("(1 of sel_*)and(not filter_x)", "A", True),
        ("sel_a\n  and sel_b", "AB", True),
        (["sel_a and sel_b", "filter_x"], "X", True),
        (["sel_a and sel_b", "filter_x"], "A", False),
    ],
)
def test_conditions(condition: Any, fields: str, matches: bool) -> None:
    assert verdict(DETECTIONS, condition, {"Z": 1, **dict.fromkeys(fields, 1)}) is matches
