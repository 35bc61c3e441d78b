"""Windows events that other tools have flattened into one JSON object (Zircolite, OTRF data sets, winlogbeat)."""

from __future__ import annotations

from typing import Any

from siemd.events import LogEvent
from siemd.sources.windows_record import LEVELS, MAX_FIELDS, as_text, build_event, number
from siemd.sources.windows_xml import RecordError

_NAMES = {  # the name in System -> what tools call it, best first
    "EventID": ("EventID", "EventId", "event_id", "Event_ID"),
    "Channel": ("Channel", "channel", "log_name", "LogName"),
    "Provider_Name": ("Provider_Name", "provider_name", "ProviderName", "SourceName", "source_name"),
    "Computer": ("Computer", "computer_name", "Hostname", "MachineName"),
    "EventRecordID": ("EventRecordID", "record_id", "RecordNumber", "RecordId", "record_number"),
    "Level": ("Level",),
    "Task": ("Task", "task"),
    "Opcode": ("OpcodeValue", "Opcode"),
    "Version": ("Version", "version"),
    "Keywords": ("Keywords",),
    "TimeCreated": ("TimeCreated", "SystemTime", "TimeCreated_SystemTime", "@timestamp", "EventTime", "UtcTime"),
}
_INTEGERS = ("EventID", "EventRecordID", "Level", "Task", "Opcode", "Version", "ProcessID", "ThreadID")
_LEVEL_NUMBERS = {name: value for value, name in LEVELS.items()} | {"info": 4, "verbose": 5}
_MESSAGES = ("Message", "message", "RenderedMessage")


def is_flat(record: dict[str, Any]) -> bool:
    """Whether the object looks like a flattened Windows event: it has an event id and a channel or provider."""
    record = _unwrap(record)
    return any(name in record for name in _NAMES["EventID"]) and any(
        name in record for key in ("Channel", "Provider_Name") for name in _NAMES[key]
    )


def event_from_flat(record: dict[str, Any]) -> LogEvent:
    """The LogEvent of a flattened record; raises RecordError."""
    if len(record) > MAX_FIELDS:
        raise RecordError(f"over {MAX_FIELDS} fields")
    record = _unwrap(record)
    header: dict[str, Any] = {}
    for target, names in _NAMES.items():
        value = next((record[name] for name in names if record.get(name) not in (None, "")), None)
        if value is None or isinstance(value, dict | list):
            continue
        header[target] = value if target in _INTEGERS and isinstance(value, int) else as_text(value)
    for name in _INTEGERS:
        if name in header and (whole := number(header[name])) is not None:
            header[name] = whole
    if isinstance(keywords := record.get("Keywords"), int) and not isinstance(keywords, bool):
        header["Keywords"] = hex(keywords & (1 << 64) - 1)
    if "Level" not in header or isinstance(header["Level"], str):
        word = as_text(record.get("Level") or record.get("level") or record.get("Severity")).lower()
        header["Level"] = _LEVEL_NUMBERS.get(word, 4)
    fields = dict(header)
    for name, value in record.items():
        if name in header and name != "Data":
            continue
        if isinstance(value, dict):
            fields.update({key: as_text(item) for key, item in value.items() if not isinstance(item, dict)})
        elif isinstance(value, list):
            fields[name] = [as_text(item) for item in value]
        elif name in ("ProcessID", "ThreadID") and (whole := number(value)) is not None:
            fields[name] = whole
        else:
            fields[name] = as_text(value)
    message = next((record[name] for name in _MESSAGES if isinstance(record.get(name), str)), "")
    return build_event(header, fields, message)


def _unwrap(record: dict[str, Any]) -> dict[str, Any]:
    """winlogbeat keeps the event under `winlog`, and its data under `event_data`, with the message beside it."""
    inner = record.get("winlog")
    if isinstance(inner, dict):
        outer = {key: value for key, value in record.items() if key in ("@timestamp", "message")}
        record = outer | inner
    data = record.get("event_data")
    if isinstance(data, dict):
        record = {key: value for key, value in record.items() if key != "event_data"} | data
    return record
