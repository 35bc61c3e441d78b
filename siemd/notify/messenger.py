"""The messenger: a stage beside the flow that reads what was stored, decides who is told, and sees to it that they are.

    store --states of incidents--> notices --grouped--> messages --tried until taken--> people
                                   (all on disk, in notify.db)           '--> alert_notifications in the store

It waits for nobody in the pipeline and nobody there waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import structlog

from siemd.backoff import Backoff
from siemd.errors import StoreDamaged, StoreError
from siemd.events import Alert, now_us
from siemd.health import Health
from siemd.notify import CHANNELS, outbox
from siemd.notify.config import NotifyConfig
from siemd.notify.delivery import Delivery
from siemd.notify.flush import Flusher
from siemd.notify.intake import adopt, channel_of, take
from siemd.notify.render import Writer
from siemd.notify.routing import Router
from siemd.notify.source import Incidents
from siemd.sqlite_file import SqliteFile, transaction
from siemd.supervise import supervise

T = TypeVar("T")

PAGE = 200
FIRST_LOOK_S, MOST_LOOK_S = 0.25, 30.0
MAX_ACCEPTED = 5_000
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
        self._epoch = epoch
        self._router = Router(config)
        self._flusher = Flusher(config, self._router, Writer(config, host, console_url))
        self._reached = 0  # up to which number this run has been dealt with
        self._number = 0  # of the outbox: how many were set aside
        self._replacing = asyncio.Lock()
        self._path = data_dir / outbox.FILE_NAME
        self._file = SqliteFile(self._path, outbox.prepare)
        self._accepted: deque[Alert] = deque(maxlen=MAX_ACCEPTED)
        self._nudged = asyncio.Event()
        self._flush_now = asyncio.Event()
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
                run_in_outbox=self._outbox,
                health=health.component(f"notify.{name}"),
                recorded=self._record_now.set,
                limit_s=float(getattr(settings, "timeout_s", CHANNEL_LIMIT_S)),
            )
            for name, settings in config.targets.items()
        }

    async def open(self) -> None:
        """Note on disk that this run's incidents are to be told: from now on none of them is lost."""
        try:
            await self._begin()
        except StoreDamaged:  # a new one has been begun
            await self._begin()

    def nudge(self) -> None:
        """There is something new in the store."""
        self._nudged.set()

    def accepted(self, alerts: Iterable[Alert]) -> None:
        """States that this run has got onto disk: told at once, so that a database that is away delays nothing.

        This is only the shorter way: what is missed here (a kill, an overflow) is found in the store by its number.
        """
        self._accepted.extend(alerts)
        self._nudged.set()

    def finish(self) -> None:
        """Nothing more will be stored: read the rest, deliver what can be delivered at once, and end."""
        self._stopping.set()
        for event in (self._nudged, self._flush_now, self._record_now):
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
                group.create_task(supervise(self._read, self._health), name="notify read"),
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
                for delivery in self._deliveries.values():
                    delivery.finish()
                await asyncio.wait(deliveries)
                self._deliveries_ended = True
                self._record_now.set()
                await asyncio.wait(flow[2:])

    # the outbox

    async def _outbox(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work on the outbox, all or nothing; one that is found damaged is set aside, and the work has failed."""

        def inside(db: sqlite3.Connection) -> T:
            with transaction(db):
                return work(db)

        number = self._number
        try:
            return await self._file.run(inside)
        except StoreDamaged as error:
            async with self._replacing:
                if number == self._number:  # nobody else has seen it
                    await self._set_aside(error)
            raise

    async def _begin(self) -> None:
        await self._outbox(lambda db: outbox.move_cursor(db, self._epoch, self._reached))

    async def _set_aside(self, error: StoreDamaged) -> None:
        """Begin a new outbox beside a damaged one: what waited in it is not told, and it is said so."""
        self._number += 1
        await self._file.close_connection()
        aside = self._path.with_name(f"{self._path.name}.damaged-{now_us() // 1_000_000}")
        try:
            await asyncio.to_thread(_move, self._path, aside)
        except OSError as trouble:
            raise StoreError(f"{self._path} is damaged and cannot be moved: {trouble.strerror}") from None
        structlog.get_logger("siemd.notify").error("notify.outbox_damaged", reason=str(error), moved_to=str(aside))
        self._health.add("lost_outboxes")
        with contextlib.suppress(StoreError):
            await self._file.run(lambda db: outbox.move_cursor(db, self._epoch, self._reached))

    # reading

    async def _read(self) -> None:
        """From the store into notices: at once when nudged, then ever less often, until the end."""
        look = Backoff(FIRST_LOOK_S, MOST_LOOK_S)
        while True:
            stopping = self._stopping.is_set()
            if self._nudged.is_set():
                self._nudged.clear()
                look.reset()
            try:
                if not await self._read_accepted() or stopping:
                    if await self._read_store():
                        look.reset()
                    self._store_problem = ""
            except StoreError as error:
                self._store_trouble(error)
            await self._tell_health()
            if stopping:
                self._read_ended = True
                self._flush_now.set()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look.next_s()):
                    await self._nudged.wait()

    async def _read_accepted(self) -> bool:
        """Take what this run has accepted, as far as nothing is missing before it; whether that was anything, and all.

        What is missing stands in the store, and what is taken from there need not be taken here.
        """
        if not self._accepted:
            return False
        seq = (await self._outbox(outbox.cursors)).get(self._epoch, 0)
        alerts: list[Alert] = []
        while self._accepted and self._accepted[0].seq <= seq + 1:
            alert = self._accepted.popleft()
            if alert.seq == seq + 1:
                alerts.append(alert)
                seq += 1
        if alerts:
            try:
                await self._take(self._epoch, alerts, seq)
            except StoreError:
                self._accepted.extendleft(reversed(alerts))
                raise
        return bool(alerts) and not self._accepted

    async def _read_store(self) -> bool:
        """Take everything that is new; whether there was anything."""
        heads = await self._incidents.heads()
        known = {self._epoch: self._reached} | await self._outbox(outbox.cursors)
        unknown = {epoch: seq for epoch, seq in heads.items() if epoch not in known}
        if unknown:  # runs without notifications, or before there were any
            opened = await self._incidents.open_of(list(unknown))
            await self._outbox(lambda db: adopt(db, unknown, opened, now_us()))
            known |= unknown
        if gone := set(known) - set(heads) - {self._epoch}:
            await self._outbox(lambda db: outbox.forget_cursors(db, gone))
        found = False
        for epoch, head in heads.items():
            if head > known[epoch]:
                found = await self._read_run(epoch, known[epoch], head) or found
        return found

    async def _read_run(self, epoch: int, seq: int, head: int) -> bool:
        found = False
        while True:
            alerts = await self._incidents.after(epoch, seq, PAGE)
            # Up to head all is stored; a state that is not there any more was replaced by a newer one.
            seq = max(seq, alerts[-1].seq) if len(alerts) == PAGE else max(seq, head, alerts[-1].seq if alerts else 0)
            await self._take(epoch, alerts, seq)
            found = found or bool(alerts)
            if len(alerts) < PAGE:
                return found

    async def _take(self, epoch: int, alerts: list[Alert], seq: int) -> None:
        dropped = await self._outbox(lambda db: take(db, self._config, self._router, epoch, alerts, seq, now_us()))
        self._health.received += len(alerts)
        if epoch == self._epoch:
            self._reached = max(self._reached, seq)
        if dropped:
            self._health.dropped += dropped
            structlog.get_logger("siemd.notify").error("notify.dropped", incidents=dropped, reason="notify.max_waiting")
        if alerts:
            self._flush_now.set()

    def _store_trouble(self, error: StoreError) -> None:
        if str(error) != self._store_problem:
            self._store_problem = str(error)
            structlog.get_logger("siemd.notify").warning("notify.store_away", reason=error.message, hint=error.hint)
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
                    await self._outbox(lambda db: outbox.hurry(db, now_us()))
                made = await self._outbox(lambda db: self._flusher.flush(db, now_us()))
                made += await self._escalate()
                due_us = await self._outbox(self._flusher.next_due_us)
                backoff.reset()
                wait_s = MOST_LOOK_S if due_us is None else max(0.02, min(MOST_LOOK_S, (due_us - now_us()) / 1e6))
            except StoreError as error:
                self._health.error("degraded", str(error))
                made, wait_s = 0, backoff.next_s()
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
        asked = await self._outbox(lambda db: self._flusher.due_escalations(db, now_us()))
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
        return await self._outbox(lambda db: self._flusher.escalate(db, states, asked, now_us()))

    # recording

    async def _record(self) -> None:
        """Write what was told into the store, beside the incidents; the store may be away."""
        backoff = Backoff(first_s=1.0, most_s=60.0)
        while True:
            ending = self._deliveries_ended
            self._record_now.clear()
            try:
                last_id, told = await self._outbox(lambda db: outbox.records(db, RECORDS))
                if told:
                    await self._incidents.record(told)
                    await self._outbox(lambda db, last=last_id: outbox.recorded(db, last))  # type: ignore[misc]
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
                await self._outbox(self._tidy_once)
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
            counters, (dead, last) = await self._outbox(
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


def _move(path: Path, aside: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(aside.with_name(aside.name + suffix))
