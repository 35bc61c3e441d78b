"""Times of the week: whether a moment lies within, by the clock on the wall of a time zone, summer time included."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from siemd.units import Clock

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAY_MINUTES = 24 * 60


class Times(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Hours of the week, by the clock on the wall of a time zone."""

    days: Annotated[
        list[Day],
        Meta(
            description="mon, tue, wed, thu, fri, sat, sun; empty: every day. A night counts to the day it begins on."
        ),
    ] = []
    begin: Annotated[Clock, Meta(description='The first minute, such as "22:00".')] = msgspec.field(
        name="from", default=Clock(0)
    )
    end: Annotated[
        Clock, Meta(description="The first minute that is outside again; earlier than `from`: on the next day.")
    ] = msgspec.field(name="to", default=Clock(DAY_MINUTES))
    zone: Annotated[str, Meta(description="A time zone such as Europe/Berlin; empty: that of `notify.zone`.")] = ""

    def contains(self, time_us: int, zone: tzinfo) -> bool:
        """Whether a moment (UTC microseconds) lies within. zone: the one to use where this names none."""
        local = datetime.fromtimestamp(time_us // 1_000_000, zone_of(self.zone) if self.zone else zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            inside = self.begin <= minute < self.end
        else:  # over midnight: the early hours belong to the day before
            inside = minute >= self.begin or minute < self.end
            if minute < self.end:
                day = (day - 1) % 7
        return inside and (not self.days or DAYS[day] in self.days)

    def words(self) -> str:
        """For people: `22:00-07:00 sat, sun`."""
        return f"{self.begin}-{self.end} {', '.join(self.days)}".rstrip()


def zone_of(name: str) -> tzinfo:
    """The time zone of a name, this host's for `local`; ValueError when there is none."""
    if name == "local":
        return _LOCAL
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(f"no time zone is known as {name[:60]!r}, expected one like Europe/Berlin") from None


class _Local(tzinfo):
    """This host's own time zone, with its summer time: what the C library says of each moment."""

    def fromutc(self, dt: datetime) -> datetime:
        there = dt.replace(tzinfo=UTC).astimezone()
        return there.replace(tzinfo=self)

    def utcoffset(self, dt: datetime | None) -> None:
        return None

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> str:
        return ""


_LOCAL = _Local()
