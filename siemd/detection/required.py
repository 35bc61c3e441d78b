"""What a condition cannot do without: upper bounds of tests in cheaper tests, and literals that a regex requires."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from re import _constants  # type: ignore[attr-defined]
from typing import Any

from siemd.detection.nodes import (
    FALSE,
    TRUE,
    And,
    Match,
    Node,
    Not,
    Or,
    Regex,
    Test,
    Text,
    TextKind,
    Wildcard,
    all_of,
    any_of,
    negate,
)
from siemd.detection.regex import parse_regex

MIN_LITERAL = 2  # shorter ones are in nearly every text, but for
TELLING_SIGNS = frozenset("`^{}<>|+*~%$#@!;&=[],:")
MAX_SPELLINGS = 8
# Letters that a regex without case also finds in letters whose lower case is another: ı, İ and ſ.
_FICKLE = frozenset("is")
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


def bound(node: Node, indexed: Callable[[Match], bool], *, may: bool = True, literals: bool = True) -> Node:
    """A condition of indexed tests only that holds whenever `node` does (with may=False: only when it does).

    indexed: tells of a test whether it stays as it is. literals: whether the others leave the texts that they require.
    """
    match node:
        case And(items):
            return all_of([bound(item, indexed, may=may, literals=literals) for item in items])
        case Or(items):
            return any_of([bound(item, indexed, may=may, literals=literals) for item in items])
        case Not(item):
            return negate(bound(item, indexed, may=not may, literals=literals))
        case Match(field, test):
            if indexed(node):
                return node
            if not may:
                return FALSE
            return on_field(field, required(test)) if literals and field is not None else TRUE
    return node


def on_field(field: str, node: Node) -> Node:
    """The tests of `required` as tests on a field."""
    match node:
        case And(items):
            return all_of([on_field(field, item) for item in items])
        case Or(items):
            return any_of([on_field(field, item) for item in items])
        case Match(_, test):
            return Match(field, test)
    return node


@lru_cache(16_384)
def required(test: Test) -> Node:
    """Plain text tests (with the field None) without which a glob or a regex cannot match; TRUE if there are none."""
    match test:
        case Text("glob", _, parts, cased):
            return all_of([Match(None, one) for one in _parts_of_glob(parts, cased)])
        case Regex(expression):
            parsed = parse_regex(expression)
            if parsed is not None:
                return _required(parsed, bool(parsed.state.flags & re.IGNORECASE))
    return TRUE


def _parts_of_glob(parts: tuple[str | Wildcard, ...], cased: bool) -> list[Text]:
    tests = []
    for index, part in enumerate(parts):
        if isinstance(part, str) and (len(parts) == 1 or is_telling(part)):
            kind: TextKind = "startswith" if index == 0 else "endswith" if index == len(parts) - 1 else "contains"
            tests.append(Text(kind, part, cased=cased))
    return tests


class _Runs:
    """Collects literals that stand side by side, in each of the few ways in which they may be spelled."""

    def __init__(self, ignore_case: bool) -> None:
        self.needed: list[Node] = []
        self._fickle = _FICKLE if ignore_case else frozenset[str]()
        self._runs = [""]

    def add(self, letters: set[str]) -> None:
        """One more character, which is one of these."""
        lowered = sorted({letter.lower() for letter in letters})
        usable = all(letter.isascii() and letter not in self._fickle for letter in lowered)
        if not usable or len(lowered) * len(self._runs) > MAX_SPELLINGS:
            self.end()
        if usable and len(lowered) <= MAX_SPELLINGS:
            self._runs = [run + letter for run in self._runs for letter in lowered]

    def end(self) -> None:
        """What follows need not stand beside what was so far."""
        if all(is_telling(run) for run in self._runs):
            self.needed.append(any_of([Match(None, Text("contains", run)) for run in self._runs]))
        self._runs = [""]


def is_telling(literal: str) -> bool:
    """Whether to look for a literal narrows anything down."""
    return len(literal) >= MIN_LITERAL or literal in TELLING_SIGNS


def _required(parsed: Any, ignore_case: bool) -> Node:
    """Literals that every text holds in which this sequence of a parsed regex is found."""
    runs = _Runs(ignore_case)
    for operation, argument in parsed:
        if operation is _constants.LITERAL:
            runs.add({chr(argument)})
            continue
        if operation is _constants.IN and all(kind is _constants.LITERAL for kind, _ in argument):
            runs.add({chr(code) for _, code in argument})
            continue
        runs.end()
        if operation is _constants.SUBPATTERN:
            _, added, _, inner = argument
            runs.needed.append(_required(inner, ignore_case or bool(added & re.IGNORECASE)))
        elif operation is _constants.ATOMIC_GROUP:
            runs.needed.append(_required(argument, ignore_case))
        elif operation is _constants.BRANCH:
            runs.needed.append(any_of([_required(one, ignore_case) for one in argument[1]]))
        elif operation in _REPEATS and argument[0] > 0:
            runs.needed.append(_required(argument[2], ignore_case))
    runs.end()
    return all_of(runs.needed)
