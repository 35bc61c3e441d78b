"""Incidents: matches of one rule and one group become one alert that opens, grows and closes when it is idle."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from siemd.detection.because import because
from siemd.detection.config import DetectionConfig
from siemd.detection.correlation import GroupKey, weight_of
from siemd.detection.held import MAX_SMALL_EVENT, lean
from siemd.detection.reason import explain, listed, named_fields, tame
from siemd.detection.rule import LEVELS, AnyRule, Correlation, Rule
from siemd.detection.suppressions import Suppressions
from siemd.detection.view import MISSING, View
from siemd.events import Alert, Event, event_json

MAX_EVIDENCE = 20
MAX_EVIDENCE_EVENT = 4_096  # characters of an event of the evidence; what was cut says so, and the store has all of it
GROWTH = 10
RESUME_US = 60_000_000  # sources need a moment to go on where they stopped

Key = tuple[str, str, GroupKey]
MAX_CLOSED = 1_000  # closed incidents that may be opened again
MAX_DISTINCT, CROWDED_INCIDENTS, CROWDED_DISTINCT = 256, 1_000, 16

KeyOf = Callable[[dict[str, Any]], GroupKey]


class Hit(msgspec.Struct):
    """A match of a rule that alerts: its group, when it began, how many events it stands for, the newest.

    whole: the event as it came, when it is too large to be kept: only for as long as the match is being noted.
    because: what of a plain rule's condition held, once that was said.
    """

    rule: AnyRule
    group: dict[str, Any]
    key: GroupKey
    view: View
    time_us: int
    first_us: int
    value: float = 1
    seen: int = 1
    events: Sequence[Event] = ()
    whole: View | None = None
    because: str = ""


class _Incident:
    """An open incident and what its next update depends on."""

    __slots__ = (
        "alert",
        "counted_us",
        "distinct",
        "hit",
        "idle_us",
        "last_event",
        "said_value",
        "touched_us",
        "update_at",
        "values",
    )

    def __init__(self, alert: Alert, hit: Hit | None, idle_us: int, distinct: int) -> None:
        self.alert = alert
        self.hit = hit  # the one with the highest value so far, of the highest level: it gives the reason
        self.said_value = hit.value if hit else 0.0
        self.counted_us = -1  # after a restart: events up to this moment are already in the count
        self.idle_us = idle_us
        self.touched_us = 0
        self.last_event: Event | None = None
        self.update_at = next_power(alert.count)
        self.values: dict[str, dict[str, None]] = {}  # of the fields that the reason names
        self.distinct = distinct
        if hit is not None:
            for event in hit.events[:-1]:
                self.collect(hit.rule, View(event))
            self.collect(hit.rule, hit.view)

    def collect(self, rule: AnyRule, view: View) -> None:
        """Keep the different values of what the rule's reason names, up to a limit."""
        for name in named_fields(rule):
            kept = self.values.setdefault(name, {})
            for value in view.values(name)[: self.distinct]:
                if len(kept) < self.distinct and value is not None and value != "":
                    kept[tame(value)] = None

    def field(self, name: str) -> Any:
        """What the reason says for a field: all its values, if there were several."""
        kept = self.values.get(name, {})
        if len(kept) < 2:
            return self.hit.view.get(name) if self.hit else MISSING
        return listed(list(kept), complete=len(kept) < self.distinct)

    def resume(self, clock_us: int) -> None:
        """After a restart: idle since its last event, but for the moment that sources need to go on."""
        grace_us = min(self.idle_us, RESUME_US)
        self.touched_us = min(max(self.alert.last_seen_us, clock_us - self.idle_us + grace_us), clock_us)

    def tell(self) -> Alert:
        """The state as it is now, which later growth does not change."""
        alert, hit = self.alert, self.hit
        if hit is not None:  # otherwise it was taken up after a restart and has not grown since
            hit.because = hit.because or _because(hit.rule, hit.whole or hit.view)
            alert.reason = explain(hit.rule, hit.group, hit.value, alert.count, self.field, hit.because)
        return msgspec.structs.replace(
            alert, evidence=list(alert.evidence), group=dict(alert.group), tags=list(alert.tags)
        )


