"""uvicorn's HTTP protocol with the deadlines and limits that it lacks, for clients that are slow on purpose."""

from __future__ import annotations

import asyncio
import secrets
import sys
from http import HTTPStatus
from typing import Any

import h11
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from siemd.web.config import LimitsConfig, Network
from siemd.web.headers import with_security
from siemd.web.origin import is_trusted
from siemd.web.problems import MEDIA_TYPE, Problem


class Gate:
    """Counts connections, and refuses those that are too many."""

    def __init__(self, limits: LimitsConfig, proxies: list[Network]) -> None:
        self.limits = limits
        self._proxies = proxies
        self._by_address: dict[str, int] = {}
        self.open = 0
        self.refused = 0

    def enter(self, address: str) -> bool:
        """Whether one more connection from there is taken; `leave` must follow each that was."""
        count = self._by_address.get(address, 0)
        many = count >= self.limits.connections_per_address and not is_trusted(address, self._proxies)
        if many or self.open >= self.limits.connections:
            self.refused += 1
            return False
        self._by_address[address] = count + 1
        self.open += 1
        return True

    def leave(self, address: str) -> None:
        """A connection has ended."""
        self.open -= 1
        if (count := self._by_address.pop(address, 1) - 1) > 0:
            self._by_address[address] = count


class Protocol(H11Protocol):
    """One connection. It is cut when a request's headers don't come in time, or nothing of an answer is taken."""

    def __init__(self, config: Config, server_state: ServerState, gate: Gate, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, server_state, {}, loop)
        self._gate = gate
        self._entered = ""
        self._upgraded = False
        self._header_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or cut it when there are too many."""
        super().connection_made(transport)
        address = self.client[0] if self.client else "?"
        if not self._gate.enter(address):
            transport.abort()
            return
        self._entered = address
        self._watch_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its timers."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; from the first one on its headers have a deadline."""
        super().data_received(data)
        self._watch_header()

    def on_response_complete(self) -> None:
        """An answer is written; the next request may begin."""
        super().on_response_complete()
        if self.cycle.response_complete and self.conn.trailing_data[0]:
            self._watch_header()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on another protocol has the connection, which counts on until its transport ends."""
        self._cancel_timers()
        self._upgraded = True
        super().handle_websocket_upgrade(event)
        protocol: Any = self.transport.get_protocol()
        lost = protocol.connection_lost

        def connection_lost(exc: Exception | None) -> None:
            self._leave()
            lost(exc)

        protocol.connection_lost = connection_lost
        self._watch_stall_of(protocol)

    def _watch_stall_of(self, protocol: Any) -> None:
        """A client that takes nothing of what a WebSocket tells is cut off, too."""
        pause, resume = protocol.pause_writing, protocol.resume_writing

        def pause_writing() -> None:
            pause()
            self._watch_stall()

        def resume_writing() -> None:
            resume()
            self._cancel_timers()

        protocol.pause_writing, protocol.resume_writing = pause_writing, resume_writing

    def pause_writing(self) -> None:
        """The client takes the answer more slowly than it is made."""
        super().pause_writing()
        self._watch_stall()

    def resume_writing(self) -> None:
        """The client has taken most of what was waiting."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; if it can't be, because what was sent is not taken, cut it."""
        super().timeout_keep_alive_handler()
        self._watch_stall()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem."""
        status = HTTPStatus(getattr(sys.exc_info()[1], "error_status_hint", 400))
        title = status.phrase
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whoever works on it has nobody to answer any more
            self.cycle.message_event.set()
        request_id = secrets.token_hex(8)
        body = msgspec.json.encode(
            Problem(title=title, status=status, detail="this is no request that siemd takes", request_id=request_id)
        )
        headers = with_security(
            [
                (b"content-type", MEDIA_TYPE.encode()),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ],
            tls=self.scheme == "https",
            request_id=request_id,
        )
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (
                h11.Response(status_code=status, headers=headers, reason=title.encode()),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._watch_stall()

    def _waits_for_header(self) -> bool:
        return not self._upgraded and (self.cycle is None or self.cycle.response_complete)

    def _watch_header(self) -> None:
        if not self._waits_for_header():
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None
        elif self._header_timer is None and self._entered:
            self._header_timer = self.loop.call_later(self._gate.limits.header_time_s, self._header_is_late)

    def _header_is_late(self) -> None:
        self._header_timer = None
        if self._waits_for_header():
            self._gate.refused += 1
            self.transport.abort()

    def _watch_stall(self) -> None:
        if self._stall_timer is None and self._entered:
            self._stall_timer = self.loop.call_later(self._gate.limits.stall_time_s, self.transport.abort)

    def _cancel_timers(self) -> None:
        for timer in (self._header_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._header_timer = self._stall_timer = None

    def _leave(self) -> None:
        self._cancel_timers()
        if self._entered:
            self._gate.leave(self._entered)
            self._entered = ""
