"""What a store holds: of each table the rows and the oldest of them, found without reading the tables."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.storage.columns import time_column
from siemd.storage.database import Database
from siemd.storage.rollups import ROLLED_UP
from siemd.storage.search import rfc3339
from siemd.storage.tables import TABLES

_BYTES = {
    "sqlite": "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()",
    "mysql": "SELECT SUM(data_length + index_length) AS bytes FROM information_schema.tables "
    "WHERE table_schema = DATABASE()",
}


class TableContent(msgspec.Struct):
    """rows: as the rollups count them; what they have yet to count is left out. oldest: None when empty."""

    table: str
    rows: int
    oldest: str | None


class Contents(msgspec.Struct):
    """What a store holds. bytes: all of it, indexes and what is free for new rows included; on MySQL an estimate."""

    bytes: int
    tables: list[TableContent]


async def contents(database: Database) -> Contents:
    """The contents of every table of events, and of the incidents."""
    rows = {
        row["table_name"]: int(row["n"])
        for row in await database.fetch("SELECT table_name, SUM(row_count) AS n FROM rollup_hour GROUP BY table_name")
    }
    tables = []
    for name in TABLES:
        oldest = await _first(database, f"SELECT MIN({time_column(name)}) AS oldest FROM {name}")  # noqa: S608
        if name not in ROLLED_UP:
            rows[name] = await _first(database, f"SELECT COUNT(*) AS n FROM {name}")  # noqa: S608
        tables.append(TableContent(name, rows.get(name, 0), rfc3339(oldest) if oldest else None))
    return Contents(int(await _first(database, _BYTES[database.dialect]) or 0), tables)


async def _first(database: Database, sql: str) -> Any:
    (row,) = await database.fetch(sql)
    return next(iter(row.values()))
