"""Rules: what there is, what each says and whether it can fire, and the overlay that tunes them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from siemd.collected import collected_here
from siemd.detection.attack import Row, coverage
from siemd.detection.explain import explain_rule
from siemd.detection.reach import Reach, reach_of, reason_of
from siemd.detection.rule import AnyRule, Correlation, Level, Operator
from siemd.detection.ruleset import Ruleset
from siemd.errors import UserError
from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.managed import Entry
from siemd.web.problems import not_found
from siemd.web.rulebook import plain
from siemd.web.services import Caller, Services, TheServices, actor

READ = {"right": Right.READ_RULES}
WRITE = {"right": Right.WRITE_RULES}
SOURCE_CHARS = 256 << 10
MAX_TOLD = 1000


class Tuning(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What an overlay entry changes of a rule; what is left out stays as its file says.

    timespan: such as 10m. condition: numbers in place of a correlation's, such as {gte: 30}. filter: a Sigma detection
    (fields and values, or a list of such) of what must not match. group: fields that part incidents.
    """

    enabled: bool | None = None
    alert: bool | None = None
    level: Level | None = None
    timespan: Annotated[str, Meta(max_length=40)] | None = None
    condition: dict[Operator, float] | None = None
    group: Annotated[list[str], Meta(max_length=16)] | None = None
    filter: dict[str, Any] | list[dict[str, Any]] | None = None
    note: Annotated[str, Meta(max_length=1000)] = ""


class RuleInfo(msgspec.Struct):
    """A rule. off: why it is not in use, empty when it is. alerts: whether matches open incidents.

    tuned: in words, what overlays change and where. kind: a rule looks at single events, a correlation at several.
    product: whose events it is about, such as windows or linux; a correlation's is that of the rules that it counts.
    """

    rule: str
    rule_id: str
    title: str
    kind: Literal["rule", "correlation"]
    product: str
    level: str
    status: str
    tags: list[str]
    off: str
    alerts: bool
    tuned: list[str]
    file: str


class RuleDetail(msgspec.Struct):
    """A rule with all that is known of it. source: its file. explanation: in sentences, a line each.

    can_fire: whether this host has what it looks for, else why_not. tuning: what the API set, null when nothing.
    """

    info: RuleInfo
    description: str
    author: str
    references: list[str]
    falsepositives: list[str]
    source: str
    explanation: list[str]
    can_fire: bool
    why_not: str
    needs: list[str]
    tuning: Tuning | None


class RuleProblems(msgspec.Struct):
    """Why rules are not used: problems of one's own files, refused imports, and what does no harm; a sentence each."""

    problems: list[str]
    refused: list[str]
    warnings: list[str]


class Silent(msgspec.Struct):
    """A rule that can't fire on this host, and why."""

    rule: str
    kind: str
    reason: str


class Coverage(msgspec.Struct):
    """What can fire on this host. refused: reasons and how many rules each; attack: ATT&CK tactics and techniques."""

    rules: int
    can_fire: int
    cannot_fire: list[Silent]
    needs: dict[str, int]
    refused: dict[str, int]
    attack: list[Row]


@get("/api/v1/rules", opt=READ, tags=["rules"])
async def list_rules(
    services: TheServices,
    words: Annotated[str, QueryParameter(name="q", max_length=200, description="In name, title or tags.")] = "",
    used: Annotated[
        Literal["all", "on", "off"], QueryParameter(name="state", description="Those in use, or not.")
    ] = "all",
) -> list[RuleInfo]:
    """Every rule, in use or not."""
    ruleset = await services.rulebook.rules()
    return await asyncio.to_thread(_listed, ruleset, words.lower().split(), used)


@get("/api/v1/rule-problems", opt=READ, tags=["rules"])
async def list_problems(services: TheServices) -> RuleProblems:
    """What is wrong with rules, overlays and suppressions."""
    ruleset = await services.rulebook.rules()
    return RuleProblems(
        *([str(one) for one in told[:MAX_TOLD]] for told in (ruleset.problems, ruleset.refused, ruleset.warnings))
    )


