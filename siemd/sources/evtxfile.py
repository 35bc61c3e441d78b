"""Reads Windows event log files (.evtx) into LogEvents, in the order of their records, and says what it could not read.

The `evtx` library parses; this module feeds it the chunks in the order of their record numbers (a log that reached
its size limit wraps around, so its oldest records stand in the middle), and a cut last chunk filled up with zeros,
of which the library then reads what is there. Records are taken as XML: the library's JSON is faster, but leaves
out unnamed Data beside named ones and writes a repeated name twice.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from evtx import PyEvtxParser

from siemd.events import LogEvent
from siemd.sources.windows_record import event_from_xml
from siemd.sources.windows_xml import RecordError

MAGIC = b"ElfFile\x00"
HEADER_BYTES = 4096
CHUNK_BYTES = 65536
BATCH_EVENTS = 512
MAX_RECORD_BYTES = 4 << 20


class EvtxError(ValueError):
    """What of the file could not be read, and why; raised after all that could be read."""


def is_evtx(head: bytes) -> bool:
    """Whether a file that begins with these bytes (8 or more) is an event log file."""
    return head[: len(MAGIC)] == MAGIC


def read_events(source: Path | str | BinaryIO) -> Iterator[list[LogEvent]]:
    """The records as batches of up to 512 events; a seekable file or a path.

    Records that cannot be read are left out; after the last batch EvtxError tells their number and the first reason.
    Memory is bounded by a few chunks of 64 KiB. Raises OSError when the file itself cannot be read.
    """
    if isinstance(source, Path | str):
        with Path(source).open("rb") as file:
            yield from read_events(file)
        return
    chunks = _Chunks(source)
    problems: list[str] = []
    problem_count = 0
    if chunks.missing_bytes:
        problem_count = 1
        problems.append(f"the file is cut: its last chunk lacks {chunks.missing_bytes} bytes")
    batch: list[LogEvent] = []
    for result in _results(chunks):
        if isinstance(result, LogEvent):
            batch.append(result)
            if len(batch) >= BATCH_EVENTS:
                yield batch
                batch = []
        else:
            problem_count += 1
            if len(problems) < 3:
                problems.append(result)
    if batch:
        yield batch
    if problem_count:
        raise EvtxError(f"{problem_count} damaged part{'s' * (problem_count > 1)}: {'; '.join(problems)}")


def _results(chunks: _Chunks) -> Iterator[LogEvent | str]:
    """Each record's event, or the reason why a record or chunk is unreadable; the library goes on after errors."""
    try:
        records: Any = PyEvtxParser(chunks, number_of_threads=1, indent=False).records()
    except (OSError, RuntimeError, ValueError) as error:
        yield f"not an event log file: {_first_line(error)}"
        return
    for _ in range(chunks.record_limit):
        try:
            record: dict[str, Any] = next(records)
        except StopIteration:
            return
        except (RuntimeError, ValueError, OSError, OverflowError) as error:
            yield _first_line(error)
            continue
        text = record["data"]
        try:
            if len(text) > MAX_RECORD_BYTES:
                raise RecordError(f"larger than {MAX_RECORD_BYTES >> 20} MiB")
            yield event_from_xml(text)
        except RecordError as error:
            yield f"record {record.get('event_record_id')}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


class _Chunks(io.RawIOBase):
    """The file as the library shall see it: header, then the chunks by record number, the last one filled up."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, io.SEEK_END)
        body = max(0, size - HEADER_BYTES)
        count = -(-body // CHUNK_BYTES)
        self.missing_bytes = count * CHUNK_BYTES - body
        self._order = self._sorted_chunks(count)
        self._size = HEADER_BYTES + count * CHUNK_BYTES if body else size
        self._position = 0
        self.record_limit = (count + 1) * CHUNK_BYTES // 24  # no record is smaller: a hostile file cannot loop

    def _sorted_chunks(self, count: int) -> list[int]:
        numbers: list[int] = []
        for index in range(count):
            self._file.seek(HEADER_BYTES + index * CHUNK_BYTES)
            head = self._file.read(16)
            if len(head) == 16 and head[:8] == b"ElfChnk\x00":
                numbers.append(struct.unpack_from("<Q", head, 8)[0])
            else:  # damaged or unused: it stays behind its neighbour
                numbers.append(numbers[-1] if numbers else 0)
        return sorted(range(count), key=numbers.__getitem__)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        pieces: list[bytes] = []
        left = max(0, self._size - self._position) if size < 0 else min(size, max(0, self._size - self._position))
        while left:
            index, offset = divmod(self._position - HEADER_BYTES, CHUNK_BYTES)
            if index < 0:
                start, room = self._position, min(HEADER_BYTES, self._size) - self._position
            else:
                start, room = HEADER_BYTES + self._order[index] * CHUNK_BYTES + offset, CHUNK_BYTES - offset
            wanted = min(left, room)
            self._file.seek(start)
            piece = self._file.read(wanted)
            pieces.append(piece.ljust(wanted, b"\x00"))
            self._position += wanted
            left -= wanted
        return b"".join(pieces)
