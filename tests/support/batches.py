"""Batches of made-up events for tests of what carries and stores them."""

from __future__ import annotations

from typing import Any

from siemd.events import Alert, Batch, LogEvent, NetworkEvent, UsageSample, now_us

HOST = "sensor-1"


def probe(seq: int, **values: Any) -> NetworkEvent:
    """One fact about the wire."""
    given = {
        "time_us": now_us(), "event_type": "tcp_probe", "source_ip": "192.0.2.7", "destination_ip": "192.0.2.1",
        "destination_port": seq % 65536, "protocol": "tcp", "message": "192.0.2.7 probed 192.0.2.1",
        "fields": {"probe": "syn", "destination_ports": [22, 80]}, "host": HOST, "source": "sniffer", "seq": seq,
    }  # fmt: skip
    return NetworkEvent(**{**given, **values})


def log(seq: int, **values: Any) -> LogEvent:
    """One record of an event log."""
    given = {
        "time_us": now_us(), "table": "security_logs", "platform": "windows", "channel": "Security", "event_id": 4625,
        "provider": "Microsoft-Windows-Security-Auditing", "message": "An account failed to log on.",
        "fields": {"EventID": 4625}, "host": HOST, "source": "windows", "seq": seq,
    }  # fmt: skip
    return LogEvent(**{**given, **values})


def connection(seq: int, **values: Any) -> NetworkEvent:
    """A record of a connection."""
    fields = {
        "state": "closed", "duration_s": 1.25, "source_packets": 5, "destination_packets": 7, "source_bytes": 700,
        "destination_bytes": 1 << 40, "vlan": 7,
    }  # fmt: skip
    given = {"event_type": "connection", "source_port": 40_000, "destination_port": 443, "protocol": "tcp", "count": 12}
    return probe(seq, **{**given, "fields": fields, "message": "", **values})


def usage(seq: int, **values: Any) -> UsageSample:
    """One measurement."""
    given = {"time_us": now_us(), "cpu_percent": 12.5, "ram_percent": 40.0, "host": HOST, "source": "metrics"}
    return UsageSample(**{**given, "seq": seq, **values})


def alert(seq: int, **values: Any) -> Alert:
    """One state of an incident."""
    given = {
        "time_us": now_us(), "incident_id": "incident-1", "rule": "port_scan_syn", "rule_id": "r-1", "level": "high",
        "title": "SYN scan", "first_seen_us": now_us(), "last_seen_us": now_us(), "revision": seq, "count": seq,
        "group": {"source_ip": "192.0.2.7"}, "tags": ["attack.t1046"], "reason": "192.0.2.7 probed many ports",
        "evidence": [{"message": "one"}], "host": HOST, "source": "detection", "seq": seq,
    }  # fmt: skip
    return Alert(**{**given, **values})


def batch(*events: Any, source: str = "sniffer", epoch: int = 1, host: str = HOST, **values: Any) -> Batch:
    """A batch of given events."""
    return Batch(host=host, source=source, epoch=epoch, events=list(events), **values)


def probes(first: int, count: int, *, epoch: int = 1, **values: Any) -> Batch:
    """A batch of facts numbered from `first`."""
    return batch(*(probe(seq) for seq in range(first, first + count)), epoch=epoch, **values)
