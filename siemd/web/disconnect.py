"""A question ends with whoever asked it: when the client goes away, its work is cancelled, queries included."""

from __future__ import annotations

import asyncio

from siemd.web.shell import App, Message, Receive, Scope, Send

_READING = frozenset({"GET", "HEAD"})


class EndsWithClient:
    """An ASGI application around another one; changes, and requests with a body, are never cut short."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] not in _READING or _has_body(scope):
            await self._app(scope, receive, send)
            return
        first: list[Message] = [await receive()]
        gone: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        failures: list[Exception] = []

        async def watched() -> Message:
            return first.pop() if first else await asyncio.shield(gone)

        async def work() -> None:
            try:
                await self._app(scope, watched, send)
            except Exception as error:  # raised again below: a task group would wrap it
                failures.append(error)

        async with asyncio.TaskGroup() as group:
            working = group.create_task(work(), name="answer")

            async def watch() -> None:
                gone.set_result(await receive())  # http.disconnect: nothing else can come
                working.cancel()

            watching = group.create_task(watch(), name="watch client")
            await asyncio.wait([working])
            watching.cancel()
        if failures:
            raise failures[0]


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
