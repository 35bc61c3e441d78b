"""Conditions as plain functions of an event's view: what every test means, spelled out one by one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from siemd.detection import pattern
from siemd.detection.nodes import (
    And,
    Cidr,
    Compare,
    Constant,
    Exists,
    FieldRef,
    Match,
    Node,
    Not,
    Null,
    Number,
    Or,
    Regex,
    Test,
    Text,
    TimePart,
)
from siemd.detection.regex import compile_regex
from siemd.detection.view import MISSING, Predicate, View, text_of

HOLDS: dict[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}
_DATE = re.compile(r"\s*(\d{4})[-/](\d\d)[-/](\d\d)(?:[T ](\d\d):(\d\d))?")
_COST = {"equals": 0, "startswith": 1, "endswith": 1, "contains": 2, "glob": 4}


def compile_node(node: Node) -> Predicate:
    """A condition as a function of an event's view."""
    match node:
        case Constant(value):
            return lambda _view: value
        case Not(item):
            inner = compile_node(item)
            return lambda view: not inner(view)
        case And(items):
            return _conjunction([compile_node(item) for item in sorted(items, key=_cost)])
        case Or(items):
            return _disjunction(_compile_alternatives(items))
        case Match(field, test):
            return compile_test(field, test) if field is not None else _keyword(test)


