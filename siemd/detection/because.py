"""What of a rule's condition an event fulfilled: the tests that held, with the values that they looked at."""

from __future__ import annotations

from collections.abc import Iterator

from siemd.detection.fold import fold
from siemd.detection.logsource import names_at
from siemd.detection.nodes import And, Constant, Match, Node, Or
from siemd.detection.predicate import compile_node
from siemd.detection.reason import tame
from siemd.detection.rule import Rule
from siemd.detection.view import View
from siemd.detection.wording import in_words

MAX_TESTS, MAX_SAID, MAX_SHOWN = 200, 4, 100


def because(rule: Rule, view: View) -> str:
    """Such as `Image ends with "\\cmd.exe" (C:\\Windows\\cmd.exe); CommandLine contains "whoami" (cmd /c whoami)`.

    One test a field, up to four fields; "" when nothing that is there made the rule match.
    """
    names = dict(names_at(rule.logsource, view.event))
    said: dict[str, str] = {}
    for tried, match in enumerate(_tests(fold(rule.condition, {}, names))):
        if tried >= MAX_TESTS or len(said) >= MAX_SAID:
            break
        field = match.field or ""
        if field not in said and compile_node(match)(view):
            said[field] = _sentence(match, view)
    return "; ".join(said.values())


def _tests(node: Node) -> Iterator[Match]:
    """The tests whose holding speaks for the rule; what must not hold does not."""
    match node:
        case Match():
            yield node
        case And(items) | Or(items):
            for item in items:
                if not isinstance(item, Constant):
                    yield from _tests(item)


def _sentence(match: Match, view: View) -> str:
    line = in_words(match)[0]
    values = [tame(value) for value in view.values(match.field)[:3]] if match.field else []
    shown = ", ".join(value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…" for value in values)
    return f"{line} ({shown})" if shown and shown.lower() not in line.lower() else line
