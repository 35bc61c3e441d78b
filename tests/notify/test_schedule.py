"""Hours of the week by the clock on the wall, in zones where that clock jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.notify.schedule import DAYS, Times, zone_of
from siemd.units import Clock

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]
MINUTE_US = 60_000_000
clocks = st.integers(0, 24 * 60).map(Clock)


def us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


def times(begin: str, end: str, *days: str) -> Times:
    return Times(begin=Clock.parse(begin), end=Clock.parse(end), days=list(days))  # type: ignore[arg-type]


def minutes_inside(window: Times, day: datetime, zone: str) -> int:
    """How many minutes of that local day lie within."""
    start = day.astimezone(UTC)
    end = (day.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    moments = range(us(start), us(end), MINUTE_US)
    return sum(window.contains(moment, ZoneInfo(zone)) for moment in moments)


@pytest.mark.parametrize(
    ("day", "minutes"),
    [("2026-10-25", 180), ("2026-03-29", 60), ("2026-06-01", 120)],  # the clock goes back, goes on, does neither
)
def test_days_with_a_jump(day: str, minutes: int) -> None:
    local = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert minutes_inside(times("02:00", "04:00"), local, "Europe/Berlin") == minutes
    assert minutes_inside(times("22:00", "24:00"), local, "Europe/Berlin") == 120


def test_a_night_counts_to_the_day_it_begins_on() -> None:
    night = times("22:00", "07:00", "fri")
    friday = datetime(2026, 11, 27, 23, 0, tzinfo=UTC)
    assert night.contains(us(friday), UTC)
    assert night.contains(us(friday + timedelta(hours=7)), UTC), "Saturday at six"
    assert not night.contains(us(friday + timedelta(hours=8)), UTC)
    assert not night.contains(us(friday - timedelta(hours=17)), UTC), "Friday at six is Thursday's night"
    assert not night.contains(us(friday + timedelta(hours=24)), UTC)


def test_its_own_zone_goes_first() -> None:
    window = times("09:00", "17:00")
    window.zone = "Asia/Tokyo"
    assert window.contains(us(datetime(2026, 1, 5, 0, 30, tzinfo=UTC)), UTC)


@settings(deadline=None)
@given(clocks, clocks, st.lists(st.sampled_from(DAYS)), st.integers(0, 4_000_000_000), st.sampled_from(ZONES))
def test_within_is_what_the_wall_says(begin: Clock, end: Clock, days: list[str], second: int, zone: str) -> None:
    window = Times(begin=begin, end=end, days=days)  # type: ignore[arg-type]
    local = datetime.fromtimestamp(second, ZoneInfo(zone))
    wall = local.replace(tzinfo=None)
    # An independent reading: the window that opened today or yesterday, as an interval on the wall.
    inside = False
    for back in (0, 1):
        opened = datetime.combine(wall.date(), datetime.min.time()) - timedelta(days=back)
        opens, closes = opened + timedelta(minutes=begin), opened + timedelta(minutes=end)
        if end <= begin:
            closes += timedelta(days=1)
        if opens <= wall < closes and (not days or opened.strftime("%a").lower() in days):
            inside = True
    if begin == 24 * 60 or (end == 0 and begin == 0):
        return  # such windows are odd, and `begin == end` is refused
    assert window.contains(second * 1_000_000, ZoneInfo(zone)) == inside


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000), st.sampled_from(ZONES))
def test_a_window_and_what_is_left_of_the_day_make_a_day(second: int, zone: str) -> None:
    inside, outside = times("08:30", "17:15"), times("17:15", "08:30")
    where = ZoneInfo(zone)
    assert inside.contains(second * 1_000_000, where) != outside.contains(second * 1_000_000, where)


@settings(deadline=None)
@given(st.integers(0, 24 * 60))
def test_clocks_are_read_as_they_are_written(minutes: int) -> None:
    assert Clock.parse(str(Clock(minutes))) == minutes
    assert Clock.parse(minutes) == minutes


@pytest.mark.parametrize("text", ["25:00", "12:60", "noon", "", -1, 1441, True, None, 3.5])
def test_what_is_no_clock(text: object) -> None:
    with pytest.raises(ValueError, match="time of day"):
        Clock.parse(text)


def test_zones() -> None:
    assert datetime.fromtimestamp(0, zone_of("local")).replace(tzinfo=None) == datetime.fromtimestamp(0)
    with pytest.raises(ValueError, match="Europe/Berlin"):
        zone_of("Mars/Olympus")
