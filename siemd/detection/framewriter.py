"""Frames to another process, from a thread that must never wait for it."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from typing import IO

PIPE_BYTES = 1 << 20  # what Linux lets everybody have
POLLED = os.name == "posix"


class FrameWriter:
    """Takes frames at once and writes them while the other side takes them; what it can't write any more is dropped.

    On POSIX `flush`, called again and again, writes what the pipe has room for. A thread for it would have to wait for
    the interpreter's lock at every piece; Windows, whose pipes know no other way, has one all the same.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._waiting: deque[memoryview] = deque()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        if POLLED:
            os.set_blocking(pipe.fileno(), False)
            _widen(pipe)
        else:
            threading.Thread(target=self._write_all, name="frames", daemon=True).start()

    def put(self, frame: bytes) -> None:
        """Write a frame after those before it."""
        if POLLED:
            self._waiting.append(memoryview(frame))
            self.flush()
        else:
            self._queue.put(frame)

    def flush(self) -> bool:
        """Write what there is room for now; whether nothing is left to be written by further calls."""
        try:
            while self._waiting:
                frame = self._waiting[0]
                written = os.write(self._pipe.fileno(), frame)
                if written < len(frame):
                    self._waiting[0] = frame[written:]
                else:
                    self._waiting.popleft()
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # it ended: whoever reads its answers tells
            self._waiting.clear()
        return True

    def close(self) -> None:
        """Write no more."""
        self._waiting.clear()
        self._queue.put(None)
        if POLLED:
            _close(self._pipe)

    def _write_all(self) -> None:
        try:
            while (frame := self._queue.get()) is not None:
                self._pipe.write(frame)
                self._pipe.flush()
        except (OSError, ValueError):
            pass  # as above
        _close(self._pipe)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        pass


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold several parts where the system can (Linux)."""
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        pass  # it works all the same, in smaller bites
