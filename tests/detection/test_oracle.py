"""The matcher against an independent, naive evaluator written from the specification, on generated rules and events."""

from __future__ import annotations

import base64
import ipaddress
import itertools
import json
import re
from datetime import datetime
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


DASHES = "-/–—―"
PLACES = ("contains", "startswith", "endswith")
ENCODINGS = {"wide": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16"}
OPERATORS = {
    "lt": lambda found, limit: found < limit,
    "lte": lambda found, limit: found <= limit,
    "gt": lambda found, limit: found > limit,
    "gte": lambda found, limit: found >= limit,
}
UNITS = ("minute", "hour", "day", "week", "month", "year")


def variants(pattern: list[str], modifiers: list[str]) -> list[list[str]]:
    """A pattern under the modifiers that change it, from left to right."""
    found = [pattern]
    octets = "utf-8"
    for modifier in modifiers:
        if modifier == "windash":
            found = [one for each in found for one in dashed(each)]
        elif modifier in ENCODINGS:  # bytes from here on: one character each
            octets = "latin-1"
            mark = "\xff\xfe" if modifier == "utf16" else ""
            codec = ENCODINGS[modifier] if modifier != "utf16" else "utf-16-le"
            found = [list(mark + "".join(each).encode(codec).decode("latin-1")) for each in found]
        elif modifier == "base64":
            found = [list(base64.b64encode("".join(each).encode(octets)).decode()) for each in found]
        elif modifier == "base64offset":
            found = [list(part) for each in found for part in aligned("".join(each).encode(octets))]
        elif modifier in PLACES:
            before = ["**"] if modifier != "startswith" else []
            after = ["**"] if modifier != "endswith" else []
            found = [[*before, *each, *after] for each in found]
    return found


def aligned(data: bytes) -> list[str]:
    """What of the Base64 text does not depend on what stands before and behind, for each way to lie in threes."""
    parts = []
    for shift in range(3):
        texts = [
            base64.b64encode(fill * shift + data + tail * 3).decode()
            for fill in (b"\0", b"\xff")
            for tail in (b"\0", b"\xff")
        ]
        begin = -(-shift * 8 // 6)
        end = (shift + len(data)) * 8 // 6
        assert len({text[begin:end] for text in texts}) == 1
        parts.append(texts[0][begin:end])
    return parts


def dashed(pattern: list[str]) -> list[list[str]]:
    """Every dash that begins a word, but is in none itself, in all its forms."""

    def word(at: int) -> bool:
        return 0 <= at < len(pattern) and len(pattern[at]) == 1 and (pattern[at].isalnum() or pattern[at] == "_")

    places = [at for at, sign in enumerate(pattern) if sign in DASHES and word(at + 1) and not word(at - 1)]
    spelled = []
    for choice in itertools.product(DASHES, repeat=len(places)):
        one = list(pattern)
        for at, sign in zip(places, choice, strict=True):
            one[at] = sign
        spelled.append(one)
    return spelled


def number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def one_value(found: Any, wanted: Any, modifiers: list[str]) -> bool:
    if wanted is None:
        return found in (None, "")
    units = [name for name in modifiers if name in UNITS]
    operators = [name for name in modifiers if name in OPERATORS]
    if units:
        try:
            moment = datetime.fromisoformat(found)
        except (TypeError, ValueError):
            return False
        part = moment.isocalendar().week if units == ["week"] else getattr(moment, units[0])
        return OPERATORS[operators[0]](part, wanted) if operators else part == wanted
    if operators:
        value = number(found)
        return value is not None and OPERATORS[operators[0]](value, wanted)
    if "cidr" in modifiers:
        try:
            return ipaddress.ip_address(found) in ipaddress.ip_network(wanted)
        except ValueError:
            return False
    if "re" in modifiers:
        flags = sum(getattr(re, name.upper()) for name in modifiers if name in ("i", "m", "s"))
        hits = re.finditer(wanted, spell(found), flags)
        return any(
            ("startswith" not in modifiers or hit.start() == 0)
            and ("endswith" not in modifiers or hit.end() == len(spell(found)))
            for hit in hits
        )
    if isinstance(wanted, int) and not isinstance(wanted, bool) and not modifiers:
        return not isinstance(found, bool) and spell(found) == str(wanted)
    text = spell(found)
    patterns = variants(unescape(spell(wanted)), modifiers)
    if "cased" not in modifiers:
        text = text.lower()
        patterns = [[item.lower() for item in pattern] for pattern in patterns]
    return any(glob(pattern, text) for pattern in patterns)


def refers(found: Any, other: Any, modifiers: list[str]) -> bool:
    text, part = spell(found), spell(other)
    if "cased" not in modifiers:
        text, part = text.lower(), part.lower()
    if "contains" in modifiers:
        return part in text
    if "startswith" in modifiers:
        return text.startswith(part)
    return text.endswith(part) if "endswith" in modifiers else text == part


def listed(name: str, fields: dict[str, Any]) -> list[Any]:
    if name not in fields:
        return []
    return fields[name] if isinstance(fields[name], list) else [fields[name]]


def one_field(name: str, wanted: Any, fields: dict[str, Any]) -> bool:
    field, *modifiers = name.split("|")
    wanted = wanted if isinstance(wanted, list) else [wanted]
    found = listed(field, fields)

    def holds(value: Any) -> bool:
        if "exists" in modifiers:
            return (field in fields) is value
        if "fieldref" in modifiers:
            return any(refers(item, other, modifiers) for item in found for other in listed(value, fields))
        if value is None and all(item in (None, "") for item in found):
            return True
        return value is not None and any(one_value(item, value, modifiers) for item in found)

    results = [holds(value) for value in wanted]
    verdict = all(results) if "all" in modifiers else any(results)
    return verdict is not ("neq" in modifiers)


def keyword(wanted: Any, fields: dict[str, Any]) -> bool:
    values = [item for name in fields for item in listed(name, fields) if item not in (None, "")]
    return any(one_value(item, wanted, ["contains"]) for item in values)


def detection(content: Any, fields: dict[str, Any]) -> bool:
    if isinstance(content, list):
        return any(detection(item, fields) for item in content)
    if not isinstance(content, dict):
        return keyword(content, fields)
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
        case ("of", quantifier, "them"):
            chosen = [verdict for name, verdict in verdicts.items() if not name.startswith("_")]
            return all(chosen) if quantifier == "all" else any(chosen)
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
            return f"{quantifier} of {prefix}" + "*" * (prefix != "them")
        case (word, left, right):
            own = {"or": 1, "and": 2}[word]
            text = f"{write(left, own)} {word} {write(right, own)}"
            return f"({text})" if own < level else text
    raise AssertionError(tree)


# --- generated rules and events

NAMES = ["sel_a", "sel_b", "_filter"]
PATTERNS = st.text(alphabet="aAb*?\\-", max_size=5)
VALUES = st.one_of(PATTERNS, st.integers(0, 20))
PLAIN = st.one_of(VALUES, st.booleans(), st.none())
SUFFIXES = ["contains", "startswith", "endswith", "cased", "contains|cased", "contains|all", "endswith|all"]


FIELDS = st.sampled_from(["A", "B", "C"])
SECRETS = st.sampled_from(["aAb", "-a b", "abab"])
DATES = ["2024-03-04T13:30:00", "2021-01-01 00:05:09.120000", "2020-12-31"]
ADDRESSES = ["10.0.0.1", "10.9.0.1", "fe80::1", "2001:db8::5"]
CODED = [
    base64.b64encode(fill + text.encode(codec)).decode()
    for fill in (b"", b"x", b"xy")
    for text in ("aAb", "/a b", "abab")
    for codec in ("utf-8", "utf-16-le", "utf-16")
]


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


def item(modifiers: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    """A line with one of the modifiers (between blanks); each of them with `neq` too."""
    suffixes = [suffix for one in modifiers.split() for suffix in (one, f"{one}|neq")]
    return st.tuples(st.tuples(FIELDS, st.sampled_from(suffixes)).map("|".join), several(values))


def field_items() -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(
        st.tuples(FIELDS, several(PLAIN)),
        item(" ".join(SUFFIXES), VALUES),
        item("windash windash|contains contains|windash|cased windash|startswith|all", PATTERNS),
        item("base64|contains base64offset|contains windash|base64offset|contains", SECRETS),
        item("wide|base64offset|contains utf16le|base64 utf16|base64|startswith utf16be|base64", SECRETS),
        item("re re|i re|i|m|s re|startswith re|i|endswith re|contains", st.sampled_from(EXPRESSIONS)),
        item("lt lte gt gte gt|all", st.integers(-2, 20)),
        item("cidr", st.sampled_from(["10.0.0.0/16", "10.0.0.0/8", "fe80::/10", "10.0.0.1/32"])),
        item("exists", st.booleans()),
        item("fieldref fieldref|startswith fieldref|contains fieldref|endswith|cased fieldref|all", FIELDS),
        item("minute hour day|gte week month|lt year", st.sampled_from([1, 3, 4, 10, 13, 30, 53, 2024])),
    )


EXPRESSIONS = ["a+", "^b", "a.b", "A|b$", r"\d", "[ab]{2}", "^$"]
MAPS = st.lists(field_items(), min_size=1, max_size=3).map(dict)
KEYWORDS = st.sampled_from(["aA", "bb", "b*A", r"a\*", "b?", 7])
DETECTIONS = st.one_of(MAPS, st.lists(st.one_of(MAPS, KEYWORDS), min_size=1, max_size=2))
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from(NAMES),
        st.tuples(st.just("of"), st.sampled_from(["1", "all", "any"]), st.sampled_from(["sel_", "_", "them"])),
    ),
    lambda inner: st.one_of(st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=6,
)
TEXTS = st.text(alphabet="aAb*?\\-1", max_size=5)
FIELD_VALUES = st.one_of(
    TEXTS, st.sampled_from([*DATES, *ADDRESSES, *CODED]), st.integers(0, 20), st.booleans(), st.none()
)
EVENTS = st.dictionaries(
    st.sampled_from(["A", "B", "C"]),
    st.one_of(FIELD_VALUES, st.lists(FIELD_VALUES, min_size=1, max_size=3)),
    max_size=3,
)


@settings(max_examples=400)
@given(
    st.tuples(DETECTIONS, DETECTIONS, DETECTIONS),
    st.lists(TREES, min_size=1, max_size=2),
    st.lists(EVENTS, min_size=1, max_size=4),
)
def test_the_verdict_equals_the_naive_one(contents: Any, trees: Any, events: list[dict[str, Any]]) -> None:
    detections = dict(zip(NAMES, contents, strict=True))
    rule = {
        "title": "t",
        "logsource": {"product": "windows"},
        "detection": {**detections, "condition": [write(tree) for tree in trees]},
    }
    rules, problems = read_rules("generated.yml", json.dumps(rule))
    assert not problems, problems
    ruleset = Ruleset(rules)
    for fields in events:
        event = LogEvent(time_us=0, table="channel_logs", platform="windows", channel="c", event_id=1, fields=fields)
        verdicts = {name: detection(content, fields) for name, content in detections.items()}
        fired = bool(Detector(ruleset, DetectionConfig(), "h").process([event]))
        assert fired is any(condition(tree, verdicts) for tree in trees), (rule, fields)
