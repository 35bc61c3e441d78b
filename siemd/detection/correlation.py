"""Sigma correlations over the stream: which group an event belongs to, its window, and when the condition holds.

Semantics after the Sigma correlation specification 2.1: event time, sliding windows, one window a group.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from siemd.detection.config import DetectionConfig
from siemd.detection.held import MAX_EVENT, MAX_SMALL_EVENT, held, lean, shorten
from siemd.detection.predicate import number_of
from siemd.detection.reached import Reached
from siemd.detection.rule import Correlation, Threshold
from siemd.detection.sequence import SequenceWindow
from siemd.detection.view import MISSING, View, text_of
from siemd.detection.windows import Found, RankWindow, SumWindow, ValueWindow
from siemd.events import Event, NetworkEvent

EVIDENCE_EVENTS = 10
CROWDED_GROUPS, CROWDED_EVIDENCE_EVENTS = 1_000, 2
EXPIRE_PER_EVENT = 4
MAX_LISTED_GROUP_VALUES = 16
MAX_COMBINATIONS = 10_000
MAX_WEIGHT = 1_000_000_000

GroupKey = tuple[str, ...]
Window = SumWindow | RankWindow | ValueWindow | SequenceWindow


def weight_of(event: Event) -> int:
    """How many events an event stands for: the `count` of a coalesced fact, else 1."""
    return max(1, min(event.count, MAX_WEIGHT)) if isinstance(event, NetworkEvent) else 1


class Occurrence(msgspec.Struct):
    """A match of a rule that a correlation refers to: its event, and the group if the rule is a correlation itself."""

    view: View
    time_us: int
    group: dict[str, Any] = {}

    @property
    def weight(self) -> int:
        """How many events it stands for; a correlation's firing is one."""
        return 1 if self.group else weight_of(self.view.event)

    def value(self, name: str) -> Any:
        """A field of the group, else of the event; MISSING when neither has it."""
        found = self.group.get(name, MISSING)
        return self.view.get(name) if found is MISSING else found


class Firing(msgspec.Struct):
    """The condition of a correlation holds for a group.

    value: what was compared (count, distinct values, sum, rules ...). first_us: start of the window. seen: how many
    events those in it stand for (for distinct values and rules: those of the group since it was last quiet). events:
    the newest of them, with the one that made it fire as the last.
    """

    group: dict[str, Any]
    value: float
    first_us: int
    seen: int
    events: Sequence[Event]


class _Group:
    """One group's window and what an incident will want to know of it."""

    __slots__ = ("events", "newest_us", "seen", "values", "window")

    def __init__(self, values: dict[str, Any], window: Window, time_us: int, evidence: int) -> None:
        self.values = values
        self.window = window
        self.newest_us = time_us
        self.seen = 0
        self.events: deque[Event] = deque(maxlen=evidence)


