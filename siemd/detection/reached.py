"""How close events came to the threshold of a correlation: the highest value so far, whose, and when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from siemd.detection.reason import tame
from siemd.detection.rule import Correlation
from siemd.detection.windows import Found
from siemd.events import iso_time
from siemd.units import Seconds


class Reached(msgspec.Struct):
    """The highest value that a correlation looked at in one window of one group.

    events: how many it counted at all. first_us, time_us: start and end of that window. value is 0 without events.
    """

    correlation: Correlation
    least: float
    events: int = 0
    value: float = 0
    group: dict[str, Any] = {}
    first_us: int = 0
    time_us: int = 0

    @property
    def percent(self) -> float:
        """Of the threshold; 100 and more: it fired."""
        return 100 * self.value / self.least if self.least > 0 else 100.0 * bool(self.events)

    def note(self, group: dict[str, Any], found: Found | None, time_us: int) -> None:
        """What a window holds after an event."""
        self.events += 1
        if found is not None and found[0] > self.value:
            self.value, self.first_us = found
            self.group, self.time_us = group, time_us

    def sentence(self) -> str:
        """All of it in a line."""
        one = self.correlation
        what = {"event_count": "events", "temporal": "kinds of events", "temporal_ordered": "kinds of events in order"}
        measured = what.get(one.type) or f"{one.threshold.field} ({one.type.removeprefix('value_')})"
        span = Seconds(one.timespan_s)
        where = ", ".join(f"{name} {tame(value)}" for name, value in self.group.items()) or "all events"
        return (
            f"{self.percent:4.0f} %  {one.name} ({tame(one.title)}): {self.value:.15g} of {self.least:.15g} {measured} "
            f"within {span}: {where}, from {iso_time(self.first_us)[:19]}Z to {iso_time(self.time_us)[:19]}Z"
        )


def closest_first(reached: Iterable[Reached]) -> list[Reached]:
    """Those that counted anything, the closest first."""
    return sorted((one for one in reached if one.value), key=lambda one: (-one.percent, one.correlation.name))
