"""The hosts that report to a store: when each was last heard of, from which sources, how it fares and what it sent."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.events import now_us
from siemd.storage.columns import BadQuery
from siemd.storage.conditions import time_range
from siemd.storage.database import QUERY_TIMEOUT_S, Database, Rows
from siemd.storage.dialects import Sql, both, period
from siemd.storage.rollups import ROLLED_UP, whole_hour
from siemd.storage.search import rfc3339
from siemd.storage.statistics import MAX_BUCKETS, WIDTHS_S
from siemd.storage.tables import TABLES, time_text
from siemd.storage.values import clean_text

HOUR_US = 3_600_000_000
USAGE_WITHIN_US = HOUR_US  # what is older says nothing of how a host fares now
COUNT_HOURS = 24
_USAGE = [column.name for column in TABLES["usage_data"].columns if column.kind == "real"]


class HostSource(msgspec.Struct):
    """A source of a host over all its runs. missing: events that were numbered and neither stored nor accounted for."""

    source: str
    last_seen: str
    stored: int
    dropped: int
    rejected: int
    missing: int


class Host(msgspec.Struct):
    """usage: the newest sample of the last hour with its time, or None. events: rows by table in the last 24 hours.

    open_alerts: incidents by level that nobody closed yet.
    """

    host: str
    last_seen: str
    sources: list[HostSource]
    usage: dict[str, Any] | None = None
    events: dict[str, int] = {}
    open_alerts: dict[str, int] = {}


async def hosts_overview(database: Database, *, at_us: int | None = None) -> list[Host]:
    """Every host that ever stored anything, the one heard of last first."""
    moment_us = now_us() if at_us is None else at_us
    hosts: dict[str, Host] = {}
    for row in await database.fetch(
        "SELECT host, source, MAX(updated) AS last_seen, SUM(stored) AS stored, SUM(dropped) AS dropped, "
        "SUM(rejected) AS rejected, SUM(seq - stored - dropped - rejected) AS missing "
        "FROM ingest_cursor GROUP BY host, source ORDER BY host, source"
    ):
        seen = rfc3339(row["last_seen"])
        host = hosts.setdefault(row["host"], Host(row["host"], seen, []))
        host.last_seen = max(host.last_seen, seen)
        numbers = [int(row[name]) for name in ("stored", "dropped", "rejected", "missing")]
        host.sources.append(HostSource(row["source"], seen, *numbers))
    for row in await _latest_usage(database, moment_us):
        if row["host"] in hosts:
            hosts[row["host"]].usage = {"time": rfc3339(row["time"]), **{name: row[name] for name in _USAGE}}
    for row in await _event_counts(database, moment_us):
        if row["host"] in hosts:
            hosts[row["host"]].events[row["table_name"]] = int(row["n"])
    for row in await database.fetch(
        "SELECT host, level, COUNT(*) AS n FROM alerts LEFT JOIN alert_triage "
        "ON alert_triage.incident_id = alerts.incident_id WHERE COALESCE(state, 'new') <> 'closed' GROUP BY host, level"
    ):
        if row["host"] in hosts:
            hosts[row["host"]].open_alerts[row["level"]] = int(row["n"])
    return sorted(hosts.values(), key=lambda host: (host.last_seen, host.host), reverse=True)


async def usage_over_time(
    database: Database, *, host: str = "", start_us: int, end_us: int, width_s: int, timeout_s: float = QUERY_TIMEOUT_S
) -> Rows:
    """Means of every measurement by host and bucket of width_s (one of WIDTHS_S), oldest first; `time` is its start."""
    if width_s not in WIDTHS_S or not 0 <= end_us - start_us <= MAX_BUCKETS * width_s * 1_000_000:
        known = ", ".join(map(str, WIDTHS_S))
        raise BadQuery(f"this makes more than {MAX_BUCKETS} buckets, or odd ones", f"widths are {known}", field="width")
    text, moment = period(database.dialect, "time", width_s)
    sums = ", ".join(f"SUM({name}) AS {name}" for name in _USAGE)
    means = ", ".join(f"SUM({name}) / SUM(samples) AS {name}" for name in _USAGE)
    of_host = Sql("host = ?", (clean_text(host),)) if host else Sql("1 = 1")
    condition = both([time_range("time", start_us, end_us), of_host])
    inner = f"SELECT {text} AS period, host, COUNT(*) AS samples, {sums} FROM usage_data WHERE {condition.text}"  # noqa: S608
    rows = await database.fetch(
        f"SELECT {moment} - {moment} % {width_s} AS slot, host, {means} FROM "  # noqa: S608 - our own names
        f"({inner} GROUP BY period, host) AS part GROUP BY slot, host ORDER BY slot, host",
        condition.values,
        timeout_s=timeout_s,
    )
    return [{"time": rfc3339(time_text(int(row.pop("slot")) * 1_000_000)), **row} for row in rows]


async def ledger(database: Database, *, limit: int = 1000) -> Rows:
    """The account of every source's runs: produced, stored, dropped, rejected, missing; the newest first."""
    rows = await database.fetch(
        "SELECT host, source, epoch, produced, stored, dropped, rejected, missing, updated FROM ledger "
        "ORDER BY updated DESC, host, source, epoch LIMIT ?",
        (limit,),
    )
    return [{**row, "updated": rfc3339(row["updated"])} for row in rows]


async def _latest_usage(database: Database, at_us: int) -> Rows:
    names = ", ".join(_USAGE)
    bounds = (time_text(at_us - USAGE_WITHIN_US), time_text(at_us))
    rows = await database.fetch(
        f"SELECT usage_data.host, usage_data.time, {names} FROM usage_data JOIN "  # noqa: S608 - our own names
        "(SELECT host AS newest_host, MAX(time) AS newest FROM usage_data WHERE time BETWEEN ? AND ? GROUP BY host) "
        "AS last ON host = newest_host AND time = newest WHERE time BETWEEN ? AND ? ORDER BY id",
        (*bounds, *bounds),
    )
    return list({row["host"]: row for row in rows}.values())


async def _event_counts(database: Database, at_us: int) -> Rows:
    marks = ", ".join("?" * len(ROLLED_UP))
    start_s = whole_hour(at_us) - (COUNT_HOURS - 1) * 3600
    return await database.fetch(
        f"SELECT table_name, host, SUM(row_count) AS n FROM rollup_hour "  # noqa: S608
        f"WHERE table_name IN ({marks}) AND bucket >= ? GROUP BY table_name, host",
        (*ROLLED_UP, start_s),
    )
