"""Delivers what waits for one target, in its order, until each message is taken or given up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from siemd.backoff import Backoff
from siemd.errors import StoreError
from siemd.events import now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.notify import outbox
from siemd.notify.base import Channel, Message, Undelivered
from siemd.notify.config import NotifyConfig

T = TypeVar("T")
Run = Callable[[Callable[[sqlite3.Connection], T]], Awaitable[T]]

FIRST_DELAY_S, MOST_DELAY_S = 2.0, 300.0
MOST_WANTED_S = 3600.0
LOOK_S = 30.0  # how long nothing is looked for when nobody calls
OVERTIME_S = 5.0  # what a channel may take to end when its connection was cut


class Delivery:
    """One target's queue. `wake` is called when something was put into it."""

    def __init__(
        self,
        *,
        name: str,
        channel_name: str,
        channel: Channel,
        config: NotifyConfig,
        run_in_outbox: Any,
        health: ComponentHealth,
        recorded: Callable[[], None],
        limit_s: float,
    ) -> None:
        """run_in_outbox: does work on the outbox in a transaction. recorded: called when there is more to record.

        limit_s: how long one try may take, the whole of it, however slowly the other side goes on.
        """
        self.name = name
        self._channel_name = channel_name
        self._channel = channel
        self._config = config
        self._outbox = run_in_outbox
        self._health = health
        self._recorded = recorded
        self._limit_s = limit_s
        self._awake = asyncio.Event()
        self._finishing = asyncio.Event()
        self._said = ""
        self._wanted_s = 0.0  # for how long the other side wants to be left alone

    def wake(self) -> None:
        """There is something new to deliver."""
        self._awake.set()

    def finish(self) -> None:
        """Deliver what is due, and end at the first failure or when nothing is left."""
        self._finishing.set()
        self._awake.set()

    async def run(self) -> None:
        """Deliver until cancelled or finished."""
        backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S)
        self._health.set("ok", self._channel.description)
        while True:
            self._awake.clear()
            try:
                queued = await self._outbox(lambda db: outbox.next_queued(db, self.name, now_us()))
                wait_s = LOOK_S if queued is None else (queued.next_us - now_us()) / 1e6
                if queued is None or wait_s > 0:
                    self._idle(queued)
                    if self._finishing.is_set():
                        return
                    await _wait(self._awake, min(wait_s, LOOK_S))
                    continue
                self._health.lag_s = max(0.0, (now_us() - queued.queued_us) / 1e6)
                if await self._deliver(queued):
                    backoff.reset()
                    continue
            except StoreError as error:  # the outbox itself: a full disk
                self._health.error("degraded", str(error))
            await _wait(self._finishing, max(backoff.next_s(), self._wanted_s))
            if self._finishing.is_set():
                return

    async def _deliver(self, queued: outbox.Queued) -> bool:
        """Try one message; False when the target is to be left alone for a while."""
        await self._outbox(lambda db: outbox.started(db, queued.id))
        queued.attempts += 1
        self._wanted_s = 0.0
        try:
            said = await self._send(queued.message)
        except Undelivered as error:
            return await self._failed(queued, error)
        await self._settle(queued, "sent", said)
        self._health.sent += 1
        log = get_logger("siemd.notify")
        told = queued.message
        log.info("notify.sent", target=self.name, incidents=told.total, subject=told.subject, answer=said)
        self._health.set("ok", said)
        if self._said:
            self._said = ""
            log.info("notify.works_again", target=self.name)
        return True

    async def _failed(self, queued: outbox.Queued, error: Undelivered) -> bool:
        log = get_logger("siemd.notify")
        now = now_us()
        age_s = (now - queued.queued_us) / 1e6
        self._wanted_s = min(error.retry_s, MOST_WANTED_S)
        self._health.error("degraded", str(error))
        if str(error) != self._said:  # once for each reason, not for each try
            self._said = str(error)
            log.warning("notify.failed", target=self.name, reason=error.message, hint=error.hint)
        if queued.attempts >= self._config.max_tries or age_s >= float(self._config.give_up_after_s):
            await self._settle(queued, "dead", str(error))
            self._health.dropped += 1
            log.error(
                "notify.given_up", target=self.name, subject=queued.message.subject, tries=queued.attempts,
                reason=error.message,
            )  # fmt: skip
            return error.of_message
        # A message that is refused for itself waits alone; otherwise all wait, and this one stays the first.
        delay_s = _delay_s(queued.attempts) if error.of_message else 0.0
        await self._outbox(lambda db: outbox.postpone(db, queued.id, now + int(delay_s * 1e6), str(error)))
        return error.of_message

    async def _settle(self, queued: outbox.Queued, status: str, detail: str) -> None:
        """Note how it ended, however often that must be tried: otherwise it would be told once more."""
        backoff = Backoff()
        while True:
            try:
                await self._outbox(
                    lambda db: outbox.settle(db, queued.id, status, detail, self._channel_name, now_us())
                )
            except StoreError as error:
                self._health.error("degraded", str(error))
                await asyncio.sleep(backoff.next_s())
            else:
                self._recorded()
                return

    async def _send(self, message: Message) -> str:
        """In a thread of its own that nobody waits for at the end: a server that hangs must not hold siemd up."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        done.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may be left to ask

        def settle(result: str | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result or "")

        def work() -> None:
            result, failure = None, None
            try:
                result = self._channel.send(message)
            except Undelivered as error:
                failure = error
            except Exception as error:
                get_logger("siemd.notify").exception("notify.bug", target=self.name)
                failure = Undelivered(f"a bug: {type(error).__name__}: {error}", "please report it, with siemd.log")
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result, failure)

        threading.Thread(target=work, name=f"notify {self.name}", daemon=True).start()
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(done)
        except TimeoutError:
            self._channel.abort()
            try:
                async with asyncio.timeout(OVERTIME_S):
                    return await done  # it may have been taken in the last moment
            except (TimeoutError, Undelivered):
                told = f"{self._channel.description}: not done after {self._limit_s:g} s"
                raise Undelivered(told, "see the log of that server, or raise its `timeout`") from None
        except asyncio.CancelledError:
            self._channel.abort()
            raise

    def _idle(self, queued: outbox.Queued | None) -> None:
        if queued is None:
            self._health.lag_s = 0.0


async def _wait(event: asyncio.Event, most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await event.wait()


def _delay_s(attempts: int) -> float:
    """Before the next try of a message that was refused for itself."""
    return float(min(MOST_DELAY_S, FIRST_DELAY_S * 2 ** min(attempts, 20))) * random.uniform(0.75, 1.25)  # noqa: S311 - spread
