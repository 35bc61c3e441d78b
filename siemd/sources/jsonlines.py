"""Reads JSON lines, each by its content: siemd's own events, Windows events as tools write them, journald exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from siemd.events import Event, clamp_time_us, decode_event_json
from siemd.sources.journal_record import event_from_journal
from siemd.sources.windows_flat import event_from_flat, is_flat
from siemd.sources.windows_record import event_from_record
from siemd.sources.windows_xml import RecordError

MAX_LINE_BYTES = 4 << 20
MAX_REPORTED = 5
BATCH_EVENTS = 512
OWN_TYPES = ("network", "log", "usage", "alert")

_decoder = msgspec.json.Decoder()


class JsonLinesError(ValueError):
    """Lines that are no event; raised after all the good ones, with their numbers and the first reasons.

    bad_lines: how many. good_lines: how many were events.
    """

    def __init__(self, message: str, bad_lines: int, good_lines: int) -> None:
        super().__init__(message)
        self.bad_lines = bad_lines
        self.good_lines = good_lines


def is_jsonlines(head: bytes) -> bool:
    """Whether a file that begins with these bytes may hold JSON lines: its first visible byte is a brace."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def read_events(source: Path | str | BinaryIO) -> Iterator[list[Event]]:
    """The events of a file as batches of up to 512; empty lines are skipped.

    Bad lines are left out and the rest goes on; after the last batch JsonLinesError names them (a file without any
    good line is such an error too). Memory is bounded by a batch of lines of up to 4 MiB. Raises OSError when the
    file cannot be read.
    """
    if isinstance(source, Path | str):
        with Path(source).open("rb") as file:
            yield from read_events(file)
        return
    batch: list[Event] = []
    good = bad = 0
    reasons: list[str] = []
    for line_number, line in _lines(source):
        try:
            batch.append(decode_line(line))
            good += 1
        except ValueError as error:
            bad += 1
            if len(reasons) < MAX_REPORTED:
                reasons.append(f"line {line_number}: {error}")
            continue
        if len(batch) >= BATCH_EVENTS:
            yield batch
            batch = []
    if batch:
        yield batch
    if bad:
        more = f"; and {bad - len(reasons)} more" if bad > len(reasons) else ""
        raise JsonLinesError(f"{bad} of {bad + good} lines are no event: {'; '.join(reasons)}{more}", bad, good)
    if not good:
        raise JsonLinesError("the file holds no event", 0, 0)


def decode_line(line: bytes) -> Event:
    """The event of one JSON line; raises ValueError with the reason."""
    if len(line) > MAX_LINE_BYTES:
        raise RecordError(f"longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        record: Any = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RecordError(f"not valid JSON: {str(error)[:200] or 'nested too deeply'}") from None
    if not isinstance(record, dict):
        raise RecordError("not a JSON object")
    if record.get("type") in OWN_TYPES and "time_us" in record:
        try:
            event = decode_event_json(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RecordError(f"not an event of type {record['type']}: {str(error)[:200]}") from None
        event.time_us = clamp_time_us(event.time_us)
        return event
    if "__REALTIME_TIMESTAMP" in record:
        return event_from_journal(record)
    inner = record.get("Event", record)
    if isinstance(inner, dict) and isinstance(inner.get("System"), dict):
        return event_from_record(record)
    if is_flat(record):
        return event_from_flat(record)
    raise RecordError("neither a siemd event, nor a Windows event, nor a journald record")


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(number, line) of every line that is not empty; of a line beyond the limit only the beginning."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            yield number, line
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        elif line := line.strip():
            yield number, line
