"""What was sent about an incident, as the notifier recorded it in the store."""

from __future__ import annotations

import msgspec

from siemd.storage.database import Database
from siemd.storage.search import rfc3339
from siemd.storage.values import clean_text

_COLUMNS = ("time", "revision", "kind", "route", "channel", "target", "status", "attempts", "detail")
_HAS_TABLE = {
    "sqlite": "SELECT 1 AS found FROM sqlite_master WHERE name = 'alert_notifications'",
    "mysql": "SELECT 1 AS found FROM information_schema.tables WHERE table_schema = DATABASE() "
    "AND table_name = 'alert_notifications'",
}


class Notification(msgspec.Struct):
    """One message about one state of an incident. status: sent, dead (given up) or dropped (there was no room)."""

    time: str
    revision: int
    kind: str
    route: str
    channel: str
    target: str
    status: str
    attempts: int
    detail: str


async def notifications_of(database: Database, incident_id: str) -> list[Notification]:
    """The messages about an incident, oldest first; none where no notifier ever wrote."""
    if not await database.fetch(_HAS_TABLE[database.dialect]):
        return []
    rows = await database.fetch(
        f"SELECT {', '.join(_COLUMNS)} FROM alert_notifications WHERE incident_id = ? ORDER BY time, id LIMIT 500",  # noqa: S608
        (clean_text(incident_id)[:191],),
    )
    return [Notification(**{**row, "time": rfc3339(row["time"])}) for row in rows]
