"""Many rules switched on or off at once: the rules are loaded once and the overlay is written once, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from msgspec import Meta

from siemd.detection.rule import AnyRule
from siemd.detection.ruleset import Ruleset
from siemd.errors import FileError, UserError
from siemd.web.access.roles import Right
from siemd.web.api.rules import RuleInfo, Tuning, entry_of, info_of, tuning_in
from siemd.web.managed import Entry
from siemd.web.problems import FieldError, Refused
from siemd.web.services import Caller, TheServices, actor

WRITE = {"right": Right.WRITE_RULES}
MAX_RULES = 1000
Name = Annotated[str, Meta(min_length=1, max_length=250)]


class Switch(msgspec.Struct, forbid_unknown_fields=True):
    """Rules by their names or ids, and whether they are to be in use."""

    rules: Annotated[list[Name], Meta(min_length=1, max_length=MAX_RULES)]
    enabled: bool


@post("/api/v1/rule-switches", opt=WRITE, tags=["rules"], status_code=200)
async def switch_rules(
    data: JSONBody[Switch], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> list[RuleInfo]:
    """Switch up to 1,000 rules on or off, all or none; a problem names those that are refused.

    The answer is what became of each. The audit log has one line for all.
    """
    book = services.rulebook
    names = list(dict.fromkeys(data.rules))
    rules = _meant(await book.rules(), names)

    def switched(present: Mapping[str, Entry]) -> list[Entry]:
        return [_entry(rule, name, data.enabled, present) for name, rule in rules.items()]

    by, action = actor(request, principal), "rule.enabled" if data.enabled else "rule.disabled"
    target = names[0] if len(names) == 1 else f"{len(names)} rules"
    try:
        loaded = await book.put(book.overlay, by, action, switched, target, enabled=data.enabled, rules=names)
    except FileError as error:  # a rule that was off may be one that can't be used
        above = [
            (rule.line, name) for name, rule in rules.items() if rule.path == error.path and rule.line <= error.line
        ]
        raise _refusal({max(above)[1]: str(error)}, len(names)) if above else error from None
    return await asyncio.to_thread(lambda: [info_of(rule, loaded) for name in names for rule in loaded.find(name)])


def _meant(ruleset: Ruleset, names: list[str]) -> dict[str, AnyRule]:
    """The rule of each name; Refused, with every name that means none or more than itself."""
    rules: dict[str, AnyRule] = {}
    refused: dict[str, str] = {}
    for name in names:
        found = ruleset.find(name)
        if not found:
            refused[name] = "there is no such rule"
            continue
        try:
            entry_of(found[0], name, Tuning())
        except UserError as error:
            refused[name] = str(error)
        rules[name] = found[0]
    if refused:
        raise _refusal(refused, len(names))
    return rules


def _entry(rule: AnyRule, name: str, enabled: bool, present: Mapping[str, Entry]) -> Entry:
    """The overlay's entry that switches a rule; what else the API tuned of it stays."""
    meant = str(entry_of(rule, name, Tuning())["rules"])
    tuning = tuning_in(present, meant) or Tuning()
    tuning.enabled = enabled
    return entry_of(rule, name, tuning)


def _refusal(refused: Mapping[str, str], asked: int) -> Refused:
    first, why = next(iter(refused.items()))
    return Refused(
        422,
        f"none of {asked} rules is switched; {len(refused)} of them can't be, such as {first!r}: {why}"[:1000],
        kind="rules-refused",
        errors=[FieldError(why[:300], name, "body") for name, why in refused.items()],
    )


HANDLERS = [switch_rules]
