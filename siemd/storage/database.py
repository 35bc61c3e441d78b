"""How everything above storage talks to the database: the same calls on SQLite and on MySQL or MariaDB.

Statements mark parameters with `?` on both, and are the same text on both; whoever needs a word of one dialect asks
`dialect`. A `?` never stands in a literal: values are parameters, always.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from siemd.errors import StoreError, UserError
from siemd.storage.store import StorageConfig

Dialect = Literal["sqlite", "mysql"]
Rows = list[dict[str, Any]]

QUERY_TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_S = 15.0  # of one statement in a transaction, and of waiting for the transaction before
PAGE_ROWS = 2_000
READERS = 4  # queries that run at the same time


class QueryTimeout(StoreError):
    """A statement that took longer than it may, and was ended."""


class Duplicate(StoreError):
    """A row with this unique key exists already; nothing was changed."""


class Transaction(Protocol):
    """Statements of which all take effect, or none; after a failure no more are taken."""

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Rows of one SELECT, within the transaction."""

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Rows that one statement changed."""


class Database(Protocol):
    """A database that many may ask at the same time. What it can't do now is a StoreError; later it may."""

    dialect: Dialect
    description: str  # for people, without secrets

    async def open(self) -> None:
        """Bring the schema up to date, and see that the database answers. Not needed before other calls."""

    async def close(self) -> None:
        """Let go of every connection; may be called twice."""

    async def fetch(self, sql: str, parameters: Sequence[Any] = (), *, timeout_s: float = QUERY_TIMEOUT_S) -> Rows:
        """Rows of one SELECT by column name; QueryTimeout after timeout_s, waiting for a connection included."""

    def stream(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        page_rows: int = PAGE_ROWS,
        timeout_s: float = QUERY_TIMEOUT_S,
    ) -> AsyncGenerator[Rows, None]:
        """Rows of one SELECT in pages, never all in memory; timeout_s is that of one page.

        It holds a connection, and what it reads is kept from being cleared away, until it is read or closed
        (`contextlib.aclosing`): what a slow client may take at leisure is better read page by page (`search.export`).
        """

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Rows that one statement changed, in a transaction of its own."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """All or nothing. On SQLite it holds the file's one write lock from the start: keep it short."""


def open_database(config: StorageConfig, data_dir: Path) -> Database:
    """The database that the configuration names; it connects when first asked. UserError when the URL is wrong."""
    scheme, _, rest = config.url.partition(":")
    if scheme == "sqlite":
        from siemd.storage.sqlite_database import SqliteDatabase

        return SqliteDatabase(data_dir / (rest.removeprefix("//") or "siemd.db"))
    if scheme in ("mysql", "mariadb"):
        from siemd.storage.mysql_connection import parse_url
        from siemd.storage.mysql_database import MysqlDatabase

        return MysqlDatabase(parse_url(config.url), timeout_s=float(config.timeout_s))
    raise UserError(
        f"storage.url starts with `{scheme[:20]}:`, which is no store",
        "write `sqlite:` or `mysql://user:password@host/database`",
    )