class Correlator:
    """The windows of one correlation, all bounded; what is forgotten for lack of room is counted.

    evicted_groups, evicted_values: forgotten because of a limit. late: events too old for any window that is kept.
    ungrouped: events that lack a field of group-by (or the value to look at), which therefore don't count.

    A condition in words that wants something not to have happened is judged when that is known: `due` tells.
    reached: how close events came to the threshold, once `measure` was called.
    """

    def __init__(self, correlation: Correlation, config: DetectionConfig) -> None:
        self.evicted_groups = self.evicted_values = self.late = self.ungrouped = 0
        self._groups: OrderedDict[GroupKey, _Group] = OrderedDict()
        self._entries = 0
        self._waiting: list[tuple[int, int, GroupKey, int, Occurrence]] = []  # a heap by the time to judge
        self._order = itertools.count()
        self.reached: Reached | None = None
        self.configure(correlation, config)

    def configure(self, correlation: Correlation, config: DetectionConfig) -> None:
        """Use (other) thresholds and limits; the windows stay."""
        self.correlation = correlation
        self._span_us = int(correlation.timespan_s * 1_000_000)
        self._late_us = int(config.late_s * 1_000_000)
        self._patient = correlation.threshold.looks_for_absence
        self._keep_us = (2 if self._patient else 1) * self._span_us + self._late_us
        self._max_groups = config.max_groups
        self._max_entries = config.max_entries
        highest = max((abs(number) for _, number in correlation.threshold.comparisons), default=0)
        counting = correlation.type in ("event_count", "value_count")
        self._max_values = max(config.max_values, min(int(2 * highest), 1_000_000) if counting else 0)
        self._holds = condition(correlation.threshold)
        self._least, self._rising = least_of(correlation.threshold)
        self._fields = [self._field_names(name) for name in correlation.group_by]
        self._value_fields = [self._field_names(name) for name in correlation.threshold.fields]

    def measure(self) -> None:
        """Keep account of the highest value from now on, for thresholds that a number rises to."""
        if self._rising and self.correlation.threshold.comparisons:
            self.reached = Reached(self.correlation, self._least)

    @property
    def groups(self) -> int:
        """How many groups are remembered."""
        return len(self._groups)

    def state_key(self) -> tuple[Any, ...]:
        """What has to be the same for windows to survive a reload."""
        one = self.correlation
        temporal = one.rules if one.type.startswith("temporal") else ()
        looks_at = one.threshold.fields, one.threshold.percentile
        return one.key, one.type, one.group_by, looks_at, temporal, str(one.aliases)

    def add(self, position: int, occurrence: Occurrence) -> Firing | None:
        """Count a match of the rule at `position` of the correlation's list; a Firing when the condition holds."""
        time_us = occurrence.time_us
        found_group = self._group_of(position, occurrence)
        if found_group is None:
            self.ungrouped += 1
            return None
        values, key = found_group
        group = self._group(values, key, time_us)
        if time_us < group.newest_us - self._span_us - self._late_us:
            self.late += 1
            return None
        before = len(group.window)
        if not self._note(group.window, position, occurrence):
            self.ungrouped += 1
            return None
        if time_us - group.newest_us > self._span_us:
            group.seen = 0
            group.events.clear()
        group.seen += occurrence.weight
        group.newest_us = max(group.newest_us, time_us)
        small = self._patient or group.events.maxlen == CROWDED_EVIDENCE_EVENTS
        event = lean(occurrence.view.event, MAX_SMALL_EVENT if small else MAX_EVENT)
        group.events.append(event)
        self._trim(group)
        self._entries += len(group.window) - before
        while self._entries > self._max_entries and len(self._groups) > 1:
            self._forget(next(iter(self._groups)))
            self.evicted_groups += 1
        if self.reached is not None:
            self.reached.note(group.values, self._highest(group.window, position, time_us), time_us)
        if self._patient:
            if event is not occurrence.view.event:
                occurrence = msgspec.structs.replace(occurrence, view=occurrence.view.on(event))
            self._wait(key, position, occurrence)
            return None
        found = self._find(group.window, position, time_us)
        if found is None:
            return None
        value, first_us = found
        window = group.window
        seen = window.count(first_us, first_us + self._span_us) if isinstance(window, SumWindow) else group.seen
        return Firing(group.values, value, first_us, seen, tuple(group.events))

    # conditions that are judged later

    def is_due(self, clock_us: int) -> bool:
        """Whether `due` would judge any."""
        return bool(self._waiting) and self._waiting[0][0] <= clock_us

    def due(self, clock_us: int | None) -> list[tuple[Firing, Occurrence]]:
        """Judge the events whose time has come (all of them at the end of a replay, when clock_us is None)."""
        fired: list[tuple[Firing, Occurrence]] = []
        while self._waiting and (clock_us is None or self._waiting[0][0] <= clock_us):
            _, _, key, position, occurrence = heapq.heappop(self._waiting)
            group = self._groups.get(key)
            if group is None or not isinstance(group.window, SequenceWindow):
                continue
            found = self._find(group.window, position, occurrence.time_us)
            if found is not None:
                value, first_us = found
                time_us, event = occurrence.time_us, occurrence.view.event
                seen = group.window.count(first_us, time_us)  # what came later is judged, and counted, by itself
                events = [*(one for one in group.events if one is not event and one.time_us <= time_us), event]
                fired.append((Firing(group.values, value, first_us, seen, events), occurrence))
        return fired

    def _wait(self, key: GroupKey, position: int, occurrence: Occurrence) -> None:
        if not any(position in one.wanted for one in self.correlation.threshold.alternatives):
            return
        if len(self._waiting) >= self._max_entries:
            heapq.heappop(self._waiting)
            self.evicted_values += 1
        time_us = occurrence.time_us + self._span_us + self._late_us
        heapq.heappush(self._waiting, (time_us, next(self._order), key, position, occurrence))

    # groups

    def _field_names(self, name: str) -> list[str]:
        """The field behind a name for each position of the rules: an alias, or the name itself."""
        alias = self.correlation.aliases.get(name, {})
        return [alias.get(rule, name) for rule in self.correlation.rules]

    def _group_of(self, position: int, occurrence: Occurrence) -> tuple[dict[str, Any], GroupKey] | None:
        """The values of group-by and the key they make (in lower case: names and addresses mean the same in both)."""
        values: dict[str, Any] = {}
        key: list[str] = []
        for name, fields in zip(self.correlation.group_by, self._fields, strict=True):
            value = occurrence.value(fields[position])
            if value is MISSING and fields[position] != name:
                value = occurrence.group.get(name, MISSING)
            if isinstance(value, list | tuple):
                value = ", ".join(text for one in value[:MAX_LISTED_GROUP_VALUES] if (text := text_of(one)))
            text = text_of(value)
            if not text:
                return None
            values[name] = held(value)
            key.append(shorten(text).lower())
        return values, tuple(key)

    def _group(self, values: dict[str, Any], key: GroupKey, time_us: int) -> _Group:
        group = self._groups.get(key)
        if group is None:
            self._expire(time_us)
            if len(self._groups) >= self._max_groups:
                self._forget(next(iter(self._groups)))
                self.evicted_groups += 1
            crowded = len(self._groups) >= CROWDED_GROUPS
            evidence = CROWDED_EVIDENCE_EVENTS if crowded else EVIDENCE_EVENTS
            group = self._groups[key] = _Group(values, self._window(), time_us, evidence)
        else:
            self._groups.move_to_end(key)
        return group

    def _expire(self, time_us: int) -> None:
        """Forget a few groups whose windows are over."""
        oldest_us = time_us - self._keep_us
        for _ in range(EXPIRE_PER_EVENT):
            first = next(iter(self._groups.items()), None)
            if first is None or first[1].newest_us >= oldest_us:
                return
            self._forget(first[0])

    def set_back(self, clock_us: int) -> None:
        """Forget groups that a wrong clock put into the future: beside those, all that comes now would be too late."""
        future = [key for key, group in self._groups.items() if group.newest_us > clock_us + self._late_us]
        for key in future:
            self._forget(key)
        self.evicted_groups += len(future)

    def _forget(self, key: GroupKey) -> None:
        self._entries -= len(self._groups.pop(key).window)

    # windows

    def _window(self) -> Window:
        match self.correlation.type:
            case "event_count" | "value_sum":
                return SumWindow()
            case "value_avg":
                return SumWindow(mean=True)
            case "value_median":
                return RankWindow(50)
            case "value_percentile":
                return RankWindow(self.correlation.threshold.percentile or 0)
            case "value_count":
                return ValueWindow(self._span_us, self._keep_us)
            case _:
                return SequenceWindow(len(self.correlation.rules))

    def _note(self, window: Window, position: int, occurrence: Occurrence) -> bool:
        """Put the event into the window; False when it lacks the value that the correlation looks at."""
        if isinstance(window, SequenceWindow):
            window.add(occurrence.time_us, position)
            return True
        if self.correlation.type == "event_count":
            assert isinstance(window, SumWindow)
            window.add(occurrence.time_us, 1, occurrence.weight)
            return True
        values = [occurrence.value(names[position]) for names in self._value_fields]
        if isinstance(window, ValueWindow):
            distinct, left_out = (_texts(values[0]), 0) if len(values) == 1 else _combinations(values)
            self.evicted_values += left_out
            window.add(occurrence.time_us, distinct)
            return bool(distinct)
        amounts = [
            number for one in _listed(values[0]) if (number := number_of(one)) is not None and abs(number) < 1e15
        ]
        if isinstance(window, RankWindow):
            window.add(occurrence.time_us, amounts)
        elif self.correlation.type == "value_avg":
            for number in amounts:
                window.add(occurrence.time_us, number, occurrence.weight)
        elif amounts:
            window.add(occurrence.time_us, sum(amounts), occurrence.weight)
        return bool(amounts)

    def _trim(self, group: _Group) -> None:
        start_us, oldest_us = group.newest_us - self._span_us, group.newest_us - self._keep_us
        if isinstance(group.window, ValueWindow | RankWindow):
            self.evicted_values += group.window.trim(start_us, oldest_us, self._max_values)
        else:
            self.evicted_values += group.window.trim(oldest_us, self._max_values)

    def _highest(self, window: Window, position: int, time_us: int) -> Found | None:
        """The highest value in a window with the event at time_us, whether or not the condition holds for it."""
        if isinstance(window, SequenceWindow):
            if self.correlation.type == "temporal_ordered":
                return window.find_ordered(position, time_us, self._span_us, _anything)
            return window.find_all(time_us, self._span_us, _anything)
        return window.find(time_us, self._span_us, _anything)

    def _find(self, window: Window, position: int, time_us: int) -> Found | None:
        if isinstance(window, SequenceWindow):
            ordered = self.correlation.type == "temporal_ordered"
            if alternatives := self.correlation.threshold.alternatives:
                ways = (
                    window.find_alternative(one, position, time_us, self._span_us, ordered=ordered)
                    for one in alternatives
                )
                return max((found for found in ways if found), default=None)
            if ordered:
                return window.find_ordered(position, time_us, self._span_us, self._holds)
            return window.find_all(time_us, self._span_us, self._holds)
        if isinstance(window, ValueWindow):
            return window.find(time_us, self._span_us, self._holds, self._least, rising=self._rising)
        return window.find(time_us, self._span_us, self._holds)


