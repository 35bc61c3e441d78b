"""Suppressions: matches that must not open incidents, each with owner, reason, expiry, and a count of what it hid.

They act in one place: an incident book asks `hides` before a match opens an incident or lets one grow. What is hidden
still counts for correlations that build on it. Times are those of the events, so that a replay is deterministic.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

import msgspec

from siemd.detection.entry import at_place
from siemd.detection.nearest import did_you_mean
from siemd.detection.rule import AnyRule
from siemd.detection.selector import RuleSelector
from siemd.detection.view import MISSING, text_of
from siemd.errors import FileError
from siemd.events import iso_time

MAX_VALUE = 4_096
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Suppression(msgspec.Struct, kw_only=True):
    """One entry. expires_us: the first moment at which it hides nothing any more.

    group: field -> patterns, on the incident's group or else the event; hosts, networks: any of them, all when empty.
    days: 0 is Monday, all when empty. from_, to: between them, over midnight when `to` is earlier; in `zone`.
    """

    name: str
    owner: str
    reason: str
    expires_us: int
    selector: RuleSelector
    place: FileError
    group: dict[str, tuple[re.Pattern[str], ...]] = {}
    hosts: tuple[re.Pattern[str], ...] = ()
    networks: tuple[Network, ...] = ()
    days: tuple[int, ...] = ()
    from_: time = time.min
    to: time = time.max
    zone: Any = UTC
    timed: bool = False

    def covers(self, group: Mapping[str, Any], host: str, time_us: int, field: Callable[[str], Any]) -> bool:
        """Whether a match with these values is hidden; the rule is not looked at."""
        if time_us >= self.expires_us or (self.timed and not self._at(time_us)):
            return False

        def every(name: str, meant: Callable[[str], bool]) -> bool:
            # of several values each one, so that nobody hides a value by putting a known one beside it
            texts = _texts(group[name] if name in group else field(name))
            return bool(texts) and all(map(meant, texts))

        if self.hosts:
            hosts = (host, *_texts(field("computer")))
            if not any(pattern.fullmatch(name.lower()) for pattern in self.hosts for name in hosts):
                return False
        if self.networks and not every("source_ip", lambda text: _inside(text, self.networks)):
            return False
        return all(
            every(name, lambda text, patterns=patterns: any(one.fullmatch(text.lower()) for one in patterns))  # type: ignore[misc]
            for name, patterns in self.group.items()
        )

    def _at(self, time_us: int) -> bool:
        moment = datetime.fromtimestamp(time_us // 1_000_000, self.zone)
        clock = moment.time()
        day = moment.weekday()
        if self.from_ <= self.to:
            inside = self.from_ <= clock < self.to or (self.to == time.max and clock >= self.from_)
        else:  # over midnight: the early hours belong to the day before
            inside = clock >= self.from_ or clock < self.to
            day = (day - 1) % 7 if clock < self.to else day
        return inside and (not self.days or day in self.days)


class Suppressions:
    """All suppressions of a ruleset and how many matches each hid in this process."""

    def __init__(self, entries: Iterable[Suppression] = ()) -> None:
        self.entries = list(entries)
        self._of_rule: dict[str, list[Suppression]] = {}
        self._hidden = {one.name: 0 for one in self.entries}

    def hides(
        self,
        rule: AnyRule,
        group: Mapping[str, Any],
        host: str,
        time_us: int,
        field: Callable[[str], Any],
        *,
        counted: bool = True,
    ) -> bool:
        """Whether a match is hidden; counts it (if it is to be counted) for the first suppression that does so.

        host: of the event. time_us: of the match. field: looks up a field of the event, MISSING when it has none.
        """
        if not self.entries:
            return False
        candidates = self._of_rule.get(rule.key)
        if candidates is None:
            candidates = self._of_rule[rule.key] = [one for one in self.entries if one.selector.matches(rule)]
        for one in candidates:
            if one.covers(group, host, time_us, field):
                self._hidden[one.name] += counted
                return True
        return False

    def keep_counts(self, before: Suppressions) -> None:
        """Go on counting where the set before a reload stood."""
        for name in self._hidden:
            self._hidden[name] += before._hidden.get(name, 0)

    def hidden(self) -> dict[str, int]:
        """Matches that each suppression hid, by name."""
        return dict(self._hidden)

    def counters(self) -> dict[str, int]:
        """`hidden_by.NAME` -> matches that it hid; nothing when there are no suppressions."""
        return {f"hidden_by.{name}": count for name, count in self._hidden.items()}

    def expired(self, at_us: int) -> list[FileError]:
        """A sentence for each that has expired, at its place."""
        return [
            at_place(
                one.place,
                f"the suppression {one.name} of {one.owner} expired at {iso_time(one.expires_us)[:16]}Z",
                "its alerts are shown again: delete it, or give it a new date",
            )
            for one in self.entries
            if at_us >= one.expires_us
        ]

    def lift_expired(self, at_us: int) -> list[FileError]:
        """Take out those that have expired, also for events of a time when they had not; a sentence for each."""
        told = self.expired(at_us)
        self.entries = [one for one in self.entries if at_us < one.expires_us]
        self._of_rule.clear()
        return told

    def unmatched(self, rules: Sequence[AnyRule]) -> list[FileError]:
        """A sentence for each that means no rule that alerts."""
        names = [rule.name for rule in rules]
        return [
            at_place(
                one.place,
                f"the suppression {one.name} is about no rule that alerts: {one.selector.written!r}",
                did_you_mean(one.selector.written, names),
            )
            for one in self.entries
            if not any(one.selector.matches(rule) for rule in rules)
        ]


def _texts(value: Any) -> tuple[str, ...]:
    """The values of a field as text; none when it is missing, or when one of them has no text that could be meant."""
    if value is MISSING:
        return ()
    texts = [text_of(one) for one in (value if isinstance(value, list | tuple) else (value,))]
    found = tuple(text[:MAX_VALUE] for text in texts if text is not None)
    return found if len(found) == len(texts) else ()


def _inside(text: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
