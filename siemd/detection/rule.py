"""Sigma rules, correlations and filters as typed structs, and the words of the language."""

from __future__ import annotations

from typing import Literal

import msgspec

from siemd.detection.nodes import Node

Level = Literal["informational", "low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = ("informational", "low", "medium", "high", "critical")
CorrelationType = Literal[
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_median",
    "value_percentile",
    "temporal",
    "temporal_ordered",
]
CORRELATION_TYPES: tuple[CorrelationType, ...] = (
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_median",
    "value_percentile",
    "temporal",
    "temporal_ordered",
)
Operator = Literal["gt", "gte", "lt", "lte", "eq", "neq"]
OPERATORS: tuple[Operator, ...] = ("gt", "gte", "lt", "lte", "eq", "neq")


class LogSource(msgspec.Struct, frozen=True):
    """Which events a rule is about; empty where the rule says nothing."""

    category: str = ""
    product: str = ""
    service: str = ""


class Meta(msgspec.Struct, kw_only=True):
    """What a rule and a correlation share.

    name: the short name (Sigma `name`, else made from the file's; named tells which). group: fields that part its
    incidents (the custom key `siemd: {group: [...]}`). reason: template of the sentence that explains an incident
    (`siemd: {reason: ...}`). alert: whether its matches are incidents, whatever correlations refer to it.
    path, line: where it stands; places: line and column of its id, name and references. key: names it within its set,
    the same after a reload (set by the Ruleset).
    """

    title: str
    name: str
    named: bool = False
    id: str = ""
    level: Level = "medium"
    status: str = ""
    description: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    reason: str = ""
    alert: bool | None = None
    path: str = ""
    line: int = 0
    key: str = ""
    places: dict[str, tuple[int, int]] = {}


class Rule(Meta, kw_only=True):
    """A plain rule: a condition on single events of a logsource."""

    logsource: LogSource
    condition: Node


class Alternative(msgspec.Struct, frozen=True):
    """One way for a condition in words to hold: the rules that must have matched, and those that must not.

    Both are positions in the correlation's list, ascending.
    """

    wanted: tuple[int, ...]
    unwanted: tuple[int, ...] = ()


class Threshold(msgspec.Struct, frozen=True):
    """The condition of a correlation: every comparison has to hold, or (temporal ones in words) any alternative.

    fields: what value_* look at; several only for value_count, which then counts their combinations. percentile: 0 to
    100, for value_percentile. words: the text behind the alternatives.
    """

    comparisons: tuple[tuple[Operator, float], ...]
    fields: tuple[str, ...] = ()
    percentile: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    words: str = ""

    @property
    def field(self) -> str:
        """The fields as people read them."""
        return " and ".join(self.fields)

    @property
    def looks_for_absence(self) -> bool:
        """Whether the condition can only be judged when its time is over."""
        return any(one.unwanted for one in self.alternatives)


class Correlation(Meta, kw_only=True):
    """A condition on several matches of other rules, named or given by id in `rules`.

    aliases: alias -> rule reference -> field of that rule's events. generate: whether those rules alert themselves too.
    """

    type: CorrelationType
    rules: tuple[str, ...]
    timespan_s: float
    threshold: Threshold
    group_by: tuple[str, ...] = ()
    aliases: dict[str, dict[str, str]] = {}
    generate: bool = False


class Filter(Meta, kw_only=True):
    """What further must hold for plain rules to match: those named in `rules` (all if empty) whose logsource fits."""

    logsource: LogSource
    rules: tuple[str, ...]
    keep: Node


AnyRule = Rule | Correlation
