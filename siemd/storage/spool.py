"""The spool: batches on this host's disk, in order, until the server has them.

A SQLite file (WAL, synchronous=FULL), so that a kill or a power cut at any moment leaves either the whole of an
append or nothing of it. The newest checkpoint of each source is saved in the transaction that holds its events.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from siemd.errors import StoreDamaged, StoreError
from siemd.events import Batch, Event, decode_batch, encode_batch, now_us
from siemd.logger import get_logger
from siemd.sqlite_file import SqliteFile, transaction
from siemd.storage.store import SpoolFull
from siemd.storage.values import jsonable

_SCHEMA = (
    (
        "CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY AUTOINCREMENT, accepted_us INTEGER NOT NULL, "
        "events INTEGER NOT NULL, payload BLOB NOT NULL)"
    ),
    (
        "CREATE TABLE IF NOT EXISTS checkpoints (host TEXT NOT NULL, source TEXT NOT NULL, checkpoint BLOB NOT NULL, "
        "PRIMARY KEY (host, source)) WITHOUT ROWID"
    ),
    # Payloads that can't be read (damage, a version that wrote otherwise): kept for people, counted in health.
    "CREATE TABLE IF NOT EXISTS unreadable (id INTEGER PRIMARY KEY, reason TEXT NOT NULL, payload BLOB NOT NULL)",
)


class Spooled(msgspec.Struct):
    """Batches to deliver (none when all of them were unreadable), the last one's id, when the first was accepted."""

    batches: list[Batch]
    last_id: int
    oldest_us: int


class Spool:
    """A queue of batches on disk, for one writer and one reader; bounded, but for the last append, by its payload."""

    def __init__(self, path: Path, capacity_bytes: int) -> None:
        self.path = path
        self.capacity_bytes = capacity_bytes
        self.bytes = 0  # of payload waiting
        self.events = 0  # waiting
        self.unreadable = 0  # batches put aside in this run
        self.quarantined = ""  # the name that a damaged spool was given in this run
        self._file = SqliteFile(path, _prepare)
        self._room = asyncio.Event()
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        """Open the file; one that is damaged is moved aside, loudly, and a new one begun."""
        try:
            await self._count()
        except StoreDamaged as error:
            await self._quarantine(error)
            await self._count()

    async def close(self) -> None:
        """Close the file; what is in it stays."""
        await self._file.close()

    async def append(self, batches: Sequence[Batch]) -> None:
        """Put batches on disk, with their checkpoints, or raise: SpoolFull, StoreError."""
        if self.bytes >= self.capacity_bytes:
            self._room.clear()
            raise SpoolFull(
                f"the spool {self.path} is full ({self.capacity_bytes >> 20} MiB wait for the database)",
                "bring the database back, or raise storage.spool_size",
            )
        try:
            size, events = await self._file.run(lambda connection: _append(connection, batches))
        except StoreDamaged as error:
            await self._quarantine(error)
            size, events = await self._file.run(lambda connection: _append(connection, batches))
        self.bytes += size
        self.events += events
        self._arrived.set()

    async def read(self, most_events: int) -> Spooled | None:
        """The oldest batches, up to most_events (at least one batch); None when nothing waits."""
        spooled, unreadable = await self._file.run(lambda connection: _read(connection, most_events))
        self.unreadable += len(unreadable)
        for reason in unreadable:
            get_logger("siemd.spool").error("spool.unreadable", reason=reason, kept_in=str(self.path))
        if spooled is None and not self.bytes:  # otherwise something was appended just now
            self._arrived.clear()
        return spooled

    async def delete(self, last_id: int) -> None:
        """Forget everything up to last_id: the database has it."""
        size, events = await self._file.run(lambda connection: _delete(connection, last_id))
        self.bytes -= size
        self.events -= events
        if self.bytes < self.capacity_bytes:
            self._room.set()

    async def checkpoints(self, host: str) -> dict[str, bytes]:
        """The newest accepted checkpoint of every source of a host."""
        rows = await self._file.run(
            lambda connection: connection.execute(
                "SELECT source, checkpoint FROM checkpoints WHERE host = ?", (host,)
            ).fetchall()
        )
        return {source: bytes(checkpoint) for source, checkpoint in rows}

    async def walk_back(self, take: Callable[[bytes], bool]) -> None:
        """Call `take` in a thread with the payloads (see decode_batch) that wait, newest first, until it says False."""
        await self._file.run(lambda connection: _walk_back(connection, take))

    async def wait_for_room(self) -> None:
        """Until a delivery made room."""
        await self._room.wait()

    async def wait_for_batches(self) -> None:
        """Until something was appended since `read` found nothing."""
        await self._arrived.wait()

    def wake(self) -> None:
        """End `wait_for_batches` although nothing was appended."""
        self._arrived.set()

    async def _count(self) -> None:
        self.bytes, self.events = await self._file.run(_count)
        if self.events or self.bytes:
            self._arrived.set()

    async def _quarantine(self, error: StoreDamaged) -> None:
        await self._file.close_connection()
        name = f"{self.path.name}.damaged-{now_us()}"
        for suffix in ("-wal", "-shm", ""):  # the file itself last: a kill between leaves it to be found again
            part = self.path.with_name(self.path.name + suffix)
            try:
                await asyncio.to_thread(part.rename, self.path.with_name(name + suffix))
            except FileNotFoundError:
                continue
            except OSError as failure:
                raise StoreError(f"the damaged {part} cannot be moved aside: {failure.strerror}", error.hint) from None
        self.quarantined = name
        self.bytes = self.events = 0
        get_logger("siemd.spool").error("spool.damaged", reason=error.message, moved_to=name, hint=error.hint)


