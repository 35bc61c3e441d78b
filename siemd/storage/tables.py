"""The seed tables as the code sees them: their columns, limits, and how an event becomes a row that any store takes.

Hostile values never make a write fail: text is cut at the column's limit, NUL becomes U+2400 (a symbol that people can
see and search for), lone surrogates become U+FFFD, numbers are brought into the column's range, `fields` beyond
FIELDS_MAX_BYTES are shortened. Each such change is counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from operator import gt, itemgetter
from typing import Any, Literal, NamedTuple

from siemd.events import Alert, Event, LogEvent, NetworkEvent, UsageSample, clamp_time_us
from siemd.storage.values import FIELDS_MAX_BYTES, INT64_MAX, SURROGATE, clean_text, json_text, number_of

MESSAGE_MAX = 32_768  # characters

Kind = Literal["time", "text", "int", "optional_int", "real", "json"]
Row = tuple[Any, ...]


class Column(NamedTuple):
    """limit: characters of text, bytes of JSON, the largest int."""

    name: str
    kind: Kind
    limit: int = 0


class Table(NamedTuple):
    """A table without its `id`; the first five columns are time, host, source, epoch, seq, in that order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def fitter(self) -> Callable[[Row], tuple[Row, int]]:
        """A function that makes a row fit: every value such that the store must take it, and how many were changed.

        The texts of a row, nearly always fine, are judged together; only when something is wrong, one by one.
        """
        texts = [index for index, column in enumerate(self.columns) if column.kind == "text"]
        limits = [self.columns[index].limit for index in texts]
        others = [
            (index, *column[1:]) for index, column in enumerate(self.columns) if column.kind not in ("text", "time")
        ]
        pick = itemgetter(*texts)

        def fit(row: Row) -> tuple[Row, int]:
            result, changed = list(row), 0
            values = pick(row)
            try:
                joined = "".join(values)
                fine = "\0" not in joined and (joined.isascii() or SURROGATE.search(joined) is None)
                fine = fine and not any(map(gt, map(len, values), limits))
            except TypeError:  # not a text
                fine = False
            if not fine:
                for index, limit, value in zip(texts, limits, values, strict=True):
                    result[index] = clean_text("" if value is None else str(value))[:limit]
                    changed += result[index] != value
            for index, kind, limit in others:
                value = row[index]
                if kind == "json":
                    result[index], cut = json_text(value, limit)
                    changed += cut
                elif kind == "real":
                    if not (type(value) is float and math.isfinite(value)):
                        result[index] = number_of(value)
                        changed += type(value) is not int
                elif not (type(value) is int and 0 <= value <= limit) and (value is not None or kind == "int"):
                    result[index] = min(max(0, int(number_of(value))), limit)
                    changed += 1
            return tuple(result), changed

        return fit


def _text(name: str, limit: int) -> Column:
    return Column(name, "text", limit)


def _int(name: str, limit: int = INT64_MAX) -> Column:
    return Column(name, "int", limit)


def _json(name: str, limit: int = FIELDS_MAX_BYTES) -> Column:
    return Column(name, "json", limit)


_UINT32 = (1 << 32) - 1
_ORIGIN = (_text("host", 255), _text("source", 64), _int("epoch"), _int("seq"))
_LOG_COLUMNS = (
    Column("event_time", "time"),
    *_ORIGIN,
    _int("event_id"),
    _text("level", 32),
    _int("record_id"),
    _text("platform", 16),
    _text("channel", 255),
    _text("provider", 255),
    _text("computer", 255),
    _text("user_name", 255),
    _text("source_ip", 64),
    _text("message", MESSAGE_MAX),
    _json("fields"),
)
_NETWORK_COLUMNS = (  # with which both of NETWORK_TABLES begin
    Column("time", "time"),
    *_ORIGIN,
    _text("event_type", 64),
    _text("source_ip", 64),
    _text("destination_ip", 64),
    Column("source_port", "optional_int", _UINT32),
    Column("destination_port", "optional_int", _UINT32),
    _text("protocol", 32),
)
NETWORK_TABLES = ("logs", "connections")
CONNECTION = "connection"  # the event type of facts with a table of their own: they are many, and kept for less long
CONNECTION_COUNTS = ("source_packets", "destination_packets", "source_bytes", "destination_bytes")
LOG_TABLES = ("security_logs", "system_logs", "application_logs", "channel_logs")
ALERTS = Table(
    "alerts",
    (
        Column("time", "time"),
        *_ORIGIN,
        _text("incident_id", 191),
        _int("revision"),
        Column("first_seen", "time"),
        Column("last_seen", "time"),
        _text("status", 16),
        _text("level", 16),
        _text("rule", 191),
        _text("rule_id", 64),
        _text("title", 255),
        _int("count"),
        _text("reason", MESSAGE_MAX),
        _json("group_values", 16 << 10),
        _json("tags", 16 << 10),
        _json("evidence"),
    ),
)
TABLES: dict[str, Table] = {
    "logs": Table(
        "logs",
        (
            *_NETWORK_COLUMNS,
            _int("count"),
            _text("user_name", 255),
            _text("message", MESSAGE_MAX),
            _json("fields"),
        ),
    ),
    **{name: Table(name, _LOG_COLUMNS) for name in LOG_TABLES},
    "connections": Table(
        "connections",
        (
            *_NETWORK_COLUMNS,
            _text("state", 32),
            Column("duration_s", "real"),
            *map(_int, CONNECTION_COUNTS),
            _json("fields"),
        ),
    ),
    "usage_data": Table(
        "usage_data",
        (
            Column("time", "time"),
            *_ORIGIN,
            *(
                Column(name, "real")
                for name in (
                    "cpu_percent",
                    "ram_percent",
                    "disk_percent",
                    "disk_read_bytes_s",
                    "disk_write_bytes_s",
                    "network_received_bytes_s",
                    "network_sent_bytes_s",
                    "load_1m",
                )
            ),
        ),
    ),
    "alerts": ALERTS,
}

