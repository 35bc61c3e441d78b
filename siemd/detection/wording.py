"""A rule's condition in plain words, an indented line for each part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

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
    Wildcard,
)
from siemd.detection.reason import tame

MAX_VALUES, MAX_LINES, MAX_DEPTH = 8, 120, 12
PLACES = {
    "equals": "is",
    "startswith": "starts with",
    "endswith": "ends with",
    "contains": "contains",
    "glob": "is like",
}
SIGNS = {"lt": "below", "lte": "at most", "gt": "above", "gte": "at least", "eq": "exactly"}


def in_words(node: Node) -> list[str]:
    """The condition as lines; deeper parts are indented by two blanks."""
    lines: list[str] = []
    for line in _lines(node, 0):
        if len(lines) == MAX_LINES:
            return [*lines, "… and more: `siemd rules show` has all of it"]
        lines.append(line)
    return lines


def _lines(node: Node, depth: int) -> Iterator[str]:
    pad = "  " * depth
    match node:
        case Match():
            yield pad + _sentence(node.field, [node.test])
        case Constant(value):
            yield pad + ("every event" if value else "no event")
        case Not(item):
            inner = list(_lines(item, depth))
            if isinstance(item, And | Or) and len(inner) > 1:
                yield pad + ("not all of:" if isinstance(item, And) else "none of:")
                yield from inner[1:]
            else:
                yield f"{pad}not: {inner[0].strip()}"
                yield from inner[1:]
        case And() | Or():
            items = _flat(node)
            parts = list(_merged(items)) if isinstance(node, Or) else [[item] for item in items]
            if len(parts) == 1 and len(parts[0]) > 1:
                yield pad + _sentence_of(parts[0])
                return
            yield pad + ("all of:" if isinstance(node, And) else "any of:")
            if depth >= MAX_DEPTH:
                yield pad + "  …"
                return
            for part in parts:
                if len(part) > 1:
                    yield f"{pad}  {_sentence_of(part)}"
                else:
                    yield from _lines(part[0], depth + 1)


def _flat(node: And | Or) -> list[Node]:
    """The items, those of an And within an And (or of an Or within an Or) in their place."""
    found: list[Node] = []
    for item in node.items:
        if isinstance(item, And | Or) and type(item) is type(node):
            found += _flat(item)
        else:
            found.append(item)
    return found


def _merged(items: Sequence[Node]) -> Iterator[list[Node]]:
    """Alternatives, those together that test the same field in the same way."""
    groups: dict[object, list[Node]] = {}
    for item in items:
        key: object = id(item)
        if isinstance(item, Match):
            kind = item.test.kind if isinstance(item.test, Text) else type(item.test).__name__
            cased = isinstance(item.test, Text) and item.test.cased
            if isinstance(item.test, Text | Number | Cidr | Regex):
                key = (item.field, "equals" if isinstance(item.test, Number) else kind, cased)
        groups.setdefault(key, []).append(item)
    yield from groups.values()


def _sentence_of(items: Sequence[Node]) -> str:
    matches = [item for item in items if isinstance(item, Match)]
    return _sentence(matches[0].field, [item.test for item in matches])


def _sentence(field: str | None, tests: Sequence[Test]) -> str:
    """`Image ends with any of "a", "b"`: the verb of the first test, the values of all."""
    subject = "any value of the event" if field is None else tame(field)
    first = tests[0]
    verb = _verb(first, keyword=field is None)
    values = [_value(test) for test in tests]
    cased = ", in exactly these letters" if getattr(first, "cased", False) else ""
    if len(values) == 1:
        return f"{subject} {verb} {values[0]}{cased}".rstrip()
    shown = ", ".join(values[:MAX_VALUES])
    more = f" and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
    return f"{subject} {verb} any of {shown}{more}{cased}"


def _verb(test: Test, *, keyword: bool) -> str:
    match test:
        case Text(kind):
            return "is" if kind == "equals" and test.literal == "" else PLACES[kind]
        case Number():
            return "contains" if keyword else "is"
        case Null():
            return "is missing or empty"
        case Regex():
            return "has a part like the regular expression"
        case Cidr():
            return "is an address in"
        case Compare(operator):
            return f"is {SIGNS[operator]}"
        case TimePart():
            return f"has as its {test.unit} {SIGNS[test.operator]}"
        case Exists(wanted):
            return "is there" if wanted else "is not there"
        case FieldRef():
            return f"{PLACES[test.kind]} what stands in"


def _value(test: Test) -> str:
    match test:
        case Text():
            if test.kind == "glob":
                return f'"{tame("".join(part.sign if isinstance(part, Wildcard) else part for part in test.parts))}"'
            return f'"{tame(test.literal)}"' if test.literal else "empty"
        case Regex(pattern):
            return f"/{tame(pattern)}/"
        case Cidr():
            first = ip_address(test.network) if test.version == 4 else ip_address(test.network.to_bytes(16, "big"))
            return f"{first}/{test.mask.bit_count()}"
        case Number(value) | Compare(value=value) | TimePart(value=value):
            return str(value)
        case FieldRef(other):
            return tame(other)
    return ""