@get("/api/v1/rule-coverage", opt=READ, tags=["rules"])
async def show_coverage(
    services: TheServices,
    platform: Annotated[Literal["here", "linux", "windows"], QueryParameter(description="Of which host.")] = "here",
) -> Coverage:
    """Which rules can fire on this host, or one of another platform, and the ATT&CK techniques that they cover."""
    ruleset = await services.rulebook.rules()
    known = {"here": sys.platform, "windows": "win32"}.get(platform, platform)
    return await asyncio.to_thread(_coverage, ruleset, collected_here(services.config, known))


@get("/api/v1/rules/{name:str}", opt=READ, tags=["rules"])
async def show_rule(name: FromPath[str], services: TheServices) -> list[RuleDetail]:
    """A rule by its name or id; several only when correlations share a name."""
    return await _details(services, await services.rulebook.rules(), name)


@put("/api/v1/rules/{name:str}/tuning", opt=WRITE, tags=["rules"])
async def tune_rule(
    name: FromPath[str],
    data: JSONBody[Tuning],
    request: Request[Any, Any, Any],
    principal: Caller,
    services: TheServices,
) -> list[RuleDetail]:
    """Set what the API tunes of a rule, in place of what it set before; a running siemd notices within seconds."""
    return await _tune(request, principal, services, name, data, "rule.tuned")


