"""siemd's own log: structlog as JSON lines with stable keys to a rotating file, pretty on a terminal, no secrets."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any

import msgspec

from siemd.logger import get_logger, structlog

EventDict = MutableMapping[str, Any]

_SECRET_KEY = re.compile(r"passw|secret|token|api_?key|authorization", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,256}):(\S{0,512})@")  # bounded: much of what is logged is hostile
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# What the log file and alerts.jsonl say of an alert, and its reason says in words.
_NOT_ON_A_TERMINAL = ("rule_id", "title", "first_seen", "last_seen", "group", "status", "incident_id", "revision")


def setup(level: str, file: Path | None, *, max_bytes: int, keep_files: int, terminal: bool = True) -> None:
    """Start logging. file: JSON lines, rotated; None for none. terminal: also to stderr, pretty if it is a terminal.

    Library logs (asyncio, aiomysql) take the same way. Raises OSError when the file cannot be opened.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.ExtraAdder(),
        hide_secrets,
    ]
    handlers: list[logging.Handler] = []
    if file is not None:
        rotating = RotatingFile(file, maxBytes=max_bytes, backupCount=keep_files, encoding="utf-8")
        rotating.setFormatter(_formatter(shared, as_json=True))
        handlers.append(rotating)
    if terminal:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(_formatter(shared, as_json=not sys.stderr.isatty()))
        handlers.append(stream)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a full disk must not print tracebacks; the log is not what keeps events
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class RotatingFile(RotatingFileHandler):
    """Rotates by size, lets logrotate do so as well, and tells how many lines a full disk cost once it can."""

    _failed_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; to a new file when another program moved or removed the one that is open."""
        if self.stream is not None and self._is_moved(self.stream):
            with contextlib.suppress(OSError):  # what a full disk left in its buffer
                self.stream.close()
            self.stream = None  # emit opens it again
        failed_before = self._failed_lines
        super().emit(record)
        if failed_before and self._failed_lines == failed_before:
            self._failed_lines = 0
            get_logger("siemd.log").error("log.lines_failed", lines=failed_before, file=self.baseFilename)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        """Count a line that could not be written."""
        self._failed_lines += 1

    def _is_moved(self, stream: IO[str]) -> bool:
        if sys.platform == "win32":  # an open file can't be moved there
            return False
        try:
            return not os.path.samestat(Path(self.baseFilename).stat(), os.fstat(stream.fileno()))
        except OSError:
            return True


def hide_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask values of keys that name secrets, and passwords in URLs, wherever they stand."""
    for key, value in event.items():
        if key.startswith("_"):
            continue
        if _SECRET_KEY.search(key):
            event[key] = "***"
        elif isinstance(value, str) and "://" in value:
            event[key] = _URL_PASSWORD.sub(r"\1:***@", value)
    return event


def printable(text: str) -> str:
    """Hostile text made safe for a terminal: control and direction characters become escapes."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _formatter(shared: list[Any], *, as_json: bool) -> logging.Formatter:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if as_json:
        processors: list[Any] = [remove, structlog.processors.format_exc_info, _stable_order, _render_json]
    else:
        processors = [remove, _drop_traceback, _escape, structlog.dev.ConsoleRenderer(pad_event_to=24, sort_keys=False)]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors)


def _stable_order(_logger: Any, _method: str, event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in ("time", "level", "logger", "event") if key in event}
    return {**first, **event}


def _render_json(_logger: Any, _method: str, event: EventDict) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except (UnicodeError, TypeError, ValueError):  # lone surrogates, odd keys: never lose the line for them
        return json.dumps(event, default=str)


def _drop_traceback(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A bug's traceback stands in the log file; a person at a terminal gets its one line."""
    info = event.pop("exc_info", None)
    event.pop("exception", None)
    if info:
        error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else sys.exc_info()[1]
        event["error"] = f"{type(error).__name__}: {error}"
    return event


def _escape(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = f"{event.pop('time', '')[:19]}Z"
    event.pop("logger", None)
    if str(event.get("event")).startswith("alert."):
        for name in _NOT_ON_A_TERMINAL:
            event.pop(name, None)
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
