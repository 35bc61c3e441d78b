"""The messenger: a stage beside the flow that reads what was stored, decides who is told, and sees to it that they are.

    store --states of incidents--> notices --grouped--> messages --tried until taken--> people
                                   (all on disk, in notify.db)           '--> alert_notifications in the store

It waits for nobody in the pipeline and nobody there waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from siemd.backoff import Backoff
from siemd.errors import StoreError
from siemd.events import Alert, now_us
from siemd.health import Health
from siemd.logger import get_logger
from siemd.notify import CHANNELS, outbox
from siemd.notify.config import NotifyConfig
from siemd.notify.delivery import Delivery
from siemd.notify.flush import Flusher
from siemd.notify.intake import channel_of
from siemd.notify.outboxfile import OutboxFile
from siemd.notify.reading import Reader
from siemd.notify.render import Writer
from siemd.notify.routing import Router
from siemd.notify.source import Incidents
from siemd.supervise import supervise

FIRST_LOOK_S, MOST_LOOK_S = 0.25, 30.0
TIDY_S = 600.0
RECORDS = 500
BLIND_S = 600.0  # so long a store that can't say who acknowledged holds up an escalation
SEEN_S = 90 * 86400.0
TROUBLE_S = 86400.0
DRAIN_S = 5.0
CHANNEL_LIMIT_S = 60.0  # for channels that have no limit of their own


class Messenger:
    """Await `open` before detection starts, then `run`; `accepted` tells of alerts; `finish` ends it, then `close`."""

    def __init__(
        self, *, config: NotifyConfig, data_dir: Path, incidents: Incidents, health: Health, host: str, epoch: int,
        console_url: str = "",
    ) -> None:  # fmt: skip
        """epoch: of the run of detection that begins now."""
        self._config = config
        self._incidents = incidents
        self._health = health.component("notify")
        router = Router(config)
        self._flusher = Flusher(config, router, Writer(config, host, console_url))
        self._file = OutboxFile(data_dir, epoch, self._health)
        self._nudged = asyncio.Event()
        self._some_accepted = asyncio.Event()
        self._flush_now = asyncio.Event()
        self._reader = Reader(config, router, incidents, self._file, self._health, self._flush_now.set)
        self._record_now = asyncio.Event()
        self._stopping = asyncio.Event()
        self._read_ended = False
        self._deliveries_ended = False
        self._blind_since_us = 0
        self._store_problem = ""
        self._deliveries = {
            name: Delivery(
                name=name,
                channel_name=channel_of(config, name),
                channel=CHANNELS[channel_of(config, name)](settings),
                config=config,
                run_in_outbox=self._file.run,
                health=health.component(f"notify.{name}"),
                recorded=self._record_now.set,
                limit_s=float(getattr(settings, "timeout_s", CHANNEL_LIMIT_S)),
            )
            for name, settings in config.targets.items()
        }

    async def open(self) -> None:
        """Note on disk that this run's incidents are to be told: from now on none of them is lost."""
        await self._file.begin()

    def nudge(self) -> None:
        """There is something new in the store."""
        self._nudged.set()

    def accepted(self, alerts: Iterable[Alert]) -> None:
        """States that this run has got onto disk: told at once, so that a database that is away delays nothing."""
        self._reader.accepted(alerts)
        self._some_accepted.set()

    def finish(self) -> None:
        """Nothing more will be stored: read the rest, deliver what can be delivered at once, and end."""
        self._stopping.set()
        for event in (self._nudged, self._some_accepted):
            event.set()

    async def run(self) -> None:
        """Work until finished or cancelled."""
        self._health.set("ok", self._summary())
        async with asyncio.TaskGroup() as group:
            deliveries = [
                group.create_task(supervise(delivery.run, self._health), name=f"notify {delivery.name}")
                for delivery in self._deliveries.values()
            ]
            flow = [
                group.create_task(supervise(self._take_accepted, self._health), name="notify accepted"),
                group.create_task(supervise(self._read_store, self._health), name="notify read"),
                group.create_task(supervise(self._flush, self._health), name="notify flush"),
                group.create_task(supervise(self._record, self._health), name="notify record"),
            ]
            tidy = group.create_task(supervise(self._tidy, self._health), name="notify tidy")
            await self._stopping.wait()
            await self._drain(flow, deliveries)
            for task in [*flow, *deliveries, tidy]:
                task.cancel()
        await self._tell_health()
        self._health.set("stopped", self._summary())

    async def close(self) -> None:
        """Let go of the outbox."""
        await self._file.close()

    async def _drain(self, flow: list[asyncio.Task[None]], deliveries: list[asyncio.Task[None]]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.wait(flow[:2])
                self._read_ended = True
                self._flush_now.set()
                await asyncio.wait(flow[2:3])
                for delivery in self._deliveries.values():
                    delivery.finish()
                await asyncio.wait(deliveries)
                self._deliveries_ended = True
                self._record_now.set()
                await asyncio.wait(flow[3:])

    # reading

    async def _take_accepted(self) -> None:
        """What this run accepts, at once; the store is asked when something is missing before it."""
        backoff = Backoff()
        while True:
            stopping = self._stopping.is_set()
            self._some_accepted.clear()
            try:
                if not await self._reader.read_accepted():
                    self._nudged.set()
                backoff.reset()
            except StoreError as error:  # the outbox itself; what was not taken is still there
                self._health.error("degraded", str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            if stopping:
                return
            await self._some_accepted.wait()

    async def _read_store(self) -> None:
        """From the store: at once when nudged, then ever less often, until the end."""
        look = Backoff(FIRST_LOOK_S, MOST_LOOK_S)
        while True:
            stopping = self._stopping.is_set()
            if self._nudged.is_set():
                self._nudged.clear()
                look.reset()
            try:
                if await self._reader.read_store():
                    look.reset()
                self._store_problem = ""
            except StoreError as error:
                self._store_trouble(error)
            await self._tell_health()
            if stopping:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look.next_s()):
                    await self._nudged.wait()

    def _store_trouble(self, error: StoreError) -> None:
        if str(error) != self._store_problem:
            self._store_problem = str(error)
            get_logger("siemd.notify").warning("notify.store_away", reason=error.message, hint=error.hint)
        self._health.errors += 1

    # deciding

    async def _flush(self) -> None:
        """From notices to messages, when they are due."""
        backoff = Backoff()
        while True:
            stopping = self._read_ended
            self._flush_now.clear()
            try:
                if stopping:  # who knows when the next start is: nothing waits for company any more
                    await self._file.run(lambda db: outbox.hurry(db, now_us()))
                made = await self._file.run(lambda db: self._flusher.flush(db, now_us()))
                made += await self._escalate()
                due_us = await self._file.run(self._flusher.next_due_us)
                backoff.reset()
                wait_s = MOST_LOOK_S if due_us is None else max(0.02, min(MOST_LOOK_S, (due_us - now_us()) / 1e6))
            except StoreError as error:
                self._health.error("degraded", str(error))
                made, wait_s = 0, backoff.next_s()
            if self._flusher.lost:
                lost, self._flusher.lost = self._flusher.lost, 0
                self._health.dropped += lost
                get_logger("siemd.notify").error(
                    "notify.dropped", incidents=lost, reason="no room, or no route (siemd notify list)"
                )
            if made:
                self._record_now.set()
                for delivery in self._deliveries.values():
                    delivery.wake()
            if stopping:
                return
            if self._blind_since_us:
                wait_s = max(wait_s, 1.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._flush_now.wait()

    async def _escalate(self) -> int:
        """Tell others of what nobody acknowledged; a store that can't say who did is waited for, but not for long."""
        asked = await self._file.run(lambda db: self._flusher.due_escalations(db, now_us()))
        if not asked:
            self._blind_since_us = 0
            return 0
        try:
            states = await self._incidents.triage(asked)
        except StoreError as error:
            self._store_trouble(error)
            self._blind_since_us = self._blind_since_us or now_us()
            if now_us() - self._blind_since_us < BLIND_S * 1e6:
                return 0
            states = {}
        else:
            self._blind_since_us = 0
        return await self._file.run(lambda db: self._flusher.escalate(db, states, asked, now_us()))

    # recording

    async def _record(self) -> None:
        """Write what was told into the store, beside the incidents; the store may be away."""
        backoff = Backoff(first_s=1.0, most_s=60.0)
        while True:
            ending = self._deliveries_ended
            self._record_now.clear()
            try:
                last_id, told = await self._file.run(lambda db: outbox.records(db, RECORDS))
                if told:
                    await self._incidents.record(told)
                    await self._file.run(lambda db, last=last_id: outbox.recorded(db, last))  # type: ignore[misc]
                    backoff.reset()
                    continue
                await self._tell_health()
                wait_s = MOST_LOOK_S
            except StoreError as error:
                self._store_trouble(error)
                wait_s = backoff.next_s()
            if ending:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._record_now.wait()

    # keeping

    async def _tidy(self) -> None:
        """Forget what is old, and settle what is for targets that are gone."""
        while True:
            try:
                await self._file.run(self._tidy_once)
            except StoreError as error:
                self._health.error("degraded", str(error))
            await asyncio.sleep(TIDY_S)

    def _tidy_once(self, db: sqlite3.Connection) -> None:
        now = now_us()
        for (target,) in db.execute("SELECT DISTINCT target FROM message WHERE status = 'queued'").fetchall():
            if target not in self._deliveries:
                rows = db.execute("SELECT id FROM message WHERE target = ? AND status = 'queued'", (target,)).fetchall()
                for (message,) in rows:
                    outbox.settle(db, message, "dead", "its target is no longer configured", "", now)
        outbox.mend_clock(db, now)
        longest_s = max(float(self._config.keep_s), *(float(route.rate.per_s) for route in self._config.routes), 0.0)
        outbox.tidy(db, now - int(longest_s * 1e6), now - int(SEEN_S * 1e6))

    async def _tell_health(self) -> None:
        try:
            counters, (dead, last) = await self._file.run(
                lambda db: (outbox.counters(db), outbox.trouble(db, now_us() - int(TROUBLE_S * 1e6)))
            )
        except StoreError as error:
            self._health.error("degraded", str(error))
            return
        dead_total = counters.pop("dead_messages", 0)
        self._health.sent = counters.pop("sent_messages", 0)
        self._health.extra |= {**counters, "lost_messages": dead_total + counters.pop("dropped_messages", 0)}
        if dead:
            self._health.set("degraded", f"{dead} messages were given up within a day, the last for {last}")
        elif self._store_problem:
            self._health.set("degraded", f"new incidents are not seen, {self._store_problem}")
        else:
            self._health.set("ok", self._summary())

    def _summary(self) -> str:
        return f"{len(self._config.routes)} routes, {len(self._config.targets)} targets"
