"""The syntax tree of a Sigma condition: tests on fields joined by and, or, not; hashable, to share equal parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Union

import msgspec

TextKind = Literal["equals", "startswith", "endswith", "contains", "glob"]
CompareOperator = Literal["lt", "lte", "gt", "gte"]
TimeUnit = Literal["minute", "hour", "day", "week", "month", "year"]

ANY, ONE = "*", "?"


class Wildcard(msgspec.Struct, frozen=True):
    """One wildcard inside a pattern: `*` (any text) or `?` (any one character)."""

    sign: str


class Text(msgspec.Struct, frozen=True):
    """The field's text equals, starts with, ends with or contains `literal`; for a glob, matches `parts`.

    literal: lower-cased unless cased. parts: strings and wildcards in order, only for globs.
    """

    kind: TextKind
    literal: str = ""
    parts: tuple[str | Wildcard, ...] = ()
    cased: bool = False


class Number(msgspec.Struct, frozen=True):
    """The field is this number, or text that spells it."""

    value: int | float


class Null(msgspec.Struct, frozen=True):
    """The field is missing, null or empty (event logs write an empty string where a rule says null)."""


class Regex(msgspec.Struct, frozen=True):
    """The pattern is found somewhere in the field's text; case matters unless the pattern says otherwise."""

    pattern: str


class Cidr(msgspec.Struct, frozen=True):
    """The field is an address inside the network: version 4 or 6, first address and mask as integers."""

    version: int
    network: int
    mask: int


class Compare(msgspec.Struct, frozen=True):
    """The field is a number (or spells one) that compares so with value."""

    operator: CompareOperator
    value: int | float


class TimePart(msgspec.Struct, frozen=True):
    """A part of the field's date equals, or compares with, value."""

    unit: TimeUnit
    value: int
    operator: CompareOperator | Literal["eq"] = "eq"


class Exists(msgspec.Struct, frozen=True):
    """The field is there (or not), whatever its value."""

    wanted: bool


class FieldRef(msgspec.Struct, frozen=True):
    """The field's text equals, starts with, ends with or contains that of another field of the same event."""

    other: str
    kind: Literal["equals", "startswith", "endswith", "contains"] = "equals"
    cased: bool = False


Test = Union[Text, Number, Null, Regex, Cidr, Compare, TimePart, Exists, FieldRef]  # noqa: UP007 - used at run time


class Match(msgspec.Struct, frozen=True):
    """A test on one field; with field None on every value of the event (a keyword)."""

    field: str | None
    test: Test


class And(msgspec.Struct, frozen=True):
    """All of the items hold."""

    items: tuple[Node, ...]


class Or(msgspec.Struct, frozen=True):
    """Any of the items holds."""

    items: tuple[Node, ...]


class Not(msgspec.Struct, frozen=True):
    """The item does not hold."""

    item: Node


class Constant(msgspec.Struct, frozen=True):
    """A part whose answer is known before any event is seen."""

    value: bool


Node = Union[Match, And, Or, Not, Constant]  # noqa: UP007 - a forward reference of the structs above

TRUE, FALSE = Constant(True), Constant(False)


def all_of(items: list[Node]) -> Node:
    """And with constants folded away."""
    kept = [item for item in items if item != TRUE]
    if FALSE in kept:
        return FALSE
    return TRUE if not kept else kept[0] if len(kept) == 1 else And(tuple(kept))


def any_of(items: list[Node]) -> Node:
    """Or with constants folded away."""
    kept = [item for item in items if item != FALSE]
    if TRUE in kept:
        return TRUE
    return FALSE if not kept else kept[0] if len(kept) == 1 else Or(tuple(kept))


def negate(item: Node) -> Node:
    """Not with constants folded away."""
    return Constant(not item.value) if isinstance(item, Constant) else Not(item)


def assume(node: Node, known: Mapping[Match, bool]) -> Node:
    """The condition with the tests whose answers are known put in as constants."""
    match node:
        case And(items):
            return all_of([assume(item, known) for item in items])
        case Or(items):
            return any_of([assume(item, known) for item in items])
        case Not(item):
            return negate(assume(item, known))
        case Match() if node in known:
            return Constant(known[node])
    return node


def tests_in(node: Node, known: dict[int, int]) -> int:
    """How many tests there are in a condition, those of shared parts once for each time they are used.

    known: what was counted before, by `id` of the part, so that it takes no longer than there are parts.
    """
    match node:
        case Match():
            return 1
        case Constant():
            return 0
    count = known.get(id(node))
    if count is None:
        items = node.items if isinstance(node, And | Or) else (node.item,)
        count = known[id(node)] = sum([tests_in(item, known) for item in items])
    return count
