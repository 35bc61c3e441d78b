"""How many distinct values any window of a group holds, kept up to date for events that come late.

The times of a value that are no further apart than a window is long make one stretch: the windows that end between its
first time and a timespan after its last one hold the value. So two sorted lists, of the starts and of the ends of all
stretches, answer for every window, and a late event need not look at each time of each value.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator

CHUNK = 512


class SortedTimes:
    """A sorted multiset of times in chunks, so that adding to and taking from many costs no more than from few."""

    def __init__(self, times: Iterable[int] = ()) -> None:
        ordered = sorted(times)
        self._chunks = [ordered[index : index + CHUNK] for index in range(0, len(ordered), CHUNK)]
        self._lasts = [chunk[-1] for chunk in self._chunks]

    def add(self, time_us: int) -> None:
        """Put a time in its place."""
        if not self._chunks:
            self._chunks.append([time_us])
            self._lasts.append(time_us)
            return
        index = min(bisect_left(self._lasts, time_us), len(self._lasts) - 1)
        chunk = self._chunks[index]
        insort(chunk, time_us)
        if len(chunk) > 2 * CHUNK:
            self._chunks.insert(index + 1, chunk[CHUNK:])
            self._lasts.insert(index + 1, chunk[-1])
            del chunk[CHUNK:]
        self._lasts[index] = chunk[-1]

    def remove(self, time_us: int) -> None:
        """Take out a time that is there, once."""
        index = bisect_left(self._lasts, time_us)
        chunk = self._chunks[index]
        del chunk[bisect_left(chunk, time_us)]
        if chunk:
            self._lasts[index] = chunk[-1]
        else:
            del self._chunks[index], self._lasts[index]

    def first_from(self, time_us: int) -> int | None:
        """The earliest time that is not before time_us."""
        index = bisect_left(self._lasts, time_us)
        if index == len(self._lasts):
            return None
        chunk = self._chunks[index]
        return chunk[bisect_left(chunk, time_us)]


class Coverage:
    """The stretches of all values, for windows of one length.

    span_us: the length. It is told of every time that a value gets or loses, with its neighbours among the value's own.
    """

    def __init__(self, span_us: int, times: Iterable[list[int]]) -> None:
        self.span_us = span_us
        self._starts: list[int] = []
        self._lasts: list[int] = []
        every: list[int] = []
        for one in times:
            every += one
            for before, after in zip((None, *one), (*one, None), strict=True):
                if not self._linked(before, after):
                    if before is not None:
                        self._lasts.append(before)
                    if after is not None:
                        self._starts.append(after)
        self._starts.sort()
        self._lasts.sort()
        self._times = SortedTimes(every)

    def _linked(self, before: int | None, after: int | None) -> bool:
        return before is not None and after is not None and after - before <= self.span_us

    def put(self, before: int | None, time_us: int, after: int | None) -> None:
        """A value was seen at a time, between two of its others."""
        self._times.add(time_us)
        if self._linked(before, after):
            return  # the stretch holds it already
        if before is not None and self._linked(before, time_us):
            _take(self._lasts, before)
        else:
            insort(self._starts, time_us)
        if after is not None and self._linked(time_us, after):
            _take(self._starts, after)
        else:
            insort(self._lasts, time_us)

    def drop(self, before: int | None, time_us: int, after: int | None) -> None:
        """A time of a value is forgotten: the inverse of `put`."""
        self._times.remove(time_us)
        if self._linked(before, after):
            return
        if before is not None and self._linked(before, time_us):
            insort(self._lasts, before)
        else:
            _take(self._starts, time_us)
        if after is not None and self._linked(time_us, after):
            insort(self._starts, after)
        else:
            _take(self._lasts, time_us)

    def find(
        self, time_us: int, holds: Callable[[float], bool], least: float, *, rising: bool
    ) -> tuple[int, int] | None:
        """The most values that fulfil `holds` in a window with time_us, and the first time in the first such window.

        Windows end at time_us or at a time of a value. least: no smaller number fulfils `holds`. rising: whether every
        greater one does, so that only windows that gained a value are of interest.
        """
        first = bisect_right(self._starts, time_us)
        end = bisect_right(self._starts, time_us + self.span_us)
        if end - bisect_left(self._lasts, time_us - self.span_us) < least:
            return None
        best, best_end = -1, time_us
        counts = self._counts(time_us, first, end) if rising else self._all_counts(time_us, first, end)
        for count, end_us in counts:
            if count > best and holds(count):
                best, best_end = count, end_us
        if best < 0:
            return None
        earliest = self._times.first_from(best_end - self.span_us)
        return best, time_us if earliest is None else min(earliest, time_us)

    def _counts(self, time_us: int, first: int, end: int) -> Iterator[tuple[int, int]]:
        """(values, end) of the window that ends at time_us, and of those that end where a stretch starts."""
        starts, lasts, span_us = self._starts, self._lasts, self.span_us
        gone, left = bisect_left(lasts, time_us - span_us), len(lasts)
        yield first - gone, time_us
        for index in range(first, end):
            end_us = starts[index]
            while gone < left and lasts[gone] < end_us - span_us:
                gone += 1
            # a moment at which several start is counted whole with the last of them
            yield index + 1 - gone, end_us

    def _all_counts(self, time_us: int, first: int, end: int) -> Iterator[tuple[int, int]]:
        """As `_counts`, and of the windows that are the first to end after a stretch does."""
        ends = {time_us, *self._starts[first:end]}
        last_us = time_us + self.span_us
        for moment in self._lasts[bisect_left(self._lasts, time_us - self.span_us) :]:
            if moment >= time_us:
                break  # the windows that lack it lack time_us, too
            following = self._times.first_from(moment + self.span_us + 1)
            if following is not None and time_us < following <= last_us:
                ends.add(following)
        for end_us in sorted(ends):
            yield bisect_right(self._starts, end_us) - bisect_left(self._lasts, end_us - self.span_us), end_us


def _take(ordered: list[int], time_us: int) -> None:
    del ordered[bisect_left(ordered, time_us)]
