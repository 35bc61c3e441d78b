"""Reads suppressions from YAML: owner, reason and expiry are required; every mistake is a FileError at its place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from siemd.detection.entry import Entry, at_place, entries_of
from siemd.detection.selector import read_selector, wildcards
from siemd.detection.suppressions import Network, Suppression, Suppressions
from siemd.errors import FileError
from siemd.events import clamp_time_us

REQUIRED = ("name", "owner", "reason", "expires", "rules")
CONDITIONS = ("group", "host", "source", "days", "from", "to", "timezone")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def load_suppressions(
    files: Iterable[Path], texts: Mapping[Path, str] | None = None
) -> tuple[Suppressions, list[FileError]]:
    """The suppressions of several files, and what is wrong with the others; a name may stand only once.

    texts: what is to be taken for the content of some of them.
    """
    entries: dict[str, Suppression] = {}
    problems: list[FileError] = []
    for file in files:
        found, wrong = read_suppressions(file, (texts or {}).get(file))
        problems += wrong
        for one in found:
            if one.name in entries:
                other = entries[one.name].place
                message = f"the name {one.name!r} is already that of {other.path}:{other.line}"
                problems.append(at_place(one.place, message, "its count could not be told apart"))
            else:
                entries[one.name] = one
    return Suppressions(entries.values()), problems


def read_suppressions(path: Path | str, text: str | None = None) -> tuple[list[Suppression], list[FileError]]:
    """Every entry of a file and what is wrong with the others; `text` instead of the file's content."""
    entries: list[Suppression] = []
    problems: list[FileError] = []
    try:
        for document, keys, data in entries_of(path, "suppressions", text):
            try:
                entries.append(_suppression(Entry(document, keys, data, (*REQUIRED, *CONDITIONS))))
            except FileError as error:
                problems.append(error)
    except FileError as error:
        problems.append(error)
    return entries, problems


def _suppression(entry: Entry) -> Suppression:
    entry.need(*REQUIRED)
    entry.need(*(key for key in CONDITIONS if key in entry.data))
    name = entry.text("name")
    if not _NAME.fullmatch(name):
        raise entry.error("name", "expected up to 64 letters, digits, dots, dashes or underscores")
    days = []
    for day in entry.texts("days"):
        if day.lower()[:3] not in DAYS:
            raise entry.error("days", f"unknown day {day!r}", f"known are {', '.join(DAYS)}")
        days.append(DAYS.index(day.lower()[:3]))
    from_, to = _clock(entry, "from", time.min), _clock(entry, "to", time.max)
    if from_ == to:
        raise entry.error(
            "to", "'to' is the same as 'from', so nothing lies between", "leave both out for the whole day"
        )
    return Suppression(
        name=name,
        owner=entry.text("owner"),
        reason=entry.text("reason"),
        expires_us=_expiry(entry),
        selector=read_selector(entry),
        place=entry.error("name", ""),
        group=_group(entry),
        hosts=tuple(map(wildcards, entry.texts("host"))),
        networks=_networks(entry),
        days=tuple(days),
        from_=from_,
        to=to,
        zone=_zone(entry),
        timed=any(entry.has(key) for key in ("days", "from", "to")),
    )


def _expiry(entry: Entry) -> int:
    """The first moment at which nothing is hidden any more: the end of a date (UTC), or a point in time."""
    value = entry.data["expires"]
    expected = "expected a date such as 2027-03-31 or a time such as 2027-03-31T18:00:00+01:00"
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError:
            raise entry.error("expires", expected) from None
    if not isinstance(value, date):
        raise entry.error("expires", expected)
    try:
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        else:
            moment = datetime.combine(value, time.min, UTC) + timedelta(days=1)
        return clamp_time_us((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    except (OverflowError, ValueError):
        raise entry.error("expires", expected) from None


def _group(entry: Entry) -> dict[str, tuple[re.Pattern[str], ...]]:
    value = entry.data.get("group")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise entry.error("group", "expected fields and values such as {destination_ip: 10.0.0.*}")
    inner = Entry(entry.document, (*entry.keys, "group"), value, tuple(map(str, value)))
    inner.need(*inner.data)
    return {name: tuple(map(wildcards, inner.texts(name))) for name in inner.data}


def _networks(entry: Entry) -> tuple[Network, ...]:
    found = []
    for text in entry.texts("source"):
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise entry.error("source", f"expected an address or network such as 10.1.2.0/24, got {text!r}") from None
    return tuple(found)


def _clock(entry: Entry, key: str, default: time) -> time:
    value = entry.data.get(key)
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        value = f"{value // 60:02}:{value % 60:02}"  # YAML reads an unquoted 22:00 as a number to the base 60
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise entry.error(key, 'expected a time of day such as "22:00"')
    return time(int(found[1]), int(found[2]))


def _zone(entry: Entry) -> Any:
    name = entry.text("timezone")
    if not name or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        hint = "on Windows siemd needs the Python package tzdata for other zones than UTC"
        raise entry.error(
            "timezone", f"no time zone is known as {name!r}, expected one like Europe/Berlin", hint
        ) from None
