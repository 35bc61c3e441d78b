"""The Database on a MySQL or MariaDB server: a pool of connections, each statement bounded in time by the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiomysql
import pymysql
from pymysql.constants import CLIENT

from siemd.errors import StoreError
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
from siemd.storage.mysql_connection import FAILURES, Address, connect, error_code, explain

_CONNECTIONS = 2 * READERS
_GRACE_S = 3.0  # after which a server that should have ended a statement by itself is not waited for
_ENDED = {1969, 3024}  # by max_statement_time (MariaDB), by max_execution_time (MySQL)
_DUPLICATE = 1062
_IDLE_MAX_S = 300.0  # servers and firewalls forget connections that say nothing
_HINT = "ask for less: a shorter time, or a filter on an address, a type or an event id"


class MysqlDatabase:
    """The Database on a server. A connection that failed in any way, or was left in the middle, is thrown away."""

    dialect: Dialect = "mysql"

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self.address = address
        self.description = f"MySQL {address}"
        self._timeout_s = timeout_s
        self._idle: list[_Pooled] = []
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self._closed = False

    async def open(self) -> None:
        """Migrate, as the store does."""
        from siemd.storage.mysql import MysqlStore

        store = MysqlStore(self.address, timeout_s=self._timeout_s)
        try:
            await store.open()
        finally:
            await store.close()

    async def close(self) -> None:
        """Close every connection; those in use when their query ends."""
        self._closed = True
        while self._idle:
            self._idle.pop().connection.close()

    async def fetch(self, sql: str, parameters: Sequence[Any] = (), *, timeout_s: float = QUERY_TIMEOUT_S) -> Rows:
        """Rows of one SELECT."""
        deadline_s = time.monotonic() + timeout_s
        async with self._pooled(timeout_s) as pooled, self._bounded(timeout_s, deadline_s):
            await pooled.limit(deadline_s - time.monotonic())
            async with pooled.connection.cursor() as cursor:
                await cursor.execute(*statement(sql, parameters))
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def stream(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        page_rows: int = PAGE_ROWS,
        timeout_s: float = QUERY_TIMEOUT_S,
    ) -> AsyncGenerator[Rows, None]:
        """Rows of one SELECT in pages, as the server sends them; it is the client that bounds the time of each."""
        async with self._pooled(timeout_s) as pooled:
            await pooled.limit(0.0)
            cursor = _StreamCursor(pooled.connection, False)
            pooled.fit = False  # until the last page is read
            async with self._bounded(timeout_s, time.monotonic() + timeout_s):
                await cursor.execute(*statement(sql, parameters))
                names = [column[0] for column in cursor.description]
                page = await cursor.fetchmany(page_rows)
            while page:
                yield [dict(zip(names, row, strict=True)) for row in page]
                async with self._bounded(timeout_s, time.monotonic() + timeout_s):
                    page = await cursor.fetchmany(page_rows)
            pooled.fit = True

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """One statement by itself."""
        async with self.transaction() as work:
            return await work.execute(sql, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All or nothing; rows are locked as they are changed, or read with FOR UPDATE."""
        async with self._pooled(TRANSACTION_TIMEOUT_S) as pooled:
            pooled.fit = False
            work = _Transaction(self, pooled)
            await work.run("START TRANSACTION")
            try:
                yield work
            except BaseException:
                work.failed = True
                raise  # the connection is closed, and the server rolls back
            await work.run("COMMIT")
            pooled.fit = True

    @asynccontextmanager
    async def _pooled(self, timeout_s: float) -> AsyncIterator[_Pooled]:
        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise QueryTimeout(f"{self.description}: too many queries at the same time", "try again") from None
        pooled: _Pooled | None = None
        try:
            async with self._bounded(timeout_s, time.monotonic() + timeout_s):
                pooled = await self._take()
            yield pooled
        except BaseException as error:
            if pooled is not None:
                pooled.fit = False
                if not isinstance(error, Exception):  # nobody waits for the answer: the server must not work on it
                    await self._end(pooled)
            raise
        finally:
            self._slots.release()
            if pooled is not None:
                self._put_back(pooled)

    async def _take(self) -> _Pooled:
        """A connection that answers: an idle one after a ping, or a new one."""
        while self._idle:
            pooled = self._idle.pop()
            try:
                if time.monotonic() - pooled.since_s < _IDLE_MAX_S:
                    await pooled.connection.ping(reconnect=False)
                    return pooled
            except FAILURES:
                pass
            except BaseException:
                pooled.connection.close()
                raise
            pooled.connection.close()
        if self._closed:
            raise StoreError(f"{self.description} has been closed")
        pooled = _Pooled(await connect(self.address, client_flag=CLIENT.FOUND_ROWS))
        await pooled.connection.autocommit(True)
        return pooled

    async def _end(self, pooled: _Pooled) -> None:
        """Have the server give up what a connection asked for; a closed connection alone would not tell it."""
        try:
            async with asyncio.timeout(_GRACE_S):
                connection = await connect(self.address)
                try:
                    async with connection.cursor() as cursor:
                        await cursor.execute(f"KILL {int(pooled.connection.thread_id())}")
                finally:
                    connection.close()
        except (*FAILURES, StoreError):
            pass  # it ends by itself, or with its server

    def _put_back(self, pooled: _Pooled) -> None:
        if pooled.fit and not self._closed:
            pooled.since_s = time.monotonic()
            self._idle.append(pooled)
        else:
            pooled.connection.close()

    @asynccontextmanager
    async def _bounded(self, timeout_s: float, deadline_s: float) -> AsyncIterator[None]:
        """What the server or the way to it does within, as a StoreError."""
        try:
            async with asyncio.timeout(max(0.0, deadline_s - time.monotonic()) + _GRACE_S):
                yield
        except pymysql.err.IntegrityError as error:
            if error_code(error) == _DUPLICATE:
                raise Duplicate(f"this is there already ({str(error.args[1])[:200]})") from None
            raise explain(error, self.address) from None
        except FAILURES as error:  # a TimeoutError is an OSError
            if error_code(error) in _ENDED:
                message = f"{self.description}: the query was ended after {timeout_s:.3g} s"
                raise QueryTimeout(message, _HINT) from None
            raise explain(error, self.address) from None


