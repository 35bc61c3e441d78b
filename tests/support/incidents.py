"""Incidents for the tests of being told, and a store of them that is real and small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siemd.events import Alert, Batch
from siemd.storage import StorageConfig, Store, open_store
from siemd.storage.told import ToldStore

HOST = "lab"


def incident(incident_id: str = "i1", **changes: Any) -> Alert:
    """One incident, level medium, as detection raises it."""
    values: dict[str, Any] = {
        "time_us": 1_795_000_000_000_000,
        "rule": "a_rule",
        "rule_id": "0000-1",
        "title": "A title",
        "level": "medium",
        "first_seen_us": 1_795_000_000_000_000,
        "last_seen_us": 1_795_000_000_000_000,
        "reason": f"reason of {incident_id}",
        "host": HOST,
    }
    return Alert(incident_id=incident_id, **(values | changes))


class Stored:
    """A SQLite store in which runs of detection put states of incidents, as the daemon does."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(StorageConfig(url=f"sqlite:{folder / 'siemd.db'}"), folder)
        self.incidents = ToldStore(self.store, HOST)
        self.epoch = 1
        self._seq = 0

    def next_run(self) -> int:
        """Another run of detection begins."""
        self.epoch, self._seq = self.epoch + 1, 0
        return self.epoch

    async def put(self, *alerts: Alert) -> None:
        await self.store.write([self.batch(alerts)])

    def batch(self, alerts: Sequence[Alert]) -> Batch:
        for alert in alerts:
            self._seq += 1
            alert.host, alert.source, alert.seq = HOST, "detection", self._seq
        return Batch(host=HOST, source="detection", epoch=self.epoch, events=list(alerts), last_seq=self._seq)

    async def told(self) -> list[dict[str, Any]]:
        """The records in the store."""
        return await self.store.query("SELECT * FROM alert_notifications ORDER BY id")
