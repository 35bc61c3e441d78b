"""Rows of the seed tables back into events: the inverse of what `tables` makes of an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from siemd.events import Alert, Event, LogEvent, NetworkEvent, UsageSample
from siemd.storage.tables import CONNECTION_COUNTS, TABLES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Row = Mapping[str, Any]


def time_us(text: str) -> int:
    """UTC microseconds of 'YYYY-MM-DD HH:MM:SS.ffffff' (MySQL leaves out a fraction of zero)."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND


def event_of(table: str, row: Row) -> Event:
    """The event that a row (by column names) of a seed table holds, with its host, source and sequence number."""
    return _READ[table](table, row)


def alert_of(row: Row) -> Alert:
    """The incident that a row of `alerts` holds, in the state that was stored last."""
    return Alert(
        time_us=time_us(row["time"]),
        incident_id=row["incident_id"],
        revision=row["revision"],
        first_seen_us=time_us(row["first_seen"]),
        last_seen_us=time_us(row["last_seen"]),
        status=row["status"],
        level=row["level"],
        rule=row["rule"],
        rule_id=row["rule_id"],
        title=row["title"],
        count=row["count"],
        reason=row["reason"],
        group=_mapping(row["group_values"]),
        tags=_list(row["tags"]),
        evidence=_list(row["evidence"]),
        host=row["host"],
        source=row["source"],
        seq=row["seq"],
    )


def _network(_table: str, row: Row) -> NetworkEvent:
    return NetworkEvent(
        time_us=time_us(row["time"]),
        event_type=row["event_type"],
        source_ip=row["source_ip"],
        destination_ip=row["destination_ip"],
        source_port=row["source_port"],
        destination_port=row["destination_port"],
        protocol=row["protocol"],
        user_name=row["user_name"],
        message=row["message"],
        count=row["count"],
        fields=_mapping(row["fields"]),
        host=row["host"],
        source=row["source"],
        seq=row["seq"],
    )


def _connection(table: str, row: Row) -> NetworkEvent:
    """The same, with what `connections` has instead of its last columns put back where a fact has it."""
    counts = {name: row[name] for name in CONNECTION_COUNTS}
    packets = counts["source_packets"] + counts["destination_packets"]
    event = _network(table, {**row, "user_name": "", "message": "", "count": packets})
    event.fields = {"state": row["state"], "duration_s": row["duration_s"], **counts, **event.fields}
    return event


def _log(table: str, row: Row) -> LogEvent:
    return LogEvent(
        time_us=time_us(row["event_time"]),
        table=table,
        platform=row["platform"],
        channel=row["channel"],
        provider=row["provider"],
        event_id=row["event_id"],
        level=row["level"],
        message=row["message"],
        record_id=row["record_id"],
        computer=row["computer"],
        user_name=row["user_name"],
        source_ip=row["source_ip"],
        fields=_mapping(row["fields"]),
        host=row["host"],
        source=row["source"],
        seq=row["seq"],
    )


def _usage(_table: str, row: Row) -> UsageSample:
    return UsageSample(
        time_us=time_us(row["time"]),
        **{column.name: row[column.name] for column in TABLES["usage_data"].columns if column.kind == "real"},
        host=row["host"],
        source=row["source"],
        seq=row["seq"],
    )


def _mapping(text: str) -> dict[str, Any]:
    """A JSON column; whoever wrote something else into the database does not stop siemd from reading the rest."""
    value = _json(text)
    return value if isinstance(value, dict) else {}


def _list(text: str) -> list[Any]:
    value = _json(text)
    return value if isinstance(value, list) else []


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, TypeError):
        return None


_READ: dict[str, Callable[[str, Row], Event]] = {
    "logs": _network,
    "connections": _connection,
    "security_logs": _log,
    "system_logs": _log,
    "application_logs": _log,
    "channel_logs": _log,
    "usage_data": _usage,
    "alerts": lambda _table, row: alert_of(row),
}
