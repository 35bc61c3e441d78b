"""The WebSocket on which what is stored shows at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import Meta

from siemd.errors import StoreError, UserError
from siemd.events import iso_time, now_us
from siemd.storage.conditions import MAX_FILTERS, Filter
from siemd.storage.database import QueryTimeout
from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.application import is_still_allowed, principal_of
from siemd.web.asking import CountedTable
from siemd.web.live import ALERTS, Client, Message, make_question
from siemd.web.problems import Refused
from siemd.web.services import SUBPROTOCOL, Services, TheServices, offered_protocols

CHECK_EVERY_S = 5.0
HEARTBEAT_S = 15.0
MESSAGES_A_SECOND = 20.0
LOGGED_OUT, TOO_MANY, TOO_SLOW = 4401, 4429, 4408


class Subscribe(msgspec.Struct, tag="subscribe", forbid_unknown_fields=True):
    """Tell from now on what of a table meets filters and words. id: names it, for one's own use."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    table: CountedTable
    filters: Annotated[list[Filter], Meta(max_length=MAX_FILTERS)] = []
    words: Annotated[str, Meta(max_length=1000)] = ""
    fields: Annotated[list[str], Meta(max_length=64)] = []


class Unsubscribe(msgspec.Struct, tag="unsubscribe", forbid_unknown_fields=True):
    """No longer."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]


class Ping(msgspec.Struct, tag="ping", forbid_unknown_fields=True):
    """Is answered by pong."""


_ASKED = msgspec.json.Decoder(Subscribe | Unsubscribe | Ping)


@websocket("/api/v1/live", opt={"right": Right.SELF})
async def live(socket: WebSocket[Any, Any, Any], services: TheServices) -> None:
    """Subscribe to what is stored: see docs/api.md."""
    principal = principal_of(socket)
    try:
        client = services.live.join(principal)
    except Refused:
        await socket.close(code=TOO_MANY, reason="too many connections watch already")
        return
    try:
        await socket.accept(subprotocols=SUBPROTOCOL if SUBPROTOCOL in offered_protocols(socket) else None)
        code = await _Talk(socket, services, principal, client).run()
        if code and code != TOO_SLOW:  # who takes nothing hears nothing either: the connection cuts itself
            await socket.close(code=code)
    except WebSocketDisconnect:
        pass
    finally:
        services.live.leave(client)


class _Talk:
    """One connection, until it ends or who opened it may no longer."""

    def __init__(
        self, socket: WebSocket[Any, Any, Any], services: Services, principal: Principal, client: Client
    ) -> None:
        self._socket = socket
        self._services = services
        self._principal = principal
        self._client = client
        self._code = 0

    async def run(self) -> int:
        """The code to close with; 0 when the client has gone."""
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "live receive": self._receive(),
            "live send": self._send(),
            "live check": self._check(),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        return self._code

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        free_s = loop.time()
        try:
            while True:
                data = await self._socket.receive_data(mode="text")
                free_s = max(free_s, loop.time() - 1.0) + 1.0 / MESSAGES_A_SECOND
                await asyncio.sleep(free_s - loop.time())  # who says much is listened to slowly
                await self._take(data)
        except WebSocketDisconnect:
            pass

    async def _take(self, data: str | bytes) -> None:
        name = ""
        try:
            asked = _ASKED.decode(data)
            match asked:
                case Subscribe():
                    name = asked.id
                    right = Right.READ_ALERTS if asked.table == ALERTS else Right.READ_EVENTS
                    if not self._principal.may(right):
                        raise Refused(403, f"this wants the right {right}")
                    question = make_question(asked.table, asked.filters, asked.words, asked.fields)
                    await self._services.live.subscribe(self._client, name, question)
                    self._client.say(Message("subscribed", name, asked.table))
                case Unsubscribe():
                    known = self._services.live.unsubscribe(self._client, asked.id)
                    self._client.say(Message("unsubscribed" if known else "error", asked.id))
                case Ping():
                    self._client.say(Message("pong"))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._error(name, f"not a message that is understood: {str(error)[:200]}")
        except Refused as refused:
            self._error(name, refused.detail)
        except (QueryTimeout, StoreError):
            self._error(name, "the store does not answer now; try again")
        except UserError as error:
            self._error(name, str(error)[:500])

    def _error(self, name: str, detail: str) -> None:
        self._client.say(Message("error", name, detail=detail))

    async def _send(self) -> None:
        encoder = msgspec.json.Encoder()
        stall_s = 2 * self._services.web.limits.stall_time_s  # before, the connection ends by itself
        try:
            while True:
                message = self._client.next()
                if message is None:
                    try:
                        async with asyncio.timeout(HEARTBEAT_S):
                            await self._client.ready.wait()
                        continue
                    except TimeoutError:
                        message = Message("heartbeat", time=iso_time(now_us()))
                async with asyncio.timeout(stall_s):
                    await self._socket.send_data(encoder.encode(message).decode(), mode="text")
        except TimeoutError:
            self._code = TOO_SLOW
        except (WebSocketDisconnect, OSError):  # the client has gone
            pass

    async def _check(self) -> None:
        """Whether who opened it may still do so: their session may have ended, or their rights be others."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                if await self._allowed():
                    continue
            except StoreError:
                continue  # nobody can say now; nothing is read from the store either
            self._code = LOGGED_OUT
            return

    async def _allowed(self) -> bool:
        wanted = {Right.SELF}
        for question in self._client.questions.values():
            wanted.add(Right.READ_ALERTS if question.table == ALERTS else Right.READ_EVENTS)
        return await is_still_allowed(self._services, self._socket, *wanted)


HANDLERS = [live]