class IncidentBook:
    """All open incidents, longest untouched first. evicted: closed because there were too many."""

    def __init__(self, config: DetectionConfig, host: str) -> None:
        self.evicted = 0
        self.suppressions = Suppressions()
        self._config = config
        self._host = host
        self._open: OrderedDict[Key, _Incident] = OrderedDict()
        self._closed: OrderedDict[Key, _Incident] = OrderedDict()
        self._rebuilding = False

    def __len__(self) -> int:
        return len(self._open)

    def suppress(self, suppressions: Suppressions) -> None:
        """Hide what these say from now on; what was counted so far is kept."""
        if suppressions is not self.suppressions:
            suppressions.keep_counts(self.suppressions)
            self.suppressions = suppressions

    def note(self, hit: Hit, clock_us: int) -> list[Alert]:
        """Open or grow the incident of a match; returns the states that are worth telling.

        clock_us: the detector's clock. The incident stays open for `incident_idle` or, if that is longer, the timespan
        of the correlation that fired (the shortest, when several fire at one event): so a burst is closed soon, and a
        slow scan is not told anew at every step. When it fires again for a window that reaches back into a closed
        incident, that one is opened again.
        """
        host = hit.view.event.host or self._host
        counted = not self._rebuilding
        field = (hit.whole or hit.view).get
        if self.suppressions.hides(hit.rule, hit.group, host, hit.time_us, field, counted=counted):
            return []
        try:
            return self._note(hit, host, clock_us)
        finally:
            hit.whole, hit.events = None, ()  # incidents keep their hits

    def _note(self, hit: Hit, host: str, clock_us: int) -> list[Alert]:
        key = (hit.rule.name, host, hit.key)
        idle_us = self._idle_us(hit.rule.timespan_s if isinstance(hit.rule, Correlation) else 0)
        incident = self._open.get(key)
        if self._rebuilding:
            if incident is not None:
                again = hit.view.event is incident.last_event
                _count_again(incident, hit, host)
                incident.idle_us = min(incident.idle_us, idle_us) if again else idle_us
            return []
        told: list[Alert] = []
        if incident is not None and hit.time_us - incident.alert.last_seen_us > incident.idle_us:
            told.append(self._close(key))
            incident = None
        if incident is None and (closed := self._closed.pop(key, None)) and hit.first_us <= closed.alert.last_seen_us:
            told += self._make_room()
            incident = self._open[key] = closed
            incident.alert.status = "open"
            incident.update_at = 0  # told whatever its size
        if incident is None:
            told += self._make_room()
            distinct = MAX_DISTINCT if len(self._open) < CROWDED_INCIDENTS else CROWDED_DISTINCT
            incident = self._open[key] = _Incident(_opened(hit, host, distinct), hit, idle_us, distinct)
            told.append(incident.tell())
        elif _grow(incident, hit):
            told.append(incident.tell())
        again = hit.view.event is incident.last_event
        incident.idle_us = min(incident.idle_us, idle_us) if again else idle_us
        incident.last_event = hit.view.event
        incident.touched_us = clock_us
        self._open.move_to_end(key)
        return told

    def close_idle(self, clock_us: int) -> list[Alert]:
        """Close what has not grown for its idle time; nothing while the past is looked at again."""
        if self._rebuilding:
            return []
        return [self._close(key) for key in list(self._idle(clock_us))]

    def has_idle(self, clock_us: int) -> bool:
        """Whether `close_idle` would close any."""
        return next(self._idle(clock_us), None) is not None

    def _idle(self, clock_us: int) -> Iterator[Key]:
        shortest_us = int(float(self._config.incident_idle_s) * 1_000_000)
        for key, incident in self._open.items():
            if clock_us - incident.touched_us <= shortest_us:
                return  # the rest was touched later still
            if clock_us - incident.touched_us > incident.idle_us:
                yield key

    def set_back(self, clock_us: int) -> None:
        """The clock was ahead: what grew by it has grown now."""
        for incident in self._open.values():
            incident.touched_us = min(incident.touched_us, clock_us)

    def close_all(self) -> list[Alert]:
        """Close every incident, in the order of their last growth."""
        return [self._close(key) for key in list(self._open)]

    def take_up(self, alerts: Iterable[tuple[Alert, float]], clock_us: int, key_of: KeyOf) -> list[Alert]:
        """Go on with incidents that were open before a restart, given with the timespans of their rules.

        Those in whose place another is open already are closed: their states are returned. The others have a little
        time, from clock_us on, to grow before they are closed as idle.
        """
        closed: list[Alert] = []
        known = {incident.alert.incident_id for incident in self._open.values()}
        for alert, timespan_s in sorted(alerts, key=lambda pair: pair[0].last_seen_us, reverse=True):
            key = (alert.rule, alert.host, key_of(alert.group))
            if alert.incident_id in known:
                continue
            if key in self._open or len(self._open) >= self._config.max_incidents:
                alert.status = "closed"
                alert.revision += 1
                closed.append(alert)
                continue
            idle_us = self._idle_us(timespan_s)
            incident = self._open[key] = _Incident(alert, None, idle_us, MAX_DISTINCT)
            incident.counted_us = alert.last_seen_us
            incident.resume(clock_us)
        self._sort()
        return closed

    @contextmanager
    def rebuilding(self, clock_us: int) -> Iterator[None]:
        """Within it, matches only bring the incidents that were taken up up to date; nothing is told."""
        self._rebuilding = True
        try:
            yield
        finally:
            self._rebuilding = False
            for incident in self._open.values():
                incident.resume(clock_us)
            self._sort()

    def _sort(self) -> None:
        self._open = OrderedDict(sorted(self._open.items(), key=lambda item: item[1].touched_us))

    def _idle_us(self, timespan_s: float) -> int:
        return int(max(float(self._config.incident_idle_s), timespan_s) * 1_000_000)

    def _make_room(self) -> list[Alert]:
        if len(self._open) < self._config.max_incidents:
            return []
        self.evicted += 1
        key = next(iter(self._open))
        told = [self._close(key)]
        self._closed.pop(key, None)
        return told

    def _close(self, key: Key) -> Alert:
        incident = self._open.pop(key)
        if incident.hit is not None and isinstance(incident.hit.rule, Correlation):
            self._closed[key] = incident
            if len(self._closed) > MAX_CLOSED:
                self._closed.popitem(last=False)
        incident.alert.status = "closed"
        incident.alert.revision += 1
        return incident.tell()


