"""The overlay: YAML entries that switch rules on and off and tune them, while the rules' files stay untouched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from siemd.detection.correlationfile import MAX_TIMESPAN_S, can_hold
from siemd.detection.entry import Entry, at_place, entries_of
from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import Node, all_of, negate
from siemd.detection.rule import LEVELS, OPERATORS, AnyRule, Correlation, Operator
from siemd.detection.rulefile import Placeholders, Unfilled, read_detection
from siemd.detection.selector import Choosing, RuleSelector, read_selector
from siemd.errors import FileError
from siemd.units import Seconds

KEYS = ("rules", "note", "enabled", "alert", "level", "timespan", "condition", "group", "filter")
CHANGES = KEYS[2:]
MAX_NUMBER = 1e15
MAX_GUESSES = 20


class Change(msgspec.Struct, kw_only=True):
    """One entry: which rules, and what becomes of them; None and empty leave things as they are.

    comparisons: by operator, replacing those of a correlation's condition. filter: what the events must not be.
    """

    selector: RuleSelector
    place: FileError
    places: dict[str, FileError]
    enabled: bool | None = None
    alert: bool | None = None
    level: str = ""
    timespan_s: float | None = None
    comparisons: tuple[tuple[Operator, float], ...] = ()
    group: tuple[str, ...] = ()
    filter: Node | None = None
    note: str = ""

    @property
    def where(self) -> str:
        """file:line of the entry."""
        return f"{self.place.path}:{self.place.line}"


class Tuned(msgspec.Struct):
    """A rule after the overlay: whether an entry switched it on or off, and in words what was changed where."""

    rule: AnyRule
    enabled: bool | None = None
    notes: list[str] = []


def read_overlay(
    path: Path | str, text: str | None = None, placeholders: Placeholders | None = None
) -> tuple[list[Change], list[FileError]]:
    """Every entry of an overlay file and what is wrong with the others; `text` instead of the file's content.

    placeholders: the values of what the modifier `expand` names. Without them a filter is a mistake, not a warning:
    the rule would go on alerting though somebody here took care that it does not.
    """
    changes: list[Change] = []
    problems: list[FileError] = []
    try:
        for document, keys, data in entries_of(path, "overlay", text):
            try:
                changes.append(_change(Entry(document, keys, data, KEYS), placeholders))
            except FileError as error:
                problems.append(error)
    except FileError as error:
        problems.append(error)
    return changes, problems


def tune(rules: Iterable[AnyRule], changes: Sequence[Change]) -> tuple[list[Tuned], list[FileError], list[FileError]]:
    """Each rule as the entries leave it, later ones winning; mistakes; and entries that change nothing here."""
    all_tuned = [Tuned(rule) for rule in rules]
    originals = [one.rule for one in all_tuned]
    choosing = Choosing(originals)
    problems: list[FileError] = []
    warnings: list[FileError] = []
    for change in changes:
        chosen = [all_tuned[position] for position in choosing.positions(change.selector)]
        if not chosen:
            guess = len(warnings) < MAX_GUESSES  # each costs a look at all rules, and an import that went leaves many
            hint = did_you_mean(change.selector.written, [rule.name for rule in originals]) if guess else ""
            warnings.append(at_place(change.place, f"no rule is meant by {change.selector.written!r}", hint))
            continue
        problems += _unfit(change, [one.rule for one in chosen])
        for one in chosen:
            _apply(change, one)
    return all_tuned, problems, warnings


def _change(entry: Entry, placeholders: Placeholders | None) -> Change:
    selector = read_selector(entry)
    changed = [key for key in CHANGES if key in entry.data]
    if not changed:
        raise entry.error("", f"the entry changes nothing: expected one of {', '.join(CHANGES)}")
    entry.need(*changed)
    return Change(
        selector=selector,
        place=entry.error("rules", "", of_key=True),
        places={key: entry.error(key, "", of_key=True) for key in changed},
        enabled=entry.flag("enabled"),
        alert=entry.flag("alert"),
        level=entry.choice("level", LEVELS),
        timespan_s=entry.span_s("timespan", MAX_TIMESPAN_S),
        comparisons=_comparisons(entry) if "condition" in entry.data else (),
        group=entry.texts("group"),
        filter=_filter(entry, placeholders) if "filter" in entry.data else None,
        note=entry.text("note"),
    )


def _comparisons(entry: Entry) -> tuple[tuple[Operator, float], ...]:
    inner = Entry(entry.document, (*entry.keys, "condition"), entry.data["condition"], OPERATORS)
    found: list[tuple[Operator, float]] = []
    for operator in OPERATORS:
        if operator in inner.data:
            number = inner.data[operator]
            if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < MAX_NUMBER:
                raise inner.error(operator, "expected a number")
            found.append((operator, number))
    if found and not can_hold(found):
        raise entry.error("condition", "this condition can never hold", "look at the numbers of its range")
    return tuple(found)


def _filter(entry: Entry, placeholders: Placeholders | None) -> Node:
    value: Any = entry.data["filter"]
    if not isinstance(value, dict | list):
        raise entry.error("filter", "expected a detection: fields and values, or a list of such")
    try:
        return read_detection(entry.document, (*entry.keys, "filter"), value, placeholders)
    except Unfilled as error:
        raise FileError(error.path, error.line, error.column, error.message, error.hint) from None


def _unfit(change: Change, chosen: Sequence[AnyRule]) -> list[FileError]:
    """Mistakes that show only beside the rules: thresholds for plain rules, filters and groups for correlations."""
    names = chosen[0].name if len(chosen) == 1 else "every rule that is meant"
    correlations = [rule for rule in chosen if isinstance(rule, Correlation)]
    keys: tuple[str, ...]
    if not correlations:
        hint = "name the correlation that counts them"
        message = f"is for correlations, but {names} looks at single events"
        keys = ("timespan", "condition")
    elif len(correlations) == len(chosen):
        hint = f"name what they count: {', '.join(sorted({name for rule in correlations for name in rule.rules})[:6])}"
        message = f"is for rules that look at single events, but {names} is a correlation"
        keys = ("filter", "group")
    else:
        return []
    return [at_place(change.places[key], f"{key!r} {message}", hint) for key in keys if key in change.places]


def _apply(change: Change, one: Tuned) -> None:
    """Change a copy of the rule and note it in words."""
    said: list[str] = []
    values: dict[str, Any] = {}
    rule = one.rule
    if change.enabled is not None:
        one.enabled = change.enabled
        said.append("switched on" if change.enabled else "switched off")
    if change.alert is not None:
        values["alert"] = change.alert
        said.append("alerts" if change.alert else "does not alert")
    if change.level:
        values["level"] = change.level
        said.append(f"level {change.level} instead of {rule.level}")
    if isinstance(rule, Correlation):
        if change.timespan_s is not None:
            values["timespan_s"] = change.timespan_s
            said.append(f"timespan {Seconds(change.timespan_s)} instead of {Seconds(rule.timespan_s)}")
        if change.comparisons:
            before = rule.threshold.words or _shown(rule.threshold.comparisons)
            values["threshold"] = msgspec.structs.replace(
                rule.threshold, comparisons=change.comparisons, alternatives=(), words=""
            )
            said.append(f"condition {_shown(change.comparisons)} instead of {before}")
    else:
        if change.group:
            values["group"] = change.group
            said.append(f"incidents parted by {', '.join(change.group)}")
        if change.filter is not None:
            values["condition"] = all_of([rule.condition, negate(change.filter)])
            said.append("a filter added")
    if values:
        one.rule = msgspec.structs.replace(rule, **values)
    if said:
        note = f" ({change.note})" if change.note else ""
        one.notes.append(f"{change.where}: {', '.join(said)}{note}")


def _shown(comparisons: Iterable[tuple[Operator, float]]) -> str:
    return ", ".join(f"{operator} {number:g}" for operator, number in comparisons)
