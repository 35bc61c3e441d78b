"""One SQLite file used from one thread: connection, durability, transactions, and errors as sentences."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from siemd.errors import StoreDamaged, StoreError

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
# What SQLite says about a statement's data, not about the file: the next statement may well succeed.
DATA_ERRORS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError, UnicodeError)
_PRIMARY_CODE = 0xFF
_READ_ONLY = {3, 8, 14, 23}  # SQLITE_PERM, READONLY, CANTOPEN, AUTH
_BUSY = {5, 6}
_FULL = 13
_IO = 10
_DAMAGED = {11, 26}  # SQLITE_CORRUPT, NOTADB


class SqliteFile:
    """A database file (WAL, synchronous=FULL) that one worker thread owns.

    prepare: called in the thread with each new connection, to bring the schema up to date. After a failure of the
    file the connection is thrown away, and the next call opens a new one.
    """

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self.path = path
        self._prepare = prepare
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite {path.name}")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` with the connection in the thread; raises StoreError for what the file refuses."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.run_here, work)

    def run_here(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same, in the calling thread; only for the worker thread itself."""
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except sqlite3.Error as error:
            self._drop()
            raise explain(error, self.path) from None
        except OSError as error:
            self._drop()
            raise StoreError(f"{self.path} cannot be used: {error.strerror or error}", _rights(self.path)) from None

    async def close_connection(self) -> None:
        """Close the file; the next call opens it again."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)

    async def set_aside(self, name: str) -> None:
        """Give the file, and what SQLite keeps beside it, another name in its folder; the next call makes a new one.

        In the thread, so that nobody opens the old or the new file meanwhile. Raises StoreError.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._set_aside, name)

    async def close(self) -> None:
        """Close the file and end the thread; may be called twice."""
        try:
            await self.close_connection()
        except RuntimeError:  # the thread has ended before
            return
        self._thread.shutdown(wait=False)

    def _set_aside(self, name: str) -> None:
        self._drop()
        try:
            for suffix in ("-wal", "-shm", ""):
                source = self.path.with_name(self.path.name + suffix)
                if source.exists():
                    source.replace(self.path.with_name(name + suffix))
        except OSError as error:
            raise StoreError(f"{self.path} cannot be moved: {error.strerror or error}", _rights(self.path)) from None

    def _open(self) -> sqlite3.Connection:
        create_private(self.path)
        connection = connect(self.path)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass


def create_private(path: Path) -> None:
    """Make an empty file that only its owner may read, if there is none (events are nobody else's business).

    One that is there is not even opened: closing it again would take away the locks that other connections of this
    process hold on it (https://sqlite.org/howtocorrupt.html, 2.2), and another process would then clear the journal
    under them.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o600))
    except FileExistsError:
        pass


def connect(path: Path) -> sqlite3.Connection:
    """A connection for writing: WAL, every commit on disk before it is confirmed."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA cache_size=-32768")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing; the write lock is taken at the start."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as a sentence with what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    if code == _FULL:
        return StoreError(f"the disk that holds {path} is full", "free some space there, or shorten storage.retention")
    if code in _DAMAGED:
        return StoreDamaged(
            f"{path} is damaged ({error})",
            f"move it away, or rescue what it holds: sqlite3 '{path}' .recover | sqlite3 rescued.db",
        )
    if code in _BUSY:
        return StoreError(f"{path} is locked by another program", "end what else writes to it")
    if code in _READ_ONLY or not os.access(path.parent, os.W_OK):
        return StoreError(f"{path} cannot be written ({error})", _rights(path))
    if code == _IO:
        return StoreError(f"reading or writing {path} failed ({error})", "check the disk: dmesg, smartctl")
    hint = "run `siemd db migrate`" if "no such table" in str(error) else ""
    return StoreError(f"{path}: {error}", hint)


def _rights(path: Path) -> str:
    return f"let siemd's user write the folder {path.parent}, or set data_dir or storage.url"
