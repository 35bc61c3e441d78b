"""Tries of rules on the past: jobs in the background, one a person and few in all, each with a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal

import msgspec

from siemd.detection.config import DetectionConfig
from siemd.detection.trial import SETUP_TO_BYTES, Findings, Look, Ready, Setup
from siemd.detection.worker import EVENTS_TO_BYTES, HEADER, Kind
from siemd.errors import StoreError, UserError
from siemd.events import Event, now_us
from siemd.storage.columns import time_column
from siemd.storage.conditions import MAX_VALUES, Filter, Scalar
from siemd.storage.database import Database, Rows
from siemd.storage.paging import Key, Paging
from siemd.storage.reading import event_of
from siemd.storage.search import Search, rfc3339, where
from siemd.storage.tables import LOG_TABLES, NETWORK_TABLES, network_tables, time_text
from siemd.web.access.secrets import new_id
from siemd.web.problems import Refused

State = Literal["running", "done", "failed", "cancelled"]
MOST_RUNNING = 2
MOST_KEPT = 50
MOST_EVENTS = 20_000_000
PAGE_ROWS, STEP_EVENTS = 2_000, 1_000
MOST_TIME_S = 1800.0
MAX_ANSWER_BYTES = 8 << 20


class RuleTest(msgspec.Struct):
    """A try of a rule. progress: 0 to 1, by time. reached: up to when events were read. incidents: so far.

    problem: why it failed. findings: when it is done.
    """

    test_id: str
    rule: str
    state: State
    started: str
    start: str
    end: str
    progress: float = 0.0
    reached: str | None = None
    events: int = 0
    incidents: int = 0
    problem: str = ""
    findings: Findings | None = None


class _Job(msgspec.Struct):
    user_id: str
    test: RuleTest
    task: asyncio.Task[None] | None = None


class Trials:
    """Starts, tells and cancels them; `run` owns their tasks."""

    def __init__(self, config: DetectionConfig, database: Database, query_time_s: float) -> None:
        self._config = config
        self._database = database
        self._query_time_s = query_time_s
        self._jobs: dict[str, _Job] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the jobs until cancelled, which ends them."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def start(self, user_id: str, setup: Setup, start_us: int, end_us: int) -> RuleTest:
        """Begin one; a Refused when the user or all together have enough of them."""
        running = [job for job in self._jobs.values() if job.test.state == "running"]
        if any(job.user_id == user_id for job in running):
            raise Refused(409, "you try a rule already; wait for it, or cancel it", kind="one-at-a-time")
        if len(running) >= MOST_RUNNING or self._group is None:
            raise Refused(503, "others try rules now; come again", headers={"Retry-After": "10"})
        for old in [name for name, job in self._jobs.items() if job.test.state != "running"][: -MOST_KEPT or None]:
            del self._jobs[old]
        test = RuleTest(
            test_id=new_id(),
            rule=setup.rule or "draft",
            state="running",
            started=rfc3339(time_text(now_us())),
            start=rfc3339(time_text(start_us)),
            end=rfc3339(time_text(end_us)),
        )
        job = self._jobs[test.test_id] = _Job(user_id, test)
        job.task = self._group.create_task(self._try(job, setup, start_us, end_us), name=f"rule test {test.test_id}")
        return test

    def of(self, user_id: str) -> list[RuleTest]:
        """A user's tries, the newest first."""
        return [job.test for job in reversed(self._jobs.values()) if job.user_id == user_id]

    def get(self, user_id: str, test_id: str) -> RuleTest | None:
        """One of a user's tries."""
        job = self._jobs.get(test_id)
        return job.test if job is not None and job.user_id == user_id else None

    def cancel(self, user_id: str, test_id: str) -> bool:
        """End one, or forget it when it has ended; False when the user has none such."""
        job = self._jobs.get(test_id)
        if job is None or job.user_id != user_id:
            return False
        if job.test.state == "running":
            job.test.state = "cancelled"
            if job.task is not None:
                job.task.cancel()
        else:
            del self._jobs[test_id]
        return True

    async def _try(self, job: _Job, setup: Setup, start_us: int, end_us: int) -> None:
        test = job.test
        try:
            async with asyncio.timeout(MOST_TIME_S):
                await self._work(test, setup, start_us, end_us)
            test.state = "done"
        except asyncio.CancelledError:
            test.state = "cancelled"
            if self._group is None:
                raise
        except TimeoutError:
            test.state, test.problem = "failed", f"it took longer than {MOST_TIME_S / 60:g} minutes; ask for less"
        except (StoreError, UserError) as error:
            test.state, test.problem = "failed", str(error)[:1000]

    async def _work(self, test: RuleTest, setup: Setup, start_us: int, end_us: int) -> None:
        process = await _Process.start()
        try:
            ready = msgspec.json.decode(await process.ask(Kind.RULES, SETUP_TO_BYTES.encode(setup)), type=Ready)
            tables = tables_of(ready.looks)
            async with aclosing(merged(self._database, tables, start_us, end_us, self._query_time_s)) as steps:
                async for events in steps:
                    test.events += len(events)
                    if test.events > MOST_EVENTS:
                        raise UserError(f"there are more than {MOST_EVENTS:,} events", "ask for a shorter time")
                    payload = await asyncio.to_thread(EVENTS_TO_BYTES.encode, events)
                    test.incidents = msgspec.json.decode(await process.ask(Kind.EVENTS, payload), type=int)
                    reached_us = events[-1].time_us
                    test.progress = (reached_us - start_us) / max(1, end_us - start_us)
                    test.reached = rfc3339(time_text(reached_us))
            test.findings = msgspec.json.decode(await process.ask(Kind.EVENTS, b""), type=Findings)
            test.incidents, test.progress = test.findings.incidents, 1.0
        finally:
            await process.end()


