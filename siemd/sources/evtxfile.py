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

_TABLES_AT = 128  # in a chunk: 64 buckets of names, then 32 of templates
_TABLES = struct.Struct("<96I")
_OFFSET = struct.Struct("<I")


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
    if chunks.looped:
        problem_count += len(chunks.looped)
        problems.append("tables of names that lead in a circle")
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
        self._loaded_index, self._loaded = -1, b""
        self.looped: set[int] = set()  # chunks with tables that were emptied
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
                offset, room = self._position, min(HEADER_BYTES, self._size) - self._position
            else:
                room = CHUNK_BYTES - offset
            wanted = min(left, room)
            pieces.append(self._piece(index, offset, wanted))
            self._position += wanted
            left -= wanted
        return b"".join(pieces)

    def _piece(self, index: int, offset: int, size: int) -> bytes:
        """Bytes of a chunk in the order of the records, or of the header (index below 0)."""
        if index < 0:
            self._file.seek(offset)
            return self._file.read(size).ljust(size, b"\x00")
        if index != self._loaded_index:
            self._file.seek(HEADER_BYTES + self._order[index] * CHUNK_BYTES)
            chunk, loops = _without_loops(self._file.read(CHUNK_BYTES).ljust(CHUNK_BYTES, b"\x00"))
            self._loaded_index, self._loaded = index, chunk
            if loops:
                self.looped.add(index)
        return self._loaded[offset : offset + size]


def _without_loops(chunk: bytes) -> tuple[bytes, int]:
    """The chunk with every table of names or templates emptied that leads in a circle, and how many those were.

    The library would follow it for ever. A bucket of a table is a list whose entries begin with the next one's offset.
    """
    heads = list(_TABLES.unpack_from(chunk, _TABLES_AT))
    loops = 0
    for bucket, offset in enumerate(heads):
        seen: set[int] = set()
        while offset and offset not in seen and offset <= CHUNK_BYTES - 4:
            seen.add(offset)
            (offset,) = _OFFSET.unpack_from(chunk, offset)
        if offset in seen:
            heads[bucket] = 0
            loops += 1
    if loops:
        chunk = chunk[:_TABLES_AT] + _TABLES.pack(*heads) + chunk[_TABLES_AT + _TABLES.size :]
    return chunk, loops
