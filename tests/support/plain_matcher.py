"""The slow reference for the matcher: every rule on every event, one closure a test, nothing remembered."""

from __future__ import annotations

from collections.abc import Sequence

from siemd.detection.fold import fold
from siemd.detection.logsource import Selector, normal_route, resolve, route_of
from siemd.detection.predicate import compile_node
from siemd.detection.rule import Rule
from siemd.detection.view import Predicate, View
from siemd.events import Event


class PlainMatcher:
    """Says of an event which rules match, by looking at all of them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._entries: list[tuple[int, Selector, Predicate | None, Predicate]] = []
        for index, rule in enumerate(rules):
            for selector in resolve(rule.logsource):
                where = None if selector.where is None else compile_node(selector.where)
                condition = compile_node(fold(rule.condition, {}, dict(selector.fields)))
                self._entries.append((index, selector, where, condition))

    def match(self, event: Event) -> list[int]:
        """Indices of the rules that match, ascending."""
        view, route = View(event), normal_route(route_of(event))
        found = {
            index
            for index, selector, where, condition in self._entries
            if selector.accepts(route) and (where is None or where(view)) and condition(view)
        }
        return sorted(found)
