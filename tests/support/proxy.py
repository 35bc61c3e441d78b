"""A TCP proxy that cuts a MySQL connection the moment a write's COMMIT was passed on: its answer is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class CommitCutter:
    """Listens on `port`, forwards to `target_port`; `cuts` commits still lose their answers, `done` did."""

    def __init__(self, target_port: int, cuts: int) -> None:
        self.target_port = target_port
        self.cuts = cuts
        self.done = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> CommitCutter:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            async with asyncio.TaskGroup() as group:
                answers = group.create_task(_copy(server_in, client_out))
                wrote = False
                while data := await client_in.read(1 << 16):
                    wrote = wrote or b"INSERT INTO logs" in data  # connecting commits, too
                    if wrote and data[4:] == b"\x03COMMIT" and self.done < self.cuts:
                        self.done += 1
                        answers.cancel()
                        await asyncio.wait([answers])
                        server_out.write(data)
                        await server_out.drain()
                        await server_in.read(1 << 16)  # the server has committed; nobody will hear of it
                        break
                    server_out.write(data)
                    await server_out.drain()
                answers.cancel()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for writer in (server_out, client_out):
                with suppress(OSError, RuntimeError):
                    writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
