"""What the notifier asks of the store: incidents in the order of their storing, and the record of who was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siemd.errors import StoreError
from siemd.events import Alert
from siemd.notify.source import Told
from siemd.storage.reading import alert_of
from siemd.storage.store import Store
from siemd.storage.tables import time_text
from siemd.storage.values import clean_text

DETECTION = "detection"  # the source of alerts
MAX_DETAIL = 1000
_IN_SLICES = 200


class ToldStore:
    """The store of one host as the notifier sees it (`siemd.notify.source.Incidents`)."""

    def __init__(self, store: Store, host: str) -> None:
        self._store = store
        self._host = host

    async def heads(self) -> dict[int, int]:
        """For each run of this host's detection, by its epoch, the highest number that is stored."""
        rows = await self._store.query(
            "SELECT epoch, seq FROM ingest_cursor WHERE host = ? AND source = ?", (self._host, DETECTION)
        )
        return {row["epoch"]: row["seq"] for row in rows}

    async def after(self, epoch: int, seq: int, most: int) -> list[Alert]:
        """States of that run with higher numbers, in their order."""
        rows = await self._store.query(
            "SELECT * FROM alerts WHERE epoch = ? AND seq > ? AND host = ? AND source = ? ORDER BY seq LIMIT ?",
            (epoch, seq, self._host, DETECTION, most),
        )
        return [alert_of(row) for row in rows]

    async def open_of(self, epochs: Sequence[int]) -> list[tuple[str, str]]:
        """Id and level of the open incidents whose state these runs stored."""
        wanted = set(epochs)
        rows = await self._store.query(
            "SELECT incident_id, level, epoch FROM alerts WHERE status = 'open' AND host = ?", (self._host,)
        )
        return [(row["incident_id"], row["level"]) for row in rows if row["epoch"] in wanted]

    async def triage(self, incident_ids: Sequence[str]) -> dict[str, str]:
        """The state of those incidents that somebody has dealt with; none where the store has no such table."""
        found: dict[str, str] = {}
        for start in range(0, len(incident_ids), _IN_SLICES):
            some = incident_ids[start : start + _IN_SLICES]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT incident_id, state FROM alert_triage WHERE incident_id IN ({marks})"  # noqa: S608 - marks
            try:
                rows = await self._store.query(sql, some)
            except StoreError as error:
                if "alert_triage" in error.message and ("no such table" in error.message or "1146" in error.message):
                    return {}  # nobody can acknowledge yet
                raise
            found |= {row["incident_id"]: row["state"] for row in rows}
        return found

    async def record(self, told: Sequence[Told]) -> None:
        """Keep what was told beside the incidents; what is recorded already is replaced."""
        await self._store.record_told([_row(one) for one in told])


def _row(told: Told) -> tuple[Any, ...]:
    return (
        time_text(told.time_us),
        told.incident_id,
        told.revision,
        told.kind,
        told.route,
        told.channel,
        told.target,
        told.status,
        told.attempts,
        clean_text(told.detail)[:MAX_DETAIL],
    )
