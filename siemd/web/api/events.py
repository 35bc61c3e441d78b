"""Events of every seed table: searched page by page, one by one, and exported as a stream."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from siemd.storage.columns import columns_of, time_column
from siemd.storage.search import MAX_ROWS, Search, get_row, search
from siemd.web.access.roles import Right
from siemd.web.asking import OF_A_DAY, Asked, EventTable, TheAsked, comma_list, next_link
from siemd.web.export import csv_chunks, first_page, json_line_chunks
from siemd.web.problems import not_found
from siemd.web.services import Services, TheServices

READ = {"right": Right.READ_EVENTS}
MAX_EXPORT_ROWS = 100_000_000
Sort = Annotated[str, QueryParameter(max_length=100, description="`time`, or a field that is sortable.")]
Order = Annotated[Literal["desc", "asc"], QueryParameter(description="Newest (largest) or oldest first.")]
Fields = Annotated[str, QueryParameter(max_length=2000, description="Which fields, with commas; empty: all.")]
Rows = Annotated[int, QueryParameter(ge=1, le=MAX_EXPORT_ROWS, description="Rows at most.")]


class FieldInfo(msgspec.Struct):
    """A field of a table. kind: time, text, int, real, object (asked for as fields.NAME) or list.

    caseless: its text is compared without regard to case. address: takes cidr. nullable: it may be null.
    """

    name: str
    kind: Literal["time", "text", "int", "real", "object", "list"]
    caseless: bool
    address: bool
    nullable: bool
    sortable: bool


class TableInfo(msgspec.Struct):
    """A table and its fields. time: the field that says when."""

    name: str
    time: str
    fields: list[FieldInfo]


class EventPage(msgspec.Struct):
    """Rows by field; times are RFC 3339, `fields` is an object. next: the cursor of the page after, if there is one."""

    rows: list[dict[str, Any]]
    next: str


@get("/api/v1/events", opt=READ, tags=["events"], sync_to_thread=False)
def list_tables() -> list[TableInfo]:
    """The tables and their fields."""
    return [table_info(name) for name in get_args(EventTable)]


@get("/api/v1/events/{table:str}", opt=READ, tags=["events"], dependencies=OF_A_DAY)
async def search_events(
    table: FromPath[EventTable],
    asked: TheAsked,
    request: Request[Any, Any, Any],
    services: TheServices,
    sort: Sort = "time",
    order: Order = "desc",
    fields: Fields = "",
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_ROWS)] = 100,
    cursor: Annotated[str, QueryParameter(max_length=2000, description="`next` of the page before.")] = "",
) -> Response[EventPage]:
    """One page of a table's events; the header Link leads to the next."""
    wanted = question(table, asked, sort, order, fields)
    wanted.limit, wanted.cursor = limit, cursor
    page = await search(services.database, wanted, timeout_s=services.web.limits.query_time_s)
    return Response(EventPage(page.rows, page.next), headers=next_link(request, services.web.base_path, page.next))


@get("/api/v1/events/{table:str}/export.csv", opt=READ, tags=["events"], media_type="text/csv", dependencies=OF_A_DAY)
async def export_csv(
    table: FromPath[EventTable],
    asked: TheAsked,
    services: TheServices,
    sort: Sort = "time",
    order: Order = "desc",
    fields: Fields = "",
    limit: Rows = MAX_EXPORT_ROWS,
) -> Stream:
    """Every event that is asked for, as CSV; text that a spreadsheet would take for a formula begins with '."""
    wanted = question(table, asked, sort, order, fields)
    pages = await first_page(services.database, wanted, limit, services.web.limits.query_time_s)
    return _stream(csv_chunks(table, wanted.columns, pages), "text/csv; charset=utf-8", f"{table}.csv")


@get(
    "/api/v1/events/{table:str}/export.jsonl",
    opt=READ,
    tags=["events"],
    media_type="application/jsonl",
    dependencies=OF_A_DAY,
)
async def export_json_lines(
    table: FromPath[EventTable],
    asked: TheAsked,
    services: TheServices,
    sort: Sort = "time",
    order: Order = "desc",
    fields: Fields = "",
    limit: Rows = MAX_EXPORT_ROWS,
) -> Stream:
    """Every event that is asked for, one JSON object a line."""
    wanted = question(table, asked, sort, order, fields)
    pages = await first_page(services.database, wanted, limit, services.web.limits.query_time_s)
    return _stream(json_line_chunks(pages), "application/jsonl", f"{table}.jsonl")


@get("/api/v1/events/{table:str}/{row_id:str}", opt=READ, tags=["events"])
async def show_event(table: FromPath[EventTable], row_id: FromPath[int], services: TheServices) -> dict[str, Any]:
    """One event by its id, whole."""
    return await _row(services, table, row_id)


def table_info(name: str) -> TableInfo:
    """A table and its fields."""
    fields = [FieldInfo(*column) for column in _in_order(name)]
    return TableInfo(name, time_column(name), fields)


def question(table: str, asked: Asked, sort: str, order: str, fields: str) -> Search:
    """A search out of what a query says."""
    return Search(
        table=table,
        start_us=asked.start_us,
        end_us=asked.end_us,
        filters=asked.filters,
        words=asked.words,
        sort=sort,
        descending=order == "desc",
        columns=comma_list(fields) or None,
    )


def _in_order(name: str) -> list[tuple[Any, ...]]:
    return [
        (one.name, one.kind, one.caseless, one.address, one.nullable, one.sortable) for one in columns_of(name).values()
    ]


async def _row(services: Services, table: str, row_id: int) -> dict[str, Any]:
    row = await get_row(services.database, table, row_id)
    if row is None:
        raise not_found("event")
    return row


def _stream(chunks: Any, media_type: str, name: str) -> Stream:
    return Stream(chunks, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


HANDLERS = [list_tables, search_events, export_csv, export_json_lines, show_event]
