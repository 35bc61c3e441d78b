"""Finds the rules that an event matches: a compiled program for every kind of event that the rules tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from siemd.detection.fold import fold
from siemd.detection.logsource import NETWORK, Route, Selector, known_fields, normal_route, resolve, route_of
from siemd.detection.nodes import FALSE, Node, Number, Text, all_of
from siemd.detection.program import Indices, Program, Workshop
from siemd.detection.rule import Rule
from siemd.detection.witness import matches_in
from siemd.events import Event

MAX_ROUTES = 4_096
MEMO_BYTES = 32 << 20


class _Entry(msgspec.Struct, frozen=True):
    """One rule for one kind of event that its logsource means."""

    index: int
    selector: Selector
    condition: Node


class Matcher:
    """Programs for all routes that rules name are made at once; those for others when they come, few and small."""

    def __init__(self, rules: Sequence[Rule], memo_bytes: int = MEMO_BYTES) -> None:
        self.rules = tuple(rules)
        self._workshop = Workshop(memo_bytes)
        self._entries: list[_Entry] = []
        # (platform, channel or "", event id or None) -> numbers of entries that such events may match
        self._places: dict[tuple[str, str, int | None], list[int]] = {}
        for index, rule in enumerate(self.rules):
            for selector in resolve(rule.logsource):
                self._file(_Entry(index, selector, rule.condition))
        self._programs: dict[Route, Program] = {}  # of routes as events name them
        self._shared: dict[tuple[object, ...], Program] = {}
        self._mentioned: dict[tuple[int, ...], frozenset[str | int] | None] = {}
        for route in self._named_routes():
            self.program(route)

    def match(self, event: Event) -> Indices:
        """Indices of the rules that match, in order, each once."""
        route = route_of(event)
        program = self._programs.get(route)
        if program is None:
            program = self.program(route)
        return program.match(event) if program else ()

    def program(self, route: Route) -> Program:
        """The rules that events of this route can match, compiled; empty for most events."""
        found = self._programs.get(route)
        if found is None:
            if len(self._programs) >= MAX_ROUTES:  # hostile channel names must not fill the memory
                self._programs.clear()
            found = self._programs[route] = self._shared_program(route)
        return found

    def _file(self, entry: _Entry) -> None:
        number = len(self._entries)
        self._entries.append(entry)
        selector = entry.selector
        for channel in selector.channels or ("",):
            for event_id in selector.event_ids or (None,):
                self._places.setdefault((selector.platform, channel, event_id), []).append(number)

    def _accepting(self, route: Route) -> tuple[int, ...]:
        """Numbers of the entries that mean events of a (normal) route."""
        platform, second, third = route
        event_id = third if isinstance(third, int) else None
        keys = {(platform, channel, number) for channel in (second, "") for number in (event_id, None)}
        found = {number for key in keys for number in self._places.get(key, ())}
        return tuple(sorted(number for number in found if self._entries[number].selector.accepts(route)))

    def _shared_program(self, route: Route) -> Program:
        """A program; routes for which the same rules say the same share it."""
        normal = normal_route(route)
        numbers = self._accepting(normal)
        known = known_fields(normal) if numbers else {}
        named: list[str | int | None] = []
        for name, value in known.items():
            mentioned = self._values_of(name, numbers)
            named.append(value if mentioned is None or value in mentioned or str(value) in mentioned else None)
        key = (normal[0], numbers, *named)
        found = self._shared.get(key)
        if found is None:
            if len(self._shared) >= MAX_ROUTES:
                self._shared.clear()
            found = self._shared[key] = Program(self._conditions(numbers, known), self._workshop)
        return found

    def _conditions(self, numbers: Iterable[int], known: dict[str, str | int]) -> list[tuple[int, Node]]:
        conditions: list[tuple[int, Node]] = []
        for entry in (self._entries[number] for number in numbers):
            node = fold(entry.condition, known, dict(entry.selector.fields))
            if entry.selector.where is not None:
                node = all_of([entry.selector.where, node])
            if node != FALSE:
                conditions.append((entry.index, node))
        return conditions

    def _values_of(self, field: str, numbers: tuple[int, ...]) -> frozenset[str | int] | None:
        """The values that these entries compare a field with; all others are alike. None: they do more than that."""
        if numbers not in self._mentioned:
            if len(self._mentioned) >= MAX_ROUTES:
                self._mentioned.clear()
            conditions = (self._entries[number].condition for number in numbers)
            self._mentioned[numbers] = _compared_values(field, conditions)
        return self._mentioned[numbers]

    def _named_routes(self) -> set[Route]:
        """Routes that the rules name: by logsource, and by comparing the field that a route tells."""
        routes: set[Route] = set()
        for entry in self._entries:
            selector = entry.selector
            if selector.platform == NETWORK:
                kinds = _compared_values("event_type", [entry.condition]) or ()
                routes |= {(NETWORK, str(kind), "") for kind in (*kinds, *selector.channels, "")}
                continue
            compared = _compared_values("EventID", [entry.condition]) or ()
            ids = [*selector.event_ids] or [value for value in compared if isinstance(value, int)] or [0]
            routes |= {(selector.platform, channel, number) for channel in selector.channels or ("",) for number in ids}
        return routes


def _compared_values(field: str, conditions: Iterable[Node]) -> frozenset[str | int] | None:
    values: set[str | int] = set()
    for condition in conditions:
        for match in matches_in(condition):
            if match.field == field:
                if isinstance(match.test, Number) and isinstance(match.test.value, int):
                    values.add(match.test.value)
                elif isinstance(match.test, Text) and match.test.kind == "equals":
                    values.add(match.test.literal)
                else:
                    return None
    return frozenset(values)
