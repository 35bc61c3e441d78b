"""A rule in plain sentences, with what tunes it and whether it can fire here, for `siemd rules explain` and the API."""

from __future__ import annotations

import textwrap

from siemd.detection.reach import Collected, describe, logs_of, reach_of
from siemd.detection.reason import tame
from siemd.detection.rule import AnyRule, Correlation, Rule
from siemd.detection.ruleset import Ruleset
from siemd.detection.wording import SIGNS, in_words
from siemd.events import iso_time, now_us
from siemd.units import Seconds

WIDTH = 110


def explain_rule(rule: AnyRule, ruleset: Ruleset, collected: Collected) -> list[str]:
    """Lines for a person."""
    status = f", {rule.status}" if rule.status else ""
    lines = [f"{tame(rule.title)} ({rule.name}; level {rule.level}{status})", f"  {rule.path}", ""]
    if rule.description:
        lines += [*textwrap.wrap(" ".join(rule.description.split()), WIDTH), ""]
    lines += _what(rule, ruleset)
    lines += ["", *_outcome(rule, ruleset), "", *_tuning(rule, ruleset), *_reach(rule, ruleset, collected)]
    if rule.tags:
        lines.append(f"Tags: {', '.join(rule.tags)}.")
    if rule.falsepositives:
        lines.append(f"Known false positives: {'; '.join(map(tame, rule.falsepositives))}.")
    return lines


def _what(rule: AnyRule, ruleset: Ruleset) -> list[str]:
    if isinstance(rule, Rule):
        logs = logs_of(rule.logsource)
        lines = textwrap.wrap(f"It reads {'; '.join(logs)}.", WIDTH) if logs else []
        lines.append(f"It looks at single events of {describe(rule.logsource)}, for those where")
        return lines + ["  " + line for line in in_words(rule.condition)]
    lines = [*textwrap.wrap(f"It correlates: {correlation_in_words(rule)}", WIDTH), ""]
    known = {one.key: one for one in ruleset.rules}
    parts = [known[key] for keys in ruleset.references.get(rule.key, ()) for key in keys]
    parts = parts or [one for name in rule.rules for one in ruleset.find(name)]
    for part in parts:
        if isinstance(part, Rule):
            lines.append(f"  {part.name} ({tame(part.title)}): events of {describe(part.logsource)}, where")
            lines += ["    " + line for line in in_words(part.condition)]
        else:
            lines.append(f"  {part.name} ({tame(part.title)}), a correlation: {correlation_in_words(part)}")
    return lines


def correlation_in_words(rule: Correlation) -> str:
    """The condition of a correlation as one sentence."""
    names = ", ".join(rule.rules)
    number = " and ".join(
        f"{'not ' if operator == 'neq' else ''}{SIGNS.get(operator, 'exactly')} {value:g}"
        for operator, value in rule.threshold.comparisons
    )
    span = f"within {Seconds(rule.timespan_s)}"
    group = f", counted for each {' and '.join(rule.group_by)}" if rule.group_by else ""
    match rule.type:
        case "event_count":
            what = f"{number} events of {names} {span}"
        case "value_count":
            what = f"{number} different values of {rule.threshold.field} in events of {names} {span}"
        case "temporal" | "temporal_ordered" if rule.threshold.words:
            order = ", in the order of the list," if rule.type == "temporal_ordered" else ""
            what = f"events of {names}{order} so that {rule.threshold.words!r} holds {span}"
        case "temporal":
            what = f"events of {names}, all of them {span}" if not number else f"{number} of {names} {span}"
        case "temporal_ordered":
            what = f"events of {', then '.join(rule.rules)}, in this order {span}"
        case _:
            kind = {"value_avg": "average", "value_sum": "sum", "value_median": "median"}.get(rule.type)
            kind = kind or f"percentile {rule.threshold.percentile:g}"
            what = f"the {kind} of {rule.threshold.field} in events of {names} is {number} {span}"
    return what + group + "."


def _outcome(rule: AnyRule, ruleset: Ruleset) -> list[str]:
    users = [one.name for one in ruleset.correlations if rule.name in one.rules or (rule.id and rule.id in one.rules)]
    lines = []
    if rule.key in ruleset.off:
        lines.append(f"It is not in use: {ruleset.off[rule.key][1]}.")
    elif ruleset.alerts(rule):
        group = rule.group_by if isinstance(rule, Correlation) else rule.group
        parted = " and ".join(group) or ("all of it" if isinstance(rule, Correlation) else "source, user and computer")
        lines.append(f"A match opens an incident of level {rule.level}; incidents are parted by {parted}.")
    else:
        lines.append("It opens no incidents of its own.")
    if users:
        lines.append(f"These count it: {', '.join(users)}.")
    return lines


def _tuning(rule: AnyRule, ruleset: Ruleset) -> list[str]:
    lines = [f"Tuned by {note}." for note in ruleset.notes.get(rule.key, ())]
    for one in ruleset.suppressions.entries:
        if one.selector.matches(rule):
            where = f"{one.place.path}:{one.place.line}"
            what = "No longer suppressed" if now_us() >= one.expires_us else "Suppressed in part"
            until = f"until {iso_time(one.expires_us)[:16]}Z"
            lines.append(f"{what} by {where}: {one.name}, owned by {one.owner}, {until}: {one.reason}")
    return lines


def _reach(rule: AnyRule, ruleset: Ruleset, collected: Collected) -> list[str]:
    reach = reach_of(rule, ruleset, collected)
    if reach.kind == "off":
        return []
    if not reach.fires:
        return textwrap.wrap(f"It cannot fire on this host: {reach.reason}.", WIDTH)
    if reach.needs:
        return textwrap.wrap(f"It can fire on this host if this is there: {' or '.join(reach.needs)}.", WIDTH)
    return ["It can fire on this host."]
