"""Reads back what detection needs after a restart: open incidents, and the newest events that its rules look at.

Whatever sets a limit, the newest events win: tables are read from their ends backwards, side by side, and what is older
than the place where reading had to stop is left out of all of them, so that what remains has no holes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any

import msgspec

from siemd.detection.needs import Need
from siemd.errors import UserError
from siemd.events import Alert, Batch, Event, decode_batch
from siemd.storage.reading import alert_of, event_of, time_us
from siemd.storage.spool import Spool
from siemd.storage.store import Store
from siemd.storage.tables import LOG_TABLES, NETWORK_TABLES, TABLES, network_tables, table_of, time_text

PAGE_ROWS = 2_000
STEP_EVENTS = 1_024
LOOKBACK_US = 7 * 86_400_000_000  # what is older than the newest event of a week ago is not looked for
MAX_LISTED = 200  # values in one IN (…)

Wanted = Callable[[Sequence[Alert]], list[Need]]


class Limits(msgspec.Struct):
    """How much may be read: events and incidents at most, seconds at most, up to which event time.

    epoch: of detection in the run that reads, whose own incidents are not the past.
    """

    events: int
    incidents: int
    time_s: float
    until_us: int
    epoch: int = 0


class _Head(msgspec.Struct):
    """As much of a batch as tells whose it is."""

    source: str


class _Table:
    """One table being read backwards: the rows so far, and up to where they are whole."""

    def __init__(self, name: str, needs: Sequence[Need]) -> None:
        self.name = name
        self.column = TABLES[name].columns[0].name
        self.needs = needs
        self.rows: list[dict[str, Any]] = []
        self.spooled: list[Event] = []  # newest first
        self.newest_us = 0
        self.exhausted = False

    @property
    def reached_us(self) -> int:
        """Everything after this moment has been read."""
        return time_us(self.rows[-1][self.column]) if self.rows else self.newest_us

    def starts_us(self) -> list[int]:
        """For each need the moment from which on its events are wanted."""
        starts = []
        for need in self.needs:
            moments = [self.newest_us - need.span_us] if need.span_us else []
            if need.since_us is not None:
                moments.append(need.since_us)
            starts.append(max(0, min(moments, default=self.newest_us)))
        return starts

    def events(self, cut_us: int) -> Iterator[Event]:
        """In the order in which they came, as far as that is known."""
        for row in sorted(self.rows, key=lambda row: int(row["id"])):
            event = event_of(self.name, row)
            if event.time_us >= cut_us:
                yield event
        starts = list(zip(self.needs, self.starts_us(), strict=True))
        for event in reversed(self.spooled):
            if event.time_us >= cut_us and any(
                event.time_us >= start and need.accepts(event) for need, start in starts
            ):
                yield event


class History:
    """What was read. cut: why not all of it, empty when nothing is missing; cut_us: nothing before it is there."""

    def __init__(self, incidents: list[Alert], problem: str) -> None:
        self.incidents = incidents
        self.problem = problem  # why the database could not be asked, or not to the end
        self.unanswered = bool(problem)  # then it may hold open incidents that nobody knows of
        self.cut = ""
        self.cut_us = 0
        self.tables: list[_Table] = []

    @property
    def events(self) -> int:
        """How many events were read (some of which a cut leaves out)."""
        return sum(len(table.rows) + len(table.spooled) for table in self.tables)

    def steps(self) -> Iterator[list[Event]]:
        """The events, oldest first, in lists that detection can take at once; decoded as they are asked for."""
        step: list[Event] = []
        for event in merge(*(table.events(self.cut_us) for table in self.tables), key=lambda event: event.time_us):
            step.append(event)
            if len(step) >= STEP_EVENTS:
                yield step
                step = []
        if step:
            yield step


class HistoryReader:
    """Reads the past of one host from its store and, where there is one, from the spool before it."""

    def __init__(self, store: Store, spool: Spool | None, host: str, limits: Limits) -> None:
        self._store = store
        self._spool = spool
        self._host = host
        self._limits = limits
        self._spooled_alerts: dict[str, Alert] = {}
        self._cursors: dict[tuple[str, int], int] = {}

    async def read(self, wanted: Wanted) -> History:
        """Read what `wanted` says of the incidents that were open. Never raises for what the store can't do now."""
        deadline_s = time.monotonic() + self._limits.time_s
        stored: list[Alert] = []
        problem = ""
        try:
            if self._spool is not None:
                await self._spool.walk_back(lambda payload: self._take_alerts(payload, deadline_s))
            async with asyncio.timeout(self._limits.time_s):
                if self._spool is not None:
                    await self._store.open()  # a new database has no tables yet
                stored = await self.open_incidents()
                self._cursors = await self._read_cursors()
        except (UserError, TimeoutError) as error:
            problem = str(error) or f"{self._store.description} does not answer"
        known = {alert.incident_id: alert for alert in stored} | self._spooled_alerts
        history = History([alert for alert in known.values() if alert.status == "open"], problem)
        history.tables = _tables(wanted(history.incidents)) if self._limits.events else []
        try:
            if self._spool is not None and history.tables:
                await self._spool.walk_back(lambda payload: self._take_events(payload, history, deadline_s))
            if not problem:
                await self._read_tables(history, deadline_s)
        except UserError as error:
            history.problem = problem or str(error)
        return history

    async def open_incidents(self) -> list[Alert]:
        """What former runs left open in the store, and of which the spool knows nothing newer; oldest first."""
        rows = await self._store.query(
            "SELECT * FROM alerts WHERE status = 'open' AND host = ? AND epoch <> ? ORDER BY last_seen DESC LIMIT ?",
            (self._host, self._limits.epoch, self._limits.incidents),
        )
        found = [alert_of(row) for row in reversed(rows)]
        return [alert for alert in found if alert.incident_id not in self._spooled_alerts]

    # the spool

    def _take_alerts(self, payload: bytes, deadline_s: float) -> bool:
        try:
            if msgspec.msgpack.decode(payload, type=_Head).source == "detection":
                for event in reversed(decode_batch(payload).events):
                    if isinstance(event, Alert):
                        self._spooled_alerts.setdefault(event.incident_id, event)
        except msgspec.DecodeError:
            pass  # the shipper puts it aside, and says so
        return time.monotonic() < deadline_s

    def _take_events(self, payload: bytes, history: History, deadline_s: float) -> bool:
        try:
            batch = decode_batch(payload)
        except msgspec.DecodeError:
            return True
        tables = {table.name: table for table in history.tables}
        delivered = self._cursors.get((batch.source, batch.epoch), 0)
        for event in reversed(batch.events):
            table = tables.get(table_of(event))
            if table is None or event.time_us > self._limits.until_us or 0 < event.seq <= delivered:
                continue
            table.newest_us = max(table.newest_us, event.time_us)
            if any(need.accepts(event) for need in table.needs):
                table.spooled.append(event)
        return not self._must_stop(history, deadline_s, _oldest_us(batch))

    # the store

    async def _read_cursors(self) -> dict[tuple[str, int], int]:
        """Up to where each run of a source is in the store: what the spool still holds of it was delivered before."""
        if self._spool is None:
            return {}
        rows = await self._store.query("SELECT source, epoch, seq FROM ingest_cursor WHERE host = ?", (self._host,))
        return {(row["source"], row["epoch"]): row["seq"] for row in rows}

    async def _read_tables(self, history: History, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline_s - time.monotonic())):
                for table in history.tables:
                    await self._find_newest(table)
                while behind := [table for table in history.tables if not table.exhausted]:
                    latest = max(behind, key=lambda table: table.reached_us)
                    if self._must_stop(history, deadline_s, latest.reached_us):
                        return
                    await self._read_page(latest, min(PAGE_ROWS, self._limits.events - history.events))
        except TimeoutError:
            reached_us = max((table.reached_us for table in history.tables if not table.exhausted), default=0)
            self._must_stop(history, 0.0, reached_us)

    async def _find_newest(self, table: _Table) -> None:
        rows = await self._store.query(
            f"SELECT {table.column} AS newest FROM {table.name} WHERE host = ? AND {table.column} BETWEEN ? AND ? "  # noqa: S608
            f"ORDER BY {table.column} DESC LIMIT 1",
            (self._host, time_text(self._limits.until_us - LOOKBACK_US), time_text(self._limits.until_us)),
        )
        table.newest_us = max(table.newest_us, time_us(rows[0]["newest"]) if rows else 0)
        table.exhausted = not rows

    async def _read_page(self, table: _Table, most_rows: int) -> None:
        where, parameters = _where(table)
        before: list[Any] = [time_text(self._limits.until_us)]
        paging = f"{table.column} <= ?"
        if table.rows:
            last = table.rows[-1]
            paging += f" AND ({table.column} < ? OR id < ?)"
            before = [last[table.column], last[table.column], last["id"]]
        rows = await self._store.query(
            f"SELECT * FROM {table.name} WHERE host = ? AND {paging} AND ({where}) "  # noqa: S608 - our own names
            f"ORDER BY {table.column} DESC, id DESC LIMIT ?",
            (self._host, *before, *parameters, most_rows),
        )
        table.rows += rows
        table.exhausted = len(rows) < most_rows

    def _must_stop(self, history: History, deadline_s: float, reached_us: int) -> bool:
        """Whether a limit is reached; then it is noted what is missing."""
        if history.cut:
            return True
        if time.monotonic() >= deadline_s:
            history.cut = f"reading it took longer than {self._limits.time_s:g} s (detection.rebuild_time)"
        elif history.events >= self._limits.events:
            history.cut = f"there are more than {self._limits.events} events (detection.rebuild_events)"
        else:
            return False
        history.cut_us = reached_us
        return True


