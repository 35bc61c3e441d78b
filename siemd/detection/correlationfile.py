"""Reads a Sigma correlation from its YAML document."""

from __future__ import annotations

import itertools
import re
from typing import Any

from siemd.detection.condition import rule_names
from siemd.detection.modifiers import is_number
from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import And, Exists, Match, Node, Not, Or
from siemd.detection.reader import Reader, reference
from siemd.detection.rule import (
    CORRELATION_TYPES,
    OPERATORS,
    Alternative,
    Correlation,
    CorrelationType,
    Operator,
    Threshold,
)
from siemd.units import Seconds
from siemd.yamlfile import Key

MAX_TIMESPAN_S = 366 * 86400.0
MAX_RULES = 64
MAX_ALTERNATIVES = 64
_LONG_UNITS = {"M": 2_629_746.0, "y": 31_556_952.0}  # a twelfth of the mean Gregorian year, and that year
_CONDITION: tuple[Key, ...] = ("correlation", "condition")
_Literals = frozenset[tuple[int, bool]]  # (position of the rule, whether it must have matched)


def read_correlation(reader: Reader) -> Correlation:
    """The correlation of a document that has the key `correlation`; raises FileError."""
    data = reader.data["correlation"]
    if not isinstance(data, dict):
        raise reader.error(("correlation",), "expected a mapping with type, rules, timespan and condition")
    known = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
    reader.known_keys(("correlation",), data, known)
    in_words = isinstance(data.get("condition"), str)
    for key in ("type", "rules", "timespan"):
        if key not in data and not (key == "rules" and in_words):
            raise reader.error(("correlation",), f"the key {key!r} is missing", of_key=True)
    kind = _kind(reader)
    rules = _rules(reader, data)
    group_by = reader.texts(("correlation", "group-by"))
    top_level = "generate" in reader.data
    generate = reader.data["generate"] if top_level else data.get("generate", False)
    if not isinstance(generate, bool):
        raise reader.error(("generate",) if top_level else ("correlation", "generate"), "expected true or false")
    meta = reader.meta()
    meta["places"] |= {
        name: reader.document.position(("correlation", "rules", index)) for index, name in enumerate(rules)
    }
    meta["places"]["aliases"] = reader.document.position(("correlation", "aliases"))
    return Correlation(
        **meta,
        type=kind,
        rules=rules,
        timespan_s=_timespan(reader, data["timespan"]),
        threshold=_words(reader, kind, data["condition"], rules)
        if in_words
        else _numbers(reader, kind, data.get("condition"), len(rules)),
        group_by=group_by,
        aliases=_aliases(reader, data.get("aliases")),
        generate=generate,
    )


def _kind(reader: Reader) -> CorrelationType:
    name = reader.text(("correlation", "type"), required=True)
    for known in CORRELATION_TYPES:
        if name == known:
            return known
    hint = did_you_mean(name, CORRELATION_TYPES)
    raise reader.error(("correlation", "type"), f"unknown correlation type {name!r}", hint)


def _rules(reader: Reader, data: dict[Any, Any]) -> tuple[str, ...]:
    """The references to rules; a condition in words names them where the list is missing."""
    keys: tuple[Key, ...] = ("correlation", "rules")
    rules = tuple(map(reference, reader.texts(keys)))
    if "rules" not in data:
        keys, rules = _CONDITION, rule_names(data["condition"])
    if not rules:
        raise reader.error(keys, "expected the names or ids of the rules to correlate")
    if len(rules) > MAX_RULES:
        raise reader.error(keys, f"more than {MAX_RULES} rules")
    for index, name in enumerate(rules):
        if name in rules[:index]:
            raise reader.error((*keys, index), f"the rule {name!r} stands here twice")
    return rules


def _timespan(reader: Reader, value: Any) -> float:
    long = re.fullmatch(r"(\d{1,6})([My])", value) if isinstance(value, str) else None
    try:
        span = float(long[1]) * _LONG_UNITS[long[2]] if long else float(Seconds.parse(value))
    except ValueError as error:
        raise reader.error(("correlation", "timespan"), str(error)) from None
    if not 0 < span <= MAX_TIMESPAN_S:
        raise reader.error(("correlation", "timespan"), "expected more than nothing and at most a year")
    return span


