"""Counts over time, top values and totals of any seed table, from the rollups where they can tell, else from the rows.

One statement joins both, so that an answer is of one moment, and the same whichever table it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from siemd.events import clamp_time_us, now_us
from siemd.storage.columns import Asked, BadQuery, asked_of, columns_of, time_column
from siemd.storage.conditions import Filter, time_range
from siemd.storage.database import QUERY_TIMEOUT_S, Database, Rows
from siemd.storage.dialects import Sql, both, member
from siemd.storage.pieces import SECOND_US, Source, State, pieces, rollup_for, rollup_state, source_of
from siemd.storage.reading import time_us
from siemd.storage.rollups import HOUR_S
from siemd.storage.search import json_value, rfc3339
from siemd.storage.tables import time_text

WIDTHS_S = (1, 10, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400, 28 * 86400)
MAX_BUCKETS = 1000
MAX_TOP = 100
MAX_CELLS = 20_000  # buckets times values that are taken at once
# Fields of few values: all of them are counted in one pass; of others the most frequent are looked for first.
ONE_PASS = {"event_type", "event_id", "level", "host", "protocol", "platform", "source", "status", "rule"}
_HOURS_FROM_US = 6 * HOUR_S * SECOND_US  # a longer range of which no minutes are left is shown by hours
_NOT_GROUPED = ("id", "message", "reason")
_ALL = Sql("1 = 1")


class Counted(msgspec.Struct, kw_only=True):
    """What is counted: rows of a table in a time range that meet filters and words."""

    table: str
    start_us: int | None = None
    end_us: int | None = None
    filters: Sequence[Filter] = ()
    words: str = ""


class Top(msgspec.Struct):
    """The most frequent values of a field. total: rows in all; others: those of no listed value, or of none at all."""

    values: list[tuple[Any, int]]
    total: int
    others: int


class Series(msgspec.Struct):
    """Counts of one value, one a bucket. value None with `others`: of all values that have no series."""

    value: Any
    counts: list[int]
    total: int
    others: bool = False


class Timeline(msgspec.Struct):
    """Counts over time. times: the buckets' starts (UTC, RFC 3339), width_s apart; the first and last may be cut."""

    width_s: int
    times: list[str]
    series: list[Series]
    total: int


async def total(database: Database, counted: Counted, *, timeout_s: float = QUERY_TIMEOUT_S) -> int:
    """How many rows there are."""
    question = await _question(database, counted, None, 0)
    rows = await question.ask("SUM(n) AS n", "", timeout_s)
    return int(rows[0]["n"] or 0)


async def top_values(
    database: Database, counted: Counted, field: str, *, limit: int = 10, timeout_s: float = QUERY_TIMEOUT_S
) -> Top:
    """The most frequent values of a column, or of a native field (a list there is one value)."""
    if not 0 < limit <= MAX_TOP:
        raise BadQuery(f"limit is 1 to {MAX_TOP}", field="limit")
    question = await _question(database, counted, _by(counted.table, field), 0)
    rows, whole = await question.top(limit, timeout_s)
    values = [(question.shown(row["value"]), int(row["n"])) for row in rows]
    return Top(values, whole, whole - sum(count for _value, count in values))