def _tables(needs: Sequence[Need]) -> list[_Table]:
    """The tables that may hold what is needed."""
    by_name: dict[str, list[Need]] = {}
    for need in needs:
        match need.selector.platform:
            case "network":
                names: Sequence[str] = network_tables(need.types)
            case "usage":
                names = ("usage_data",)
            case _:
                names = LOG_TABLES
        for name in names:
            by_name.setdefault(name, []).append(need)
    return [_Table(name, found) for name, found in by_name.items()]


def _where(table: _Table) -> tuple[str, list[Any]]:
    """The condition that any need of the table holds, each from its own moment on."""
    parts: list[str] = []
    parameters: list[Any] = []
    for need, start_us in zip(table.needs, table.starts_us(), strict=True):
        conditions = [f"{table.column} >= ?"]
        parameters.append(time_text(start_us))
        selector = need.selector
        if table.name in LOG_TABLES:
            conditions.append("platform = ?")
            parameters.append(selector.platform)
            _among(conditions, parameters, {"channel": selector.channels})
            _among(conditions, parameters, {"event_id": need.types or selector.event_ids})
            _among(conditions, parameters, {"provider": selector.providers, "channel": selector.facilities})
        elif table.name in NETWORK_TABLES:
            _among(conditions, parameters, {"event_type": need.types})
        parts.append(f"({' AND '.join(conditions)})")
    return " OR ".join(parts), parameters


def _among(conditions: list[str], parameters: list[Any], columns: dict[str, Sequence[Any]]) -> None:
    """Any of the columns has one of its values; nothing to ask when no column has any."""
    given = {column: values for column, values in columns.items() if values}
    if not given or any(len(values) > MAX_LISTED for values in given.values()):
        return
    parts = []
    for column, values in given.items():
        parts.append(f"{column} IN ({', '.join('?' * len(values))})")
        parameters.extend(values)
    conditions.append(f"({' OR '.join(parts)})")


def _oldest_us(batch: Batch) -> int:
    return min((event.time_us for event in batch.events), default=0)
