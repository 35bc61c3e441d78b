"""Times as the API speaks them (RFC 3339, UTC) and as the store holds them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

from siemd.storage.reading import time_us
from siemd.storage.tables import time_text


@overload
def rfc3339(stored: str) -> str: ...
@overload
def rfc3339(stored: None) -> None: ...


def rfc3339(stored: str | None) -> str | None:
    """'2026-01-02 03:04:05.678901' of the store as '2026-01-02T03:04:05.678901Z'; None stays None."""
    return None if stored is None else time_text(time_us(stored)).replace(" ", "T") + "Z"


def stored_time(given: datetime) -> str:
    """A time of a request (with or without zone: then UTC) as the store holds it."""
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    try:
        given = given.astimezone(UTC)
    except OverflowError:  # the first or last day of the calendar
        given = given.replace(tzinfo=UTC)
    return given.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")
