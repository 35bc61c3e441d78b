"""What of the past a ruleset needs after a restart: which events, and how far back from the newest of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from siemd.detection.logsource import NETWORK, Selector, normal_route, resolve, route_of
from siemd.detection.nodes import And, Match, Node, Number, Or, Text
from siemd.detection.rule import Correlation, Rule
from siemd.detection.ruleset import Ruleset
from siemd.events import Alert, Event

LONG_INCIDENT_US = 3_600_000_000  # one that lasted longer is not counted anew from its beginning


class Need(msgspec.Struct, frozen=True):
    """Events of one kind: those within span_us of the newest event of their table, and all since since_us.

    selector: the kind. types: event types of facts, or event ids of Windows records; empty means any.
    """

    selector: Selector
    types: tuple[str | int, ...] = ()
    span_us: int = 0
    since_us: int | None = None

    def accepts(self, event: Event) -> bool:
        """Whether an event is of that kind, whatever its time."""
        route = normal_route(route_of(event))
        kind = route[1] if route[0] == NETWORK else route[2]
        return self.selector.accepts(route) and (not self.types or kind in self.types)


def needs_of(ruleset: Ruleset, incidents: Sequence[Alert], late_us: int) -> list[Need]:
    """What the windows of all correlations and the counts of these open incidents need."""
    plain = {rule.key: rule for rule in ruleset.plain}
    spans = _spans_us(ruleset)
    wanted: dict[tuple[Selector, tuple[str | int, ...]], Need] = {}

    def want(key: str, span_us: int, since_us: int | None) -> None:
        for selector, types in kinds_of(plain[key]):
            before = wanted.get((selector, types), Need(selector, types))
            times = [time_us for time_us in (before.since_us, since_us) if time_us is not None]
            wanted[selector, types] = Need(selector, types, max(before.span_us, span_us), min(times) if times else None)

    for one in ruleset.correlations:
        for key, span_us in spans[one.key].items():
            want(key, span_us + late_us, None)
    for incident in incidents:
        for rule in ruleset.rules:
            if rule.name == incident.rule:
                behind = spans[rule.key] if isinstance(rule, Correlation) else {rule.key: 0}
                for key, span_us in behind.items():
                    want(key, 0, _counted_from_us(incident) - span_us - late_us)
    return list(wanted.values())


def _counted_from_us(incident: Alert) -> int:
    """From when on an incident's events have to be seen to know its count."""
    lasted_us = incident.last_seen_us - incident.first_seen_us
    return incident.first_seen_us if lasted_us <= LONG_INCIDENT_US else incident.last_seen_us


def _spans_us(ruleset: Ruleset) -> Mapping[str, dict[str, int]]:
    """For each correlation (by key) the plain rules behind it and for how long it, or what is between, needs them."""
    spans: dict[str, dict[str, int]] = {}
    for one in ruleset.correlations:  # those they refer to come first
        span_us = int(one.timespan_s * 1_000_000)
        mine = spans[one.key] = {}
        for key in {key for keys in ruleset.references[one.key] for key in keys}:
            for behind, longer_us in spans.get(key, {key: 0}).items():
                mine[behind] = max(mine.get(behind, 0), span_us + longer_us)
    return spans


def kinds_of(rule: Rule) -> Iterable[tuple[Selector, tuple[str | int, ...]]]:
    """The kinds of events that a rule looks at, and for each the event types or ids that its condition wants."""
    for selector in resolve(rule.logsource):
        if selector.platform == NETWORK:
            types = _required(rule.condition, "event_type")
            yield selector, tuple(sorted(str(one) for one in types or ()))
        elif selector.platform == "windows" and not selector.event_ids:
            found = _required(rule.condition, "EventID") or ()
            numbers = sorted(int(one) for one in found if isinstance(one, int) or one.isdecimal())
            yield selector, tuple(numbers) if len(numbers) == len(found) else ()
        else:
            yield selector, ()


def _required(node: Node, field: str) -> set[str | int] | None:
    """The values of which a field must have one for the condition to hold; None when it may hold with others."""
    match node:
        case Match(name, Text("equals", literal)) if name == field:
            return {literal}
        case Match(name, Number(value)) if name == field and isinstance(value, int):
            return {value}
        case And(items):
            found = [values for item in items if (values := _required(item, field)) is not None]
            return set.intersection(*found) if found else None
        case Or(items):
            every = [_required(item, field) for item in items]
            known = [values for values in every if values is not None]
            return set().union(*known) if len(known) == len(every) else None
    return None
