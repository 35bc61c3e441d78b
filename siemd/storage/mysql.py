"""The store on a MySQL or MariaDB server: each write one transaction, rows sent as one JSON document a table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from siemd.errors import StoreError
from siemd.events import Batch, now_us
from siemd.storage.intake import Intake, Key, intake, keys_of
from siemd.storage.migrate import CREATE_TABLE, SELECT_APPLIED, overview, pending, scripts, tables_made
from siemd.storage.mysql_connection import FAILURES, Address, connect, explain, has_json_table
from siemd.storage.mysql_insert import Inserter
from siemd.storage.mysql_rollups import cut_rollups, forget_minutes, rebuild_slice
from siemd.storage.partitions import Partition, statements
from siemd.storage.rollups import ROLLED_UP
from siemd.storage.store import Migration, Written
from siemd.storage.tables import TABLES, TOLD_CHANGES, TOLD_COLUMNS, time_text

T = TypeVar("T")

LOCK_WAIT_S = 30  # for another siemd that migrates
MIGRATION_TIMEOUT_S = 4 * 3600.0  # building an index of a large table anew takes minutes
DELETE_SLICE_ROWS = 5000
_LOCK_NAME = "CONCAT('siemd.', DATABASE())"
_INSERT_TOLD = (
    f"INSERT INTO alert_notifications ({', '.join(TOLD_COLUMNS)}) VALUES ({', '.join(['%s'] * len(TOLD_COLUMNS))}) "  # noqa: S608
    "ON DUPLICATE KEY UPDATE " + ", ".join(f"{name} = VALUES({name})" for name in TOLD_CHANGES)
)


class MysqlStore:
    """The Store on a server. A connection that failed in any way is thrown away; the caller tries again."""

    is_local = False

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self.address = address
        self.description = f"MySQL {address}"
        self._timeout_s = timeout_s
        self._connection: Any = None
        self._inserter: Inserter | None = None
        self._known: set[Key] = set()  # cursors that exist
        self._unmigrated = True
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Connect and migrate; StoreError when the server can't be reached, UserError when the schema isn't ours."""
        await self._guard(self._open)  # answers in time, or raises
        if self._unmigrated:
            await self._guard(self._migrate, MIGRATION_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connection."""
        self._drop()

    async def write(self, batches: Sequence[Batch]) -> Written:
        """Store batches in one transaction."""

        async def work() -> Written:
            if self._connection is None:
                await self._open()
            if self._unmigrated:
                await self._migrate()
            return await self._write(batches)

        return await self._guard(work)

    async def checkpoints(self, host: str) -> dict[str, bytes]:
        """The newest stored checkpoint of every source of a host."""
        rows = await self.query("SELECT source, checkpoint FROM source_checkpoint WHERE host = ?", (host,))
        return {row["source"]: bytes(row["checkpoint"]) for row in rows}

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of one SELECT, on a connection of their own."""
        async with self._beside() as cursor:
            await cursor.execute(sql.replace("%", "%%").replace("?", "%s"), tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def record_told(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep what people were told, beside the incidents."""
        async with self._beside() as cursor:
            for row in rows:  # few, and each may be written twice without harm
                await cursor.execute(_INSERT_TOLD, row)

    async def schema(self) -> list[Migration]:
        """Every migration, applied or not."""
        async with self._beside() as cursor:
            return overview(scripts("mysql"), await _applied(cursor))

    async def reset(self) -> None:
        """Drop every table of ours and make them anew."""
        self._drop()
        async with self._beside() as cursor, _named_lock(cursor):
            await cursor.execute("DROP VIEW IF EXISTS ledger")
            await cursor.execute(f"DROP TABLE IF EXISTS {', '.join([*tables_made('mysql'), 'schema_migrations'])}")
        await self.open()

    async def keep(self, retention_s: dict[str, float], now_us: int) -> int:
        """Drop partitions that are too old and make those of the days ahead; how many rows (estimated) went."""
        today = datetime.fromtimestamp(now_us // 1_000_000, UTC).date()
        removed = 0
        async with self._beside() as cursor, _named_lock(cursor):
            for table, seconds in retention_s.items():
                if table != "alerts":
                    removed += await _repartition(cursor, table, seconds / 86400, today)
                elif seconds:
                    before = time_text(now_us - int(seconds * 1e6))
                    for name in ("alerts", "alert_notifications"):
                        removed += await _delete_older(cursor, name, before)
            for table in ROLLED_UP:
                await forget_minutes(cursor, table, now_us)
        return removed

    async def roll_up(self) -> bool:
        """Count a slice of the rows that were there before the rollups."""
        async with self._beside() as cursor:
            return await rebuild_slice(cursor)

    async def _open(self) -> None:
        self._drop()
        self._connection = await connect(self.address)
        async with self._connection.cursor() as cursor:
            await cursor.execute("SELECT VERSION()")
            (version,) = await cursor.fetchone()
            self._inserter = Inserter(json_table=has_json_table(version))
            self._unmigrated = bool(pending(scripts("mysql"), await _applied(cursor), str(self.address)))
        await self._connection.rollback()  # ends the reading

    async def _migrate(self) -> None:
        if self._connection is None:
            await self._open()
        async with self._connection.cursor() as cursor:
            await _migrate(cursor, str(self.address))
        await self._connection.rollback()  # what was migrated is committed
        self._unmigrated = False

    async def _write(self, batches: Sequence[Batch]) -> Written:
        assert self._inserter is not None
        await self._connection.begin()
        async with self._connection.cursor() as cursor:
            cursors = await _lock_cursors(cursor, keys_of(batches), self._known)
            work = await asyncio.to_thread(intake, batches, cursors)
            for name, rows in work.rows.items():
                await self._inserter.insert(cursor, TABLES[name], rows, work)
            await self._inserter.roll_up(cursor, work)
            await _account(cursor, work, time_text(now_us()))
        await self._connection.commit()
        self._known |= cursors.keys()
        return Written(work.stored, work.skipped, work.rejected, work.changed_values)

    async def _guard(self, work: Callable[[], Awaitable[T]], timeout_s: float | None = None) -> T:
        """Do `work` with the writing connection; after any failure that connection is not used again."""
        async with self._lock:
            try:
                async with asyncio.timeout(timeout_s or self._timeout_s):
                    return await work()
            except FAILURES as error:  # a TimeoutError is an OSError
                self._drop()
                raise explain(error, self.address) from None
            except BaseException:
                self._drop()
                raise

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[Any]:
        """A cursor on a new connection, for work beside the writer; it commits each statement by itself."""
        connection = await connect(self.address)
        try:
            await connection.autocommit(True)
            async with connection.cursor() as cursor:
                yield cursor
        except FAILURES as error:
            raise explain(error, self.address) from None
        finally:
            connection.close()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._known = set()
        if connection is not None:
            connection.close()


async def _applied(cursor: Any) -> dict[int, Migration]:
    await cursor.execute("SHOW TABLES LIKE 'schema_migrations'")
    if not await cursor.fetchone():
        return {}
    await cursor.execute(SELECT_APPLIED)
    return {row[0]: Migration(*row) for row in await cursor.fetchall()}


async def _migrate(cursor: Any, where: str) -> None:
    """Apply what is missing, one siemd at a time; MySQL commits each statement by itself."""
    wanted = scripts("mysql")
    if not pending(wanted, await _applied(cursor), where):
        return
    async with _named_lock(cursor):
        await cursor.execute(CREATE_TABLE["mysql"])
        for script in pending(wanted, await _applied(cursor), where):  # again, now that nobody else can change it
            for statement in script.statements:
                await cursor.execute(statement)
            await cursor.execute(
                "INSERT INTO schema_migrations VALUES (%s, %s, %s, %s)",
                (script.number, script.name, script.checksum, time_text(now_us())),
            )
            await cursor.execute("COMMIT")


@asynccontextmanager
async def _named_lock(cursor: Any) -> AsyncIterator[None]:
    """The right to change the schema, held by the connection."""
    await cursor.execute(f"SELECT GET_LOCK({_LOCK_NAME}, {LOCK_WAIT_S})")
    if (await cursor.fetchone())[0] != 1:
        raise StoreError("another siemd has been changing the schema for long", "wait for it, or end it")
    yield
    await cursor.execute(f"SELECT RELEASE_LOCK({_LOCK_NAME})")  # after a failure it ends with the connection
    await cursor.fetchone()


async def _lock_cursors(cursor: Any, keys: Sequence[Key], known: set[Key]) -> dict[Key, int]:
    """Lock the ingest cursors, made where missing, until the transaction ends; their values.

    A redelivery waits here for the transaction whose answer was lost, and then sees what it did. One cursor a
    statement, so that nothing but its row is locked; those not known are made first, so that no gap is.
    """
    found: dict[Key, int] = {}
    for key in keys:
        if key not in known:
            await cursor.execute(
                "INSERT INTO ingest_cursor (host, source, epoch, seq, stored, dropped, rejected, updated) "
                "VALUES (%s, %s, %s, 0, 0, 0, 0, %s) ON DUPLICATE KEY UPDATE updated = updated",
                (*key, time_text(now_us())),
            )
        await cursor.execute(
            "SELECT seq FROM ingest_cursor WHERE host = %s AND source = %s AND epoch = %s FOR UPDATE", key
        )
        row = await cursor.fetchone()
        if row is None:
            raise StoreError("the ingest cursors were removed meanwhile")  # by a reset: the next try makes them anew
        found[key] = row[0]
    return found


async def _account(cursor: Any, work: Intake, now: str) -> None:
    """Advance cursors and ledger and save checkpoints."""
    for key, entry in work.entries.items():
        await cursor.execute(
            "UPDATE ingest_cursor SET seq = %s, stored = stored + %s, dropped = dropped + %s, "
            "rejected = rejected + %s, updated = %s WHERE host = %s AND source = %s AND epoch = %s",
            (entry.seq, entry.stored, entry.dropped, entry.rejected, now, *key),
        )
    for owner, checkpoint in work.checkpoints.items():
        await cursor.execute(
            "REPLACE INTO source_checkpoint (host, source, checkpoint, updated) VALUES (%s, %s, UNHEX(%s), %s)",
            (*owner, checkpoint.hex(), now),  # not as bytes, which aiomysql escapes as if backslashes counted
        )


async def _repartition(cursor: Any, table: str, keep_days: float, today: date) -> int:
    await cursor.execute(
        "SELECT partition_name, partition_description, table_rows FROM information_schema.partitions "
        "WHERE table_schema = DATABASE() AND table_name = %s AND partition_name IS NOT NULL "
        "ORDER BY partition_ordinal_position",
        (table,),
    )
    rows = await cursor.fetchall()
    if not rows:
        raise StoreError(f"the table {table} is missing or has no partitions", "run `siemd db migrate`")
    existing = [Partition(name, _bound(text)) for name, text, _rows in rows]
    removed = 0
    for statement in statements(table, existing, keep_days, today):
        dropped = statement.partition(" DROP PARTITION ")[2].split(", ")
        before = max((part.upper for part in existing if part.upper and part.name in dropped), default=None)
        if before is None:
            await cursor.execute(statement)
            continue
        before_s = (before - date(1970, 1, 1)).days * 86400
        await cut_rollups(cursor, table, before_s)  # first: if siemd ends between, the next run finds both to do
        await cursor.execute(statement)
        await cut_rollups(cursor, table, before_s)  # what came late, meanwhile
        removed += sum(int(count or 0) for name, _text, count in rows if name in dropped)
    return removed


def _bound(text: str) -> date | None:
    return None if text == "MAXVALUE" else date.fromisoformat(text.strip("'")[:10])


async def _delete_older(cursor: Any, table: str, before: str) -> int:
    removed = 0
    while count := await cursor.execute(
        f"DELETE FROM {table} WHERE time < %s ORDER BY time LIMIT %s",  # noqa: S608 - our own names
        (before, DELETE_SLICE_ROWS),
    ):
        removed += count
    for table in ("alert_triage", "alert_comments"):  # what was made of incidents that are no more
        await cursor.execute(f"DELETE FROM {table} WHERE incident_id NOT IN (SELECT incident_id FROM alerts)")  # noqa: S608
    return removed