def _anything(_value: float) -> bool:
    return True


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _texts(value: Any) -> list[str]:
    """The values of a field as they are told apart: as text, without regard to case; nothing for what is empty."""
    return [shorten(text).lower() for one in _listed(value) if one is not MISSING and (text := text_of(one))]


def _combinations(values: list[Any]) -> tuple[list[str], int]:
    """Several fields as one value, each value of a list by itself; and how many were left out for being too many."""
    texts = [_texts(value) for value in values]
    found = [shorten("\x1f".join(one)) for one in itertools.islice(itertools.product(*texts), MAX_COMBINATIONS)]
    return found, math.prod(map(len, texts)) - len(found)


def condition(threshold: Threshold) -> Callable[[float], bool]:
    """All comparisons of a threshold as one function."""
    tests: dict[str, Callable[[float, float], bool]] = {
        "gt": lambda value, limit: value > limit,
        "gte": lambda value, limit: value >= limit,
        "lt": lambda value, limit: value < limit,
        "lte": lambda value, limit: value <= limit,
        "eq": lambda value, limit: value == limit,
        "neq": lambda value, limit: value != limit,
    }
    pairs = [(tests[operator], limit) for operator, limit in threshold.comparisons]
    if len(pairs) == 1:
        test, limit = pairs[0]
        return lambda value: test(value, limit)
    return lambda value: all(test(value, limit) for test, limit in pairs)


def least_of(threshold: Threshold) -> tuple[float, bool]:
    """The number below which a threshold holds for none, and whether it holds for all above one for which it does."""
    lower = [limit for operator, limit in threshold.comparisons if operator in ("gt", "gte", "eq")]
    rising = all(operator in ("gt", "gte") for operator, _ in threshold.comparisons)
    return max(lower, default=-math.inf), rising
