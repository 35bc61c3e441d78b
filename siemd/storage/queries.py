"""What the commands ask of a store; the same SQL runs on every one of them."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.storage.store import Store
from siemd.storage.tables import TABLES

_JSON_COLUMNS = ("fields", "group_values", "tags", "evidence")


async def newest_alerts(store: Store, limit: int = 20) -> list[dict[str, Any]]:
    """The incidents that changed last, newest first: the columns of `alerts`, its JSON columns as values."""
    rows = await store.query("SELECT * FROM alerts ORDER BY last_seen DESC, id DESC LIMIT ?", (limit,))
    return [_decoded(row) for row in rows]


async def table_counts(store: Store) -> list[dict[str, Any]]:
    """Every seed table with its number of rows and the times of its first and last event (None when empty)."""
    counts = []
    for table in TABLES.values():
        time = table.columns[0].name
        rows = await store.query(
            f"SELECT COUNT(*) AS row_count, MIN({time}) AS first_time, MAX({time}) AS last_time FROM {table.name}"  # noqa: S608
        )
        row = rows[0]
        counts.append(
            {"name": table.name, "rows": row["row_count"], "first": row["first_time"], "last": row["last_time"]}
        )
    return counts


async def time_range(store: Store) -> tuple[str | None, str | None]:
    """The times of the oldest and the newest stored event, alerts aside; (None, None) when there are none."""
    counts = [count for count in await table_counts(store) if count["name"] != "alerts" and count["rows"]]
    if not counts:
        return None, None
    return min(count["first"] for count in counts), max(count["last"] for count in counts)


async def ledger(store: Store, limit: int = 200) -> list[dict[str, Any]]:
    """For each run of a source, newest first: host, source, epoch, produced, stored, dropped, rejected, missing.

    produced is the highest number the source gave; missing is what none of the other figures explains.
    """
    return await store.query("SELECT * FROM ledger ORDER BY updated DESC, source LIMIT ?", (limit,))


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.json.decode(value) if name in _JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
    }
