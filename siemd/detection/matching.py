"""Plain rules against many events at once: stateless, so that any process may do it for any of them."""

from __future__ import annotations

from collections.abc import Sequence

from siemd.detection.logsource import route_of
from siemd.detection.matcher import Matcher
from siemd.events import Event

# (position of the event, indices of the rules that it matches in `Matcher.rules`), only for events that match any
Matches = list[tuple[int, list[int]]]


def match(matcher: Matcher, events: Sequence[Event]) -> Matches:
    """What matches, in the order of the events."""
    found: Matches = []
    match_one = matcher.match
    for position, event in enumerate(events):
        indices = match_one(event)
        if indices:
            found.append((position, list(indices)))
    return found


def relevant(matcher: Matcher, events: Sequence[Event]) -> list[int]:
    """The positions of events of a kind that any rule is about."""
    program_of = matcher.program
    return [position for position, event in enumerate(events) if program_of(route_of(event))]
