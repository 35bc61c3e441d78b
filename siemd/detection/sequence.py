"""What a temporal correlation remembers of one group: when each of its rules matched, together or in order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from siemd.detection.rule import Alternative
from siemd.detection.windows import Found, Holds

Step = Callable[[list[int], int], int | None]


class SequenceWindow:
    """Times of the matches of several rules, one sorted list a rule."""

    def __init__(self, rules: int) -> None:
        self.times: list[list[int]] = [[] for _ in range(rules)]

    def __len__(self) -> int:
        return sum(map(len, self.times))

    def add(self, time_us: int, position: int) -> None:
        """Note a match of the rule at that position."""
        insort(self.times[position], time_us)

    def trim(self, oldest_us: int, limit: int) -> int:
        """Forget what is older than oldest_us, and the oldest of each rule beyond the limit; returns what that cost."""
        evicted = 0
        for times in self.times:
            del times[: bisect_left(times, oldest_us)]
            excess = max(0, len(times) - limit)
            evicted += excess
            del times[:excess]
        return evicted

    def count(self, start_us: int, end_us: int) -> int:
        """How many matches lie in a window."""
        return sum(bisect_right(times, end_us) - bisect_left(times, start_us) for times in self.times)

    def find_all(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest number of rules that matched in one window with the event at time_us, if it fulfils `holds`."""
        return self._together(self.times, time_us, span_us, holds)

    def find_ordered(self, position: int, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The longest chain of rules in their order through the match at (position, time_us) that fulfils `holds`.

        For each number of rules before (and after) only the chain that begins latest (ends earliest) matters.
        """
        starts = _chains(self.times[:position][::-1], time_us, _last_at)
        ends = _chains(self.times[position + 1 :], time_us, _first_at)
        found: Found | None = None
        for before, start_us in enumerate(starts):
            for after, end_us in enumerate(ends):
                count = before + 1 + after
                if end_us - start_us <= span_us and holds(count) and (found is None or count > found[0]):
                    found = count, start_us
        return found

    def find_alternative(
        self, one: Alternative, position: int, time_us: int, span_us: int, *, ordered: bool
    ) -> Found | None:
        """Whether the rules that one alternative wants matched, with (position, time_us) among them, in a window.

        And none that it doesn't want within a timespan before or after.
        """
        if position not in one.wanted:
            return None
        for unwanted in one.unwanted:
            later_us = _first_at(self.times[unwanted], time_us - span_us)
            if later_us is not None and later_us <= time_us + span_us:
                return None
        wanted = len(one.wanted)
        if ordered:
            part = SequenceWindow(0)
            part.times = [self.times[index] for index in one.wanted]
            return part.find_ordered(one.wanted.index(position), time_us, span_us, lambda count: count == wanted)
        chosen = [self.times[index] for index in one.wanted]
        return self._together(chosen, time_us, span_us, lambda count: count == wanted)

    @staticmethod
    def _together(rules: Sequence[list[int]], time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The most rules in a window that begins at a match (or at the last or first moment that time_us allows)."""
        if not any(times and times[-1] > time_us for times in rules):
            return _matched_from(rules, time_us - span_us, span_us, holds)  # no window holds more than the newest
        found: Found | None = None
        for start_us in _turning_points(rules, time_us, span_us):
            here = _matched_from(rules, start_us, span_us, holds)
            if here and (found is None or here[0] > found[0]):
                found = here
        return found


def _turning_points(rules: Sequence[list[int]], time_us: int, span_us: int) -> list[int]:
    """The first beginning of a window with time_us, and each first one that holds other rules than those before it.

    Going forward, a window loses a rule behind its last match up to time_us, and gains it again with the first one
    after: between those, whatever matched in the meantime, the number of rules stays the same.
    """
    turns = {time_us - span_us}
    for times in rules:
        after = bisect_right(times, time_us)
        if after:
            turns.add(times[after - 1] + 1)
        if after < len(times):
            turns.add(times[after] - span_us)
    starts = {time_us - span_us, time_us}
    for turn_us in turns:
        if time_us - span_us <= turn_us <= time_us:
            starts.add(
                min([time_us, *(moment for times in rules if (moment := _first_at(times, turn_us)) is not None)])
            )
    return sorted(starts)


def _matched_from(rules: Sequence[list[int]], start_us: int, span_us: int, holds: Holds) -> Found | None:
    """How many rules matched in the window that begins at start_us, if that fulfils `holds`."""
    firsts = [_first_at(times, start_us) for times in rules]
    inside = [moment for moment in firsts if moment is not None and moment <= start_us + span_us]
    return (len(inside), min(inside)) if inside and holds(len(inside)) else None


def _chains(rules: Sequence[list[int]], time_us: int, step: Step) -> list[int]:
    """For each length of a chain through some of the rules, away from time_us: the nearest time at which it ends."""
    best = [time_us]
    for times in rules:
        for length in range(len(best) - 1, -1, -1):
            moment = step(times, best[length])
            if moment is None:
                continue
            if length + 1 == len(best):
                best.append(moment)
            elif abs(moment - time_us) < abs(best[length + 1] - time_us):
                best[length + 1] = moment
    return best


def _first_at(times: list[int], start_us: int) -> int | None:
    index = bisect_left(times, start_us)
    return times[index] if index < len(times) else None


def _last_at(times: list[int], end_us: int) -> int | None:
    index = bisect_right(times, end_us) - 1
    return times[index] if index >= 0 else None
