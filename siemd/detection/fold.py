"""Conditions for one kind of event: fields renamed, and what the kind already decides put in as constants."""

from __future__ import annotations

from siemd.detection.nodes import And, Constant, FieldRef, Match, Node, Not, Or, Test, all_of, any_of, negate
from siemd.detection.predicate import compile_test
from siemd.detection.view import View


def fold(node: Node, known: dict[str, str | int], names: dict[str, str]) -> Node:
    """The condition with fields renamed and everything that `known` decides put in as a constant."""
    match node:
        case And(items):
            return all_of([fold(item, known, names) for item in items])
        case Or(items):
            return any_of([fold(item, known, names) for item in items])
        case Not(item):
            return negate(fold(item, known, names))
        case Match(str(field), test):
            if field in known and not isinstance(test, FieldRef):
                return Constant(_decide(test, known[field]))
            if isinstance(test, FieldRef) and test.other in names:
                test = FieldRef(names[test.other], test.kind, test.cased)
            return Match(names.get(field, field), test) if names else node
    return node


class _KnownView(View):
    """Stands for an event of which only one field's value is known."""

    def __init__(self, value: str | int) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.fields = {"x": value}


def _decide(test: Test, value: str | int) -> bool:
    return compile_test("x", test)(_KnownView(value))
