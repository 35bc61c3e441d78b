"""The upkeep of the rollups on a MySQL server, with a cursor that commits each statement by itself."""

from __future__ import annotations

import re
from typing import Any

from siemd.storage.rollups import (
    DELETE_ROWS,
    MINUTES_KEPT_S,
    ROLLED_UP,
    rebuild_sql,
    rebuild_step,
    tables_of,
    whole_hour,
)

_NAMED = re.compile(r":(first|last|since)\b")


async def rebuild_slice(cursor: Any) -> bool:
    """Count a slice of the rows that were there before the rollups; whether more are left. The row of rollup_state is
    locked meanwhile, so that of several siemds one at a time does it.
    """
    for name in ROLLED_UP:
        await cursor.execute("START TRANSACTION")
        await cursor.execute(
            "SELECT minute_since, rebuild_first, rebuild_last FROM rollup_state WHERE table_name = %s FOR UPDATE",
            (name,),
        )
        row = await cursor.fetchone()
        step = rebuild_step({"rebuild_first": row[1], "rebuild_last": row[2]}) if row else None
        if step is None:
            await cursor.execute("ROLLBACK")
            continue
        values = {"first": step[0], "last": step[1], "since": row[0]}
        for statement in rebuild_sql("mysql", name):
            marked = _NAMED.sub(r"%(\1)s", statement.replace("%", "%%"))
            await cursor.execute(marked, values)
        await cursor.execute("UPDATE rollup_state SET rebuild_last = %s WHERE table_name = %s", (step[0] - 1, name))
        await cursor.execute("COMMIT")
        return True
    return False


async def forget_minutes(cursor: Any, name: str, now_us: int) -> None:
    """Move the time from which on minutes are whole, and delete those before it."""
    since_s = whole_hour(now_us) - MINUTES_KEPT_S
    await cursor.execute(
        "UPDATE rollup_state SET minute_since = GREATEST(minute_since, %s) WHERE table_name = %s", (since_s, name)
    )
    await _cut(cursor, "rollup_minute", name, since_s)


async def cut_rollups(cursor: Any, name: str, before_s: int) -> None:
    """Delete the buckets of a table's rollups before a time."""
    for rollup in tables_of(name):
        await _cut(cursor, rollup, name, before_s)


async def _cut(cursor: Any, rollup: str, name: str, before_s: int) -> None:
    while await cursor.execute(
        f"DELETE FROM {rollup} WHERE table_name = %s AND bucket < %s ORDER BY bucket LIMIT {DELETE_ROWS}",  # noqa: S608
        (name, before_s),
    ):
        pass
