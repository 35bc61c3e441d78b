"""Which events a Sigma logsource means: category, product and service as channels, ids, programs, facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from siemd.detection.nodes import Match, Node, all_of, any_of
from siemd.detection.pattern import as_test, parse
from siemd.detection.rule import LogSource
from siemd.events import Event, LogEvent, NetworkEvent, UsageSample
from siemd.yamlfile import load_documents

# How an event is addressed: (platform, channel or fact type or facility, event id or program), all lower-case.
Route = tuple[str, str, int | str]
NETWORK, USAGE = "network", "usage"


class Selector(msgspec.Struct, frozen=True):
    """One kind of event that a logsource means; empty tuples mean any.

    platform: network, usage, windows, linux or siemd. channels: lower-case. providers, facilities: either suffices.
    where: what an event must hold beside. fields: names of the taxonomy -> names in these events.
    """

    platform: str
    channels: tuple[str, ...] = ()
    event_ids: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()
    where: Node | None = None
    fields: tuple[tuple[str, str], ...] = ()

    def accepts(self, route: Route) -> bool:
        """Whether events of that route may be meant."""
        platform, second, third = route
        if platform != self.platform:
            return False
        if self.channels and second not in self.channels:
            return False
        if self.event_ids and third not in self.event_ids:
            return False
        if self.providers or self.facilities:
            return third in self.providers or second in self.facilities
        return True


def route_of(event: Event) -> Route:
    """The address of an event, by which the rules for it are found."""
    if isinstance(event, NetworkEvent):
        return NETWORK, event.event_type, ""
    if isinstance(event, LogEvent):
        if event.platform == "linux":
            return "linux", event.channel, event.provider
        native = event.fields.get("EventID")
        return event.platform, event.channel, event.event_id if native is None else _number(native)
    return (USAGE if isinstance(event, UsageSample) else ""), "", ""


def normal_route(route: Route) -> Route:
    """The route as selectors compare it; fact types keep their case."""
    platform, second, third = route
    if platform == NETWORK:
        return route
    return platform, second.lower(), third.lower() if isinstance(third, str) else third


def known_fields(route: Route) -> dict[str, str | int]:
    """Fields whose value the route already tells."""
    platform, second, third = route
    if platform == NETWORK:
        return {"event_type": second}
    if platform == "windows" and isinstance(third, int):
        return {"EventID": third}
    return {}


@cache
def resolve(source: LogSource) -> tuple[Selector, ...]:
    """The events that a logsource means; empty when nothing that siemd collects is meant."""
    if source.product == "siemd":
        kinds = (NETWORK, USAGE) if not source.category else (source.category,)
        return tuple(Selector(kind) for kind in kinds if kind in (NETWORK, USAGE) and not source.service)
    if source.product == "windows" or (not source.product and source.category == "antivirus"):
        return _windows(source)
    if source.product == "linux":
        return _linux(source)
    return () if source.product else _of_any_product(source)


def names_at(source: LogSource, event: Event) -> Mapping[str, str]:
    """How the names of the taxonomy are spelled in an event of that logsource, as far as they differ there."""
    return _names_at(source, route_of(event)) if _has_names(source) else {}


@cache
def _has_names(source: LogSource) -> bool:
    return any(selector.fields for selector in resolve(source))


@lru_cache(4096)
def _names_at(source: LogSource, route: Route) -> Mapping[str, str]:
    normal = normal_route(route)
    return next((dict(one.fields) for one in resolve(source) if one.accepts(normal)), {})


def _of_any_product(source: LogSource) -> tuple[Selector, ...]:
    """What a logsource without a product means: facts of the wire, and the tables' categories and services."""
    found = _facts(source.category) if not source.service else ()
    table = _table()
    for product in ("windows", "linux"):
        group, key = ("categories", source.category) if source.category else ("services", source.service)
        if key in table[product][group]:
            found += resolve(msgspec.structs.replace(source, product=product))
    return found


def taxonomy(source: LogSource) -> frozenset[str] | None:
    """The fields (lower-case) that events of a logsource have, None where that is not known."""
    table = _table().get(source.product, {}).get("taxonomy", {})
    names = table.get(source.category or source.service)
    return None if names is None else frozenset(name.lower() for name in (*names, *_table()["common_fields"]))


def _windows(source: LogSource) -> tuple[Selector, ...]:
    table = _table()["windows"]
    if not source.category:
        fields = table["service_fields"].get(source.service, {})
        return (Selector("windows", _channels(source.service) if source.service else (), fields=tuple(fields.items())),)
    return tuple(
        Selector(
            "windows",
            channels=_channels(entry["service"]),
            event_ids=tuple(entry["event_ids"]),
            where=_where(entry.get("where", {})),
            fields=tuple(entry.get("fields", {}).items()),
        )
        for entry in table["categories"].get(source.category, ())
        if source.service in ("", entry["service"])
    )


def _channels(service: str) -> tuple[str, ...]:
    """The channels of a service; a service that the table lacks is taken for a channel's name."""
    return _lower(_table()["windows"]["services"].get(service, [service]))


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


@cache
def channel_names() -> dict[str, str]:
    """The channels of all services as Windows (and Sysmon for Linux) spells them, by their lower-case names."""
    groups = [*_table()["windows"]["services"].values(), _table()["linux"]["sysmon"]]
    return {name.lower(): name for names in groups for name in names}


def _linux(source: LogSource) -> tuple[Selector, ...]:
    table = _table()["linux"]
    if source.category:
        return tuple(
            Selector("windows", channels=_lower(entry["channels"]), event_ids=tuple(entry["event_ids"]))
            if "channels" in entry
            else Selector("linux", providers=tuple(entry["providers"]), where=_where(entry["where"]))
            for entry in table["categories"].get(source.category, ())
            if source.service in ("", "sysmon" if "channels" in entry else "auditd")
        )
    sysmon = Selector("windows", channels=_lower(table["sysmon"]))
    if not source.service:
        return Selector("linux"), sysmon
    if source.service == "sysmon":
        return (sysmon,)
    return tuple(
        Selector(
            "linux",
            providers=tuple(entry.get("providers", ())),
            facilities=tuple(entry.get("facilities", ())),
            fields=tuple(entry.get("fields", {}).items()),
        )
        for entry in table["services"].get(source.service, [{"providers": [source.service]}])
    )


def _facts(category: str) -> tuple[Selector, ...]:
    """Rules that name a category of network logs and no product mean the facts of the wire too."""
    entry = _table()["network"].get(category)
    if entry is None:
        return ()
    return (Selector(NETWORK, channels=tuple(entry["facts"]), fields=tuple(entry["fields"].items())),)


def _where(conditions: dict[str, list[str]]) -> Node | None:
    if not conditions:
        return None
    return all_of(
        [
            any_of([Match(field, as_test(parse(value), cased=False)) for value in values])
            for field, values in conditions.items()
        ]
    )


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = load_documents(Path(__file__).with_name("logsources.yml"))[0].data
    return table
