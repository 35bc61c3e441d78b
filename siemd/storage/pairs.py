"""Who had to do with whom: the most frequent pairs of two fields' values, such as source and destination."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.storage.columns import BadQuery, columns_of, time_column
from siemd.storage.conditions import conditions, time_range
from siemd.storage.database import QUERY_TIMEOUT_S, Database
from siemd.storage.dialects import Sql, both
from siemd.storage.search import rfc3339
from siemd.storage.statistics import Counted
from siemd.storage.words import words_condition

MAX_PAIRS = 500


class Pair(msgspec.Struct):
    """Two values that stand in one row. count: rows; last_seen: the time of the newest (UTC, RFC 3339)."""

    source: Any
    target: Any
    count: int
    last_seen: str


async def top_pairs(
    database: Database,
    counted: Counted,
    source: str,
    target: str,
    *,
    limit: int = 100,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> list[Pair]:
    """The most frequent pairs of two columns, the most frequent first; rows that lack one of them are left out."""
    if not 0 < limit <= MAX_PAIRS:
        raise BadQuery(f"limit is 1 to {MAX_PAIRS}", field="limit")
    table, dialect = counted.table, database.dialect
    names = [_column(table, source, "source"), _column(table, target, "target")]
    time = time_column(table)
    condition = both(
        [
            time_range(time, counted.start_us, counted.end_us),
            *(Sql(f"{name} <> ''") for name in names),
            conditions(dialect, table, counted.filters),
            words_condition(dialect, table, counted.words),
        ]
    )
    rows = await database.fetch(
        f"SELECT {names[0]} AS source, {names[1]} AS target, COUNT(*) AS n, MAX({time}) AS last_seen "  # noqa: S608
        f"FROM {table} WHERE {condition.text} GROUP BY {names[0]}, {names[1]} ORDER BY n DESC, source, target LIMIT ?",
        (*condition.values, limit),
        timeout_s=timeout_s,
    )
    return [Pair(row["source"], row["target"], int(row["n"]), rfc3339(row["last_seen"])) for row in rows]


def _column(table: str, name: str, field: str) -> str:
    known = [column.name for column in columns_of(table).values() if column.kind == "text"]
    if name not in known:
        raise BadQuery(f"{table} has no pairs of {name[:40]!r}", f"known are {', '.join(known)}", field=field)
    return name
