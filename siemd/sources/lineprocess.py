"""A child process that speaks in lines: bounded buffers, back-pressure, deadlines, the end of its complaints."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

HIGH_WATER_BYTES = 4 << 20
COMPLAINT_BYTES = 4_096


class ProcessEnded(Exception):
    """The process is gone; the message says how, with the last line that it wrote to stderr."""


class LineProcess(asyncio.SubprocessProtocol):
    """One child process. `start`, then `read_lines` and `write`, and `stop` at the end, whatever happened.

    environment: variables to set beside those of this process. max_line_bytes: longer lines are thrown away and
    counted in `oversized`. A line without its end when the process ends is thrown away too. Windows: no console
    window is shown.
    """

    def __init__(
        self, argv: Sequence[str], *, max_line_bytes: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.oversized = 0
        self._argv = argv
        self._environment = {**os.environ, **(environment or {})}
        self._max_line_bytes = max_line_bytes
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._partial = bytearray()
        self._skipping = False
        self._complaint = b""
        self._ended = False
        self._exited = asyncio.Event()
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.SubprocessTransport | None = None

    async def start(self) -> None:
        """Start the process; raises OSError when it can't be."""
        options: dict[str, Any] = {"env": self._environment}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.subprocess_exec(lambda: self, *self._argv, **options)

    @property
    def pid(self) -> int:
        """The process id, 0 before the start."""
        return self._transport.get_pid() if self._transport else 0

    @property
    def complaint(self) -> str:
        """The last 4 KiB of its stderr."""
        return self._complaint.decode("utf-8", "replace")

    async def read_lines(self, timeout_s: float | None) -> list[bytes]:
        """The lines that have come, waiting for the first; raises TimeoutError, or ProcessEnded when all are read."""
        if not self._lines and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiter
            finally:
                self._waiter = None
        if not self._lines:
            raise ProcessEnded(self._how_it_ended())
        lines = list(self._lines)
        self._lines.clear()
        self._waiting_bytes = 0
        if self._paused and self._transport and (pipe := self._transport.get_pipe_transport(1)):
            self._paused = False
            pipe.resume_reading()  # type: ignore[attr-defined]
        return lines

    def write(self, data: bytes) -> None:
        """Send bytes to its stdin; raises ProcessEnded when it is gone."""
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is None or pipe.is_closing() or self._ended:
            raise ProcessEnded(self._how_it_ended())
        pipe.write(data)  # type: ignore[attr-defined]

    async def stop(self) -> None:
        """Kill it if it runs and wait until it is gone, so that no process is left behind."""
        if self._transport is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._transport.kill()
        try:
            await self._exited.wait()
        finally:
            self._transport.close()  # not waiting for the pipes' end: a grandchild may keep them open

    def _how_it_ended(self) -> str:
        code = self._transport.get_returncode() if self._transport else None
        how = "was ended by signal " + str(-code) if code is not None and code < 0 else f"ended with code {code}"
        lines = self.complaint.strip().splitlines()
        return f"{how}: {lines[-1].strip()[:300]}" if lines else how

    # asyncio.SubprocessProtocol

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Split stdout into lines; keep the end of stderr."""
        if fd != 1:
            self._complaint = (self._complaint + data)[-COMPLAINT_BYTES:]
            return
        *complete, rest = data.split(b"\n")
        for piece in complete:
            if self._skipping:
                self._skipping = False
                continue
            if len(self._partial) + len(piece) > self._max_line_bytes:
                self.oversized += 1
            else:
                self._lines.append(bytes(self._partial) + piece if self._partial else piece)
                self._waiting_bytes += len(self._lines[-1])
            self._partial.clear()
        if not self._skipping:
            self._partial += rest
            if len(self._partial) > self._max_line_bytes:
                self._partial.clear()
                self._skipping = True
                self.oversized += 1
        if self._waiting_bytes > HIGH_WATER_BYTES and not self._paused and self._transport:
            pipe = self._transport.get_pipe_transport(1)
            if pipe is not None:
                self._paused = True
                pipe.pause_reading()  # type: ignore[attr-defined]
        if self._lines:
            self._wake()

    def process_exited(self) -> None:
        """Gone, but lines may still be in the pipe: `connection_lost` comes after the last of them."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone and its pipes are read to their end."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
