"""What a message says: a short subject, a first line that says it all, and lines that fit on a phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import quote

import msgspec

from siemd.events import Alert, iso_time
from siemd.notify.base import Message
from siemd.notify.config import LEVELS, NotifyConfig
from siemd.notify.routing import rank
from siemd.notify.schedule import zone_of
from siemd.notify.text import tame

MAX_SUBJECT, MAX_LINE, MAX_REASON, MAX_VALUE = 150, 400, 700, 120
MAX_LISTED, MAX_WHOLE, MAX_FIELDS, MAX_TAGS = 20, 100, 8, 12
_SHORT = ("incident_id", "revision", "rule", "level", "host", "count", "status")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)


class Item(msgspec.Struct):
    """One incident in a message: why it is told (open, grow, close, escalation) and its state, tamed and cut."""

    kind: str
    incident: dict[str, Any]


def brief(alert: Alert) -> dict[str, Any]:
    """An incident as messages carry it and the outbox keeps it: tamed, cut, without evidence."""
    return {
        "incident_id": tame(alert.incident_id, 64),
        "revision": alert.revision,
        "rule": tame(alert.rule, MAX_VALUE),
        "rule_id": tame(alert.rule_id, MAX_VALUE),
        "title": tame(alert.title, MAX_VALUE),
        "level": alert.level if alert.level in LEVELS else LEVELS[0],
        "reason": tame(alert.reason, MAX_REASON),
        "host": tame(alert.host, MAX_VALUE),
        "count": alert.count,
        "first_seen": iso_time(alert.first_seen_us),
        "last_seen": iso_time(alert.last_seen_us),
        "first_seen_us": alert.first_seen_us,
        "last_seen_us": alert.last_seen_us,
        "status": "closed" if alert.status == "closed" else "open",
        "group": {tame(key, 60): tame(value, MAX_VALUE) for key, value in list(alert.group.items())[:MAX_FIELDS]},
        "tags": [tame(tag, 60) for tag in alert.tags[:MAX_TAGS]],
    }


class Writer:
    """Writes messages as a configuration wants them."""

    def __init__(self, config: NotifyConfig, host: str, console_url: str = "") -> None:
        self._config = config
        self._host = tame(host, MAX_VALUE)
        self._zone = zone_of(config.zone)
        self._console = (config.console_url or console_url).rstrip("/")

    def message(self, uid: str, route: str, items: Sequence[Item], now_us: int, why: str = "") -> Message:
        """One message for these incidents, the gravest first. why: a line that says why they come together."""
        ordered = sorted(items, key=lambda item: -rank(item.incident["level"]))
        first = ordered[0]
        if len(ordered) == 1:
            subject = self._fill(self._config.subject, first)
            lines = [why] if why else []
            lines += [self._fill(line, first) for line in self._config.text.split("\n") if self._wanted(line, first)]
        else:
            subject = self._summary(ordered)
            lines = [subject, *([why] if why else []), ""]
            for item in ordered[:MAX_LISTED]:
                lines += self._listed(item)
            if len(ordered) > MAX_LISTED:
                lines.append(f"and {len(ordered) - MAX_LISTED} more")
            if self._console:
                lines.append(f"{self._console}/alerts")
        return Message(
            uid=uid,
            host=self._host,
            route=route,
            subject=tame(subject, MAX_SUBJECT),
            text="\n".join(lines).strip("\n"),
            level=first.incident["level"],
            time_us=now_us,
            thread=first.incident["incident_id"] if len(ordered) == 1 else "",
            total=len(ordered),
            incidents=[_public(item, whole=number < MAX_WHOLE) for number, item in enumerate(ordered)],
        )

    def test(self, uid: str, route: str, now_us: int) -> Message:
        """What `siemd notify test` sends."""
        when = self._moment(now_us)
        text = f"This is a test of siemd on {self._host}: whoever reads it is told of incidents.\n{when}, {route}"
        return Message(
            uid=uid, host=self._host, route=route, subject=f"Test: siemd on {self._host} can tell you", text=text,
            level="informational", time_us=now_us, total=0, test=True,
        )  # fmt: skip

    def _summary(self, items: Sequence[Item]) -> str:
        levels = [item.incident["level"] for item in items]
        counts = ", ".join(f"{levels.count(level)} {level}" for level in reversed(LEVELS) if level in levels)
        hosts = sorted({item.incident["host"] for item in items})
        where = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        escalated = all(item.kind == "escalation" for item in items)
        return f"{len(items)} incidents{' not acknowledged' if escalated else ''} on {where}: {counts}"

    def _listed(self, item: Item) -> list[str]:
        incident = item.incident
        said = incident["reason"] or incident["title"] or incident["rule"]
        head = f"{incident['level'].upper()}: {tame(said, MAX_LINE)}{_state(item)}"
        return [head, f"  {incident['rule']} on {incident['host']}, {incident['count']} events, {self._span(incident)}"]

    def _wanted(self, line: str, item: Item) -> bool:
        names = _PLACEHOLDER.findall(line)
        return not names or any(self._field(name, item) for name in names)

    def _fill(self, template: str, item: Item) -> str:
        return _PLACEHOLDER.sub(lambda found: self._field(found[1], item), template)

    def _field(self, name: str, item: Item) -> str:
        incident = item.incident
        match name:
            case "level":
                return str(incident["level"]).upper()
            case "title":
                return incident["title"] or str(incident["rule"])
            case "reason":
                return incident["reason"] or incident["title"] or str(incident["rule"])
            case "state":
                return _state(item)
            case "when":
                return self._span(incident)
            case "first_seen" | "last_seen":
                return self._moment(incident[f"{name}_us"])
            case "group":
                return ", ".join(f"{key}: {value}" for key, value in incident["group"].items())
            case "attack":
                return ", ".join(found[1].upper() for tag in incident["tags"] if (found := _TECHNIQUE.fullmatch(tag)))
            case "link":
                return f"{self._console}/alerts/{quote(incident['incident_id'], safe='')}" if self._console else ""
            case _:
                return str(incident.get(name, ""))

    def _span(self, incident: dict[str, Any]) -> str:
        """Sat 28 Nov 02:11 to 02:40 CET: from first to last, the day once."""
        first, last = (moment(incident[name], self._zone) for name in ("first_seen_us", "last_seen_us"))
        begin = f"{first:%a} {first.day} {first:%b %H:%M}"
        end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%a} {last.day} {last:%b %H:%M}"
        zone = _zone_name(last)
        return f"{begin} {zone}" if begin.endswith(end) else f"{begin} to {end} {zone}"

    def _moment(self, time_us: int) -> str:
        local = moment(time_us, self._zone)
        return f"{local:%a} {local.day} {local:%b %Y %H:%M:%S} {_zone_name(local)}"


def moment(time_us: int, zone: tzinfo = UTC) -> datetime:
    """A time on the clock of a zone."""
    return datetime.fromtimestamp(time_us // 1_000_000, zone)


def _zone_name(local: datetime) -> str:
    if local.utcoffset() is not None:
        return local.strftime("%Z")
    return datetime.fromtimestamp(local.replace(tzinfo=None).timestamp()).astimezone().strftime("%Z")


def _state(item: Item) -> str:
    incident = item.incident
    closed = " (closed)" if incident["status"] == "closed" else ""
    if item.kind == "escalation":
        return f" (not acknowledged){closed}"
    if item.kind == "grow":
        return f" (grew to {incident['count']}){closed}"
    return closed


def _public(item: Item, *, whole: bool) -> dict[str, Any]:
    """An incident for programs; where there are very many, the less grave ones by what names them."""
    shown = {key: value for key, value in item.incident.items() if not key.endswith("_us")}
    return {"kind": item.kind, **({key: shown[key] for key in _SHORT} if not whole else shown)}
