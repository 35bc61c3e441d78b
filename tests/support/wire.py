"""A TCP proxy before a server that goes away and comes back, maybe on another port: its clients see one address."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Wire:
    """Listens on `port` and forwards to `target_port`; while that is 0 whoever connects is cut off at once."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    @property
    def origin(self) -> str:
        """Where a browser finds the server."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection, and every one that is tried until `target_port` is set again."""
        self.target_port = 0
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        if not self.target_port:
            client_out.transport.abort()
            return
        with suppress(OSError):
            server_in, server_out = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._open |= {client_out, server_out}
            try:
                await asyncio.gather(_copy(client_in, server_out), _copy(server_in, client_out))
            finally:
                self._open -= {client_out, server_out}
                server_out.transport.abort()
        client_out.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
