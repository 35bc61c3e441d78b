"""What a correlation remembers of one group of events: sliding windows over sums, averages, ranks or distinct values.

All times are event times in microseconds. A window holds both of its ends. Each state answers for the newest event in
constant or logarithmic time; for one that came late it searches every window that holds the late event. Matches of
several rules are in `sequence`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable

Holds = Callable[[float], bool]
Found = tuple[float, int]  # the value that fulfils the condition, and the start of its window

MAX_TIMES_OF_VALUE = 36


class SumWindow:
    """Sums, counts or averages of events: sorted times and the running totals up to each.

    mean: whether `find` compares the average. Beside the amounts it adds up how many events each one stands for.
    """

    def __init__(self, *, mean: bool = False) -> None:
        self.times: list[int] = []
        self.totals: list[float] = []
        self.weights: list[int] = []
        self._mean = mean

    def __len__(self) -> int:
        return len(self.times)

    def add(self, time_us: int, amount: float, weight: int = 1) -> None:
        """Put an event where its time belongs."""
        if not self.times or time_us >= self.times[-1]:
            self.times.append(time_us)
            self.totals.append((self.totals[-1] if self.totals else 0) + amount)
            self.weights.append((self.weights[-1] if self.weights else 0) + weight)
            return
        index = bisect_right(self.times, time_us)
        self.times.insert(index, time_us)
        self.totals.insert(index, self.totals[index - 1] if index else 0)
        self.weights.insert(index, self.weights[index - 1] if index else 0)
        for later in range(index, len(self.totals)):
            self.totals[later] += amount
            self.weights[later] += weight

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
        base, base_weight = self.totals[count - 1], self.weights[count - 1]
        del self.times[:count]
        self.totals = [total - base for total in self.totals[count:]]
        self.weights = [weight - base_weight for weight in self.weights[count:]]

    def count(self, start_us: int, end_us: int) -> int:
        """How many events those of a window stand for."""
        start, end = bisect_left(self.times, start_us), bisect_right(self.times, end_us)
        if end <= start:
            return 0
        return self.weights[end - 1] - (self.weights[start - 1] if start else 0)

    def find(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest sum (or average) that fulfils the condition in a window with the event at time_us."""
        found: Found | None = None
        last = bisect_right(self.times, time_us) - 1
        end = bisect_right(self.times, time_us + span_us)
        for index in range(last, end):
            if index + 1 < end and self.times[index + 1] == self.times[index]:
                continue  # a window holds all events of a moment
            start = bisect_left(self.times, self.times[index] - span_us)
            value = self.totals[index] - (self.totals[start - 1] if start else 0)
            if self._mean:
                value /= index + 1 - start
            if holds(value) and (found is None or value > found[0]):
                found = value, self.times[start]
        return found


