"""Search over the seed tables: filters, words, a time range, sorted, page by page, the same on every store.

Pages are found by what the last row was (keyset), not by counting: rows that come meanwhile shift nothing. The cursor
says where the next page starts; it is checked like any other input, and what it holds is only ever a parameter.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from siemd.storage.columns import BadQuery, Queryable, asked_of, columns_of, time_column
from siemd.storage.conditions import Filter, conditions, time_range
from siemd.storage.database import QUERY_TIMEOUT_S, Database, Rows
from siemd.storage.dialects import Sql, both
from siemd.storage.values import INT64_MAX, clean_text
from siemd.storage.words import words_condition

MAX_ROWS = 1000  # a page
EXPORT_PAGE_ROWS = 2000
_MAX_CURSOR_CHARS = 2000
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?")


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
        self._time = time_column(table)
        sort = asked_of(table, asked.sort)
        if sort.native or not sort.column.sortable:
            known = ", ".join(name for name, column in columns_of(table).items() if column.sortable)
            raise BadQuery(f"{table} can't be sorted by {asked.sort[:40]!r}", f"only by {known}", field="sort")
        self._sort = sort.column
        self._shown = _chosen(table, asked.columns)
        needed = dict.fromkeys([*self._shown, self._sort.name, self._time, "id"])
        keys = [self._sort.name] if self._sort.name == self._time else [self._sort.name, self._time]
        way = "DESC" if asked.descending else "ASC"
        self._keys = [*keys, "id"]
        self._past = "<" if asked.descending else ">"
        self._select = f"SELECT {', '.join(needed)} FROM {table} WHERE "  # noqa: S608 - our own names
        self._order = f" ORDER BY {', '.join(f'{key} {way}' for key in self._keys)} LIMIT ?"
        self._where = where(database, asked)
        self._show = shown(table, self._shown)
        self._mark = f"{table} {self._sort.name} {way}"

    async def page(self, cursor: str, limit: int, timeout_s: float) -> Page:
        condition = self._where
        if cursor:
            condition = both([condition, self._after(cursor)])
        rows = await self._database.fetch(
            self._select + condition.text + self._order, (*condition.values, limit + 1), timeout_s=timeout_s
        )
        more = len(rows) > limit
        rows = rows[:limit]
        return Page([self._show(row) for row in rows], self._cursor(rows[-1]) if more else "")

    def _cursor(self, row: dict[str, Any]) -> str:
        values = [self._mark, *(row[key] for key in self._keys)]
        return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")

    def _after(self, cursor: str) -> Sql:
        """What comes after the row that a cursor names; written out, so that an index serves it."""
        values = self._read(cursor)
        past = self._past
        if len(self._keys) == 2:
            time, row_id = values
            return Sql(f"{self._time} {past}= ? AND ({self._time} {past} ? OR id {past} ?)", (time, time, row_id))
        name = self._sort.name
        value, time, row_id = values
        later = f"{self._time} {past} ? OR ({self._time} = ? AND id {past} ?)"
        return Sql(f"{name} {past}= ? AND ({name} {past} ? OR {later})", (value, value, time, time, row_id))

    def _read(self, cursor: str) -> list[Any]:
        try:
            if len(cursor) > _MAX_CURSOR_CHARS:
                raise ValueError
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            values = msgspec.json.decode(raw, type=list[str | int | float])
            mark, *keys = values
            if mark != self._mark or len(keys) != len(self._keys):
                raise ValueError
            if not all(_fits(column, value) for column, value in zip(self._kinds(), keys, strict=True)):
                raise ValueError
        except (ValueError, binascii.Error, msgspec.DecodeError):
            raise BadQuery(
                "the cursor is none of this question", "take `next` as it was given", field="cursor"
            ) from None
        return keys

    def _kinds(self) -> list[str]:
        return [self._sort.kind, *["time"] * (len(self._keys) - 2), "int"]


def _fits(kind: str, value: str | int | float) -> bool:
    if kind == "time":
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            return False
        datetime.fromisoformat(value)
        return True
    if kind == "int":
        return isinstance(value, int) and -INT64_MAX <= value <= INT64_MAX
    if kind == "real":
        return isinstance(value, int | float)
    return isinstance(value, str) and value == clean_text(value)


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
