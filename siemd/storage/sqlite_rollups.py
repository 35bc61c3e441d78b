"""The upkeep of the rollups in a SQLite file; each function is one short transaction of the writing thread."""

from __future__ import annotations

import sqlite3

from siemd.sqlite_file import transaction
from siemd.storage.rollups import DELETE_ROWS, MINUTES_KEPT_S, ROLLED_UP, rebuild_sql, rebuild_step, whole_hour


def rebuild_slice(connection: sqlite3.Connection) -> bool:
    """Count a slice of the rows that were there before the rollups; whether more are left."""
    for name in ROLLED_UP:
        with transaction(connection):
            row = connection.execute(
                "SELECT minute_since, rebuild_first, rebuild_last FROM rollup_state WHERE table_name = ?", (name,)
            ).fetchone()
            step = rebuild_step({"rebuild_first": row[1], "rebuild_last": row[2]}) if row else None
            if step is None:
                continue
            values = {"first": step[0], "last": step[1], "since": row[0]}
            for statement in rebuild_sql("sqlite", name):
                connection.execute(statement, values)
            connection.execute("UPDATE rollup_state SET rebuild_last = ? WHERE table_name = ?", (step[0] - 1, name))
        return True
    return False


def forget_minutes(connection: sqlite3.Connection, name: str, now_us: int) -> int:
    """Move the time from which on minutes are whole; it, in seconds. What is before it may then be deleted."""
    since_s = whole_hour(now_us) - MINUTES_KEPT_S
    with transaction(connection):
        connection.execute(
            "UPDATE rollup_state SET minute_since = MAX(minute_since, ?) WHERE table_name = ?", (since_s, name)
        )
        row = connection.execute("SELECT minute_since FROM rollup_state WHERE table_name = ?", (name,)).fetchone()
    return int(row[0])


def cut_rollup(connection: sqlite3.Connection, rollup: str, name: str, before_s: int) -> int:
    """Delete one slice of the buckets before a time; how many rows went."""
    with transaction(connection):
        row = connection.execute(
            f"SELECT bucket FROM {rollup} WHERE table_name = ? AND bucket < ? "  # noqa: S608 - our own names
            "ORDER BY bucket LIMIT 1 OFFSET ?",
            (name, before_s, DELETE_ROWS),
        ).fetchone()
        edge_s = before_s if row is None else row[0] + 1
        delete = f"DELETE FROM {rollup} WHERE table_name = ? AND bucket < ?"  # noqa: S608
        return connection.execute(delete, (name, edge_s)).rowcount