class RankWindow:
    """A percentile of the events' values: (time, value) sorted by time, and the newest window's values sorted.

    Between two ranks it interpolates linearly, so the 50th percentile is the median.
    """

    def __init__(self, percentile: float) -> None:
        self._share = percentile / 100
        self._entries: list[tuple[int, float]] = []
        self._ordered: list[float] = []  # values of the newest window: _entries[_start:]
        self._start = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, time_us: int, values: Iterable[float]) -> None:
        """Note an event's values; which of them are in the newest window is settled by `trim`."""
        for value in values:
            index = bisect_right(self._entries, (time_us, value))
            self._entries.insert(index, (time_us, value))
            if index < self._start:
                self._start += 1
            else:
                insort(self._ordered, value)

    def trim(self, start_us: int, oldest_us: int, limit: int) -> int:
        """Take out what left the newest window, forget what is too old; returns how many the limit cost."""
        evicted = max(0, len(self._entries) - limit)
        start = max(bisect_left(self._entries, (start_us,)), evicted)
        for _, value in self._entries[self._start : start]:
            del self._ordered[bisect_left(self._ordered, value)]
        self._start = max(self._start, start)
        expired = max(bisect_left(self._entries, (oldest_us,)), evicted)
        if evicted or (expired > 32 and expired > len(self._entries) // 2):
            del self._entries[:expired]
            self._start -= expired
        return evicted

    def find(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest percentile that fulfils the condition in a window with the event at time_us."""
        if not self._entries:
            return None
        if time_us >= self._entries[-1][0]:
            if not self._ordered:
                return None
            value = percentile_of(self._ordered, self._share)
            return (value, self._entries[self._start][0]) if holds(value) else None
        found: Found | None = None
        near = self._entries[
            bisect_left(self._entries, (time_us - span_us,)) : bisect_left(self._entries, (time_us + span_us + 1,))
        ]
        ends = sorted({moment for moment, _ in near if moment >= time_us})
        ordered: list[float] = []
        first = last = 0
        for end_us in ends:
            while last < len(near) and near[last][0] <= end_us:
                insort(ordered, near[last][1])
                last += 1
            while near[first][0] < end_us - span_us:
                del ordered[bisect_left(ordered, near[first][1])]
                first += 1
            value = percentile_of(ordered, self._share)
            if holds(value) and (found is None or value > found[0]):
                found = value, near[first][0]
        return found


def percentile_of(ordered: list[float], share: float) -> float:
    """The value below which that share of a sorted list lies, interpolated linearly (method 7 of Hyndman and Fan)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    if below + 1 >= len(ordered):
        return ordered[-1]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


class ValueWindow:
    """Distinct values: when each was seen, and which of them are in the newest window.

    A value that is seen again and again keeps some of its times, its newest among them, so that a late event finds it
    in its window too: what is left out lies between two times that are less apart than a window is long. Each value
    stands in a heap once: by its newest time while live, else as one of the past.
    span_us: the length of a window. keep_us: how far back from the newest event windows may lie.
    """

    def __init__(self, span_us: int, keep_us: int) -> None:
        self._grain_us = min(span_us, keep_us // 16)
        self._times: dict[str, list[int]] = {}
        self._live: list[tuple[int, str]] = []  # times may be out of date: the value was seen again since
        self._past: list[tuple[int, str]] = []  # as above, and it may be live again
        self._alive: set[str] = set()
        self._aside: set[str] = set()  # what stands in _past
        self._newest_us = 0
        self._kept = 0

    def __len__(self) -> int:
        return self._kept

    @property
    def distinct(self) -> int:
        """How many values are remembered."""
        return len(self._times)

    def add(self, time_us: int, values: Iterable[str]) -> None:
        """Note values at a time."""
        self._newest_us = max(self._newest_us, time_us)
        for value in values:
            times = self._times.get(value)
            if times is None:
                self._times[value] = [time_us]
                self._kept += 1
            else:
                self._note_again(times, time_us)
            if value not in self._alive:
                self._alive.add(value)  # also when it is older than the newest window: trim takes it out
                heapq.heappush(self._live, (self._times[value][-1], value))

    def _note_again(self, times: list[int], time_us: int) -> None:
        index = bisect_left(times, time_us)
        if index < len(times) and times[index] == time_us:
            return
        before = times[index - 1] if index else None
        if index == len(times) and len(times) > 1 and time_us - times[-2] < self._grain_us:
            times[-1] = time_us
            return
        inside = before is not None and index < len(times) and times[index] - before < self._grain_us
        if not inside:
            times.insert(index, time_us)
            self._kept += 1
            if len(times) > MAX_TIMES_OF_VALUE:
                del times[0]
                self._kept -= 1

    def trim(self, start_us: int, oldest_us: int, limit: int) -> int:
        """Move what left the newest window aside, forget what is too old; returns how many values the limit cost."""
        while self._live and self._live[0][0] < start_us:
            newest_us, value = heapq.heappop(self._live)
            if self._times[value][-1] > newest_us:
                heapq.heappush(self._live, (self._times[value][-1], value))
            else:
                self._alive.discard(value)
                self._lay_aside(value)
        while self._past and self._past[0][0] < oldest_us:
            self._leave_past()
        evicted = 0
        while len(self._times) > limit:
            if not (self._past and self._leave_past()):
                if self._past:
                    continue
                self._refresh()
                _, value = heapq.heappop(self._live)
                self._alive.discard(value)
                self._forget(value)
            evicted += 1
        return evicted

    def _leave_past(self) -> bool:
        """Forget the oldest value of the past, unless it was seen again since."""
        newest_us, value = heapq.heappop(self._past)
        self._aside.discard(value)
        if value in self._alive or value not in self._times:
            return False
        if self._times[value][-1] > newest_us:
            self._lay_aside(value)
            return False
        self._forget(value)
        return True

    def _lay_aside(self, value: str) -> None:
        if value not in self._aside:
            self._aside.add(value)
            heapq.heappush(self._past, (self._times[value][-1], value))

    def _forget(self, value: str) -> None:
        self._kept -= len(self._times.pop(value))

    def _refresh(self) -> None:
        """Bring the oldest live value to the top of its heap."""
        while self._times[self._live[0][1]][-1] > self._live[0][0]:
            _, value = self._live[0]
            heapq.heapreplace(self._live, (self._times[value][-1], value))

    def find(self, time_us: int, span_us: int, holds: Holds) -> Found | None:
        """The largest number of distinct values that fulfils the condition in a window with the event at time_us."""
        if time_us >= self._newest_us:
            count = len(self._alive)
            if not count or not holds(count):
                return None
            self._refresh()
            return count, self._live[0][0]
        seen = [
            (moment, value)
            for value, times in self._times.items()
            for moment in times
            if time_us - span_us <= moment <= time_us + span_us
        ]
        seen.append((time_us, ""))  # a window may end here, though the time of the value was left out
        return _most_values(sorted(seen), time_us, span_us, holds)


def _most_values(seen: list[tuple[int, str]], time_us: int, span_us: int, holds: Holds) -> Found | None:
    """Slide a window over sorted (time, value) pairs; only windows that hold time_us count. The value "" is none."""
    found: Found | None = None
    inside: Counter[str] = Counter()
    first = 0
    for index, (end_us, value) in enumerate(seen):
        if value:
            inside[value] += 1
        while seen[first][0] < end_us - span_us:
            gone = seen[first][1]
            inside[gone] -= 1
            if inside[gone] <= 0:
                del inside[gone]
            first += 1
        last_of_moment = index + 1 == len(seen) or seen[index + 1][0] > end_us
        if end_us >= time_us and last_of_moment:
            count = len(inside)
            if holds(count) and (found is None or count > found[0]):
                found = count, seen[first][0]
    return found