_seconds: dict[int, str] = {}


# Of alert_notifications; TOLD_CHANGES is what a second record of the same state, route and target replaces.
TOLD_COLUMNS = (
    "time", "incident_id", "revision", "kind", "route", "channel", "target", "status", "attempts", "detail",
)  # fmt: skip
TOLD_CHANGES = ("time", "channel", "status", "attempts", "detail")


def time_text(time_us: int) -> str:
    """UTC microseconds as 'YYYY-MM-DD HH:MM:SS.ffffff'."""
    second, micro = divmod(int(time_us), 1_000_000)
    text = _seconds.get(second)
    if text is None:
        second, micro = divmod(clamp_time_us(int(time_us)), 1_000_000)
        text = time.strftime("%Y-%m-%d %H:%M:%S.", time.gmtime(second))
        if len(_seconds) > 4096:
            _seconds.clear()
        _seconds[second] = text
    return f"{text}{micro:06d}"


def network_tables(event_types: Collection[Any]) -> tuple[str, ...]:
    """The tables that may hold facts of these types; of any type when none is named."""
    if not event_types:
        return NETWORK_TABLES
    logs = ("logs",) if any(one != CONNECTION for one in event_types) else ()
    return (*logs, "connections") if CONNECTION in event_types else logs


def table_of(event: Event) -> str:
    """The name of the table that holds an event; a log event of no known table goes to channel_logs."""
    kind = type(event)
    if kind is NetworkEvent:
        return "connections" if event.event_type == CONNECTION else "logs"  # type: ignore[union-attr]
    if kind is LogEvent:
        return event.table if event.table in LOG_TABLES else "channel_logs"  # type: ignore[union-attr]
    return "usage_data" if kind is UsageSample else "alerts"


def _network_row(event: NetworkEvent, host: str, source: str, epoch: int) -> Row:
    row = (
        time_text(event.time_us),
        host,
        source,
        epoch,
        event.seq,
        event.event_type,
        event.source_ip,
        event.destination_ip,
        event.source_port,
        event.destination_port,
        event.protocol,
        event.count,
        event.user_name,
        event.message,
        event.fields,
    )
    return row if event.event_type != CONNECTION else _connection_row(row)


def _connection_row(row: Row) -> Row:
    """Of a connection: its numbers have columns; `fields` keeps what else is said of it."""
    fields = dict(row[-1])
    numbers = (
        fields.pop("state", ""),
        fields.pop("duration_s", 0.0),
        *(fields.pop(name, 0) for name in CONNECTION_COUNTS),
    )
    return (*row[: len(_NETWORK_COLUMNS)], *numbers, fields)


def _log_row(event: LogEvent, host: str, source: str, epoch: int) -> Row:
    return (
        time_text(event.time_us),
        host,
        source,
        epoch,
        event.seq,
        event.event_id,
        event.level,
        event.record_id,
        event.platform,
        event.channel,
        event.provider,
        event.computer,
        event.user_name,
        event.source_ip,
        event.message,
        event.fields,
    )


def _usage_row(event: UsageSample, host: str, source: str, epoch: int) -> Row:
    return (
        time_text(event.time_us),
        host,
        source,
        epoch,
        event.seq,
        event.cpu_percent,
        event.ram_percent,
        event.disk_percent,
        event.disk_read_bytes_s,
        event.disk_write_bytes_s,
        event.network_received_bytes_s,
        event.network_sent_bytes_s,
        event.load_1m,
    )


def _alert_row(event: Alert, host: str, source: str, epoch: int) -> Row:
    return (
        time_text(event.time_us),
        host,
        source,
        epoch,
        event.seq,
        event.incident_id,
        event.revision,
        time_text(event.first_seen_us),
        time_text(event.last_seen_us),
        event.status,
        event.level,
        event.rule,
        event.rule_id,
        event.title,
        event.count,
        event.reason,
        event.group,
        event.tags,
        event.evidence,
    )


FIT: dict[str, Callable[[Row], tuple[Row, int]]] = {name: table.fitter() for name, table in TABLES.items()}
ROW_OF: dict[type[Any], Callable[[Any, str, str, int], Row]] = {
    NetworkEvent: _network_row,
    LogEvent: _log_row,
    UsageSample: _usage_row,
    Alert: _alert_row,
}
