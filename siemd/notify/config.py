"""The configuration of being told: targets, routes in their order, the text, and the limits of the outbox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Meta

from siemd.notify import CHANNELS
from siemd.notify.schedule import Times, zone_of
from siemd.units import Seconds

LEVELS = ("informational", "low", "medium", "high", "critical")
Level = Literal["informational", "low", "medium", "high", "critical"]
State = Literal["open", "grow", "close"]
MAX_NAME = 40
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
FIELDS = (
    "level", "state", "title", "rule", "reason", "host", "count", "when", "first_seen", "last_seen", "group", "attack",
    "link", "incident_id",
)  # fmt: skip
SUBJECT = "{level}: {title} on {host}{state}"
TEXT = """\
{reason}
{level}, rule {rule} on {host}{state}
{count} events, {when}
{group}
ATT&CK: {attack}
{link}"""
_PLACEHOLDER = re.compile(r"\{(\w*)\}")

TargetConfig: Any = Union[tuple(channel.Config for channel in CHANNELS.values())]  # noqa: UP007


class MatchConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a route is for; all that is given must hold. `*` and `?` stand for any characters, one character."""

    level: Annotated[Level, Meta(description="The lowest level: informational, low, medium, high or critical.")] = (
        "medium"
    )
    rules: Annotated[list[str], Meta(description="Short names or ids of rules, any of them; empty: every rule.")] = []
    tags: Annotated[
        list[str], Meta(description="Tags such as attack.t1110*, any of them; empty: whatever they are.")
    ] = []
    hosts: Annotated[list[str], Meta(description="Hosts, any of them; empty: every host.")] = []
    times: Annotated[Times | None, Meta(description="Only within these hours, when the incident comes to be told.")] = (
        None
    )


class RateConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How many messages at most; what comes beyond waits and is told in one message when there is room."""

    messages: Annotated[int, Meta(description="So many messages …", ge=1, le=100_000)] = 30
    per_s: Annotated[Seconds, Meta(description="… in any stretch of this length.")] = msgspec.field(
        name="per", default=Seconds(3600)
    )


class QuietConfig(Times, kw_only=True, forbid_unknown_fields=True):
    """Hours in which nothing is told; what was held back is summed up afterwards."""

    but: Annotated[
        Literal["informational", "low", "medium", "high", "critical", "nothing"],
        Meta(description="This level and what is above it is told all the same; `nothing`: all is held back."),
    ] = "critical"


class EscalationConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom else to tell when nobody has acknowledged or closed an incident."""

    after_s: Annotated[Seconds, Meta(description="So long after the route has told of it.")] = msgspec.field(
        name="after"
    )
    targets: Annotated[list[str], Meta(description="Names of targets.", min_length=1)]


class RouteConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which incidents go to which targets, and how."""

    name: Annotated[str, Meta(description="Its name, as `siemd notify test` and the records of alerts know it.")]
    targets: Annotated[list[str], Meta(description="Names of targets; each is told.", min_length=1)]
    match: Annotated[MatchConfig, Meta(description="Which incidents; without it those from level medium on.")] = (
        msgspec.field(default_factory=MatchConfig)
    )
    on: Annotated[
        list[State],
        Meta(description="open: when it is new; grow: at ten times its size or a higher level; close.", min_length=1),
    ] = msgspec.field(default_factory=lambda: list[State](("open", "grow")))
    group_s: Annotated[
        Seconds, Meta(description="Incidents that come within this time of the first go into one message with it.")
    ] = msgspec.field(name="group", default=Seconds(10))
    group_by: Annotated[
        list[Literal["rule", "host", "level"]], Meta(description="Only those that share these are grouped; empty: all.")
    ] = []
    rate: Annotated[
        RateConfig, Meta(description="How many messages at most; what comes beyond waits and is summed up.")
    ] = msgspec.field(default_factory=RateConfig)
    quiet: Annotated[QuietConfig | None, Meta(description="Hours in which nothing is told but what is critical.")] = (
        None
    )
    escalate: Annotated[list[EscalationConfig], Meta(description="Further targets when nobody acknowledges.")] = []
    then: Annotated[
        Literal["stop", "continue"],
        Meta(description="Whether the routes below are tried, too, with what this one has matched."),
    ] = "stop"


class NotifyConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is told of incidents: e-mail, webhook, syslog, chat (see docs/notify.md). Off while there are no routes."""

    targets: Annotated[
        dict[str, TargetConfig], Meta(description="Each target by its name: a channel and its settings.")
    ] = {}
    routes: Annotated[
        list[RouteConfig],
        Meta(description="From the top: the first that matches tells, and ends it unless it says `then: continue`."),
    ] = []
    zone: Annotated[
        str, Meta(description="The time zone of hours and messages, such as Europe/Berlin; `local`: this host's.")
    ] = "local"
    console_url: Annotated[
        str, Meta(description="The console's address for people, to link to incidents; empty: no links.")
    ] = ""
    subject: Annotated[str, Meta(description="The subject of a message about one incident. Fields: see `text`.")] = (
        SUBJECT
    )
    text: Annotated[
        str,
        Meta(
            description="The text about one incident; lines whose fields are all empty are left out. Fields: "
            + ", ".join(f"{{{name}}}" for name in FIELDS)
            + "."
        ),
    ] = TEXT
    max_waiting: Annotated[
        int,
        Meta(
            description="Incidents and messages that wait at most, each; more are dropped, counted.",
            ge=10,
            le=1_000_000,
        ),
    ] = 10_000
    give_up_after_s: Annotated[
        Seconds, Meta(description="A message that could not be delivered for so long is given up.")
    ] = msgspec.field(name="give_up_after", default=Seconds(3 * 86400))
    max_tries: Annotated[int, Meta(description="A message is given up after so many tries.", ge=1, le=1_000_000)] = 2000
    keep_s: Annotated[Seconds, Meta(description="How long `siemd notify list` shows what was sent or given up.")] = (
        msgspec.field(name="keep", default=Seconds(7 * 86400))
    )

    @property
    def enabled(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self.routes)

    def route(self, name: str) -> RouteConfig | None:
        """The route of that name."""
        return next((route for route in self.routes if route.name == name), None)


