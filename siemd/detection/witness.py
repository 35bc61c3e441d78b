"""Which rules an event may match at all: for each, the rarest tests of which one must hold; and their conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from siemd.detection.nodes import And, Constant, Match, Node, Not, Or, Text
from siemd.detection.textscanner import Substrings

Atoms = frozenset[int] | set[int]
PART = 2.0
Verdict = Callable[[Atoms], bool]
Number = Mapping[Match, int]  # of a test


def matches_in(node: Node, *, positive: bool = False) -> Iterable[Match]:
    """Every test of a condition; with `positive` only those that do not stand under a `not` (or under two)."""
    return _matches_in(node, positive, True)


def _matches_in(node: Node, positive: bool, straight: bool) -> Iterable[Match]:
    match node:
        case And(items) | Or(items):
            for item in items:
                yield from _matches_in(item, positive, straight)
        case Not(item):
            yield from _matches_in(item, positive, not straight)
        case Match():
            if straight or not positive:
                yield node


def rarity(conditions: Sequence[Node]) -> dict[Match, float]:
    """How often a test is expected to hold, in no unit.

    Common is what many rules ask for, what is part of many other texts that rules look for, and what is short.
    """
    uses = Counter(test for condition in conditions for test in set(matches_in(condition)))
    texts = {test.test.literal for test in uses if isinstance(test.test, Text)}
    parts = _parts(texts)
    variety = Counter(test.field for test in uses)
    return {
        match: count
        + (_commonness(match.test, parts) if isinstance(match.test, Text) else 100.0)
        + 200 / variety[match.field]
        for match, count in uses.items()
    }


def _commonness(test: Text, parts: Mapping[str, int]) -> float:
    short: float = 200.0 / (1 + len(test.literal)) ** 1.5
    if test.kind == "equals":
        return 1.0
    return short + parts[test.literal] * (PART if test.kind == "contains" else 1.0)


def _parts(texts: Iterable[str]) -> Counter[str]:
    """In how many of the texts each of them is."""
    numbered = {text: number for number, text in enumerate(filter(None, set(texts)))}
    parts = Substrings(numbered)
    counts = Counter(number for text in numbered for number in parts.find(text))
    return Counter({text: counts[number] for text, number in numbered.items()})


def witnesses(node: Node, cost: Mapping[Match, float]) -> tuple[float, frozenset[Match]] | None:
    """The cheapest set of tests of which at least one holds whenever the condition does; None if there is none."""
    match node:
        case Match():
            return cost[node], frozenset((node,))
        case And(items):
            found = [one for item in items if (one := witnesses(item, cost)) is not None]
            return min(found, key=lambda one: one[0]) if found else None
        case Or(items):
            several = [witnesses(item, cost) for item in items]
            total, tests = 0.0, frozenset[Match]()
            for one in several:
                if one is None:
                    return None
                total, tests = total + one[0], tests | one[1]
            return total, tests
        case Not(Or(items)):
            return witnesses(And(tuple(Not(item) for item in items)), cost)
        case Not(And(items)):
            return witnesses(Or(tuple(Not(item) for item in items)), cost)
        case Not(Not(item)):
            return witnesses(item, cost)
        case Constant(False):
            return 0.0, frozenset()
    return None


def compile_verdict(node: Node, number: Number) -> Verdict:
    """A condition as a function of the set of tests that hold."""
    match node:
        case Constant(value):
            return lambda _atoms: value
        case Match():
            atom = number[node]
            return lambda atoms: atom in atoms
        case Not(Match() as item):
            atom = number[item]
            return lambda atoms: atom not in atoms
        case Not(item):
            numbers, rest = _split(item, number)
            if isinstance(item, Or) and not rest:
                return numbers.isdisjoint
            inner = compile_verdict(item, number)
            return lambda atoms: not inner(atoms)
        case And():
            return _every(*_split(node, number), number)
        case Or():
            return _some(*_split(node, number), number)


def _split(node: Node, number: Number) -> tuple[frozenset[int], list[Node]]:
    """The numbers of the tests that are joined directly, and the other items."""
    items = node.items if isinstance(node, And | Or) else (node,)
    numbers = frozenset(number[item] for item in items if isinstance(item, Match))
    return numbers, [item for item in items if not isinstance(item, Match)]


def _every(numbers: frozenset[int], rest: list[Node], number: Number) -> Verdict:
    parts = [compile_verdict(item, number) for item in rest]
    if numbers:
        parts.insert(0, numbers.issubset)
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda atoms: first(atoms) and second(atoms)

    def every(atoms: Atoms) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would cost a frame each time
            if not part(atoms):
                return False
        return True

    return every


def _some(numbers: frozenset[int], rest: list[Node], number: Number) -> Verdict:
    disjoint = numbers.isdisjoint
    if not rest:
        return lambda atoms: not disjoint(atoms)
    parts = [compile_verdict(item, number) for item in rest]
    if numbers:
        parts.insert(0, lambda atoms: not disjoint(atoms))

    def some(atoms: Atoms) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(atoms):
                return True
        return False

    return some
