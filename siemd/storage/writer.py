"""The writer stage: reads its channel to the end and gets every batch onto disk before it reads on.

With the SQLite store that is the store itself. With MySQL it is the spool, and the shipper takes it from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from siemd.backoff import Backoff
from siemd.channel import Channel
from siemd.errors import StoreError
from siemd.events import Batch, LogEvent, new_epoch, now_us
from siemd.health import Health
from siemd.logger import get_logger
from siemd.storage.history import HistoryReader, Limits
from siemd.storage.retention import Retention
from siemd.storage.shipper import Shipper, count_written
from siemd.storage.spool import Spool
from siemd.storage.store import SpoolFull, StorageConfig, open_store
from siemd.supervise import supervise

OWN_SOURCE = "siemd"  # whose events tell of losses


class Writer:
    """The last stage. `checkpoints`, then `run`; that is all its owner does."""

    def __init__(
        self,
        *,
        config: StorageConfig,
        channel: Channel,
        data_dir: Path,
        health: Health,
        host: str,
        grace_s: float = 10.0,
    ) -> None:
        """grace_s: how long the spool may be shipped at the end, to a server that answers. UserError: a wrong URL."""
        self.store = open_store(config, data_dir)
        self.description = self.store.description
        self.on_accepted: Callable[[Sequence[Batch]], None] = lambda _batches: None  # called with what is on disk
        self.unaccepted_events = 0  # taken from the channel and not yet on disk
        self._config = config
        self._channel = channel
        self._host = host
        self._grace_s = grace_s
        self._health = health.component("writer")
        self._store_health = health.component("store")
        self._spool = None if self.store.is_local else Spool(data_dir / "spool.db", config.spool_bytes)
        self._shipper = Shipper(self.store, self._spool, self._store_health) if self._spool else None
        self._retention = Retention(self.store, config.retention, self._store_health)
        self._epoch = new_epoch()
        self._own_seq = 0
        self._opened = False
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Open what accepts: StoreError when that can't be written to. A MySQL server may be down."""
        async with self._opening:
            if self._opened:
                return
            if self._spool is None:
                await self.store.open()
                self._store_health.set("ok", self.description)
            else:
                await self._spool.open()
            self._opened = True

    async def checkpoints(self) -> dict[str, bytes]:
        """The newest accepted checkpoint of every source of this host, for the sources to go on from."""
        await self.open()
        if self._spool is None:
            return await self.store.checkpoints(self._host)
        found = await self._spool.checkpoints(self._host)
        if not found and self._shipper is not None:
            found = await self._shipper.stored_checkpoints(self._host)  # the spool is new, or was damaged
        return found

    def history(self, limits: Limits) -> HistoryReader:
        """Reads what this host's former runs stored; to be used before `run`, while nothing else moves."""
        return HistoryReader(self.store, self._spool, self._host, limits)

    async def run(self) -> None:
        """Accept until the channel ends, ship what the grace allows, close. Cancelled, it loses `unaccepted_events`."""
        await self.open()
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(supervise(self._retention.run, self._store_health), name="retention")]
                if self._shipper is not None:
                    beside.append(group.create_task(supervise(self._shipper.run, self._store_health), name="shipper"))
                await self._accept_all()
                self._health.set("stopped", "everything is accepted")
                if self._shipper is not None:
                    await self._shipper.finish(self._grace_s)
                for task in beside:
                    task.cancel()
        finally:
            await self.store.close()
            if self._spool is not None:
                await self._spool.close()
            if self._spool is None:
                self._store_health.set("stopped", self.description)

    async def _accept_all(self) -> None:
        self._health.set("ok")
        while batches := await self._collect():
            events = sum(len(batch.events) for batch in batches)
            self.unaccepted_events = events
            self._health.received += events
            batches += self._losses(batches)
            await self._accept(batches)
            self.on_accepted(batches)
            self._health.sent += events
            self.unaccepted_events = 0

    async def _collect(self) -> list[Batch]:
        """The next batches, until there are enough or the first has waited long enough; empty at the channel's end."""
        batch = await self._channel.get()
        if batch is None:
            return []
        batches, events = [batch], len(batch.events)
        deadline = asyncio.get_running_loop().time() + self._config.batch_delay_s
        while events < self._config.batch_events:
            batch = self._channel.get_ready()
            if batch is None:
                try:
                    async with asyncio.timeout_at(deadline):
                        batch = await self._channel.get()
                except TimeoutError:
                    break
                if batch is None:
                    break
            batches.append(batch)
            events += len(batch.events)
        return batches

    async def _accept(self, batches: Sequence[Batch]) -> None:
        """Get batches onto disk, however often that must be tried."""
        began, backoff = time.monotonic(), Backoff(most_s=5.0)
        while True:
            try:
                if self._spool is None:
                    count_written(self._store_health, await self.store.write(batches))
                    self._store_health.set("ok", self.description)
                    self._store_health.lag_s = 0.0
                else:
                    await self._spool.append(batches)
                break
            except SpoolFull as error:
                self._health.lag_s = time.monotonic() - began
                self._health.set("degraded", str(error))
                await self._spool_room()
            except StoreError as error:
                self._failed(error, time.monotonic() - began)
                await asyncio.sleep(backoff.next_s())
        self._health.lag_s = time.monotonic() - began
        self._health.set("ok")

    async def _spool_room(self) -> None:
        if self._spool is not None:
            await self._spool.wait_for_room()

    def _failed(self, error: StoreError, waiting_s: float) -> None:
        if self._health.status != "degraded" or self._health.detail != str(error):
            get_logger("siemd.writer").error("writer.refused", reason=error.message, hint=error.hint)
        self._health.error("degraded", str(error))
        self._health.lag_s = waiting_s
        if self._spool is None:
            self._store_health.error("failed", str(error))
            self._store_health.lag_s = waiting_s

    def _losses(self, batches: Sequence[Batch]) -> list[Batch]:
        """Events of our own that tell which sources lost how many, so that losses are seen where events are."""
        events = []
        for batch in batches:
            if batch.dropped:
                self._own_seq += 1
                events.append(
                    LogEvent(
                        time_us=now_us(),
                        table="application_logs",
                        platform="siemd",
                        channel="siemd",
                        provider="siemd",
                        level="warning",
                        message=f"{batch.dropped} events of {batch.source} were dropped",
                        fields={"source": batch.source, "epoch": batch.epoch, "dropped": batch.dropped},
                        host=self._host,
                        source=OWN_SOURCE,
                        seq=self._own_seq,
                    )
                )
        if not events:
            return []
        return [
            Batch(host=self._host, source=OWN_SOURCE, epoch=self._epoch, events=list(events), last_seq=self._own_seq)
        ]
