"""Which part of a time range which table counts: whole hours and minutes by the rollups, what is left by the rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from siemd.events import TIME_MAX_US
from siemd.storage.columns import time_column
from siemd.storage.conditions import Filter, conditions, time_range
from siemd.storage.database import Database, Dialect
from siemd.storage.dialects import Sql, both, period
from siemd.storage.rollups import DIMENSIONS, HOUR_S, MINUTE_S, ROLLED_UP, WITH_SOURCES
from siemd.storage.words import words_condition

SECOND_US = 1_000_000
LONG_US = 3 * 86400 * SECOND_US
_MINUTES_MARGIN_S = 2 * HOUR_S  # minutes may be forgotten between asking from when on they are whole and reading them


class State(NamedTuple):
    """How far a table's rollups go: hours are whole or not, minutes from a second on (None: not at all)."""

    hours: bool
    minutes_since_s: int | None


class Piece(NamedTuple):
    """A part of the range, from start on, before end. width_s: of the rollup's bucket, 0 for the rows themselves."""

    width_s: int
    start_us: int | None
    end_us: int | None


class Source(NamedTuple):
    """Where a piece is counted: the table, the condition, the count of a group.

    period: what rows are grouped by in time, no coarser than a bucket; moment: `period` in seconds since 1970.
    """

    table: str
    condition: Sql
    weight: str
    period: str
    moment: str


async def rollup_state(database: Database, table: str) -> State:
    """How far the rollups of a table go now."""
    if table not in ROLLED_UP:
        return State(False, None)
    rows = await database.fetch(
        "SELECT minute_since, rebuild_first, rebuild_last FROM rollup_state WHERE table_name = ?", (table,)
    )
    if not rows or rows[0]["rebuild_last"] >= rows[0]["rebuild_first"]:
        return State(False, None)
    return State(True, rows[0]["minute_since"] + _MINUTES_MARGIN_S)


def rollup_for(table: str, columns: Collection[str], words: str) -> str:
    """The kind of rollup that knows all these columns: `kind`, `source`, or none."""
    if words.strip() or table not in ROLLED_UP:
        return ""
    if set(columns) <= {"host", *DIMENSIONS[table]}:
        return "kind"
    if table in WITH_SOURCES and set(columns) <= {"host", "source_ip"}:
        return "source"
    return ""


def pieces(start_us: int | None, end_us: int | None, state: State, kind: str, step_s: int) -> list[Piece]:
    """The parts of a range. step_s: the buckets asked for, 0 for none; a rollup serves when its own fit into them."""
    everything = Piece(0, start_us, end_us)
    if not kind or not state.hours:
        return [everything]
    result = []
    rest = [everything]
    if step_s % HOUR_S == 0:
        rest, middle = _cut(everything, HOUR_S, 0)
        result += middle
    if kind == "kind" and state.minutes_since_s is not None and step_s % MINUTE_S == 0:
        left = []
        for part in rest:
            outside, middle = _cut(part, MINUTE_S, state.minutes_since_s)
            left += outside
            result += middle
        rest = left
    return result + rest


def source_of(
    database: Database,
    table: str,
    piece: Piece,
    kind: str,
    filters: Sequence[Filter],
    words: str,
    step_s: int,
    *,
    by_column: bool = False,
) -> Source:
    """Where and how a piece is counted, for buckets of step_s. by_column: all rows, by the values of one column."""
    dialect: Dialect = database.dialect
    asked = conditions(dialect, table, filters)
    if not piece.width_s:
        time = time_column(table)
        long = piece.start_us is None or piece.end_us is None or piece.end_us - piece.start_us > LONG_US
        # An index that starts with the column holds all that is asked for. SQLite would rather look up each row of the
        # time range, four times as slow; a plus keeps it from using the index of the time.
        plus = "+" if by_column and long and dialect == "sqlite" else ""
        when = time_range(plus + time, piece.start_us, piece.end_us)
        condition = both([when, asked, words_condition(dialect, table, words)])
        return Source(table, condition, "COUNT(*)", *period(dialect, time, step_s))
    name = {HOUR_S: "rollup_hour", MINUTE_S: "rollup_minute"}[piece.width_s]
    if kind == "source":
        name = "rollup_source_hour"
    start_s = (piece.start_us or 0) // SECOND_US
    end_s = ((TIME_MAX_US if piece.end_us is None else piece.end_us) + SECOND_US) // SECOND_US
    if piece.end_us is not None:
        end_s -= 1
    when = Sql("table_name = ? AND bucket >= ? AND bucket < ?", (table, start_s, end_s))
    return Source(name, both([when, asked]), "SUM(row_count)", "bucket", "period")


def _cut(piece: Piece, width_s: int, since_s: int) -> tuple[list[Piece], list[Piece]]:
    """A range as what lies outside the whole buckets in it, and the whole buckets."""
    width_us = width_s * SECOND_US
    start_us = max(0 if piece.start_us is None else piece.start_us, since_s * SECOND_US)
    first_us = -(-start_us // width_us) * width_us
    last_us = None if piece.end_us is None else piece.end_us // width_us * width_us
    if last_us is not None and first_us >= last_us:
        return [piece], []
    outside = []
    if first_us > (piece.start_us or 0):
        outside.append(Piece(0, piece.start_us, first_us))
    if last_us is not None and piece.end_us is not None and last_us < piece.end_us:
        outside.append(Piece(0, last_us, piece.end_us))
    return outside, [Piece(width_s, first_us, last_us)]