class _Pooled:
    """A connection of the pool. fit: whether it may go back there."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.fit = True
        self.since_s = time.monotonic()
        self._maria = "mariadb" in str(connection.get_server_info()).lower()
        self._limit_ms = 0

    async def limit(self, timeout_s: float) -> None:
        """Have the server end what takes longer; 0: nothing."""
        milliseconds = max(1, int(timeout_s * 1000)) if timeout_s else 0
        if 0 < milliseconds <= self._limit_ms < milliseconds + 250:
            return  # what is set is near enough
        async with self.connection.cursor() as cursor:
            if self._maria:
                await cursor.execute(f"SET max_statement_time = {milliseconds / 1000}")
            else:
                await cursor.execute(f"SET max_execution_time = {milliseconds}")
        self._limit_ms = milliseconds


class _Transaction:
    """What is asked of one connection between START TRANSACTION and the end."""

    def __init__(self, database: MysqlDatabase, pooled: _Pooled) -> None:
        self._database = database
        self._pooled = pooled
        self.failed = False

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Rows of one SELECT."""
        return (await self.run(sql, parameters))[1]

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Rows that one statement changed."""
        return (await self.run(sql, parameters))[0]

    async def run(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[int, Rows]:
        """One statement: how many rows it changed, and the rows that it found."""
        if self.failed:
            raise StoreError(f"{self._database.description}: the transaction has ended", "begin it anew")
        self.failed = True
        deadline_s = time.monotonic() + TRANSACTION_TIMEOUT_S
        async with self._database._bounded(TRANSACTION_TIMEOUT_S, deadline_s):
            await self._pooled.limit(TRANSACTION_TIMEOUT_S)
            async with self._pooled.connection.cursor() as cursor:
                changed = await cursor.execute(*statement(sql, parameters))
                names = [column[0] for column in cursor.description or ()]
                rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()] if names else []
        self.failed = False
        return int(changed), rows


class _StreamCursor(aiomysql.SSCursor):  # type: ignore[misc]
    """A cursor that holds no rows, and asks for no warnings."""

    async def _show_warnings(self, conn: Any) -> None:
        """Leave them where they are."""


def statement(sql: str, parameters: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """A statement and its parameters for the driver; bytes as hex, which aiomysql escapes as if backslashes counted."""
    parts = sql.replace("%", "%%").split("?")
    assert len(parts) == len(parameters) + 1, f"{len(parts) - 1} parameters are marked, {len(parameters)} given"
    text = [parts[0]]
    values: list[Any] = []
    for value, part in zip(parameters, parts[1:], strict=True):
        is_bytes = isinstance(value, bytes | bytearray | memoryview)
        text += ["UNHEX(%s)" if is_bytes else "%s", part]
        values.append(bytes(value).hex() if is_bytes else value)
    return "".join(text), tuple(values)