def _numbers(reader: Reader, kind: CorrelationType, data: Any, rules: int) -> Threshold:
    """A condition such as {gte: 10} or, as a range, {gte: 10, lt: 100}."""
    if data is None and kind.startswith("temporal"):
        return Threshold((("gte", rules),))
    if not isinstance(data, dict) or not data:
        keys = _CONDITION if data is not None else ("correlation",)
        raise reader.error(keys, "expected a condition such as {gte: 10}")
    reader.known_keys(_CONDITION, data, (*OPERATORS, "field", "percentile"))
    fields = reader.texts((*_CONDITION, "field"))
    looks_at_values = kind.startswith("value_")
    if looks_at_values and not all(fields or ("",)):
        raise reader.error(_CONDITION, f"{kind} needs 'field' in its condition")
    if fields and not looks_at_values:
        raise reader.error((*_CONDITION, "field"), f"{kind} looks at no field", of_key=True)
    if len(fields) > 1 and kind != "value_count":
        raise reader.error((*_CONDITION, "field"), f"{kind} looks at one field")
    comparisons: list[tuple[Operator, float]] = []
    for operator in OPERATORS:
        if operator in data:
            number = _as_number(data[operator])
            if not is_number(number) or not abs(number) < 1e15:
                raise reader.error((*_CONDITION, operator), "expected a number")
            comparisons.append((operator, number))
    if not comparisons:
        raise reader.error(_CONDITION, f"expected one of {', '.join(OPERATORS)}")
    return Threshold(tuple(comparisons), fields, _percentile(reader, kind, data))


def _as_number(value: Any) -> Any:
    """A number that stands in quotes becomes one."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value):
        return float(value) if "." in value else int(value)
    return value


def _percentile(reader: Reader, kind: CorrelationType, data: dict[Any, Any]) -> float | None:
    keys = (*_CONDITION, "percentile")
    if kind != "value_percentile":
        if "percentile" in data:
            raise reader.error(keys, f"{kind} knows no percentile", of_key=True)
        return None
    if "percentile" not in data:
        raise reader.error(_CONDITION, "value_percentile needs 'percentile' in its condition", "such as percentile: 95")
    value = data["percentile"]
    if not is_number(value) or not 0 <= value <= 100:
        raise reader.error(keys, "expected a number from 0 to 100")
    return float(value)


def _words(reader: Reader, kind: CorrelationType, text: str, rules: tuple[str, ...]) -> Threshold:
    """A condition such as "rule_a and not rule_b" (temporal correlations only)."""
    if not kind.startswith("temporal"):
        raise reader.error(_CONDITION, f"{kind} compares a number", "write a map such as {gte: 10}")
    node = reader.condition(_CONDITION, text, {name: Match(name, Exists(True)) for name in rules})
    positions = {name: position for position, name in enumerate(rules)}
    used: set[int] = set()
    found = _literals(node, positions, True, used)
    if found is None:
        raise reader.error(_CONDITION, f"a condition of more than {MAX_ALTERNATIVES} alternatives")
    for name, position in positions.items():
        if position not in used:
            raise reader.error(("correlation", "rules", position), f"the condition does not name the rule {name!r}")
    alternatives = dict.fromkeys(
        Alternative(
            tuple(sorted(position for position, wanted in literals if wanted)),
            tuple(sorted(position for position, wanted in literals if not wanted)),
        )
        for literals in sorted(found, key=sorted)
        if not any((position, not wanted) in literals for position, wanted in literals)
    )
    if not alternatives:
        raise reader.error(_CONDITION, "this condition can never hold")
    if not all(one.wanted for one in alternatives):
        raise reader.error(_CONDITION, "this condition holds when nothing happens", "name a rule that has to match")
    return Threshold((), alternatives=tuple(alternatives), words=" ".join(text.split()))


def _literals(node: Node, positions: dict[str, int], wanted: bool, used: set[int]) -> set[_Literals] | None:
    """The condition as alternatives of literals (disjunctive normal form); None when there are too many."""
    match node:
        case Match(str(name), _):
            used.add(positions[name])
            return {frozenset(((positions[name], wanted),))}
        case Not(item):
            return _literals(item, positions, not wanted, used)
        case And(items) | Or(items):
            parts = [_literals(item, positions, wanted, used) for item in items]
            whole = [part for part in parts if part is not None]
            if len(whole) < len(parts):
                return None
            if isinstance(node, Or) is wanted:
                joined = set[_Literals]().union(*whole)
                return joined if len(joined) <= MAX_ALTERNATIVES else None
            product: set[_Literals] = {frozenset()}
            for part in whole:
                product = {left | right for left, right in itertools.product(product, part)}
                if len(product) > MAX_ALTERNATIVES:
                    return None
            return product
    return None


def _aliases(reader: Reader, data: Any) -> dict[str, dict[str, str]]:
    """alias -> rule (as the list names it, or by its name or id) -> field."""
    keys: tuple[Key, ...] = ("correlation", "aliases")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise reader.error(keys, "expected a mapping: alias -> rule -> field")
    aliases: dict[str, dict[str, str]] = {}
    for alias, fields in data.items():
        if not isinstance(fields, dict) or not all(isinstance(one, str) for one in fields.values()):
            raise reader.error((*keys, alias), "expected a mapping: rule -> field")
        aliases[str(alias)] = {reference(str(rule)): field for rule, field in fields.items()}
    return aliases