async def counts_over_time(
    database: Database,
    counted: Counted,
    *,
    by: str = "",
    width_s: int | None = None,
    buckets: int = 200,
    limit: int = 10,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> Timeline:
    """Rows a bucket, by the values of a field if `by` names one: a series for each of the most frequent, one for the
    others. width_s: of a bucket, one of WIDTHS_S; else the smallest with which there are at most `buckets`.
    """
    if not 0 < limit <= MAX_TOP:
        raise BadQuery(f"limit is 1 to {MAX_TOP}", field="limit")
    start_us, end_us = await _bounds(database, counted)
    counted = msgspec.structs.replace(counted, start_us=start_us, end_us=end_us)
    state = await rollup_state(database, counted.table)
    step_s = _width(start_us, end_us, width_s, buckets, state)
    first_s = start_us // SECOND_US // step_s * step_s
    count = max(0, -(-(end_us - first_s * SECOND_US) // (step_s * SECOND_US)))
    if count > MAX_BUCKETS:
        raise BadQuery(f"this makes {count} buckets, at most {MAX_BUCKETS} are told", field="width")
    times = [rfc3339(time_text((first_s + index * step_s) * SECOND_US)) for index in range(count)]

    def line(rows: Iterable[dict[str, Any]]) -> list[int]:
        counts = [0] * count
        for row in rows:
            counts[(int(row["slot"]) - first_s) // step_s] += int(row["n"])
        return counts

    if by in ONE_PASS:
        question = await _question(database, counted, _by(counted.table, by), step_s)
        cells = await question.cells(timeout_s)
        if cells is not None:
            return _timeline(step_s, times, line(cells), *_most(cells, line, limit))
    everything = line(
        await (await _question(database, counted, None, step_s)).ask("slot, SUM(n) AS n", " GROUP BY slot", timeout_s)
    )
    if not by:
        return Timeline(step_s, times, [Series(None, everything, sum(everything))], sum(everything))
    asked = _by(counted.table, by)
    top, _whole = await (await _question(database, counted, asked, 0)).top(limit, timeout_s)
    question = await _question(database, counted, asked, step_s)
    rows = await question.among([row["value"] for row in top], timeout_s)
    lines = [line(found) for found in _sorted_out(rows, [one["value"] for one in top])]
    return _timeline(step_s, times, everything, [question.shown(one["value"]) for one in top], lines)


def _timeline(
    step_s: int, times: list[str], everything: list[int], values: list[Any], lines: list[list[int]]
) -> Timeline:
    series = [Series(value, counts, sum(counts)) for value, counts in zip(values, lines, strict=True)]
    left = [every - sum(one[index] for one in lines) for index, every in enumerate(everything)]
    left = [max(0, value) for value in left]  # rows that came between the statements
    if any(left):
        series.append(Series(None, left, sum(left), others=True))
    return Timeline(step_s, times, series, sum(everything))


def _most(
    cells: Rows, line: Callable[[Iterable[dict[str, Any]]], list[int]], limit: int
) -> tuple[list[Any], list[list[int]]]:
    """The most frequent values of cells and their counts by bucket."""
    by_value: dict[Any, Rows] = {}
    for cell in cells:
        by_value.setdefault(cell["value"], []).append(cell)
    totals = {
        value: sum(int(cell["n"]) for cell in found) for value, found in by_value.items() if value not in (None, "")
    }
    most = sorted(totals, key=lambda value: (-totals[value], value))[:limit]
    return most, [line(by_value[value]) for value in most]


class _Question:
    """Something to count, spread over the tables that count its parts of the time range."""

    def __init__(
        self, database: Database, counted: Counted, by: Asked | None, step_s: int, parts: list[Source]
    ) -> None:
        self._database = database
        self._parts = parts
        self._step_s = step_s
        self._by = by
        self._value = Sql("")
        self._collate = ""
        if by is not None:
            column = by.column
            self._value = member(database.dialect, column.name, by.native) if by.native else Sql(column.name)
            caseless = column.kind == "text" and column.caseless
            self._collate = " COLLATE NOCASE" if caseless and database.dialect == "sqlite" else ""

    async def ask(
        self, select: str, tail: str, timeout_s: float, *, last: Sequence[Any] = (), among: Sql = _ALL
    ) -> Rows:
        """Rows of one statement over all parts; what it selects are `slot`, `value` and the count `n`."""
        inner: list[str] = []
        values: list[Any] = []
        for part in self._parts:
            chosen, groups, shown = [], [], []
            if self._step_s:
                chosen.append(f"{part.period} AS period")
                groups.append("period")
                shown.append(f"{part.moment} - {part.moment} % {self._step_s} AS slot")
            if self._by is not None:
                chosen.append(f"{self._value.text}{self._collate} AS value")
                values += self._value.values
                groups.append(f"value{self._collate}")
                shown.append("value")
            grouped = f" GROUP BY {', '.join(groups)}" if groups else ""
            chosen.append(f"{part.weight} AS n")
            condition = both([part.condition, among])
            counted = f"SELECT {', '.join(chosen)} FROM {part.table} WHERE {condition.text}{grouped}"  # noqa: S608
            inner.append(f"SELECT {', '.join([*shown, 'n'])} FROM ({counted}) AS counted")  # noqa: S608
            values += condition.values
        sql = f"SELECT {select} FROM ({' UNION ALL '.join(inner)}) AS parts{tail}"  # noqa: S608 - our own names
        return await self._database.fetch(sql, (*values, *last), timeout_s=timeout_s)

    async def top(self, limit: int, timeout_s: float) -> tuple[Rows, int]:
        """The most frequent values with their counts, and the count of all; rows without a value are only in that."""
        rows = await self.ask(
            "value, SUM(n) AS n, SUM(SUM(n)) OVER () AS whole",
            f" GROUP BY value{self._collate} ORDER BY n DESC, value LIMIT ?",
            timeout_s,
            last=(limit + 1,),
        )
        whole = int(rows[0]["whole"]) if rows else 0
        return [row for row in rows if row["value"] not in (None, "")][:limit], whole

    async def cells(self, timeout_s: float) -> Rows | None:
        """Counts by bucket and value in one pass; None when there are too many."""
        rows = await self.ask(
            "slot, value, SUM(n) AS n", " GROUP BY slot, value LIMIT ?", timeout_s, last=(MAX_CELLS + 1,)
        )
        return rows if len(rows) <= MAX_CELLS else None

    async def among(self, values: Sequence[Any], timeout_s: float) -> Rows:
        """Counts by bucket of some values."""
        if not values:
            return []
        marks = ", ".join("?" * len(values))
        among = Sql(f"{self._value.text}{self._collate} IN ({marks})", (*self._value.values, *values))
        return await self.ask(
            "slot, value, SUM(n) AS n", f" GROUP BY slot, value{self._collate}", timeout_s, among=among
        )

    def shown(self, value: Any) -> Any:
        """A value as answers hold it."""
        return json_value(value) if self._by is not None and self._by.native else value


def _sorted_out(rows: Rows, values: Sequence[Any]) -> list[Rows]:
    """Rows by which of the values they have. Of texts that a store takes for one it may name either."""
    exactly = {value: index for index, value in enumerate(values)}
    nearly = {str(value).lower(): index for index, value in enumerate(values)}
    found: list[Rows] = [[] for _ in values]
    for row in rows:
        index = exactly.get(row["value"], nearly.get(str(row["value"]).lower()))
        if index is not None:
            found[index].append(row)
    return found


async def _question(database: Database, counted: Counted, by: Asked | None, step_s: int) -> _Question:
    names = [asked_of(counted.table, one.field).column.name for one in counted.filters]
    if by is not None:
        names.append(by.column.name)
    time_range("time", counted.start_us, counted.end_us)  # refuses one that ends before it starts
    kind = rollup_for(counted.table, names, counted.words)
    state = await rollup_state(database, counted.table) if kind else State(False, None)
    plain = by is not None and not by.native and not step_s and not counted.filters and not counted.words.strip()
    parts = [
        source_of(database, counted.table, piece, kind, counted.filters, counted.words, step_s, by_column=plain)
        for piece in pieces(counted.start_us, counted.end_us, state, kind, step_s)
    ]
    return _Question(database, counted, by, step_s, parts)


def _by(table: str, field: str) -> Asked:
    asked = asked_of(table, field)
    if not asked.native and (asked.column.kind not in ("text", "int") or asked.column.name in _NOT_GROUPED):
        known = [
            name
            for name, column in columns_of(table).items()
            if column.kind in ("text", "int") and name not in _NOT_GROUPED
        ]
        raise BadQuery(
            f"{table} can't be counted by {field[:40]}", f"known are {', '.join(known)}, fields.NAME", field="by"
        )
    return asked


async def _bounds(database: Database, counted: Counted) -> tuple[int, int]:
    """The range asked for, or that of the rows."""
    start_us, end_us = counted.start_us, counted.end_us
    if start_us is None or end_us is None:
        time = time_column(counted.table)
        row = (await database.fetch(f"SELECT MIN({time}) AS low, MAX({time}) AS high FROM {counted.table}"))[0]  # noqa: S608
        if row["low"] is None:
            end_us = now_us() if end_us is None else end_us
            start_us = max(0, end_us - HOUR_S * SECOND_US) if start_us is None else start_us
        else:
            start_us = time_us(row["low"]) if start_us is None else start_us
            end_us = time_us(row["high"]) + 1 if end_us is None else end_us
        start_us = min(start_us, end_us)
    if start_us > end_us:
        raise BadQuery("the time range ends before it starts", field="start")
    return clamp_time_us(start_us), clamp_time_us(end_us)


def fitting_width_s(start_us: int, end_us: int, buckets: int) -> int:
    """The smallest width with which a range has at most so many buckets; else the largest there is."""
    return next((width for width in WIDTHS_S if end_us - start_us <= width * SECOND_US * buckets), WIDTHS_S[-1])


def _width(start_us: int, end_us: int, width_s: int | None, buckets: int, state: State) -> int:
    if width_s is not None:
        if width_s not in WIDTHS_S:
            raise BadQuery(
                f"there are no buckets of {width_s} s", f"known are {', '.join(map(str, WIDTHS_S))}", field="width"
            )
        return width_s
    if not 0 < buckets <= MAX_BUCKETS:
        raise BadQuery(f"buckets is 1 to {MAX_BUCKETS}", field="buckets")
    range_us = end_us - start_us
    step_s = fitting_width_s(start_us, end_us, buckets)
    minutes_us = None if state.minutes_since_s is None else state.minutes_since_s * SECOND_US
    if state.hours and range_us >= _HOURS_FROM_US and (minutes_us is None or start_us < minutes_us):
        step_s = max(step_s, HOUR_S)
    return step_s
