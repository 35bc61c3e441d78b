"""The typed events that flow through siemd, the batches that carry them, and their encoding on disk.

All times are integers: UTC microseconds since 1970, clamped where they enter (`clamp_time_us`).
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

TIME_MAX_US = 4_102_444_800_000_000  # 2100-01-01: keeps a hostile clock inside what every store can hold


def now_us() -> int:
    """The wall clock in UTC microseconds."""
    return time.time_ns() // 1000


def new_epoch() -> int:
    """A number for one run of a source: random, since a clock may be set back or start at the same moment twice.

    53 bits, which JSON readers keep exactly (RFC 8259, 6).
    """
    return secrets.randbits(53)


def clamp_time_us(time_us: int) -> int:
    """Bring a time from outside into 1970-01-01 … 2100-01-01."""
    return 0 if time_us < 0 else min(time_us, TIME_MAX_US)


class NetworkEvent(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="network"):
    """A fact about the wire (`event_type`, see docs/facts.md), coalesced: `count` packets or tries in one event.

    Columns that every fact may have are attributes; what only some have (lists of ports, signatures) is in `fields`.
    """

    time_us: int
    event_type: str
    source_ip: str = ""
    destination_ip: str = ""
    source_port: int | None = None
    destination_port: int | None = None
    protocol: str = ""
    user_name: str = ""
    message: str = ""
    count: int = 1
    fields: dict[str, Any] = {}
    host: str = ""
    source: str = ""
    seq: int = 0


class LogEvent(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="log"):
    """One record of an event log (Windows) or of the journal (Linux).

    table: which seed table holds it: security_logs, system_logs, application_logs or channel_logs.
    platform: windows, linux or siemd. level: critical, error, warning, information or verbose.
    fields: the native names and values (EVTX System and EventData, journald fields), as Sigma rules use them.
    """

    time_us: int
    table: str
    platform: str
    channel: str = ""
    provider: str = ""
    event_id: int = 0
    level: str = "information"
    message: str = ""
    record_id: int = 0
    computer: str = ""
    user_name: str = ""
    source_ip: str = ""
    fields: dict[str, Any] = {}
    host: str = ""
    source: str = ""
    seq: int = 0


class UsageSample(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="usage"):
    """The host's load at one moment; rates are per second since the sample before."""

    time_us: int
    cpu_percent: float
    ram_percent: float
    disk_percent: float = 0.0
    disk_read_bytes_s: float = 0.0
    disk_write_bytes_s: float = 0.0
    network_received_bytes_s: float = 0.0
    network_sent_bytes_s: float = 0.0
    load_1m: float = 0.0
    host: str = ""
    source: str = ""
    seq: int = 0


class Alert(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="alert"):
    """An incident: one rule and one group of values, from its opening to its closing.

    Every emission holds the whole incident as it stands, so storing is an upsert by `incident_id`: the newest
    `revision` wins.
    incident_id: derived from host, rule, group, first_seen_us and the opening event: the same input, the same id.
    level: informational, low, medium, high or critical. status: open or closed (by idleness).
    evidence: up to 20 of the events behind it, as JSON-ready dicts.
    """

    time_us: int
    incident_id: str
    rule: str
    rule_id: str
    title: str
    level: str
    first_seen_us: int
    last_seen_us: int
    count: int = 1
    group: dict[str, Any] = {}
    tags: list[str] = []
    reason: str = ""
    evidence: list[dict[str, Any]] = []
    status: str = "open"
    revision: int = 1
    host: str = ""
    source: str = ""
    seq: int = 0


Event = NetworkEvent | LogEvent | UsageSample | Alert


class Batch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What channels carry: events of one source in the order of their `seq`.

    epoch names one run of the source (`new_epoch`), so that (host, source, epoch, seq) names an event for ever.
    dropped: how many events of this source were lost since its batch before (their seq numbers are missing).
    last_seq: the highest number given when the batch was made, those of dropped events included, so that the store can
    tell a batch that it has seen even when it carries no event (0: the highest of its events).
    checkpoint: the source's bookmark after these events; the store saves it in the same transaction.
    """

    host: str
    source: str
    epoch: int
    events: list[Event]
    dropped: int = 0
    last_seq: int = 0
    checkpoint: bytes | None = None


_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_event_decoder = msgspec.json.Decoder(Event)


def encode_batch(batch: Batch) -> bytes:
    """A batch as MessagePack, as the spool keeps it."""
    return _encoder.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """The inverse of encode_batch; raises msgspec.DecodeError on anything else."""
    return _batch_decoder.decode(data)


def decode_event_json(line: bytes) -> Event:
    """One event from its JSON line (`msgspec.json.encode(event)`); raises msgspec.DecodeError."""
    event: Event = _event_decoder.decode(line)
    return event


def event_json(event: Event) -> dict[str, Any]:
    """An event as a JSON-ready dict, for evidence and exports."""
    result: dict[str, Any] = msgspec.to_builtins(event)
    return result


def iso_time(time_us: int) -> str:
    """A time for people and JSON: 2026-11-22T21:25:29.000123Z."""
    return (
        datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time_us % 1_000_000:06d}Z"
    )


def alert_json(alert: Alert) -> dict[str, Any]:
    """An incident as `siemd replay`, alerts.jsonl and the log show it (without the evidence)."""
    return {
        "rule": alert.rule,
        "rule_id": alert.rule_id,
        "title": alert.title,
        "level": alert.level,
        "first_seen": iso_time(alert.first_seen_us),
        "last_seen": iso_time(alert.last_seen_us),
        "count": alert.count,
        "group": alert.group,
        "tags": alert.tags,
        "reason": alert.reason,
        "status": alert.status,
        "incident_id": alert.incident_id,
        "revision": alert.revision,
        "host": alert.host,
    }
