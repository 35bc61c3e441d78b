"""Puts the payloads of one direction of a TCP connection in order, within bounds, and says where bytes are missing."""

from __future__ import annotations

MAX_PARTS = 32  # segments that may wait for one before them
MAX_PART_BYTES = 16_384
MAX_AHEAD = 1 << 20  # a segment further ahead than any window of these connections is not waited for

_WRAP = 1 << 32


class Assembly:
    """One direction. A piece is bytes that follow on, or an int: so many bytes that will not come.

    next: the number of the byte that follows, None if not known; what is before it is of no interest any more.
    Missing are bytes that the snap length cut, that the receiver acknowledged though they were not seen, and those
    before a segment that can't wait any longer because MAX_PARTS or MAX_PART_BYTES are reached.
    """

    __slots__ = ("_parts", "held", "next")

    def __init__(self, first: int | None = None) -> None:
        """first: the sequence number of the first byte, None if that of the first segment seen will do."""
        self.next = first
        self._parts: dict[int, tuple[bytes, int]] = {}
        self.held = 0

    def add(self, seq: int, payload: bytes, length: int) -> list[bytes | int]:
        """A segment: its captured bytes and its length on the wire. Returns the pieces that follow on now."""
        if self.next is None:
            self.next = seq
        ahead = (seq - self.next) % _WRAP
        if ahead >= _WRAP // 2:  # seen before, at least its beginning
            known = _WRAP - ahead
            if known >= length:
                return []
            payload, length, ahead = payload[known:], length - known, 0
        if not ahead:
            pieces = self._take(payload, length)
            return self._following(pieces) if self._parts else pieces
        if ahead > MAX_AHEAD:
            pieces = self.flush()
            self.next = seq
            return [*pieces, MAX_AHEAD, *self._take(payload, length)]
        waiting = self._parts.get(seq)
        if waiting is None or length > waiting[1]:  # the longer of two that begin alike
            self._parts[seq] = payload, length
            self.held += len(payload) - (len(waiting[0]) if waiting else 0)
        return self.flush() if len(self._parts) > MAX_PARTS or self.held > MAX_PART_BYTES else []

    def acknowledged(self, ack: int) -> list[bytes | int]:
        """The receiver has everything before `ack`: what of it is still missing here will not come."""
        if not self._parts or self.next is None or not 0 < (ack - self.next) % _WRAP < _WRAP // 2:
            return []
        return self.flush()

    def pass_over(self, size: int) -> list[bytes | int]:
        """The next so many bytes (less than 2 GiB) are of no interest, whether they come or not."""
        if self.next is None:
            return []
        self.next = (self.next + size) % _WRAP
        return self._following([]) if self._parts else []

    def flush(self) -> list[bytes | int]:
        """Wait no longer."""
        pieces: list[bytes | int] = []
        while self._parts and self.next is not None:
            first = self.next
            seq = min(self._parts, key=lambda seq: (seq - first) % _WRAP)
            pieces.append((seq - first) % _WRAP)
            self.next = seq
            self._following(pieces)
        return pieces

    def _following(self, pieces: list[bytes | int]) -> list[bytes | int]:
        """Add the waiting segments that follow on now."""
        while self.next is not None:
            nexts = self.next
            ready = [seq for seq in self._parts if (nexts - seq) % _WRAP < _WRAP // 2]
            if not ready:
                break
            for seq in sorted(ready, key=lambda seq: (seq - nexts) % _WRAP):
                payload, length = self._parts.pop(seq)
                self.held -= len(payload)
                known = (self.next - seq) % _WRAP
                if known < length:
                    pieces += self._take(payload[known:], length - known)
        return pieces

    def _take(self, payload: bytes, length: int) -> list[bytes | int]:
        assert self.next is not None
        self.next = (self.next + length) % _WRAP
        missing = length - len(payload)
        if not missing:
            return [payload]
        return [payload, missing] if payload else [missing]
