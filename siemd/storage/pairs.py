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
from siemd.storage.values import INT64_MAX
from siemd.storage.words import words_condition

MAX_PAIRS = 500


class Pair(msgspec.Struct):
    """Two values that stand in one row. count: rows; last_seen: the time of the newest (UTC, RFC 3339).

    sent, received: bytes of the source and of the destination; 0 but for connections.
    """

    source: Any
    target: Any
    count: int
    last_seen: str
    sent: int = 0
    received: int = 0


async def top_pairs(
    database: Database,
    counted: Counted,
    source: str,
    target: str,
    *,
    by_bytes: bool = False,
    limit: int = 100,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> list[Pair]:
    """The most frequent pairs of two columns, the most frequent first; rows that lack one of them are left out.

    by_bytes: those that exchanged most first, which only connections tell.
    """
    if not 0 < limit <= MAX_PAIRS:
        raise BadQuery(f"limit is 1 to {MAX_PAIRS}", field="limit")
    table, dialect = counted.table, database.dialect
    weighed = table == "connections"
    if by_bytes and not weighed:
        raise BadQuery(f"{table} counts no bytes", "connections do", field="order")
    # Times 1.0: a sum of integers beyond 64 bits is an error to SQLite.
    sent, received = "SUM(source_bytes * 1.0)", "SUM(destination_bytes * 1.0)"
    sums = f", {sent} AS sent, {received} AS received" if weighed else ""
    order = f"{sent} + {received}" if by_bytes else "n"
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
        f"SELECT {names[0]} AS source, {names[1]} AS target, COUNT(*) AS n, MAX({time}) AS last_seen{sums} "  # noqa: S608
        f"FROM {table} WHERE {condition.text} GROUP BY {names[0]}, {names[1]} "
        f"ORDER BY {order} DESC, source, target LIMIT ?",
        (*condition.values, limit),
        timeout_s=timeout_s,
    )
    told = ("sent", "received") if weighed else ()
    return [
        Pair(
            row["source"],
            row["target"],
            int(row["n"]),
            rfc3339(row["last_seen"]),
            *(min(int(row[name]), INT64_MAX) for name in told),
        )
        for row in rows
    ]


def _column(table: str, name: str, field: str) -> str:
    known = [column.name for column in columns_of(table).values() if column.kind == "text"]
    if name not in known:
        raise BadQuery(f"{table} has no pairs of {name[:40]!r}", f"known are {', '.join(known)}", field=field)
    return name
