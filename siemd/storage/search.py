"""Search over the seed tables: filters, words, a time range, sorted, page by page, the same on every store.

Pages are found by what the last row was (`paging`), not by counting: rows that come meanwhile shift nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from siemd.storage.columns import BadQuery, Queryable, asked_of, columns_of, time_column
from siemd.storage.conditions import Filter, conditions, time_range
from siemd.storage.database import QUERY_TIMEOUT_S, Database, Rows
from siemd.storage.dialects import Sql, both
from siemd.storage.paging import Key, Paging
from siemd.storage.values import INT64_MAX
from siemd.storage.words import words_condition

MAX_ROWS = 1000  # a page
EXPORT_PAGE_ROWS = 500  # so that reading them holds the event loop for some milliseconds only


class Search(msgspec.Struct, kw_only=True):
    """A question. sort: `time` or a column that is sortable. columns: which to answer with, all when None.

    start_us, end_us: from the one on, before the other. cursor: `next` of the page before, with the same question.
    """

    table: str
    start_us: int | None = None
    end_us: int | None = None
    filters: Sequence[Filter] = ()
    words: str = ""
    sort: str = "time"
    descending: bool = True
    columns: Sequence[str] | None = None
    limit: int = 100
    cursor: str = ""


class Page(msgspec.Struct):
    """Rows by column name; times as RFC 3339, JSON columns as values. next: the cursor of the page after, or empty."""

    rows: Rows
    next: str


async def search(database: Database, asked: Search, *, timeout_s: float = QUERY_TIMEOUT_S) -> Page:
    """One page. BadQuery for what can't be asked, QueryTimeout for what takes too long."""
    if not 0 < asked.limit <= MAX_ROWS:
        raise BadQuery(f"limit is 1 to {MAX_ROWS}", field="limit")
    plan = _Plan(database, asked)
    return await plan.page(asked.cursor, asked.limit, timeout_s)


async def export(
    database: Database, asked: Search, *, most_rows: int | None = None, timeout_s: float = QUERY_TIMEOUT_S
) -> AsyncIterator[Rows]:
    """Every row from asked.cursor on, page by page (asked.limit is not looked at); nothing is held between pages."""
    plan = _Plan(database, asked)
    cursor, left = asked.cursor, most_rows
    while left is None or left > 0:
        page = await plan.page(cursor, min(EXPORT_PAGE_ROWS, left or EXPORT_PAGE_ROWS), timeout_s)
        if page.rows:
            yield page.rows
        if not page.next:
            return
        cursor = page.next
        left = None if left is None else left - len(page.rows)


async def get_row(database: Database, table: str, row_id: int) -> dict[str, Any] | None:
    """One row by its id."""
    columns = list(columns_of(table))
    if not 0 <= row_id <= INT64_MAX:
        return None
    names = ", ".join(columns)
    rows = await database.fetch(f"SELECT {names} FROM {table} WHERE id = ?", (row_id,))  # noqa: S608 - our own names
    return shown(table, columns)(rows[0]) if rows else None


def where(database: Database, asked: Search) -> Sql:
    """The condition of a question, its cursor aside."""
    parts = [
        time_range(time_column(asked.table), asked.start_us, asked.end_us),
        conditions(database.dialect, asked.table, asked.filters),
        words_condition(database.dialect, asked.table, asked.words),
    ]
    return both([part for part in parts if part.text != "1 = 1"])


def shown(table: str, columns: Sequence[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that makes an answer of a row: the given columns, times as RFC 3339, JSON as values."""
    kinds = [(name, columns_of(table)[name].kind) for name in columns]

    def show(row: dict[str, Any]) -> dict[str, Any]:
        result = {}
        for name, kind in kinds:
            value = row[name]
            if kind == "time":
                value = rfc3339(value)
            elif kind in ("object", "list"):
                value = json_value(value)
            result[name] = value
        return result

    return show


def rfc3339(text: str) -> str:
    """A time column's text as `2026-01-02T03:04:05.678901Z`; MySQL may leave out a fraction of zero."""
    whole, _, fraction = text.partition(".")
    return f"{whole.replace(' ', 'T')}.{fraction:0<6}Z"


def json_value(text: Any) -> Any:
    """A JSON column's value; its text, when somebody else wrote no JSON there."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, TypeError):
        return text


class _Plan:
    """A question made ready: its statement, but for the page."""

    def __init__(self, database: Database, asked: Search) -> None:
        self._database = database
        table = asked.table
        time = time_column(table)
        sort = asked_of(table, asked.sort)
        if sort.native or not sort.column.sortable:
            known = ", ".join(name for name, column in columns_of(table).items() if column.sortable)
            raise BadQuery(f"{table} can't be sorted by {asked.sort[:40]!r}", f"only by {known}", field="sort")
        keys = {name: Key(name, name, columns_of(table)[name].kind) for name in (sort.column.name, time, "id")}
        self._paging = Paging(f"{table} {sort.column.name}", [*keys.values()], descending=asked.descending)
        shown_columns = _chosen(table, asked.columns)
        names = ", ".join(dict.fromkeys([*shown_columns, *keys]))
        self._select = f"SELECT {names} FROM {table} WHERE "  # noqa: S608 - our own names
        self._where = where(database, asked)
        self._show = shown(table, shown_columns)

    async def page(self, cursor: str, limit: int, timeout_s: float) -> Page:
        condition = both([self._where, self._paging.after(cursor)]) if cursor else self._where
        sql = f"{self._select}{condition.text} {self._paging.order} LIMIT ?"
        rows = await self._database.fetch(sql, (*condition.values, limit + 1), timeout_s=timeout_s)
        more = len(rows) > limit
        rows = rows[:limit]
        return Page([self._show(row) for row in rows], self._paging.cursor(rows[-1]) if more else "")


def _chosen(table: str, names: Sequence[str] | None) -> list[str]:
    columns: dict[str, Queryable] = columns_of(table)
    if names is None:
        return list(columns)
    if not 0 < len(names) <= 2 * len(columns):
        raise BadQuery("choose at least one column", field="columns")
    chosen: dict[str, None] = {}
    for name in names:
        asked = asked_of(table, name)
        if asked.native:
            raise BadQuery(f"choose whole columns, not {name[:40]!r}", f"take {asked.column.name}", field="columns")
        chosen[asked.column.name] = None
    return list(chosen)
