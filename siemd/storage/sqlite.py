"""The embedded store: one SQLite file, which is its own spool, since a commit there is on disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from siemd.errors import StoreError
from siemd.events import Batch, now_us
from siemd.sqlite_file import (
    BUSY_TIMEOUT_S,
    DATA_ERRORS,
    SqliteFile,
    connect,
    create_private,
    explain,
    transaction,
)
from siemd.storage.intake import Intake, Key, intake, keys_of
from siemd.storage.migrate import apply_sqlite, migrate_sqlite, overview, scripts, sqlite_applied
from siemd.storage.rollups import ROLLED_UP, ROLLUPS, tables_of, upsert_sql, upserts, whole_hour
from siemd.storage.sqlite_rollups import cut_rollup, forget_minutes, rebuild_slice
from siemd.storage.store import Migration, Written
from siemd.storage.tables import TABLES, TOLD_CHANGES, TOLD_COLUMNS, Row, Table, time_text

DELETE_SLICE_ROWS = 5000
TRIAGE_TABLES = ("alert_triage", "alert_comments")


def _insert(table: Table) -> str:
    marks = ", ".join("?" * len(table.columns))
    sql = f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES ({marks})"  # noqa: S608 - our own names
    if table.name == "alerts":
        changes = ", ".join(f"{name} = excluded.{name}" for name in table.names if name != "incident_id")
        sql += f" ON CONFLICT (incident_id) DO UPDATE SET {changes} WHERE excluded.revision >= alerts.revision"
    return sql


_INSERT = {name: _insert(table) for name, table in TABLES.items()}
_ROLL_UP = {name: upsert_sql("sqlite", name) for name in ROLLUPS}
_INSERT_TOLD = (
    f"INSERT INTO alert_notifications ({', '.join(TOLD_COLUMNS)}) VALUES ({', '.join('?' * len(TOLD_COLUMNS))}) "  # noqa: S608
    "ON CONFLICT (incident_id, revision, kind, route, target) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in TOLD_CHANGES)
)


class SqliteStore:
    """The Store in a file; all writing happens in one thread, reading beside it."""

    is_local = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = f"SQLite {path}"
        self._file = SqliteFile(path, self._prepare)

    async def open(self) -> None:
        """Open the file, made if missing, and migrate."""
        await self._file.run(lambda _connection: None)

    async def close(self) -> None:
        """Close the file."""
        await self._file.close()

    async def write(self, batches: Sequence[Batch]) -> Written:
        """Store batches in one transaction."""
        return await self._file.run(lambda connection: _write(connection, batches))

    async def checkpoints(self, host: str) -> dict[str, bytes]:
        """The newest checkpoint of every source of a host."""
        rows = await self._file.run(
            lambda connection: connection.execute(
                "SELECT source, checkpoint FROM source_checkpoint WHERE host = ?", (host,)
            ).fetchall()
        )
        return {source: bytes(checkpoint) for source, checkpoint in rows}

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of one SELECT, read beside the writer on a connection of their own."""
        return await asyncio.to_thread(self._query, sql, parameters)

    async def record_told(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep what people were told, beside the incidents."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany(_INSERT_TOLD, rows)

        await self._file.run(work)

    async def schema(self) -> list[Migration]:
        """Every migration, applied or not."""
        return await asyncio.to_thread(self._schema)

    async def reset(self) -> None:
        """Drop everything and make it anew, in one transaction."""
        await self._file.close_connection()  # a schema that is not ours must not keep us from clearing it
        await asyncio.to_thread(self._reset)

    async def keep(self, retention_s: dict[str, float], now_us: int) -> int:
        """Delete what is too old, in slices, so that writing goes on between them."""
        removed = 0
        for name, seconds in retention_s.items():
            if not seconds:
                continue
            before_s = whole_hour(now_us - int(seconds * 1e6))
            for rollup in tables_of(name):
                while await self._file.run(partial(cut_rollup, rollup=rollup, name=name, before_s=before_s)):
                    pass
            for table in (name, "alert_notifications") if name == "alerts" else (name,):
                cut = partial(_cut, name=table, before=time_text(before_s * 1_000_000))
                while count := await self._file.run(cut):
                    removed += count
            if name == "alerts":
                await self._file.run(_cut_triage)
        for name in ROLLED_UP:
            since_s = await self._file.run(partial(forget_minutes, name=name, now_us=now_us))
            while await self._file.run(partial(cut_rollup, rollup="rollup_minute", name=name, before_s=since_s)):
                pass
        return removed

    async def roll_up(self) -> bool:
        """Count a slice of the rows that were there before the rollups."""
        return await self._file.run(rebuild_slice)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        migrate_sqlite(connection, scripts("sqlite"), str(self.path), now_us())

    def _connect_read_only(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)

    def _query(self, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        if not self.path.exists():
            raise StoreError(f"there is no {self.path} yet", "start siemd, or run `siemd db migrate`")
        try:
            with closing(self._connect_read_only()) as connection:
                cursor = connection.execute(sql, tuple(parameters))
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise explain(error, self.path) from None

    def _schema(self) -> list[Migration]:
        applied: dict[int, Migration] = {}
        if self.path.exists():
            try:
                with closing(self._connect_read_only()) as connection:
                    applied = sqlite_applied(connection)
            except sqlite3.Error as error:
                raise explain(error, self.path) from None
        return overview(scripts("sqlite"), applied)

    def _reset(self) -> None:
        try:
            create_private(self.path)
            with closing(connect(self.path)) as connection, transaction(connection, "EXCLUSIVE"):
                for kind in ("view", "table"):
                    names = connection.execute(
                        "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%'", (kind,)
                    ).fetchall()
                    for (name,) in names:
                        connection.execute(f'DROP {kind} "{name}"')
                apply_sqlite(connection, scripts("sqlite"), str(self.path), now_us())
        except sqlite3.Error as error:
            raise explain(error, self.path) from None


def _write(connection: sqlite3.Connection, batches: Sequence[Batch]) -> Written:
    with transaction(connection):
        cursors = {key: seq for key in keys_of(batches) if (seq := _cursor(connection, key)) is not None}
        work = intake(batches, cursors)
        for name, rows in work.rows.items():
            _insert_rows(connection, work, name, rows)
        for rollup, counted in upserts(work):
            connection.executemany(_ROLL_UP[rollup], counted)
        _account(connection, work, time_text(now_us()))
    return Written(work.stored, work.skipped, work.rejected, work.changed_values)


def _cursor(connection: sqlite3.Connection, key: Key) -> int | None:
    row = connection.execute(
        "SELECT seq FROM ingest_cursor WHERE host = ? AND source = ? AND epoch = ?", key
    ).fetchone()
    return None if row is None else row[0]


def _insert_rows(connection: sqlite3.Connection, work: Intake, name: str, rows: list[Row]) -> None:
    """Insert rows; when the store refuses one, halve until it is alone and put it to the dead letters."""
    connection.execute("SAVEPOINT rows")
    try:
        connection.executemany(_INSERT[name], rows)
    except DATA_ERRORS as error:
        connection.execute("ROLLBACK TO rows")
        connection.execute("RELEASE rows")
        if len(rows) > 1:
            half = len(rows) // 2
            _insert_rows(connection, work, name, rows[:half])
            _insert_rows(connection, work, name, rows[half:])
        else:
            _bury(connection, work, name, rows[0], str(error))
        return
    connection.execute("RELEASE rows")


def _bury(connection: sqlite3.Connection, work: Intake, name: str, row: Row, reason: str) -> None:
    work.reject(name, row)
    payload = msgspec.json.encode(dict(zip(TABLES[name].names, row, strict=True)))
    connection.execute(
        "INSERT INTO dead_letters (time, host, source, epoch, seq, table_name, reason, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*row[:5], name, reason[:1000], payload),
    )


def _account(connection: sqlite3.Connection, work: Intake, now: str) -> None:
    """Advance cursors and ledger and save checkpoints."""
    connection.executemany(
        "INSERT INTO ingest_cursor (host, source, epoch, seq, stored, dropped, rejected, updated) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, source, epoch) DO UPDATE SET seq = excluded.seq, "
        "stored = stored + excluded.stored, dropped = dropped + excluded.dropped, "
        "rejected = rejected + excluded.rejected, updated = excluded.updated",
        [(*key, entry.seq, entry.stored, entry.dropped, entry.rejected, now) for key, entry in work.entries.items()],
    )
    connection.executemany(
        "INSERT INTO source_checkpoint (host, source, checkpoint, updated) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (host, source) DO UPDATE SET checkpoint = excluded.checkpoint, updated = excluded.updated",
        [(*key, checkpoint, now) for key, checkpoint in work.checkpoints.items()],
    )


def _cut(connection: sqlite3.Connection, name: str, before: str) -> int:
    """Delete one slice of a table's rows older than `before`."""
    column = TABLES[name].columns[0].name if name in TABLES else "time"
    with transaction(connection):
        return connection.execute(
            f"DELETE FROM {name} WHERE id IN (SELECT id FROM {name} WHERE {column} < ? ORDER BY {column} LIMIT ?)",  # noqa: S608
            (before, DELETE_SLICE_ROWS),
        ).rowcount


def _cut_triage(connection: sqlite3.Connection) -> None:
    """Delete what was made of incidents that are no more."""
    with transaction(connection):
        for table in TRIAGE_TABLES:
            gone = f"DELETE FROM {table} WHERE incident_id NOT IN (SELECT incident_id FROM alerts)"  # noqa: S608
            connection.execute(gone)
