"""The Database on a SQLite file: readers beside the writer, each query bounded in time, and one writing connection."""

from __future__ import annotations

import asyncio
import ipaddress
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from siemd.errors import StoreError
from siemd.events import now_us
from siemd.sqlite_file import BUSY_TIMEOUT_S, SqliteFile, explain
from siemd.storage.database import (
    PAGE_ROWS,
    QUERY_TIMEOUT_S,
    READERS,
    TRANSACTION_TIMEOUT_S,
    Dialect,
    Duplicate,
    QueryTimeout,
    Rows,
    Transaction,
)
from siemd.storage.dialects import NUMBER
from siemd.storage.migrate import migrate_sqlite, scripts

T = TypeVar("T")

_CHECK_STEPS = 20_000  # of SQLite's virtual machine, about a millisecond
_INTERRUPTED = 9
_UNIQUE = {1555, 2067}  # SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE
_HINT = "ask for less: a shorter time, or a filter on an address, a type or an event id"


class SqliteDatabase:
    """The Database in a file. Readers are connections that may not write; each is used by one query at a time."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = f"SQLite {path}"
        self._idle: list[_Reader] = []
        self._closed = False
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix=f"read {path.name}")
        self._slots = asyncio.Semaphore(READERS)
        self._file = SqliteFile(path, self._prepare)
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Make the file if it is missing, and migrate."""
        await self._file.run(lambda _connection: None)

    async def close(self) -> None:
        """Close every connection; those in use when their query ends."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        await self._file.close()
        self._threads.shutdown(wait=False)

    async def fetch(self, sql: str, parameters: Sequence[Any] = (), *, timeout_s: float = QUERY_TIMEOUT_S) -> Rows:
        """Rows of one SELECT."""
        async with self._reader(timeout_s) as (reader, left_s):
            return await self._work(reader, lambda: reader.fetch(sql, parameters, left_s))

    async def stream(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        page_rows: int = PAGE_ROWS,
        timeout_s: float = QUERY_TIMEOUT_S,
    ) -> AsyncGenerator[Rows, None]:
        """Rows of one SELECT in pages."""
        async with self._reader(timeout_s) as (reader, left_s):
            page = await self._work(reader, lambda: reader.begin(sql, parameters, page_rows, left_s))
            while page:
                yield page
                page = await self._work(reader, lambda: reader.next(page_rows, timeout_s))

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """One statement by itself."""
        async with self.transaction() as work:
            return await work.execute(sql, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All or nothing, with the write lock from the start."""
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                await self._writing.acquire()
        except TimeoutError:
            raise QueryTimeout(f"{self.path}: another change takes too long", "try again") from None
        try:
            work = _Transaction(self._file, self.path)
            await work.begin()
            try:
                yield work
            except BaseException:
                await work.end("ROLLBACK")
                raise
            await work.end("COMMIT")
        finally:
            self._writing.release()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        migrate_sqlite(connection, scripts("sqlite"), str(self.path), now_us())

    @asynccontextmanager
    async def _reader(self, timeout_s: float) -> AsyncIterator[tuple[_Reader, float]]:
        """A reader, and how many seconds are left of timeout_s."""
        deadline_s = time.monotonic() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise QueryTimeout(f"{self.path}: too many queries at the same time", "try again") from None
        reader = self._idle.pop() if self._idle else _Reader(self.path)
        try:
            yield reader, deadline_s - time.monotonic()
        finally:
            self._slots.release()
            if reader.fit and not self._closed:
                self._idle.append(reader)
            else:
                reader.close()

    async def _work(self, reader: _Reader, work: Callable[[], T]) -> T:
        """Do `work` in a thread; whoever stops waiting for it ends it, too."""
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError:
            raise StoreError(f"{self.path} has been closed") from None
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            reader.interrupt()
            while not running.done():  # cancelled again: a connection that a thread uses must never be closed
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # it was interrupted, and nobody waits to hear so
            raise


