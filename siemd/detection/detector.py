"""The detector: events in, new states of incidents out, on event time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from siemd.detection.config import DetectionConfig
from siemd.detection.correlation import Correlator, Firing, GroupKey, Occurrence, weight_of
from siemd.detection.held import held, lean, shorten
from siemd.detection.incidents import Hit, IncidentBook
from siemd.detection.logsource import names_at
from siemd.detection.matcher import Matcher
from siemd.detection.matching import Matches, match
from siemd.detection.reached import Reached, closest_first
from siemd.detection.rule import Rule
from siemd.detection.ruleset import Ruleset
from siemd.detection.view import MISSING, NamedView, View, text_of
from siemd.events import Alert, Event

if TYPE_CHECKING:
    from siemd.detection.pool import WorkerPool  # only where there are several processes

DEFAULT_GROUP = ("source_ip", "user_name", "computer")
MAX_FIRINGS_PER_EVENT = 1_000
_time_us = attrgetter("time_us")


class Detector:
    """Matches events against a ruleset and keeps the windows and incidents. Used by one thread at a time.

    host: stands in alerts whose events name none. The clock is the newest event time seen, or what `advance` says;
    once `advance` was called (live: before every batch), an event from the future neither moves the clock beyond it
    (plus the `late` tolerance) nor counts as later than that. pool: other processes that help to match, the same
    alerts all the same. matcher: the compiled rules of the set, when other detectors share them.
    """

    def __init__(
        self,
        ruleset: Ruleset,
        config: DetectionConfig,
        host: str,
        pool: WorkerPool | None = None,
        matcher: Matcher | None = None,
    ) -> None:
        self._config = config
        self._pool = pool
        self._incidents = IncidentBook(config, host)
        self._correlators: dict[str, Correlator] = {}
        self._clock_us = 0
        self._wall_us = 0
        self._events = self._matches = self._unfollowed = 0
        self._retired: dict[str, int] = {}
        self.reload(ruleset, matcher)

    def reload(self, ruleset: Ruleset, matcher: Matcher | None = None) -> None:
        """Use other rules; windows of correlations that are still there stay, whatever their thresholds are now."""
        self._matcher = matcher or Matcher(ruleset.plain)  # first, for it may take seconds and is the likeliest to fail
        self.ruleset = ruleset
        self._incidents.suppress(ruleset.suppressions)
        if self._pool is not None:
            self._pool.use(self._matcher)
        before = {one.state_key(): one for one in self._correlators.values()}
        self._correlators = {}
        self._users: dict[str, list[tuple[Correlator, int]]] = {}
        self._timespan_s: dict[str, float] = {}
        for correlation in ruleset.correlations:
            fresh = Correlator(correlation, self._config)
            kept = before.pop(fresh.state_key(), None)
            if kept is not None:
                kept.configure(correlation, self._config)
            correlator = self._correlators[correlation.key] = kept or fresh
            for position, keys in enumerate(ruleset.references[correlation.key]):
                for key in keys:
                    self._users.setdefault(key, []).append((correlator, position))
            name = correlation.name
            self._timespan_s[name] = max(self._timespan_s.get(name, 0.0), correlation.timespan_s)
        self._patient = [one for one in self._correlators.values() if one.correlation.threshold.looks_for_absence]
        for gone in before.values():
            for name, value in _correlator_counters(gone).items():
                self._retired[name] = self._retired.get(name, 0) + value

    def process(self, events: Sequence[Event], told: list[Alert] | None = None) -> list[Alert]:
        """Check events in the order in which they come; returns incidents that opened, grew or closed.

        told: is returned with these added as they are found, so that an exception does not take them along.
        """
        alerts: list[Alert] = [] if told is None else told
        if self._pool is None:
            self._apply(events, match(self._matcher, events), alerts)
        else:
            for part, matches in self._pool.match(events):
                self._apply(part, matches, alerts)
        self._events += len(events)
        self._judge(self._clock_us, alerts)
        alerts += self._incidents.close_idle(self._clock_us)
        return alerts

    @property
    def processes(self) -> int:
        """How many processes match."""
        return 1 if self._pool is None else self._pool.processes

    def close(self) -> None:
        """End the workers, if there are any; the detector is not used any more."""
        if self._pool is not None:
            self._pool.close()

    def advance(self, now_us: int) -> list[Alert]:
        """Tell the time (live only, before every batch and when nothing comes): close idle incidents.

        A clock that is set back by more than events may be late was wrong before, and what it dated is not waited for.
        """
        if now_us < self._wall_us - int(self._config.late_s * 1_000_000):
            self._set_back(now_us)
        self._wall_us = max(self._wall_us, now_us)
        self._clock_us = max(self._clock_us, now_us)
        alerts: list[Alert] = []
        self._judge(self._clock_us, alerts)
        return alerts + self._incidents.close_idle(self._clock_us)

    def is_due(self, now_us: int) -> bool:
        """Whether `advance` would find anything to do: an absence to judge, an idle incident, a clock set back."""
        clock_us = max(self._clock_us, now_us)
        return (
            now_us < self._wall_us - int(self._config.late_s * 1_000_000)
            or any(one.is_due(clock_us) for one in self._patient)
            or self._incidents.has_idle(clock_us)
        )

    def _set_back(self, now_us: int) -> None:
        self._wall_us = self._clock_us = now_us
        self._incidents.set_back(now_us)
        for correlator in self._correlators.values():
            correlator.set_back(now_us)

    def rebuild(self, incidents: Sequence[Alert], past: Iterable[Sequence[Event]], now_us: int) -> list[Alert]:
        """Before anything else after a restart: take up incidents that were open, and fill the windows from the past.

        past: events in their order. Returns the states of incidents that cannot go on (see IncidentBook.take_up);
        nothing else is told again.
        """
        self._wall_us = now_us
        closed = self.take_up(incidents, now_us)
        events, matches = self._events, self._matches
        with self._incidents.rebuilding(now_us):
            for step in past:
                self.process(step)
        self._events, self._matches = events, matches
        return closed

    def take_up(self, incidents: Sequence[Alert], now_us: int) -> list[Alert]:
        """Go on with open incidents of a former run; the states of those that cannot go on."""
        pairs = [(incident, self._timespan_s.get(incident.rule, 0.0)) for incident in incidents]
        return self._incidents.take_up(pairs, now_us, _key)

    def finish(self) -> list[Alert]:
        """The end of a replay: every incident's last state."""
        alerts: list[Alert] = []
        self._judge(None, alerts)
        return alerts + self._incidents.close_all()

    def measure(self) -> None:
        """From now on keep account of how close events come to the thresholds of correlations."""
        for correlator in self._correlators.values():
            correlator.measure()

    def reached(self) -> list[Reached]:
        """How close they came, the closest first, once `measure` was called."""
        return closest_first(one.reached for one in self._correlators.values() if one.reached is not None)

    def counters(self) -> dict[str, int]:
        """What health shows: events, matches, open incidents, windows, and all that was forgotten or not counted."""
        totals = {
            "checked_events": self._events,
            "rule_matches": self._matches,
            "open_incidents": len(self._incidents),
            "evicted_incidents": self._incidents.evicted,
            "unfollowed_firings": self._unfollowed,
            "correlation_groups": sum(one.groups for one in self._correlators.values()),
            **self._incidents.suppressions.counters(),
            **{name: self._retired.get(name, 0) for name in _correlator_counters(None)},
        }
        if self._pool is not None:
            totals |= self._pool.counters()
        for correlator in self._correlators.values():
            for name, value in _correlator_counters(correlator).items():
                totals[name] += value
        return totals

    def _apply(self, events: Sequence[Event], matches: Matches, alerts: list[Alert]) -> None:
        """Take what matched into windows and incidents: the part that has to be done in order, in one place."""
        rules, before = self._matcher.rules, 0
        for position, indices in matches:
            self._tick(max(map(_time_us, events[before : position + 1])))
            before = position + 1
            event = events[position]
            view = whole = View(lean(event))  # windows and incidents may keep it for long
            if view.event is not event:
                whole = View(event)
            for index in indices:
                self._matched(rules[index], view, whole, alerts)
        if before < len(events):
            self._tick(max(map(_time_us, events[before:])))

    def _tick(self, time_us: int) -> None:
        if time_us > self._clock_us:
            if self._wall_us:
                time_us = min(time_us, self._wall_us + int(self._config.late_s * 1_000_000))
            self._clock_us = max(self._clock_us, time_us)

    def _matched(self, rule: Rule, view: View, whole: View, alerts: list[Alert]) -> None:
        """A plain rule matched: tell it, and every correlation that builds on it, and those that build on them.

        whole: the event as it came, when that is too large to be kept.
        """
        large = whole is not view
        self._matches += 1
        if self._patient:
            self._judge(self._clock_us, alerts)
        if names := names_at(rule.logsource, view.event):  # groups and sentences speak of fields as the rule does
            view, whole = NamedView(view.event, names), NamedView(whole.event, names)
        time_us = min(view.event.time_us, self._clock_us)  # a window must not wait for an event from the future
        if self.ruleset.alerts(rule):
            group = default_group(rule, view)
            hit = Hit(rule, group, _key(group), view, time_us, time_us, seen=weight_of(view.event))
            hit.whole = whole if large else None
            alerts += self._incidents.note(hit, self._clock_us)
        if rule.key in self._users:
            self._spread(rule.key, Occurrence(view, time_us), alerts)

    def _spread(self, key: str, occurrence: Occurrence, alerts: list[Alert]) -> None:
        """Count a match in every correlation that builds on it, and their firings in those that build on them."""
        waiting = deque([(key, occurrence)])
        for _ in range(MAX_FIRINGS_PER_EVENT):
            if not waiting:
                return
            key, occurrence = waiting.popleft()
            for correlator, position in self._users.get(key, ()):
                firing = correlator.add(position, occurrence)
                if firing is not None:
                    waiting.append((correlator.correlation.key, self._fired(correlator, firing, occurrence, alerts)))
        self._unfollowed += len(waiting)

    def _judge(self, clock_us: int | None, alerts: list[Alert]) -> None:
        """Tell what did not happen in time, for the correlations that look for absence."""
        for correlator in self._patient:
            for firing, occurrence in correlator.due(clock_us):
                fired = self._fired(correlator, firing, occurrence, alerts)
                self._spread(correlator.correlation.key, fired, alerts)

    def _fired(self, correlator: Correlator, firing: Firing, occurrence: Occurrence, alerts: list[Alert]) -> Occurrence:
        """The condition of a correlation holds: its incident, and what the correlations that build on it see."""
        correlation, view, time_us = correlator.correlation, occurrence.view, occurrence.time_us
        if self.ruleset.alerts(correlation):
            hit = Hit(
                correlation,
                firing.group,
                _key(firing.group),
                view,
                time_us,
                firing.first_us,
                firing.value,
                firing.seen,
                firing.events,
            )
            alerts += self._incidents.note(hit, self._clock_us)
        return Occurrence(view, time_us, firing.group)


def default_group(rule: Rule, view: View) -> dict[str, Any]:
    """What parts the incidents of a plain rule: the fields of `siemd: {group: [...]}`, else source, user and computer.

    Fields that the event lacks are left out.
    """
    group: dict[str, Any] = {}
    for name in rule.group or DEFAULT_GROUP:
        value = view.get(name)
        if isinstance(value, list | tuple):
            value = ", ".join(text for one in value[:16] if (text := text_of(one)))
        if value is not MISSING and (value if type(value) is str else text_of(value)):
            group[name] = held(value)
    return group


def _key(group: dict[str, Any]) -> GroupKey:
    return tuple([f"{name}={shorten(text_of(value) or '')}".lower() for name, value in group.items()])


def _correlator_counters(one: Correlator | None) -> dict[str, int]:
    return {
        "evicted_groups": one.evicted_groups if one else 0,
        "evicted_values": one.evicted_values if one else 0,
        "late_events": one.late if one else 0,
        "ungrouped_events": one.ungrouped if one else 0,
    }