def _because(rule: AnyRule, view: View) -> str:
    """What of a plain rule's condition held; a sentence of the rule's own says it better."""
    return because(rule, view) if isinstance(rule, Rule) and not rule.reason else ""


def _opened(hit: Hit, host: str, distinct: int) -> Alert:
    rule = hit.rule
    return Alert(
        time_us=hit.time_us,
        incident_id=_incident_id(hit, host),
        rule=rule.name,
        rule_id=rule.id,
        title=rule.title,
        level=rule.level,
        first_seen_us=hit.first_us,
        last_seen_us=max(hit.time_us, hit.first_us),
        count=hit.seen,
        group=dict(hit.group),
        tags=list(rule.tags),
        evidence=_evidence(hit.events or [hit.view.event], distinct),
        host=host,
    )


def _incident_id(hit: Hit, host: str) -> str:
    """The name of the incident that this match opens (or would).

    The opening event's time is part of it, so that an incident that had to make room does not come back as itself.
    """
    identity = repr((host, hit.rule.name, hit.key, hit.first_us, hit.time_us)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(identity).hexdigest()[:32]


def _evidence(events: Sequence[Event], distinct: int) -> list[dict[str, Any]]:
    """The newest of the events, less of each for one of very many incidents."""
    limit = MAX_SMALL_EVENT if distinct == CROWDED_DISTINCT else MAX_EVIDENCE_EVENT
    return [event_json(lean(event, limit)) for event in events[-MAX_EVIDENCE:]]


def _count_again(incident: _Incident, hit: Hit, host: str) -> None:
    """A match of the past. When it is the one that opened the incident, all is counted anew from there, exactly.

    Otherwise the incident is older than what is left of the past, and grows by what its stored state did not count.
    """
    alert, update_at, revision = incident.alert, incident.update_at, incident.alert.revision
    if incident.counted_us >= 0 and _incident_id(hit, host) == alert.incident_id:
        alert.count, alert.evidence = hit.seen, _evidence(hit.events or [hit.view.event], incident.distinct)
        incident.counted_us, incident.hit, incident.last_event = -1, hit, hit.view.event
    else:
        _grow(incident, hit)
        incident.last_event = hit.view.event
    alert.revision = revision  # nothing is told
    incident.update_at = max(update_at, next_power(alert.count))
    incident.said_value = max(incident.said_value, hit.value)


def _grow(incident: _Incident, hit: Hit) -> bool:
    """Count a further match; True when the new state is worth telling: ten times the size, or a higher level."""
    alert, rule = incident.alert, hit.rule
    event = hit.view.event
    # two rules of one name see the same event: it counts once
    if event is not incident.last_event and hit.time_us > incident.counted_us:
        alert.count += weight_of(event)
        incident.collect(rule, hit.view)
        if len(alert.evidence) < MAX_EVIDENCE:
            alert.evidence += _evidence([event], incident.distinct)
    alert.last_seen_us = max(alert.last_seen_us, hit.time_us)
    alert.time_us = alert.last_seen_us
    rank = _RANKS[rule.level]
    raised = rank > _RANKS[alert.level]
    if raised:
        alert.level, alert.title, alert.rule_id = rule.level, rule.title, rule.id
        alert.tags = list(dict.fromkeys([*alert.tags, *rule.tags]))
    best = incident.hit
    if best is not None and _measures_alike(hit.rule, best.rule):
        hit.value = best.value = max(hit.value, best.value)
    if raised or best is None or _tells_more(hit, best):
        incident.hit = best = hit
    value = best.value
    if not raised and alert.count < incident.update_at and value < GROWTH * incident.said_value:
        return False
    alert.revision += 1
    incident.update_at = next_power(alert.count)
    incident.said_value = value
    return True


def _tells_more(hit: Hit, best: Hit) -> bool:
    """Whether a hit gives a better reason than the best before: of a higher level, a shorter time, a higher value.

    So a rule for slow attacks, which every quick one fulfils as well, speaks only of those that are.
    """

    if hit.rule is best.rule:
        return hit.value >= best.value

    def rank(one: Hit) -> tuple[int, float]:
        return _RANKS[one.rule.level], -one.rule.timespan_s if isinstance(one.rule, Correlation) else 0.0

    return rank(hit) > rank(best) or (rank(hit) == rank(best) and hit.value >= best.value)


def _measures_alike(one: AnyRule, other: AnyRule) -> bool:
    """Whether two rules count the same in times of different lengths, and tell it without naming those."""
    return (
        isinstance(one, Correlation)
        and isinstance(other, Correlation)
        and one.threshold.fields == other.threshold.fields != ()
        and (one.type, one.group_by) == (other.type, other.group_by)
        and not any("{timespan}" in rule.reason for rule in (one, other))
    )


def next_power(count: int) -> int:
    """The next power of ten above count: 1 -> 10, 10 -> 100, 57 -> 100."""
    power = GROWTH
    while power <= count:
        power *= GROWTH
    return power


_RANKS: dict[str, int] = {level: rank for rank, level in enumerate(LEVELS)}
