"""How many rows there are by minute and by hour, kept in the transaction that writes the rows, so that both agree.

`rollup_minute` and `rollup_hour` count a table's rows by host and by what kind of event it is; `rollup_source_hour` by
address. A late event counts in the bucket of its own time. Minutes are kept for some days, hours as long as their rows.
Rows that were there before the rollups are counted afterwards, a slice at a time: `rollup_state` says up to which id.
"""

from __future__ import annotations

import calendar
import time
from collections import Counter
from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from siemd.storage.database import Dialect
from siemd.storage.dialects import seconds
from siemd.storage.intake import Intake
from siemd.storage.tables import LOG_TABLES, NETWORK_TABLES, TABLES, Row

MINUTE_S, HOUR_S = 60, 3600
MINUTES_KEPT_S = 8 * 86400
REBUILD_ROWS = 20_000  # counted in one transaction
DELETE_ROWS = 5_000
ROLLUPS = ("rollup_minute", "rollup_hour", "rollup_source_hour")
ROLLED_UP = (*NETWORK_TABLES, *LOG_TABLES, "usage_data")
KINDS = ("event_type", "channel", "event_id", "level")  # the columns of the rollups beside host
_DEFAULTS = {"event_type": "''", "channel": "''", "event_id": "0", "level": "''"}
DIMENSIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NETWORK_TABLES, ("event_type",)),
    **dict.fromkeys(LOG_TABLES, ("channel", "event_id", "level")),
    "usage_data": (),
}
WITH_SOURCES = (*NETWORK_TABLES, *LOG_TABLES)
_KEY = ("table_name", "bucket", "host", *KINDS)
_SOURCE_KEY = ("table_name", "bucket", "source_ip", "host")
_TEXT = "VARCHAR(255) CHARACTER SET utf8mb4"
_MYSQL_TYPES = {
    **dict.fromkeys(("table_name", "host", "event_type", "channel", "level", "source_ip"), _TEXT),
    **dict.fromkeys(("bucket", "event_id", "row_count"), "BIGINT"),
}
_EVENT_TYPE = itemgetter(TABLES["logs"].names.index("event_type"))  # as in connections
_RECORD_KIND = itemgetter(*(TABLES[LOG_TABLES[0]].names.index(name) for name in DIMENSIONS[LOG_TABLES[0]]))
_SOURCE_IP = {name: itemgetter(TABLES[name].names.index("source_ip")) for name in WITH_SOURCES}
_minutes: dict[str, int] = {}


class Upsert(NamedTuple):
    """Rows to add to a rollup: its key columns, and the count last."""

    table: str
    rows: list[Row]


def upserts(work: Intake) -> list[Upsert]:
    """What a write adds to the rollups: its rows, less those that the store refused. Sorted, so that writers that meet
    take their locks in one order.
    """
    minutes: Counter[Row] = Counter()
    sources: Counter[Row] = Counter()
    for name in ROLLED_UP:
        if rows := work.rows.get(name):
            _tally(name, rows, minutes, sources)
    if work.refused:
        less: tuple[Counter[Row], Counter[Row]] = (Counter(), Counter())
        for name in ROLLED_UP:
            _tally(name, work.refused.get(name, ()), *less)
        minutes.subtract(less[0])
        sources.subtract(less[1])
    hours: Counter[Row] = Counter()
    for key, count in minutes.items():
        hours[(key[0], key[1] - key[1] % HOUR_S, *key[2:])] += count
    return [
        Upsert(table, sorted((*key, count) for key, count in counted.items() if count))
        for table, counted in (("rollup_minute", minutes), ("rollup_hour", hours), ("rollup_source_hour", sources))
        if counted
    ]


def _tally(name: str, rows: Collection[Row], minutes: Counter[Row], sources: Counter[Row]) -> None:
    """Count rows. Those of a write are nearly always of one host and minute, and counting the rest of them is quick."""
    moments, hosts = {row[0][:16] for row in rows}, {row[1] for row in rows}
    if len(moments) > 1 or len(hosts) > 1:
        parts: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            parts.setdefault((row[0][:16], row[1]), []).append(row)
    else:
        parts = {(moment, host): list(rows) for moment in moments for host in hosts}
    for (moment, host), part in parts.items():
        minute = _minute(moment)
        if name == "usage_data":
            minutes[(name, minute, host, "", "", 0, "")] += len(part)
            continue
        if name in NETWORK_TABLES:
            for event_type, count in Counter(map(_EVENT_TYPE, part)).items():
                minutes[(name, minute, host, event_type, "", 0, "")] += count
        else:
            for kinds, count in Counter(map(_RECORD_KIND, part)).items():
                minutes[(name, minute, host, "", *kinds)] += count
        hour = minute - minute % HOUR_S
        for source_ip, count in Counter(map(_SOURCE_IP[name], part)).items():
            sources[(name, hour, source_ip, host)] += count


