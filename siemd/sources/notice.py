"""The events by which a log source itself speaks: a gap in a log, a log that was cleared."""

from __future__ import annotations

from typing import Any

from siemd.events import LogEvent, now_us


def notice(message: str, *, channel: str, event_type: str, computer: str = "", **fields: Any) -> LogEvent:
    """A LogEvent of siemd's own in system_logs, so that a loss is stored and searchable beside what was not lost.

    event_type: log_gap or log_cleared. fields: more names for rules, such as `lost_records`.
    """
    return LogEvent(
        time_us=now_us(),
        table="system_logs",
        platform="siemd",
        channel=channel,
        provider="siemd",
        level="warning",
        message=message,
        computer=computer,
        fields={"event_type": event_type, "log": channel, **fields},
    )
