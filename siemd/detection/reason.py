"""The sentence that says why an incident was raised, from a rule's template or in general; hostile values are tamed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from siemd.detection.rule import AnyRule, Correlation
from siemd.detection.view import MISSING, text_of
from siemd.units import Seconds

MAX_VALUE, MAX_REASON, MAX_LISTED, MAX_LISTED_VALUE = 200, 600, 5, 80
_PLACEHOLDER = re.compile(r"\{([^{}]{1,100})\}")
_NUMBERS = ("value", "count", "timespan")


class Listed(str):
    """Several values as one text that is tame already."""


def named_fields(rule: AnyRule) -> tuple[str, ...]:
    """The fields that the rule's template names."""
    return _named_in(rule.reason)


@lru_cache(4096)
def _named_in(template: str) -> tuple[str, ...]:
    names = dict.fromkeys(found[1].strip() for found in _PLACEHOLDER.finditer(template))
    return tuple(name for name in names if name not in _NUMBERS)


def listed(values: Sequence[str], *, complete: bool) -> Listed:
    """The first of several values, and how many more there are (at least, when not all were kept)."""
    shown = ", ".join(
        value if len(value) <= MAX_LISTED_VALUE else f"{value[:MAX_LISTED_VALUE]}…" for value in values[:MAX_LISTED]
    )
    more = len(values) - MAX_LISTED
    return Listed(shown + (f" and {'' if complete else 'over '}{more} more" if more > 0 else ""))


def tame(value: Any) -> str:
    """A value as one short line: no control, format or surrogate characters, bounded length."""
    if isinstance(value, list | tuple):
        shown = ", ".join(tame(item) for item in value[:MAX_LISTED])
        return shown + (f" and {len(value) - MAX_LISTED} more" if len(value) > MAX_LISTED else "")
    text = (text_of(value) or str(value))[: 4 * MAX_VALUE]
    if not text.isprintable():
        text = "".join(
            " " if sign.isspace() else sign if unicodedata.category(sign)[0] != "C" else "�" for sign in text
        )
    text = " ".join(text.split())
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def explain(
    rule: AnyRule, group: dict[str, Any], value: float, count: int, field: Callable[[str], Any], because: str = ""
) -> str:
    """The reason of an incident. field: what a field of its events held, MISSING when none has it.

    because: what of a plain rule's condition held, told when the rule has no sentence of its own.
    """
    number = f"{value:.15g}"
    timespan = str(Seconds(rule.timespan_s)) if isinstance(rule, Correlation) else ""

    def fill(found: re.Match[str]) -> str:
        name = found[1].strip()
        if name in _NUMBERS:
            return {"value": number, "count": str(count), "timespan": timespan}[name]
        content = group[name] if name in group else field(name)
        if isinstance(content, Listed):
            return content
        return "?" if content is MISSING or content is None or content == "" else tame(content)

    sentence = _PLACEHOLDER.sub(fill, rule.reason) if rule.reason else _general(rule, group, number, timespan)
    if because and not rule.reason:
        sentence += f"; {because}"
    return sentence if len(sentence) <= MAX_REASON else sentence[: MAX_REASON - 1] + "…"


def _general(rule: AnyRule, group: dict[str, Any], number: str, timespan: str) -> str:
    where = ", ".join(f"{name} {tame(value)}" for name, value in group.items())
    if not isinstance(rule, Correlation):
        return f"{tame(rule.title)}: {where}" if where else tame(rule.title)
    where = f" for {where}" if where else ""
    field = tame(rule.threshold.field)
    match rule.type:
        case "event_count":
            what = f"{number} events"
        case "value_count":
            what = f"{number} different values of {field}"
        case "value_sum":
            what = f"{field} adding up to {number}"
        case "value_avg":
            what = f"{field} averaging {number}"
        case "value_median":
            what = f"a median {field} of {number}"
        case "value_percentile":
            what = f"a percentile {rule.threshold.percentile:g} of {field} of {number}"
        case _ if rule.threshold.words:
            what = tame(rule.threshold.words)
        case "temporal":
            what = f"{number} kinds of events ({', '.join(rule.rules)})"
        case _:
            what = f"{', then '.join(rule.rules)}"
    return f"{tame(rule.title)}: {what} within {timespan}{where}"