Keys = tuple[str | int, ...]


def mistakes(config: NotifyConfig) -> Iterator[tuple[Keys, str, str]]:
    """What is wrong with values in themselves or together: where (from `notify` on), what, and what to do."""
    for name, target in config.targets.items():
        where: Keys = ("targets", name)
        if not NAME.fullmatch(name):
            yield where, f"{name[:60]!r} is no name", f"up to {MAX_NAME} letters, digits, dots, dashes or underscores"
        settings: Any = target
        for key, message, hint in settings.mistakes():
            yield (*where, key), message, hint
    yield from _zone(config.zone, ("zone",))
    if config.console_url and not config.console_url.startswith(("https://", "http://")):
        yield ("console_url",), "expected an address such as https://siem.example", ""
    for key, template in (("subject", config.subject), ("text", config.text)):
        for field in _PLACEHOLDER.findall(template):
            if field not in FIELDS:
                yield (key,), f"there is no field {{{field[:40]}}}", f"known are {', '.join(FIELDS)}"
    seen: set[str] = set()
    for index, route in enumerate(config.routes):
        where = ("routes", index)
        if not NAME.fullmatch(route.name):
            yield (*where, "name"), f"{route.name[:60]!r} is no name", "letters, digits, dots, dashes or underscores"
        if route.name in seen or route.name in config.targets:
            yield (*where, "name"), f"another route or target is called {route.name}", "give this one a name of its own"
        seen.add(route.name)
        yield from _route(config, route, where)


def _route(config: NotifyConfig, route: RouteConfig, where: Keys) -> Iterator[tuple[Keys, str, str]]:
    lists: list[tuple[Keys, list[str]]] = [((*where, "targets"), route.targets)]
    lists += [((*where, "escalate", n, "targets"), step.targets) for n, step in enumerate(route.escalate)]
    for keys, names in lists:
        for number, name in enumerate(names):
            if name not in config.targets:
                known = ", ".join(config.targets) or "none"
                yield (*keys, number), f"there is no target {name[:60]!r}", f"known are: {known}"
            elif name in names[:number]:
                yield (*keys, number), f"the target {name} stands here twice", "take one out"
    for key, times in (("times", route.match.times), ("quiet", route.quiet)):
        if times is None:
            continue
        at = (*where, "match", "times") if key == "times" else (*where, "quiet")
        if times.begin == times.end:
            yield (*at, "to"), "`from` and `to` are the same", "a whole day is from 00:00 to 24:00"
        if times.zone:
            yield from _zone(times.zone, (*at, "zone"))


def _zone(name: str, keys: Keys) -> Iterator[tuple[Keys, str, str]]:
    try:
        zone_of(name)
    except ValueError as error:
        yield keys, str(error), "on Windows siemd needs the Python package tzdata for other zones than UTC"
