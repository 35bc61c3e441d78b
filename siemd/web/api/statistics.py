"""Counts of events and alerts: over time, by the values of a field, and in all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from siemd.events import now_us
from siemd.storage.pairs import MAX_PAIRS, Pair, top_pairs
from siemd.storage.statistics import (
    MAX_BUCKETS,
    MAX_TOP,
    WIDTHS_S,
    Counted,
    Timeline,
    counts_over_time,
    top_values,
    total,
)
from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.asking import OF_A_DAY, Asked, CountedTable, TheAsked
from siemd.web.problems import Refused
from siemd.web.services import Caller, TheServices

READ = {"right": Right.READ_STATISTICS}
Most = Annotated[int, QueryParameter(ge=1, le=MAX_TOP, description="How many values.")]


class Count(msgspec.Struct):
    """How many rows there are."""

    total: int


class ValueCount(msgspec.Struct):
    """A value and how many rows have it."""

    value: Any
    count: int


class TopValues(msgspec.Struct):
    """The most frequent values. others: rows of no listed value, or of none at all."""

    values: list[ValueCount]
    total: int
    others: int


@get("/api/v1/statistics/{table:str}/total", opt=READ, tags=["statistics"], dependencies=OF_A_DAY)
async def count_events(
    table: FromPath[CountedTable], asked: TheAsked, principal: Caller, services: TheServices
) -> Count:
    """How many rows a table has in the time range."""
    counted = _counted(principal, table, asked)
    return Count(await total(services.database, counted, timeout_s=services.web.limits.query_time_s))


@get("/api/v1/statistics/{table:str}/top", opt=READ, tags=["statistics"], dependencies=OF_A_DAY)
async def count_values(
    table: FromPath[CountedTable],
    asked: TheAsked,
    principal: Caller,
    services: TheServices,
    field: Annotated[str, QueryParameter(max_length=120, description="A field, or fields.NAME.")],
    limit: Most = 10,
) -> TopValues:
    """The most frequent values of a field."""
    counted = _counted(principal, table, asked)
    timeout_s = services.web.limits.query_time_s
    found = await top_values(services.database, counted, field, limit=limit, timeout_s=timeout_s)
    return TopValues([ValueCount(value, count) for value, count in found.values], found.total, found.others)


@get("/api/v1/statistics/{table:str}/timeline", opt=READ, tags=["statistics"], dependencies=OF_A_DAY)
async def count_over_time(
    table: FromPath[CountedTable],
    asked: TheAsked,
    principal: Caller,
    services: TheServices,
    by: Annotated[str, QueryParameter(max_length=120, description="A series for each value of this field.")] = "",
    width: Annotated[
        int, QueryParameter(ge=0, description=f"Seconds of a bucket: {', '.join(map(str, WIDTHS_S))}; 0: as fits.")
    ] = 0,
    buckets: Annotated[int, QueryParameter(ge=1, le=MAX_BUCKETS, description="At most, when width is 0.")] = 200,
    limit: Most = 10,
) -> Timeline:
    """Counts over time, in all or by a field's values."""
    counted = _counted(principal, table, asked)
    return await counts_over_time(
        services.database,
        counted,
        by=by,
        width_s=width or None,
        buckets=buckets,
        limit=limit,
        timeout_s=services.web.limits.query_time_s,
    )


@get("/api/v1/statistics/{table:str}/pairs", opt=READ, tags=["statistics"], dependencies=OF_A_DAY)
async def count_pairs(
    table: FromPath[CountedTable],
    asked: TheAsked,
    principal: Caller,
    services: TheServices,
    source: Annotated[str, QueryParameter(max_length=64, description="A text column.")] = "source_ip",
    target: Annotated[str, QueryParameter(max_length=64, description="Another.")] = "destination_ip",
    order: Annotated[
        Literal["count", "bytes"], QueryParameter(description="The largest first; bytes: of connections.")
    ] = "count",
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAIRS, description="How many pairs.")] = 100,
) -> list[Pair]:
    """Who had to do with whom: the most frequent pairs of two fields' values."""
    counted = _counted(principal, table, asked)
    timeout_s = services.web.limits.query_time_s
    return await top_pairs(
        services.database, counted, source, target, by_bytes=order == "bytes", limit=limit, timeout_s=timeout_s
    )


def _counted(principal: Principal, table: str, asked: Asked) -> Counted:
    if table == "alerts" and not principal.may(Right.READ_ALERTS):
        raise Refused(403, f"counting alerts wants the right {Right.READ_ALERTS} too")
    end_us = now_us() if asked.end_us is None else asked.end_us
    return Counted(
        table=table, start_us=min(asked.start_us, end_us), end_us=end_us, filters=asked.filters, words=asked.words
    )


HANDLERS = [count_events, count_values, count_over_time, count_pairs]
