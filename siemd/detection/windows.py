"""What a correlation remembers of one group: sliding windows over sums, distinct values, or matches of several rules.

All times are event times in microseconds. A window holds both of its ends. Each state answers for the newest event in
constant or logarithmic time; for one that came late it searches every window that holds the late event.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Sequence

Holds = Callable[[float], bool]
Found = tuple[float, int]  # the value that fulfils the condition, and the start of its window


class SumWindow:
    """Sums (or counts) of events: sorted times and the running total up to each."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.totals: list[float] = []

    def __len__(self) -> int:
        return len(self.times)

    def add(self, time_us: int, amount: float) -> None:
        """Put an event where its time belongs."""
        if not self.times or time_us >= self.times[-1]:
            self.times.append(time_us)
            self.totals.append((self.totals[-1] if self.totals else 0) + amount)
            return
        index = bisect_right(self.times, time_us)
        self.times.insert(index, time_us)
        self.totals.insert(index, (self.totals[index - 1] if index else 0) + amount)
        for later in range(index + 1, len(self.totals)):
            self.totals[later] += amount

    def trim(self, oldest_us: int, limit: int) -> int:
        """Forget what is older than oldest_us, and the oldest beyond the limit; returns how many the limit cost."""
        if len(self.times) > limit:
            excess = max(len(self.times) - limit, limit // 4)
            self._drop(excess)
            return excess
        expired = bisect_left(self.times, oldest_us)
        if expired > 32 and expired > len(self.times) // 2:
            self._drop(expired)
        return 0

    def _drop(self, count: int) -> None:
        base = self.totals[count - 1]
        del self.times[:count]
        self.totals = [total - base for total in self.totals[count:]]

    def count(self, start_us: int, end_us: int) -> int:
        """How many events lie in a window."""
        return bisect_right(self.times, end_us) - bisect_left(self.times, start_us)

    def find(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest sum that fulfils the condition in a window with the event at time_us."""
        found: Found | None = None
        last = bisect_right(self.times, time_us) - 1
        end = bisect_right(self.times, time_us + span_us)
        for index in range(last, end):
            start = bisect_left(self.times, self.times[index] - span_us)
            value = self.totals[index] - (self.totals[start - 1] if start else 0)
            if holds(value) and (found is None or value > found[0]):
                found = value, self.times[start]
        return found


class ValueWindow:
    """Distinct values: each with the time it was last seen, oldest first.

    `live` are those of the newest window; `past` those that left it but may still meet a late event.
    """

    def __init__(self) -> None:
        self.live: dict[Hashable, int] = {}
        self.past: dict[Hashable, int] = {}
        self._newest_us = 0

    def __len__(self) -> int:
        return len(self.live) + len(self.past)

    def add(self, time_us: int, values: Iterable[Hashable]) -> None:
        """Note values at a time; a value that is known at a later time stays there."""
        late = time_us < self._newest_us
        for value in values:
            if late:
                before = self.live.get(value, self.past.get(value, -1))
                if before >= time_us:
                    continue
            self.live.pop(value, None)
            self.past.pop(value, None)
            self.live[value] = time_us
        if late:
            self.live = dict(sorted(self.live.items(), key=lambda item: item[1]))
        else:
            self._newest_us = time_us

    def trim(self, start_us: int, oldest_us: int, limit: int) -> int:
        """Move what left the newest window aside, forget what is too old; returns how many the limit cost."""
        _move_older(self.live, start_us, self.past)
        _move_older(self.past, oldest_us, None)
        evicted = 0
        while len(self) > limit:
            oldest = self.past or self.live
            del oldest[next(iter(oldest))]
            evicted += 1
        return evicted

    def find(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest number of distinct values that fulfils the condition in a window with the event at time_us."""
        if time_us >= self._newest_us:
            count = len(self.live)
            return (count, next(iter(self.live.values()))) if count and holds(count) else None
        near = sorted(
            moment
            for values in (self.past, self.live)
            for moment in values.values()
            if time_us - span_us <= moment <= time_us + span_us
        )
        found: Found | None = None
        for index in range(max(0, bisect_right(near, time_us) - 1), len(near)):
            start = bisect_left(near, near[index] - span_us)
            count = index + 1 - start
            if holds(count) and (found is None or count > found[0]):
                found = count, near[start]
        return found


def _move_older(values: dict[Hashable, int], before_us: int, into: dict[Hashable, int] | None) -> None:
    """Take what is older out of a dict that is ordered by time."""
    while values:
        value = next(iter(values))
        if values[value] >= before_us:
            return
        moment = values.pop(value)
        if into is not None:
            into[value] = moment


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

    def find_all(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest number of rules that matched in one window with the event at time_us, if it fulfils `holds`."""
        if not any(times and times[-1] > time_us for times in self.times):
            return self._matched_from(time_us - span_us, span_us, holds)  # no window holds more than the newest
        starts = {time_us, time_us - span_us}
        for times in self.times:
            starts.update(times[bisect_left(times, time_us - span_us) : bisect_right(times, time_us)])
        found: Found | None = None
        for start_us in sorted(starts):
            here = self._matched_from(start_us, span_us, holds)
            if here and (found is None or here[0] > found[0]):
                found = here
        return found

    def _matched_from(self, start_us: int, span_us: int, holds: Holds) -> Found | None:
        """How many rules matched in the window that begins at start_us, if that fulfils `holds`."""
        firsts = [_first_at(times, start_us) for times in self.times]
        inside = [moment for moment in firsts if moment is not None and moment <= start_us + span_us]
        return (len(inside), min(inside)) if inside and holds(len(inside)) else None

    def find_ordered(self, position: int, time_us: int, span_us: int) -> Found | None:
        """The shortest chain of all rules in their order that passes through the match at (position, time_us)."""
        start_us = end_us = time_us
        for times in reversed(self.times[:position]):
            index = bisect_right(times, start_us) - 1
            if index < 0:
                return None
            start_us = times[index]
        for times in self.times[position + 1 :]:
            later = _first_at(times, end_us)
            if later is None:
                return None
            end_us = later
        return (len(self.times), start_us) if end_us - start_us <= span_us else None


def _first_at(times: Sequence[int], start_us: int) -> int | None:
    index = bisect_left(times, start_us)
    return times[index] if index < len(times) else None
