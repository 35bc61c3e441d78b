"""The shipper: takes batches from the spool to the database, in order, as long as it takes."""

from __future__ import annotations

import asyncio

from siemd.backoff import Backoff
from siemd.errors import StoreError, UserError
from siemd.events import now_us
from siemd.health import ComponentHealth, Status
from siemd.logger import get_logger
from siemd.storage.spool import Spool
from siemd.storage.store import Store, Written

SHIP_EVENTS = 8000  # in one transaction: large enough for speed, small enough to be done in a second
CHECKPOINTS_WAIT_S = 5.0


def count_written(health: ComponentHealth, written: Written) -> None:
    """Add a write to the store's counters."""
    health.received += written.stored + written.rejected
    health.sent += written.stored
    for counter, amount in (
        ("redelivered_events", written.skipped),
        ("dead_letters", written.rejected),
        ("changed_values", written.changed_values),
    ):
        if amount:
            health.add(counter, amount)


class Shipper:
    """Delivers the spool. The health it writes is the store's; lag_s is the age of the oldest batch that waits."""

    def __init__(self, store: Store, spool: Spool, health: ComponentHealth) -> None:
        self._store = store
        self._spool = spool
        self._health = health
        self._ending = asyncio.Event()
        self._done = asyncio.Event()
        self._most_events = SHIP_EVENTS
        self._oldest_us = 0  # when the oldest waiting batch was accepted; 0 when nothing waits

    async def run(self) -> None:
        """Deliver until `finish`; failures are waited out with growing delays."""
        backoff = Backoff()
        opened = False
        try:
            while True:
                try:
                    if not opened:
                        await self._store.open()
                        opened = True
                        get_logger("siemd.store").info("store.connected", store=self._store.description)
                    if not await self._ship_next():
                        if self._ending.is_set():
                            return
                        await self._spool.wait_for_batches()
                    backoff.reset()
                except UserError as error:  # StoreErrors may pass by themselves; the others once somebody mended them
                    opened = False
                    self._failed(error)
                    if self._ending.is_set():
                        return
                    await self._pause(backoff)
        finally:
            self._say()
            self._done.set()

    async def finish(self, grace_s: float) -> None:
        """Nothing more will come: wait until all is delivered, the first failure, or the end of the grace."""
        self._ending.set()
        self._spool.wake()
        try:
            async with asyncio.timeout(grace_s):
                await self._done.wait()
        except TimeoutError:
            pass
        left = self._spool.events
        get_logger("siemd.store").info("store.finished", spooled_events=left)
        self._health.set(
            "stopped", f"{left} events wait in the spool for the next start" if left else "all is delivered"
        )

    async def stored_checkpoints(self, host: str) -> dict[str, bytes]:
        """What the database knows of the sources' checkpoints, if it can be asked now; otherwise nothing."""
        try:
            async with asyncio.timeout(CHECKPOINTS_WAIT_S):
                await self._store.open()
                return await self._store.checkpoints(host)
        except (UserError, TimeoutError):
            return {}

    async def _ship_next(self) -> bool:
        """Deliver the oldest batches; False when nothing waits."""
        spooled = await self._spool.read(self._most_events)
        if spooled is None:
            self._oldest_us = 0
            self._say()
            self._health.set("ok", self._store.description)
            return False
        self._oldest_us = spooled.oldest_us
        if spooled.batches:
            count_written(self._health, await self._store.write(spooled.batches))
        await self._spool.delete(spooled.last_id)
        self._most_events = min(SHIP_EVENTS, self._most_events * 2)
        self._say()
        self._health.set("ok", self._store.description)
        return True

    def _say(self) -> None:
        self._health.lag_s = max(0, now_us() - self._oldest_us) / 1e6 if self._oldest_us else 0.0
        self._health.extra["spooled_events"] = self._spool.events
        self._health.extra["spooled_bytes"] = self._spool.bytes
        if self._spool.unreadable:
            self._health.extra["unreadable_batches"] = self._spool.unreadable
        if self._spool.quarantined:
            self._health.extra["damaged_spool"] = self._spool.quarantined

    def _failed(self, error: UserError) -> None:
        status: Status = "degraded" if isinstance(error, StoreError) else "failed"
        if (self._health.status, self._health.detail) != (status, str(error)):
            get_logger("siemd.store").error("store.failed", reason=error.message, hint=error.hint)
        self._most_events = max(1, self._most_events // 2)  # what was too much to do in time may pass in parts
        self._health.error(status, str(error))
        self._say()

    async def _pause(self, backoff: Backoff) -> None:
        """Wait before the next try; the end of the stream ends the waiting."""
        try:
            async with asyncio.timeout(backoff.next_s()):
                await self._ending.wait()
        except TimeoutError:
            pass
