"""Frames from other processes, for a thread that says itself how long it waits for them."""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import IO, Generic, TypeVar, cast

from siemd.detection.framewriter import POLLED
from siemd.detection.worker import HEADER, Kind, read_frame

Sender = TypeVar("Sender")
Arrived = tuple[Sender, Kind | None, bytes]
BITE_BYTES = 1 << 16


class FrameReader(Generic[Sender]):
    """What several processes sent, each frame with who sent it; (sender, None, b"") when it sends no more.

    On POSIX the thread that takes the frames reads them itself. A thread that read for it had to win the interpreter's
    lock from one that matches: measured with all public Windows rules, answers came up to 20 ms late and matching
    itself was slower meanwhile. Windows, whose pipes can't be polled, has such a thread.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[Arrived[Sender]] = queue.SimpleQueue()
        self._open: dict[int, tuple[Sender, IO[bytes], bytearray]] = {}
        if POLLED:
            self._poll = select.poll()

    def listen(self, sender: Sender, pipe: IO[bytes], name: str) -> None:
        """Read a pipe until it ends, and close it then. Raises RuntimeError where there is no room for a thread."""
        if POLLED:
            os.set_blocking(pipe.fileno(), False)
            self._open[pipe.fileno()] = (sender, pipe, bytearray())
            self._poll.register(pipe.fileno(), select.POLLIN)
        else:
            threading.Thread(target=self._read_all, args=(sender, pipe), name=name, daemon=True).start()

    def take(self, wait_s: float = 0.0) -> list[Arrived[Sender]]:
        """All that has arrived, in its order for each sender; with wait_s, wait so long for the first of it."""
        found: list[Arrived[Sender]] = []
        if POLLED:
            for number, _ in self._poll.poll(wait_s * 1000):
                found += self._read(number)
            return found
        try:
            found.append(self._arrived.get(timeout=wait_s) if wait_s else self._arrived.get_nowait())
            while True:
                found.append(self._arrived.get_nowait())
        except queue.Empty:
            return found

    def close(self) -> None:
        """Read no more."""
        for number in [*self._open]:
            self._forget(number)

    def _read(self, number: int) -> list[Arrived[Sender]]:
        sender, _, held = self._open[number]
        found: list[Arrived[Sender]] = []
        try:
            piece = os.read(number, BITE_BYTES)
            held += piece
            found.extend(
                (sender, kind, payload) for kind, payload in _frames(held)
            )  # and keep those before a wrong one
        except BlockingIOError:
            return []
        except (OSError, ValueError):  # ValueError: no frame that we know
            piece = b""
        if not piece:
            self._forget(number)
            found.append((sender, None, b""))
        return found

    def _forget(self, number: int) -> None:
        _, pipe, _ = self._open.pop(number)
        self._poll.unregister(number)
        pipe.close()

    def _read_all(self, sender: Sender, pipe: IO[bytes]) -> None:
        with BufferedReader(cast("RawIOBase", pipe)) as stream:
            while (frame := read_frame(stream)) is not None:
                self._arrived.put((sender, *frame))
        self._arrived.put((sender, None, b""))


def _frames(held: bytearray) -> Iterator[tuple[Kind, bytes]]:
    """Take the whole frames off what is held. Raises ValueError at one of an unknown kind."""
    start = 0
    while len(held) - start >= HEADER.size:
        length, kind = HEADER.unpack_from(held, start)
        end = start + HEADER.size + length
        if len(held) < end:
            break
        yield Kind(kind), bytes(held[start + HEADER.size : end])
        start = end
    del held[:start]
