"""What of the seed tables may be asked for: the only names that ever get into a statement, made of tables.TABLES."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from siemd.errors import UserError
from siemd.storage.tables import LOG_TABLES, TABLES

Kind = Literal["time", "text", "int", "real", "object", "list"]

_CASELESS = {"user_name", "message", "channel", "provider", "computer", "title", "reason"}
_ADDRESSES = {"source_ip", "destination_ip"}
_LISTS = {"tags", "evidence"}
# Beside time: what has an index that ends with the time, and in `alerts`, which has few rows, what people sort by.
_SORTABLE = {
    "logs": {"event_type", "source_ip", "destination_ip"},
    "connections": {"source_ip", "destination_ip"},
    **{name: {"event_id"} for name in LOG_TABLES},
    "usage_data": set(),
    "alerts": {"first_seen", "last_seen", "level", "rule", "count", "status"},
}
_WORDS = {
    "logs": ("message", "user_name", "source_ip", "destination_ip", "event_type", "fields"),
    "connections": ("source_ip", "destination_ip", "protocol", "state", "fields"),
    **dict.fromkeys(LOG_TABLES, ("message", "user_name", "source_ip", "provider", "computer", "fields")),
    "usage_data": ("host",),
    "alerts": ("title", "rule", "reason", "group_values", "tags", "evidence"),
}
_NATIVE = re.compile(r"[^\x00-\x1f\"\\*?%`'\ud800-\udfff]{1,100}")


class BadQuery(UserError):
    """A question that can't be asked; field: which part of it is wrong, as the API names it."""

    def __init__(self, message: str, hint: str = "", *, field: str = "") -> None:
        super().__init__(message, hint)
        self.field = field


class Queryable(NamedTuple):
    """A column as a question sees it. caseless: its text is compared without regard to case."""

    name: str
    kind: Kind
    caseless: bool
    address: bool
    nullable: bool
    sortable: bool


class Asked(NamedTuple):
    """What a filter names: a column, and with `native` the member of that name in the column's JSON object."""

    column: Queryable
    native: str = ""


def columns_of(table: str) -> dict[str, Queryable]:
    """The columns of a table by name; BadQuery when there is no such table."""
    try:
        return _COLUMNS[table]
    except (KeyError, TypeError):
        known = ", ".join(_COLUMNS)
        raise BadQuery(f"there is no table {str(table)[:40]!r}", f"known are {known}", field="table") from None


def time_column(table: str) -> str:
    """The name of the column that says when: `time` or `event_time`."""
    columns_of(table)
    return TABLES[table].columns[0].name


def word_columns(table: str) -> list[Queryable]:
    """The columns that words are looked for in."""
    return [_COLUMNS[table][name] for name in _WORDS[table]]


def asked_of(table: str, name: str) -> Asked:
    """What `host`, `time` or `fields.TargetUserName` means in a table; BadQuery when nothing."""
    columns = columns_of(table)
    if name == "time":
        return Asked(columns[time_column(table)])
    if name in columns:
        return Asked(columns[name])
    head, dot, native = str(name).partition(".")
    column = columns.get(head)
    if dot and column is not None and column.kind == "object":
        if _NATIVE.fullmatch(native):
            return Asked(column, native)
        raise BadQuery(f"{native[:40]!r} is no name within {head}", "1 to 100 characters, no quotes", field=head)
    known = ", ".join(columns)
    raise BadQuery(f"{table} has no field {str(name)[:40]!r}", f"known are {known}", field=str(name)[:100] or "filters")


def _column(table: str, name: str, kind: str) -> Queryable:
    shape: Any = kind
    if kind == "optional_int":
        shape = "int"
    elif kind == "json":
        shape = "list" if name in _LISTS else "object"
    return Queryable(
        name=name,
        kind=shape,
        caseless=name in _CASELESS or kind == "json",
        address=name in _ADDRESSES,
        nullable=kind == "optional_int",
        sortable=name in _SORTABLE[table] or name == TABLES[table].columns[0].name,
    )


_COLUMNS: dict[str, dict[str, Queryable]] = {
    table.name: {
        "id": Queryable("id", "int", False, False, False, False),
        **{column.name: _column(table.name, column.name, column.kind) for column in table.columns},
    }
    for table in TABLES.values()
}
