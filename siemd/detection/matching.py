"""Plain rules against many events at once: stateless, so that any process may do it for any of them."""

from __future__ import annotations

from collections.abc import Sequence

from siemd.detection.logsource import route_of
from siemd.detection.matcher import Matcher
from siemd.detection.view import View
from siemd.events import Event

# (position of the event, indices of the rules that it matches in `Matcher.rules`), only for events that match any
Matches = list[tuple[int, list[int]]]


def match(matcher: Matcher, events: Sequence[Event]) -> Matches:
    """What matches, in the order of the events."""
    found: Matches = []
    program_of, match_one = matcher.program, matcher.match
    for position, event in enumerate(events):
        program = program_of(route_of(event))
        if program and (indices := match_one(View(event), program)):
            found.append((position, indices))
    return found