@delete("/api/v1/rules/{name:str}/tuning", opt=WRITE, status_code=204, tags=["rules"])
async def untune_rule(
    name: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Take back what the API tuned; what others wrote into overlays stays."""
    meant = _meant(_found(await services.rulebook.rules(), name)[0], name)
    if meant not in await services.rulebook.overlay.entries():
        raise not_found("tuning")
    await services.rulebook.remove(services.rulebook.overlay, actor(request, principal), "rule.untuned", meant)


@post("/api/v1/rules/{name:str}/enable", opt=WRITE, tags=["rules"], status_code=200)
async def enable_rule(
    name: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> list[RuleDetail]:
    """Switch a rule on."""
    return await _switch(request, principal, services, name, on=True)


@post("/api/v1/rules/{name:str}/disable", opt=WRITE, tags=["rules"], status_code=200)
async def disable_rule(
    name: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> list[RuleDetail]:
    """Switch a rule off."""
    return await _switch(request, principal, services, name, on=False)


async def _switch(
    request: Request[Any, Any, Any], principal: Principal, services: Services, name: str, *, on: bool
) -> list[RuleDetail]:
    rule = _found(await services.rulebook.rules(), name)[0]
    tuning = tuning_in(await services.rulebook.overlay.entries(), _meant(rule, name)) or Tuning()
    tuning.enabled = on
    return await _tune(request, principal, services, name, tuning, "rule.enabled" if on else "rule.disabled")


async def _tune(
    request: Request[Any, Any, Any], principal: Principal, services: Services, name: str, tuning: Tuning, action: str
) -> list[RuleDetail]:
    book = services.rulebook
    rule = _found(await book.rules(), name)[0]
    entry = entry_of(rule, name, tuning)
    said = {key: value for key, value in entry.items() if key != "rules"}
    by, target = actor(request, principal), entry["rules"]
    loaded = await book.put(book.overlay, by, action, lambda _present: [entry], target, **said)
    return await _details(services, loaded, entry["rules"])


def entry_of(rule: AnyRule, name: str, tuning: Tuning) -> Entry:
    """The overlay's entry that tunes a rule, or all that share its name; name: as it was asked for."""
    meant = _meant(rule, name)
    if set(meant) & set("*?") or meant in ("any", "all"):
        raise UserError(f"the name {meant!r} would mean other rules too", "give the rule's id")
    return {"rules": meant, **plain(tuning)}


def _meant(rule: AnyRule, name: str) -> str:
    """What names a rule in the overlay: its id, when that is what was asked for, else its name."""
    return rule.id if name == rule.id else rule.name


def _found(ruleset: Ruleset, name: str) -> list[AnyRule]:
    rules = ruleset.find(name)
    if not rules:
        raise not_found("rule")
    return rules


def tuning_in(entries: Mapping[str, Entry], *names: str) -> Tuning | None:
    """What the API tuned of a rule, by the first of its names that has an entry."""
    entry = next((entries[name] for name in names if name in entries), None)
    if entry is None:
        return None
    try:
        return msgspec.convert({key: value for key, value in entry.items() if key != "rules"}, Tuning, strict=False)
    except msgspec.ValidationError:  # a person wrote it otherwise than the API would
        return Tuning(note="tuned by hand")


async def _details(services: Services, ruleset: Ruleset, name: str) -> list[RuleDetail]:
    rules = _found(ruleset, name)
    entries = await services.rulebook.overlay.entries()
    tunings = [tuning_in(entries, rule.id, rule.name) for rule in rules]
    collected = collected_here(services.config)

    def describe() -> list[RuleDetail]:
        details = []
        for rule, tuning in zip(rules, tunings, strict=True):
            reach = reach_of(rule, ruleset, collected)
            details.append(
                RuleDetail(
                    info=info_of(rule, ruleset),
                    description=rule.description,
                    author=rule.author,
                    references=list(rule.references),
                    falsepositives=list(rule.falsepositives),
                    source=_source(rule),
                    explanation=explain_rule(rule, ruleset, collected),
                    can_fire=reach.fires,
                    why_not=reach.reason,
                    needs=list(reach.needs),
                    tuning=tuning,
                )
            )
        return details

    return await asyncio.to_thread(describe)


def _source(rule: AnyRule) -> str:
    try:
        with Path(rule.path).open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(SOURCE_CHARS)
    except OSError:
        return ""


def _listed(ruleset: Ruleset, words: list[str], used: str) -> list[RuleInfo]:
    rules = list(ruleset.rules) if used != "off" else []
    rules += [rule for rule, _why in ruleset.off.values()] if used != "on" else []

    def meant(rule: AnyRule) -> bool:
        text = " ".join((rule.name, rule.id, rule.title, *rule.tags)).lower()
        return all(word in text for word in words)

    return [info_of(rule, ruleset) for rule in rules if meant(rule)]


def info_of(rule: AnyRule, ruleset: Ruleset) -> RuleInfo:
    """A rule as lists show it."""
    off = ruleset.off.get(rule.key)
    return RuleInfo(
        rule=rule.name,
        rule_id=rule.id,
        title=rule.title,
        kind="correlation" if isinstance(rule, Correlation) else "rule",
        product=_product(rule, ruleset),
        level=rule.level,
        status=rule.status,
        tags=list(rule.tags),
        off=off[1] if off else "",
        alerts=not off and ruleset.alerts(rule),
        tuned=list(ruleset.notes.get(rule.key, ())),
        file=rule.path,
    )


def _product(rule: AnyRule, ruleset: Ruleset) -> str:
    if not isinstance(rule, Correlation):
        return rule.logsource.product
    counted = (one for name in rule.rules for one in ruleset.find(name) if not isinstance(one, Correlation))
    return next((one.logsource.product for one in counted if one.logsource.product), "")


def _coverage(ruleset: Ruleset, collected: Any) -> Coverage:
    judged = [(rule, reach_of(rule, ruleset, collected)) for rule in ruleset.rules]
    judged += [(rule, Reach("off", why)) for rule, why in ruleset.off.values()]
    needs = Counter(" or ".join(reach.needs) for _, reach in judged if reach.needs)
    refused = Counter(reason_of(problem) for problem in (*ruleset.refused, *ruleset.problems))
    return Coverage(
        rules=len(judged),
        can_fire=sum(reach.fires for _, reach in judged),
        cannot_fire=[Silent(rule.name, reach.kind, reach.reason) for rule, reach in judged if not reach.fires],
        needs=dict(needs.most_common()),
        refused=dict(refused.most_common()),
        attack=coverage((rule, reach.fires) for rule, reach in judged if reach.kind != "off"),
    )


HANDLERS = [
    list_rules,
    list_problems,
    show_coverage,
    show_rule,
    tune_rule,
    untune_rule,
    enable_rule,
    disable_rule,
]
