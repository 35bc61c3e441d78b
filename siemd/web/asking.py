"""Questions in a request's query: times, filters and words, as the questions that the store takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

import msgspec
from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from siemd.events import clamp_time_us, now_us
from siemd.storage.columns import BadQuery
from siemd.storage.conditions import MAX_FILTERS, Filter, Operator, Scalar, instant_us
from siemd.units import Seconds
from siemd.web.services import TheServices

EventTable = Literal[
    "logs", "connections", "security_logs", "system_logs", "application_logs", "channel_logs", "usage_data"
]
CountedTable = Literal[
    "logs", "connections", "security_logs", "system_logs", "application_logs", "channel_logs", "usage_data", "alerts"
]
_RELATIVE = re.compile(r"-(\d{1,12}(?:\.\d{1,6})?[a-z]{0,2})")
_OPERATORS: tuple[str, ...] = get_args(Operator)
_LISTS = ("in", "not_in")
TIME_HELP = "RFC 3339 such as 2026-01-02T03:04:05Z, or relative such as -24h; "
FILTER_HELP = (
    f"FIELD:OP:VALUE, such as source_ip:cidr:10.0.0.0/8 or event_id:in:4624,4625; OP is {', '.join(_OPERATORS)}. "
    "Or the same as JSON, {field, op, value}. All must hold."
)

Start = Annotated[str, QueryParameter(max_length=40, description=f"{TIME_HELP}not before this time.")]
End = Annotated[str, QueryParameter(max_length=40, description=f"{TIME_HELP}before this time. Empty: no end.")]
Filters = Annotated[
    list[str] | None, QueryParameter(name="filter", max_items=MAX_FILTERS, description=FILTER_HELP, required=False)
]
Words = Annotated[
    str,
    QueryParameter(
        name="q", max_length=1000, description='Words that must stand in a row: failed "log on" -backup; any case.'
    ),
]


class Asked(msgspec.Struct, frozen=True):
    """Which rows: of a time range, that meet filters and words. end_us None: without an end."""

    start_us: int
    end_us: int | None
    filters: Sequence[Filter]
    words: str


def _read(services: TheServices, start: str, end: str, filters: list[str] | None, words: str) -> Asked:
    start_us, end_us = time_range(start, end, services.web.limits.time_range_s)
    return Asked(start_us, end_us, [read_filter(text) for text in filters or ()], words)


def read_asked(
    services: TheServices, start: Start = "-24h", end: End = "", filters: Filters = None, words: Words = ""
) -> Asked:
    """What a query asks for; without a start the last 24 hours."""
    return _read(services, start, end, filters, words)


def read_asked_of_month(
    services: TheServices, start: Start = "-30d", end: End = "", filters: Filters = None, words: Words = ""
) -> Asked:
    """What a query asks for; without a start the last 30 days, for what there are few of."""
    return _read(services, start, end, filters, words)


TheAsked = NamedDependency[Asked]
OF_A_DAY: Any = {"asked": Provide(read_asked, sync_to_thread=False)}
OF_A_MONTH: Any = {"asked": Provide(read_asked_of_month, sync_to_thread=False)}


def time_range(start: str, end: str, most_s: float) -> tuple[int, int | None]:
    """Start and end in microseconds; BadQuery when one can't be read, or more than most_s lies between them."""
    now = now_us()
    start_us = moment_us(start, now, "start")
    end_us = moment_us(end, now, "end") if end else None
    if end_us is not None and end_us < start_us:
        raise BadQuery("the time range ends before it starts", field="start")
    if (now if end_us is None else end_us) - start_us > most_s * 1e6:
        hint = "ask for one part after the other, or raise web.limits.time_range"
        raise BadQuery(f"the time range is longer than {Seconds(most_s)}", hint, field="start")
    return start_us, end_us


def moment_us(text: str, now: int, field: str = "start") -> int:
    """A time in microseconds: `now`, `-24h` or RFC 3339; BadQuery when it is none."""
    try:
        if text == "now":
            return clamp_time_us(now)
        if found := _RELATIVE.fullmatch(text):
            return clamp_time_us(now - int(Seconds.parse(found[1]) * 1e6))
        return instant_us(text)
    except (ValueError, OverflowError):
        raise BadQuery(
            f"{field} is no time: {text[:40]!r}", "write 2026-01-02T03:04:05Z, -24h, or now (and + as %2B)", field=field
        ) from None


def read_filter(text: str) -> Filter:
    """A filter out of FIELD:OP:VALUE or JSON; BadQuery when it is neither."""
    if text.startswith("{"):
        try:
            return msgspec.json.decode(text, type=Filter)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise BadQuery(f"a filter is not the JSON it should be: {str(error)[:200]}", field="filter") from None
    field, colon, rest = text.partition(":")
    operator, also_colon, value = rest.partition(":")
    if not colon or operator not in _OPERATORS or not (also_colon or operator == "exists"):
        hint = f"write FIELD:OP:VALUE with one of {', '.join(_OPERATORS)}"
        raise BadQuery(f"{text[:60]!r} is no filter", hint, field="filter")
    given: Scalar | list[Scalar] | None = value
    if operator in _LISTS:
        given = [*value.split(",")]
    elif operator == "exists":
        if value not in ("", "true", "false"):
            raise BadQuery(f"the filter {field[:60]} exists takes true or false", field="filter")
        given = value != "false"
    return Filter(field, operator, given)  # type: ignore[arg-type]


def comma_list(text: str) -> list[str]:
    """The words of a list with commas; empty ones are left out."""
    return [part for part in (part.strip() for part in text.split(",")) if part]


def next_link(request: Request[Any, Any, Any], base_path: str, cursor: str) -> dict[str, str]:
    """The Link header (RFC 8288) that leads to the page after; nothing at the end."""
    if not cursor:
        return {}
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    query = urlencode([*pairs, ("cursor", cursor)])
    return {"Link": f'<{base_path}{request.scope["path"]}?{query}>; rel="next"'}
