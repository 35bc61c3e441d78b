"""The hosts that report, and the account of what each of their sources sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from siemd.events import now_us
from siemd.storage.hosts import Host, hosts_overview, ledger, usage_over_time
from siemd.storage.statistics import MAX_BUCKETS, fitting_width_s
from siemd.web.access.roles import Right
from siemd.web.asking import OF_A_DAY, TheAsked
from siemd.web.services import TheServices

READ = {"right": Right.READ_HOSTS}


class LedgerEntry(msgspec.Struct):
    """One run of a source (epoch), in events: produced is stored, dropped, rejected and missing together."""

    host: str
    source: str
    epoch: int
    produced: int
    stored: int
    dropped: int
    rejected: int
    missing: int
    updated: str


@get("/api/v1/hosts", opt=READ, tags=["hosts"])
async def list_hosts(services: TheServices) -> list[Host]:
    """Every host, the one heard of last first: its sources, its load, what it sent and what is open."""
    return await hosts_overview(services.database)


@get("/api/v1/ledger", opt=READ, tags=["hosts"])
async def list_ledger(
    services: TheServices, limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000
) -> list[LedgerEntry]:
    """The account of every source's runs, the newest first."""
    rows = await ledger(services.database, limit=limit)
    return [msgspec.convert({**row, "missing": int(row["missing"])}, LedgerEntry) for row in rows]


class UsageSeries(msgspec.Struct):
    """Means of one host's measurements, one a bucket; null where there is none. Rates are per second."""

    host: str
    measurements: dict[str, list[float | None]]


class Usage(msgspec.Struct):
    """times: the buckets' starts (UTC, RFC 3339), width_s apart, oldest first."""

    width_s: int
    times: list[str]
    hosts: list[UsageSeries]


@get("/api/v1/usage", opt=READ, tags=["hosts"], dependencies=OF_A_DAY)
async def show_usage(
    asked: TheAsked,
    services: TheServices,
    host: Annotated[str, QueryParameter(max_length=255, description="One host; empty: all.")] = "",
    buckets: Annotated[int, QueryParameter(ge=1, le=MAX_BUCKETS, description="At most.")] = 200,
) -> Usage:
    """CPU, RAM, disk, network and load of hosts over time. Filters and words are not looked at."""
    end_us = now_us() if asked.end_us is None else asked.end_us
    start_us = min(asked.start_us, end_us)
    width_s = fitting_width_s(start_us, end_us, buckets)
    rows = await usage_over_time(
        services.database,
        host=host,
        start_us=start_us,
        end_us=end_us,
        width_s=width_s,
        timeout_s=services.web.limits.query_time_s,
    )
    times = sorted({row["time"] for row in rows})
    place = {time: index for index, time in enumerate(times)}
    found: dict[str, UsageSeries] = {}
    for row in rows:
        index, name = place[row.pop("time")], row.pop("host")
        series = found.setdefault(name, UsageSeries(name, {key: [None] * len(times) for key in row}))
        for key, value in row.items():
            series.measurements[key][index] = None if value is None else float(value)
    return Usage(width_s, times, list(found.values()))


HANDLERS = [list_hosts, list_ledger, show_usage]