def _prepare(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        for statement in _SCHEMA:
            connection.execute(statement)


def _count(connection: sqlite3.Connection) -> tuple[int, int]:
    row = connection.execute(
        "SELECT COALESCE(SUM(LENGTH(payload)), 0), COALESCE(SUM(events), 0) FROM batches"
    ).fetchone()
    return int(row[0]), int(row[1])


def _append(connection: sqlite3.Connection, batches: Sequence[Batch]) -> tuple[int, int]:
    now = now_us()
    rows = [(now, len(batch.events), _encode(batch)) for batch in batches]
    checkpoints = {(batch.host, batch.source): batch.checkpoint for batch in batches if batch.checkpoint is not None}
    with transaction(connection):
        connection.executemany("INSERT INTO batches (accepted_us, events, payload) VALUES (?, ?, ?)", rows)
        connection.executemany(
            "INSERT INTO checkpoints (host, source, checkpoint) VALUES (?, ?, ?) "
            "ON CONFLICT (host, source) DO UPDATE SET checkpoint = excluded.checkpoint",
            [(*key, checkpoint) for key, checkpoint in checkpoints.items()],
        )
    return sum(len(row[2]) for row in rows), sum(row[1] for row in rows)


def _read(connection: sqlite3.Connection, most_events: int) -> tuple[Spooled | None, list[str]]:
    """The oldest batches, and why some of them could not be read; those are put aside in the file."""
    spooled: Spooled | None = None
    events = 0
    unreadable: list[tuple[int, str, bytes]] = []
    for row_id, accepted_us, row_events, payload in connection.execute(
        "SELECT id, accepted_us, events, payload FROM batches ORDER BY id"
    ):
        if spooled is None:
            spooled = Spooled([], 0, accepted_us)
        elif events + row_events > most_events:
            break
        events += row_events
        spooled.last_id = row_id
        try:
            spooled.batches.append(decode_batch(payload))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            unreadable.append((row_id, str(error), payload))
            spooled.batches += _salvage(payload)
    if unreadable:
        with transaction(connection):
            connection.executemany(
                "INSERT OR IGNORE INTO unreadable (id, reason, payload) VALUES (?, ?, ?)", unreadable
            )
    return spooled, [f"batch {row_id}: {reason}" for row_id, reason, _payload in unreadable]


def _walk_back(connection: sqlite3.Connection, take: Callable[[bytes], bool]) -> None:
    with closing(connection.execute("SELECT payload FROM batches ORDER BY id DESC")) as cursor:
        for (payload,) in cursor:
            if not take(payload):
                return


def _delete(connection: sqlite3.Connection, last_id: int) -> tuple[int, int]:
    with transaction(connection):
        row = connection.execute(
            "SELECT COALESCE(SUM(LENGTH(payload)), 0), COALESCE(SUM(events), 0) FROM batches WHERE id <= ?", (last_id,)
        ).fetchone()
        connection.execute("DELETE FROM batches WHERE id <= ?", (last_id,))
    return int(row[0]), int(row[1])


def _encode(batch: Batch) -> bytes:
    """A batch as bytes, cleaned first if it holds what they can't (lone surrogates, huge numbers, strange types)."""
    try:
        return encode_batch(batch)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return encode_batch(
            msgspec.structs.replace(
                batch,
                host=jsonable(batch.host),
                source=jsonable(batch.source),
                events=[_clean(event) for event in batch.events],
            )
        )


def _clean(event: Event) -> Event:
    values = {name: jsonable(getattr(event, name)) for name in event.__struct_fields__}
    return type(event)(**values)


def _salvage(payload: bytes) -> list[Batch]:
    """The events of an unreadable batch that can be read by themselves."""
    try:
        raw: Any = msgspec.msgpack.decode(payload)
        events = []
        for item in raw.pop("events"):
            try:
                events.append(msgspec.convert(item, Event))
            except msgspec.ValidationError:
                continue
        return [msgspec.convert({**raw, "events": []}, Batch)] if not events else [_with(raw, events)]
    except (msgspec.DecodeError, msgspec.ValidationError, AttributeError, KeyError, TypeError):
        return []


def _with(raw: dict[str, Any], events: list[Event]) -> Batch:
    batch = msgspec.convert({**raw, "events": []}, Batch)
    batch.events = events
    return batch
