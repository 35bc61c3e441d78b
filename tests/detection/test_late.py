"""Late events: what the windows find for them equals a search through every window that may hold them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.detection.correlation import condition, least_of
from siemd.detection.coverage import CHUNK, Coverage, SortedTimes
from siemd.detection.rule import Threshold
from siemd.detection.sequence import SequenceWindow, _matched_from
from siemd.detection.windows import Found, Holds, RankWindow, ValueWindow, percentile_of

SPAN, LATE = 10, 12
CONDITIONS = [
    (("gte", 1),),
    (("gte", 3),),
    (("gt", 2),),
    (("lte", 3),),
    (("lt", 2),),
    (("eq", 2),),
    (("neq", 3),),
    (("gte", 2), ("lt", 4)),
]
MOMENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), max_size=60)


def every_window(window: ValueWindow, time_us: int, holds: Holds) -> Found | None:
    """The naive search: every remembered time of every value."""
    near = [
        (moment, value)
        for value, times in window._times.items()
        for moment in times
        if time_us - SPAN <= moment <= time_us + SPAN
    ]
    found: Found | None = None
    for end in sorted({time_us, *(moment for moment, _ in near if moment >= time_us)}):
        inside = [(moment, value) for moment, value in near if end - SPAN <= moment <= end]
        count = len({value for _, value in inside})
        if holds(count) and (found is None or count > found[0]):
            found = count, min([time_us, *(moment for moment, _ in inside)])
    return found


def every_start(window: SequenceWindow, time_us: int, holds: Holds) -> Found | None:
    """The naive search: a window from every match."""
    found: Found | None = None
    starts = {time_us, time_us - SPAN, *(m for times in window.times for m in times if time_us - SPAN <= m <= time_us)}
    for start in sorted(starts):
        here = _matched_from(window.times, start, SPAN, holds)
        if here and (found is None or here[0] > found[0]):
            found = here
    return found


def every_rank(window: RankWindow, time_us: int, share: float, holds: Holds) -> Found | None:
    found: Found | None = None
    for end in sorted({moment for moment, _ in window._entries if time_us <= moment <= time_us + SPAN}):
        inside = [entry for entry in window._entries if end - SPAN <= entry[0] <= end]
        value = percentile_of(sorted(one for _, one in inside), share)
        if holds(value) and (found is None or value > found[0]):
            found = value, inside[0][0]
    return found


@pytest.mark.parametrize("comparisons", CONDITIONS, ids=str)
@given(MOMENTS, st.integers(1, 7), st.sampled_from([SPAN, SPAN // 3]))
@settings(max_examples=150)
def test_distinct_values(comparisons: Any, events: list[tuple[int, int]], limit: int, grain: int) -> None:
    threshold = Threshold(comparisons)
    holds, (least, rising) = condition(threshold), least_of(threshold)
    window = ValueWindow(SPAN, max(SPAN + LATE, 16 * grain))
    newest = 0
    for moment, value in events:
        newest = max(newest, moment)
        window.add(moment, [f"v{value}"])
        window.trim(newest - SPAN, newest - SPAN - LATE, limit)
        if moment < newest:
            assert window.find(moment, SPAN, holds, least, rising=rising) == every_window(window, moment, holds)
            if window._coverage is not None:
                fresh = Coverage(SPAN, window._times.values())
                assert window._coverage._starts == fresh._starts
                assert window._coverage._lasts == fresh._lasts


@pytest.mark.parametrize("comparisons", CONDITIONS, ids=str)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=40))
def test_rules_that_match_together(comparisons: Any, events: list[tuple[int, int]]) -> None:
    holds = condition(Threshold(comparisons))
    window = SequenceWindow(4)
    for moment, position in events:
        window.add(moment, position)
        if any(times and times[-1] > moment for times in window.times):
            assert window.find_all(moment, SPAN, holds) == every_start(window, moment, holds)


@pytest.mark.parametrize("comparisons", CONDITIONS, ids=str)
@given(MOMENTS, st.sampled_from([0, 50, 90]))
def test_percentiles(comparisons: Any, events: list[tuple[int, int]], percentile: int) -> None:
    holds = condition(Threshold(comparisons))
    window = RankWindow(percentile)
    newest = 0
    for moment, value in events:
        newest = max(newest, moment)
        window.add(moment, [float(value)])
        window.trim(newest - SPAN, newest - SPAN - LATE, 1000)
        if moment < newest:
            assert window.find(moment, SPAN, holds) == every_rank(window, moment, percentile / 100, holds)


def test_a_late_event_does_not_look_at_each_time_of_each_value() -> None:
    """What a late event compares grows with the values that began in its windows, not with all that is remembered."""

    class Counted(int):
        comparisons = 0

        def __lt__(self, other: int) -> bool:
            Counted.comparisons += 1
            return int(self) < int(other)

    window = ValueWindow(100, 130)
    for moment in range(0, 130, 4):
        for value in range(500):
            window.add(moment, [f"v{value}"])
        window.trim(moment - 100, moment - 130, 4096)
    window.find(90, 100, lambda count: count >= 10_000, 10_000, rising=True)  # the first late one pays for all
    window.add(95, ["v1"])
    moment = Counted(95)
    assert window.find(moment, 100, lambda count: count >= 500, 500, rising=True) == (500, 0)
    assert Counted.comparisons < len(window) // 50


@given(st.lists(st.integers(0, 50), max_size=40))
def test_sorted_times_are_a_multiset(actions: list[int]) -> None:
    times, model = SortedTimes(), Counter[int]()
    for number, action in enumerate(actions):
        if number % 3 == 2 and model:
            gone = sorted(model)[action % len(model)]
            times.remove(gone)
            model -= Counter([gone])
        else:
            times.add(action)
            model[action] += 1
        for probe in (0, 20, 51):
            assert times.first_from(probe) == min((one for one in model if one >= probe), default=None)


def test_sorted_times_of_many() -> None:
    many = [number * 7919 % 10_007 for number in range(6 * CHUNK)]
    times = SortedTimes(many[:CHUNK])
    for one in many[CHUNK:]:
        times.add(one)
    assert max(map(len, times._chunks)) <= 2 * CHUNK
    assert [one for chunk in times._chunks for one in chunk] == sorted(many)
    assert times._lasts == [chunk[-1] for chunk in times._chunks]
    for one in many:
        times.remove(one)
    assert times.first_from(0) is None