def _minute(text: str) -> int:
    """Seconds since 1970 of 'YYYY-MM-DD HH:MM'."""
    found = _minutes.get(text)
    if found is None:
        if len(_minutes) > 4096:
            _minutes.clear()
        found = _minutes[text] = calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M"))
    return found


def upsert_sql(dialect: Dialect, table: str, *, json_table: bool = False) -> str:
    """Adds a row of an Upsert; `?` or `%s` marks, as the driver takes them. json_table: all rows, as one JSON text."""
    names = (*key_of(table), "row_count")
    into = f"INSERT INTO {table} ({', '.join(names)}) "
    if json_table:
        columns = ", ".join(f"{name} {_MYSQL_TYPES[name]} PATH '$[{index}]'" for index, name in enumerate(names))
        given = f"SELECT {', '.join(names)} FROM JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS unfolded"  # noqa: S608
    else:
        mark = "?" if dialect == "sqlite" else "%s"
        given = f"VALUES ({', '.join([mark] * len(names))})"
    return into + given + _add(dialect, table)


def rebuild_sql(dialect: Dialect, table: str) -> list[str]:
    """Statements that count the rows of a table whose ids are :first to :last; minutes from :since on."""
    bucket = seconds(dialect, TABLES[table].columns[0].name)
    mine = DIMENSIONS[table]
    kinds = ", ".join(name if name in mine else f"{_DEFAULTS[name]} AS {name}" for name in KINDS)
    grouped = ", ".join(("bucket", "host", *mine))
    within = f"FROM {table} WHERE id BETWEEN :first AND :last"
    statements = []
    for rollup, width in (("rollup_minute", MINUTE_S), ("rollup_hour", HOUR_S)):
        since = f" AND {bucket} >= :since" if width == MINUTE_S else ""
        statements.append(
            f"INSERT INTO {rollup} ({', '.join(_KEY)}, row_count) "
            f"SELECT '{table}', {bucket} - {bucket} % {width} AS bucket, host, {kinds}, COUNT(*) "
            f"{within}{since} GROUP BY {grouped}" + _add(dialect, rollup)
        )
    if table in WITH_SOURCES:
        statements.append(
            f"INSERT INTO rollup_source_hour ({', '.join(_SOURCE_KEY)}, row_count) "
            f"SELECT '{table}', {bucket} - {bucket} % {HOUR_S} AS bucket, source_ip, host, COUNT(*) "
            f"{within} GROUP BY bucket, source_ip, host" + _add(dialect, "rollup_source_hour")
        )
    return statements


def rebuild_step(state: Mapping[str, Any]) -> tuple[int, int] | None:
    """The ids to count next, newest first, so that what people look at is whole soonest; None: all are counted."""
    first, last = int(state["rebuild_first"]), int(state["rebuild_last"])
    if last < first:
        return None
    return max(first, last - REBUILD_ROWS + 1), last


def whole_hour(time_us: int) -> int:
    """The start of the hour of a time, in seconds: retention cuts there, so that no bucket is left with a part."""
    return time_us // 1_000_000 // HOUR_S * HOUR_S


def tables_of(name: str) -> list[str]:
    """The rollups that count a table's rows."""
    if name not in ROLLED_UP:
        return []
    return ["rollup_minute", "rollup_hour", *(["rollup_source_hour"] if name in WITH_SOURCES else [])]


def key_of(table: str) -> tuple[str, ...]:
    """The columns that name a row of a rollup."""
    return _SOURCE_KEY if table == "rollup_source_hour" else _KEY


def _add(dialect: Dialect, table: str) -> str:
    if dialect == "mysql":
        return f" ON DUPLICATE KEY UPDATE row_count = {table}.row_count + VALUES(row_count)"
    return f" ON CONFLICT ({', '.join(key_of(table))}) DO UPDATE SET row_count = row_count + excluded.row_count"
