"""Whether a rule can fire on this host: what siemd collects here, and what the host must be told to write."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from siemd.detection.logsource import NETWORK, USAGE, Selector, channel_names, resolve
from siemd.detection.nodes import And, Match, Node, Number, Or, Text
from siemd.detection.rule import AnyRule, Correlation, LogSource, Rule
from siemd.detection.ruleset import Ruleset
from siemd.errors import FileError
from siemd.yamlfile import load_documents

SECURITY = "security"
SYSMON_FOR_LINUX = ("linux-sysmon/operational",)  # it logs to the journal, in the shape of Windows' own records


class Collected(msgspec.Struct, kw_only=True):
    """What siemd reads on this host. missing: platform (network, usage, linux, windows) -> why it is not read.

    channels: the event logs that are read, lower-case. facts: the kinds of facts that the sensor states.
    """

    missing: dict[str, str] = {}
    channels: frozenset[str] = frozenset()
    facts: frozenset[str] = frozenset()


class Reach(msgspec.Struct, frozen=True):
    """kind: "" when the rule can fire, else off, source, platform, channel or rules; reason: in words.

    needs: what the host must be told before it writes such events; any one of them suffices.
    """

    kind: str = ""
    reason: str = ""
    needs: tuple[str, ...] = ()

    @property
    def fires(self) -> bool:
        """Whether the rule can fire here."""
        return not self.kind


def reach_of(rule: AnyRule, ruleset: Ruleset, collected: Collected) -> Reach:
    """Whether a rule of the set can fire, given what is collected."""
    if rule.key in ruleset.off:
        return Reach("off", ruleset.off[rule.key][1])
    if isinstance(rule, Correlation):
        return _correlation(rule, ruleset, collected)
    selectors = resolve(rule.logsource)
    if not selectors:
        return Reach("source", f"siemd has no source of {describe(rule.logsource)}")
    blocked = [_blocked(selector, collected) for selector in selectors]
    if all(blocked):
        kinds = [one.kind for one in blocked if one]
        reasons = dict.fromkeys(one.reason for one in blocked if one)
        return Reach("platform" if "platform" in kinds else kinds[0], "; ".join(reasons))
    open_ = [selector for selector, one in zip(selectors, blocked, strict=True) if one is None]
    needs = [_need(selector, rule, collected) for selector in open_]
    return Reach(needs=() if "" in needs else tuple(dict.fromkeys(needs)))


def describe(source: LogSource) -> str:
    """A logsource in words: "category webserver", "product aws, service cloudtrail"."""
    parts = {"product": source.product, "category": source.category, "service": source.service}
    return ", ".join(f"{key} {value}" for key, value in parts.items() if value)


def logs_of(source: LogSource) -> list[str]:
    """Where the events of a logsource stand, in words: logs with event ids, programs of the journal, facts."""
    found = []
    for one in resolve(source):
        ids = f" (event {', '.join(map(str, one.event_ids))})" if one.event_ids else ""
        match one.platform:
            case "windows":
                found.append((" or ".join(map(_native, one.channels)) or "every Windows event log") + ids)
            case "linux":
                names = [*one.providers, *(f"facility {name}" for name in one.facilities)]
                found.append(f"the journal ({', '.join(names)})" if names else "the journal")
            case "network":
                found.append("the facts of the wire" + (f" ({', '.join(one.channels)})" if one.channels else ""))
            case _:
                found.append("the samples of this host's load")
    return list(dict.fromkeys(found))


def _native(channel: str) -> str:
    return channel_names().get(channel, channel)


def _correlation(rule: Correlation, ruleset: Ruleset, collected: Collected) -> Reach:
    by_key = {one.key: one for one in ruleset.rules}
    parts = [
        [reach_of(by_key[key], ruleset, collected) for key in keys] for keys in ruleset.references.get(rule.key, ())
    ]
    able = [any(one.fires for one in entry) for entry in parts]
    enough = all(able) if rule.type in ("temporal", "temporal_ordered") else any(able)
    if enough:
        needs = [need for entry in parts for one in entry if one.fires for need in one.needs]
        return Reach(needs=tuple(dict.fromkeys(needs)))
    first = next(one for entry, fires in zip(parts, able, strict=True) if not fires for one in entry)
    return Reach(first.kind, first.reason)


def _blocked(selector: Selector, collected: Collected) -> Reach | None:
    """Why events of that kind do not come; None when they do."""
    if selector.channels == SYSMON_FOR_LINUX:
        reason = collected.missing.get("linux", "")
        return Reach("platform", reason) if reason else None
    if reason := collected.missing.get(selector.platform, ""):
        return Reach("platform", reason)
    if selector.platform == NETWORK and selector.channels and not collected.facts & set(selector.channels):
        return Reach("source", f"the sensor states no facts such as {' or '.join(selector.channels)}")
    if selector.platform == "windows" and selector.channels and not collected.channels & set(selector.channels):
        names = " or ".join(sorted(map(_native, selector.channels)))
        return Reach("channel", f"{names} is not among sources.windows_events.channels")
    return None


def _need(selector: Selector, rule: Rule, collected: Collected) -> str:
    """What Windows must be told for these events; empty when they come by default."""
    if selector.where is not None and selector.platform == "linux":
        return "the Linux audit system with a rule that records execve"
    if rule.logsource.service == "auditd":
        return "the Linux audit system with rules that record these events"
    if selector.channels == SYSMON_FOR_LINUX:
        return "Sysmon for Linux"
    if selector.platform != "windows":
        return ""
    table = _table()
    channels = [name for name in selector.channels if name in collected.channels]
    wanted = set(selector.event_ids) or required_ids(rule.condition)
    if channels == [SECURITY] and wanted:
        policies = [table["audit_of"].get(event_id, "") for event_id in sorted(wanted)]
        if "" in policies:
            return ""
        names = " or ".join(dict.fromkeys(policies))
        line = ", with command lines" if wanted == {4688} else ""
        return f"the audit policy {names}{line}"
    events = [table["events"].get(event_id, "") for event_id in sorted(wanted)]
    if channels != [SECURITY] and events and all(events):
        return " or ".join(dict.fromkeys(events))
    told = [table["channels"].get(name, "") for name in channels]
    return "" if "" in told or not told else " or ".join(dict.fromkeys(told))


def required_ids(node: Node) -> set[int]:
    """The event ids one of which an event must have to match; empty when any may do."""
    match node:
        case Match("EventID", Number(value)):
            return {int(value)}
        case Match("EventID", Text("equals", literal)) if literal.isdecimal() and len(literal) < 10:
            return {int(literal)}
        case And(items):
            return min((found for item in items if (found := required_ids(item))), key=len, default=set())
        case Or(items):
            each = [required_ids(item) for item in items]
            return set[int]().union(*each) if all(each) else set()
    return set()


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = load_documents(Path(__file__).with_name("windows_needs.yml"))[0].data
    table["audit_of"] = {event_id: name for name, ids in table["audit"].items() for event_id in ids}
    return table


__all__ = ["NETWORK", "USAGE", "Collected", "Reach", "describe", "logs_of", "reach_of", "required_ids"]


def reason_of(problem: FileError) -> str:
    """A problem's message without what is particular to its file, so that equal reasons are counted together."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", problem.message)
    text = re.sub(r"\d{4}/\d{1,2}/\d{1,2}", "…", text)
    return re.sub(r"(already that of) .*", r"\1 another rule", text)