def _conjunction(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda view: first(view) and second(view)

    def every(view: View) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would cost a frame on every event
            if not part(view):
                return False
        return True

    return every


def _disjunction(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]

    def some(view: View) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(view):
                return True
        return False

    return some


def _compile_alternatives(items: tuple[Node, ...]) -> list[Predicate]:
    """Alternatives, those that test the same field in the same way joined into one look-up."""
    joined: dict[tuple[str, str, bool], list[str]] = {}
    others: list[Node] = []
    for item in items:
        match item:
            case Match(str(field), Text(kind, literal, _, cased)) if kind != "glob":
                joined.setdefault((field, kind, cased), []).append(literal)
            case _:
                others.append(item)
    parts = [(float(_COST[key[1]]), _texts(*key, literals)) for key, literals in joined.items()]
    parts += [(_cost(other), compile_node(other)) for other in others]
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def _cost(node: Node) -> float:
    """A rough order of what to try first."""
    match node:
        case Match(None, _):
            return 5
        case Match(_, Text(kind)):
            return _COST[kind]
        case Match(_, Regex()):
            return 10
        case Match():
            return 1
        case And(items) | Or(items):
            return max(_cost(item) for item in items) + len(items) / 100
        case Not(item):
            return _cost(item)
    return 0


def compile_test(field: str, test: Test) -> Predicate:
    """One test on one field."""
    match test:
        case Text("glob", _, parts, cased):
            return _search(field, cased, re.compile(pattern.glob_regex(parts)).fullmatch)
        case Text(kind, literal, _, cased):
            return _texts(field, kind, cased, [literal])
        case Number(value):
            return _any_value(field, lambda found: _same_number(found, value))
        case Null():
            return lambda view: all(value is None or value == "" for value in view.values(field))
        case Regex(expression):
            return _search(field, True, compile_regex(expression))
        case Cidr():
            return _any_value(field, lambda found: _inside(found, test))
        case Compare():
            return _any_value(field, lambda found: _compare(number_of(found), test.operator, test.value))
        case TimePart():
            return _any_value(field, lambda found: _compare(_time_part(found, test.unit), test.operator, test.value))
        case Exists(wanted):
            return lambda view: (view.get(field) is not MISSING) is wanted
        case FieldRef():
            return _field_reference(field, test)


def _texts(field: str, kind: str, cased: bool, literals: list[str]) -> Predicate:
    """Any value of the field equals, starts with, ends with or contains any of the literals."""
    get = View.texts if cased else View.lowered
    if kind == "equals":
        wanted = frozenset(literals)
        return lambda view: not wanted.isdisjoint(get(view, field))
    several = tuple(dict.fromkeys(literals))
    if kind == "startswith":
        return _search(field, cased, lambda text: text.startswith(several))
    if kind == "endswith":
        return _search(field, cased, lambda text: text.endswith(several))
    if len(several) == 1:
        literal = several[0]
        return _search(field, cased, lambda text: literal in text)

    def contains(view: View) -> bool:
        for text in get(view, field):
            for literal in several:
                if literal in text:
                    return True
        return False

    return contains


def _search(field: str, cased: bool, test: Callable[[str], Any]) -> Predicate:
    get = View.texts if cased else View.lowered

    def search(view: View) -> bool:
        for text in get(view, field):  # noqa: SIM110 - as above
            if test(text):
                return True
        return False

    return search


def _any_value(field: str, test: Callable[[Any], bool]) -> Predicate:
    return lambda view: any(test(value) for value in view.values(field))


def _keyword(test: Test) -> Predicate:
    """A test on every value of the event."""
    if isinstance(test, Regex):
        search = compile_regex(test.pattern)
        return lambda view: any(search(text) for text in view.leaves(cased=True))
    assert isinstance(test, Text)
    cased, literal = test.cased, test.literal
    if test.kind == "glob":
        whole = re.compile(pattern.glob_regex(test.parts)).fullmatch
        return lambda view: any(whole(text) for text in view.leaves(cased=cased))
    return lambda view: any(literal in text for text in view.leaves(cased=cased))


def _field_reference(field: str, test: FieldRef) -> Predicate:
    get = View.texts if test.cased else View.lowered
    holds = HOLDS[test.kind]
    return lambda view: any(holds(text, other) for other in get(view, test.other) for text in get(view, field))


def number_of(value: Any) -> float | None:
    """A number, or text that spells one (decimal or 0x…); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and 0 < len(value) <= 64:
        try:
            return int(value, 16) if value[:2] in ("0x", "0X") else float(value)
        except ValueError:
            return None
    return None


def _same_number(found: Any, wanted: float) -> bool:
    if isinstance(found, str):
        return found == str(wanted) or number_of(found) == wanted
    return not isinstance(found, bool) and bool(found == wanted)


def _compare(found: float | None, operator: str, wanted: float) -> bool:
    if found is None:
        return False
    match operator:
        case "lt":
            return found < wanted
        case "lte":
            return found <= wanted
        case "gt":
            return found > wanted
        case "gte":
            return found >= wanted
    return found == wanted


def _inside(found: Any, network: Cidr) -> bool:
    text = text_of(found)
    address = _address(text) if text and len(text) <= 64 else None
    return address is not None and address[0] == network.version and address[1] & network.mask == network.network


@lru_cache(8192)
def _address(text: str) -> tuple[int, int] | None:
    """(version, number) of an address; IPv4 inside IPv6 (as Windows logs it) is taken out."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return address.version, int(address)


def _time_part(found: Any, unit: str) -> int | None:
    """A part of a date: text in ISO 8601 (or with slashes) as it stands there, or seconds and so on since 1970."""
    moment = _moment_of_text(found) if isinstance(found, str) else _moment_of_number(number_of(found))
    if moment is None:
        return None
    return moment.isocalendar().week if unit == "week" else int(getattr(moment, unit))


def _moment_of_text(text: str) -> datetime | None:
    hit = _DATE.match(text)
    if hit is None:
        return _moment_of_number(number_of(text))
    year, month, day, hour, minute = (int(part or 0) for part in hit.groups())
    try:
        return datetime(year, month, day, hour, minute)
    except ValueError:
        return None


def _moment_of_number(number: float | None) -> datetime | None:
    """Seconds, milli-, micro- or nanoseconds since 1970: whichever gives a date after 1973 and before 2286."""
    if number is None or not 1e8 <= number < 1e19:
        return None
    while number >= 1e10:
        number /= 1000
    return datetime.fromtimestamp(number, UTC)
