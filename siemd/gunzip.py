"""Files that are compressed by gzip, read as what is in them."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

MAGIC = b"\x1f\x8b\x08"
_WITH_HEADER = 31  # zlib: a gzip header and trailer, and the largest window
_PIECE_BYTES = 1 << 16
_STEP_BYTES = 1 << 12  # what damage costs at most of what came before it


class Gunzip(io.RawIOBase):
    """The content of a gzip file (of all its members) up to the first damage, of which `problem` tells then."""

    def __init__(self, file: BinaryIO) -> None:
        self.problem = ""
        self._file = file
        self._compressed = b""
        self._member = zlib.decompressobj(_WITH_HEADER)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes; none at the end."""
        while not self.problem:
            if self._member.eof:
                self._compressed = self._member.unused_data or self._file.read(_PIECE_BYTES)
                if not self._compressed.startswith(MAGIC):  # what lies behind the last member is padding
                    return 0
                self._member = zlib.decompressobj(_WITH_HEADER)
            elif not self._compressed:
                self._compressed = self._file.read(_PIECE_BYTES)
                if not self._compressed:
                    self.problem = "the compressed data ends early"
                    break
            try:
                content = self._member.decompress(self._compressed, min(len(buffer), _STEP_BYTES))
            except zlib.error as error:
                self.problem = f"the compressed data is damaged ({error})"
                break
            self._compressed = self._member.unconsumed_tail
            if content:
                buffer[: len(content)] = content
                return len(content)
        return 0