class _Process:
    """The process that tries; one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> _Process:
        """A new one."""
        command = (sys.executable, "-P", "-m", "siemd.detection.trial")
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=null, creationflags=flags, limit=MAX_ANSWER_BYTES
            )
        )

    async def ask(self, kind: Kind, payload: bytes) -> bytes:
        """Send a frame and wait for its answer; UserError for what the process says is wrong."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(HEADER.pack(len(payload), kind) + payload)
            await self._process.stdin.drain()
            length, answer = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
            if length > MAX_ANSWER_BYTES:
                raise UserError("the trial's answer is too large", "ask for less")
            content = await self._process.stdout.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            raise UserError("the process that tried the rule has ended", "try a shorter time") from None
        if answer == Kind.FAILED:
            raise UserError(content.decode(errors="replace"))
        return content

    async def end(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.shield(self._process.wait())


def tables_of(looks: Sequence[Look]) -> dict[str, list[Filter]]:
    """The tables that may hold what rules look at, and a filter where all of them want certain events only."""
    by_table: dict[str, list[Look]] = {}
    for look in looks:
        network = network_tables(look.types)
        names: Sequence[str] = {"network": network, "usage": ("usage_data",)}.get(look.platform, LOG_TABLES)
        for name in names:
            by_table.setdefault(name, []).append(look)
    result: dict[str, list[Filter]] = {}
    for table, wanted in by_table.items():
        filters = []
        if table in LOG_TABLES:
            filters += _among("platform", [[look.platform] for look in wanted])
            filters += _among("channel", [look.channels for look in wanted])
            filters += _among("event_id", [look.types for look in wanted])
        elif table in NETWORK_TABLES:
            filters += _among("event_type", [look.types for look in wanted])
        result[table] = filters
    return result


def _among(field: str, wanted: Sequence[Sequence[Any]]) -> list[Filter]:
    values: list[Scalar] = sorted({value for one in wanted for value in one}, key=str)
    if not all(wanted) or len(values) > MAX_VALUES:
        return []
    return [Filter(field, "in", values)]


async def merged(
    database: Database, tables: dict[str, list[Filter]], start_us: int, end_us: int, timeout_s: float
) -> AsyncGenerator[list[Event], None]:
    """Events of several tables in the order of their times, a step at a time; no more than a page of each is held."""
    readers = [_Reader(database, table, filters, start_us, end_us, timeout_s) for table, filters in tables.items()]
    step: list[Event] = []
    while True:
        for reader in readers:
            if not reader.events and not reader.ended:
                await reader.read()
        readers = [reader for reader in readers if reader.events]
        if not readers:
            break
        while all(reader.events for reader in readers):
            step.append(min(readers, key=lambda one: one.events[0].time_us).events.popleft())
            if len(step) == STEP_EVENTS:
                yield step
                step = []
    if step:
        yield step


class _Reader:
    """One table, read forwards."""

    def __init__(
        self, database: Database, table: str, filters: list[Filter], start_us: int, end_us: int, timeout_s: float
    ) -> None:
        self._database = database
        self._table = table
        self._timeout_s = timeout_s
        column = time_column(table)
        self._paging = Paging(table, [Key(column, column, "time"), Key("id", "id", "int")], descending=False)
        self._where = where(database, Search(table=table, start_us=start_us, end_us=end_us, filters=filters))
        self._cursor = ""
        self.events: deque[Event] = deque()
        self.ended = False

    async def read(self) -> None:
        """The next page."""
        text, values = self._where.text, [*self._where.values]
        if self._cursor:
            after = self._paging.after(self._cursor)
            text, values = f"({text}) AND {after.text}", [*values, *after.values]
        rows = await self._database.fetch(
            f"SELECT * FROM {self._table} WHERE {text} {self._paging.order} LIMIT ?",  # noqa: S608 - our own names
            (*values, PAGE_ROWS),
            timeout_s=self._timeout_s,
        )
        self.ended = len(rows) < PAGE_ROWS
        if rows:
            self._cursor = self._paging.cursor(rows[-1])
            self.events.extend(await asyncio.to_thread(_events, self._table, rows))


def _events(table: str, rows: Rows) -> list[Event]:
    return [event_of(table, row) for row in rows]
