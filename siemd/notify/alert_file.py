"""alerts.jsonl: one JSON line for each state of an incident, in a file that rotates, for `tail -f | jq`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from logging import LogRecord, makeLogRecord
from pathlib import Path

from siemd.events import Alert, alert_json
from siemd.health import ComponentHealth
from siemd.logs import RotatingFile


class AlertFile:
    """Appends incidents to a file; a failure is counted in health and never stops the caller."""

    def __init__(self, path: Path, *, max_bytes: int, keep_files: int, health: ComponentHealth) -> None:
        self._health = health
        self._handler = _Lines(path, maxBytes=max_bytes, backupCount=keep_files, encoding="utf-8", delay=True)
        self._health.set("ok", str(path))

    def write(self, alerts: Iterable[Alert]) -> None:
        """Append the alerts, each as one line."""
        for alert in alerts:
            self._health.received += 1
            try:
                self._handler.emit(makeLogRecord({"msg": json.dumps(alert_json(alert), default=str)}))
            except OSError as error:
                self._health.dropped += 1
                self._health.error("degraded", f"cannot write {self._handler.baseFilename}: {error.strerror}")
            else:
                self._health.sent += 1

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


class _Lines(RotatingFile):
    """A rotating file whose failures are raised instead of printed."""

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 - the name is the library's
        raise  # noqa: PLE0704 - called inside the except block of emit