class _Reader:
    """One read-only connection, opened when it is first used and anew when the file is another one."""

    def __init__(self, path: Path) -> None:
        self.fit = True
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._file: tuple[int, int] | None = None
        self._names: list[str] = []
        self._stop = False

    def fetch(self, sql: str, parameters: Sequence[Any], timeout_s: float) -> Rows:
        """Every row."""
        with self._bounded(timeout_s) as connection:
            cursor = connection.execute(sql, tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def begin(self, sql: str, parameters: Sequence[Any], page_rows: int, timeout_s: float) -> Rows:
        """The first page."""
        self.fit = False  # until the last page is read
        with self._bounded(timeout_s) as connection:
            self._cursor = connection.execute(sql, tuple(parameters))
            self._names = [column[0] for column in self._cursor.description]
        return self.next(page_rows, timeout_s)

    def next(self, page_rows: int, timeout_s: float) -> Rows:
        """The page after it; empty at the end."""
        assert self._cursor is not None
        with self._bounded(timeout_s):
            rows = self._cursor.fetchmany(page_rows)
        self.fit = not rows
        return [dict(zip(self._names, row, strict=True)) for row in rows]

    def interrupt(self) -> None:
        """End what is running, from any thread."""
        self._stop = True
        self.fit = False

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass

    @contextmanager
    def _bounded(self, timeout_s: float) -> Iterator[sqlite3.Connection]:
        deadline_s = time.monotonic() + timeout_s
        try:
            connection = self._connected(timeout_s)
            connection.set_progress_handler(lambda: self._stop or time.monotonic() > deadline_s, _CHECK_STEPS)
            yield connection
        except sqlite3.Error as error:
            self.fit = False
            if _code(error) == _INTERRUPTED:
                raise QueryTimeout(f"{self._path}: the query was ended after {timeout_s:.3g} s", _HINT) from None
            raise explain(error, self._path) from None
        except OSError as error:
            self.fit = False
            raise StoreError(f"{self._path} cannot be read: {error.strerror or error}") from None

    def _connected(self, timeout_s: float) -> sqlite3.Connection:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            raise StoreError(f"there is no {self._path} yet", "start siemd, or run `siemd db migrate`") from None
        if self._connection is not None and self._file != (found.st_dev, found.st_ino):
            self.close()  # the file was moved away and another one stands in its place
        if self._connection is None:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            wait_s = max(0.0, min(BUSY_TIMEOUT_S, timeout_s))
            connection = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False)
            connection.create_function("siemd_lower", 1, _lower, deterministic=True)
            connection.create_function("siemd_packed", 1, _packed, deterministic=True)
            connection.create_function("siemd_number", 1, _number, deterministic=True)
            connection.execute("PRAGMA cache_size=-16384")
            self._connection, self._file = connection, (found.st_dev, found.st_ino)
        return self._connection


class _Transaction:
    """What is asked of the writing connection between BEGIN and the end."""

    def __init__(self, file: SqliteFile, path: Path) -> None:
        self._file = file
        self._path = path
        self._state = "new"

    async def begin(self) -> None:
        """Take the write lock."""
        await self._run("new", lambda connection: connection.execute("BEGIN IMMEDIATE"))
        self._state = "open"

    async def end(self, how: str) -> None:
        """COMMIT, or ROLLBACK, which never fails: a connection that failed has been thrown away."""
        if how == "COMMIT":
            await self._run("open", lambda connection: connection.execute("COMMIT"))
        elif self._state != "failed":
            await self._file.run(_roll_back)
        self._state = "failed"

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Rows of one SELECT."""

        def work(connection: sqlite3.Connection) -> Rows:
            cursor = connection.execute(sql, tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return await self._run("open", work)

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Rows that one statement changed."""
        return await self._run("open", lambda connection: connection.execute(sql, tuple(parameters)).rowcount)

    async def _run(self, state: str, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._state != state:
            raise StoreError(f"{self._path}: the transaction has ended", "begin it anew")

        def bounded(connection: sqlite3.Connection) -> T:
            deadline_s = time.monotonic() + TRANSACTION_TIMEOUT_S
            connection.set_progress_handler(lambda: time.monotonic() > deadline_s, _CHECK_STEPS)
            try:
                return work(connection)
            except sqlite3.IntegrityError as error:
                if getattr(error, "sqlite_errorcode", 0) in _UNIQUE:
                    raise Duplicate(f"this is there already ({str(error).rpartition(': ')[2]})") from None
                raise
            except sqlite3.Error as error:
                if _code(error) == _INTERRUPTED:
                    raise QueryTimeout(f"{self._path}: the change took too long and was undone", "try again") from None
                raise
            finally:
                connection.set_progress_handler(None, 0)

        try:
            return await self._file.run(bounded)
        except (Duplicate, QueryTimeout):  # the connection is sound
            await self._file.run(_roll_back)
            self._state = "failed"
            raise
        except StoreError:
            self._state = "failed"
            raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


def _number(text: Any) -> float | None:
    return float(text) if isinstance(text, str) and NUMBER.fullmatch(text) else None


@lru_cache(maxsize=65_536)
def _packed(text: Any) -> bytes | None:
    """An address as 16 bytes, IPv4 as ::ffff:a.b.c.d; None for what is none."""
    if not isinstance(text, str) or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
