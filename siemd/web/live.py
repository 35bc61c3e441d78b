"""What has just been stored, for everybody who watches: one reader of the store, and a bounded queue for each client.

The reader knows where in each table it is, by id (incidents: by their run of detection and its numbers), and puts each
question once, however many clients ask it. What a client does not get, because it is slow or there is too much, it is
told: `skipped`, with how many. On a server several siemds may write at the same time, and a row may show after one with
a larger id: rows are counted again a while later, and those that came late are told as skipped.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from siemd.errors import StoreError
from siemd.logger import get_logger
from siemd.storage.columns import asked_of, columns_of
from siemd.storage.conditions import Filter
from siemd.storage.database import Database, Rows
from siemd.storage.dialects import Sql
from siemd.storage.search import Search, shown, where
from siemd.web.access.principal import Principal
from siemd.web.problems import Refused

POLL_S = 0.5
AWAY_POLL_S = 1.0
QUERY_S = 10.0
MOST_ROWS = 500  # of one question, each time it is put
MOST_QUEUED_ROWS = 5_000  # of one client
MOST_CLIENTS, MOST_OF_USER, MOST_SUBSCRIPTIONS = 100, 10, 8
LATE_S = 10.0
ALERTS = "alerts"
_HEAVY = {"evidence"}


class Question(msgspec.Struct, frozen=True):
    """Which new rows: of a table, that meet filters and words. fields: which columns to tell."""

    table: str
    filters: tuple[Filter, ...]
    words: str
    fields: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """What makes two questions the same."""
        return msgspec.json.encode(self)


def make_question(table: str, filters: Sequence[Filter], words: str, fields: Sequence[str]) -> Question:
    """A question with names that exist; BadQuery otherwise."""
    known = [name for name in columns_of(table) if name not in _HEAVY]
    chosen = [asked_of(table, name).column.name for name in fields] or known
    return Question(table, tuple(filters), words, tuple(dict.fromkeys(chosen)))


class Message(msgspec.Struct, omit_defaults=True):
    """What a client is told. type: subscribed, unsubscribed, rows, skipped, store, heartbeat, pong or error.

    id: of the subscription. events: how many were skipped. detail: in words.
    """

    type: str
    id: str = ""
    table: str = ""
    rows: Rows = []
    events: int = 0
    detail: str = ""
    time: str = ""


class Client:
    """One that watches: its questions, and what waits to be sent to it."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.questions: dict[str, Question] = {}
        self.ready = asyncio.Event()
        self.skipped_rows = 0  # in all, for who looks
        self._waiting: deque[Message] = deque()
        self._rows = 0
        self._skipped: dict[str, tuple[int, str]] = {}

    def say(self, message: Message) -> None:
        """Queue what is small and must be told."""
        if len(self._waiting) < MOST_QUEUED_ROWS:
            self._waiting.append(message)
        self.ready.set()

    def offer(self, subscription: str, table: str, rows: Rows) -> None:
        """Queue rows; when there is no room they are skipped, and so is all after them until that is told."""
        if not rows:
            return
        if subscription in self._skipped or self._rows + len(rows) > MOST_QUEUED_ROWS:
            self.skip(subscription, len(rows), "this client takes them too slowly")
            return
        self._rows += len(rows)
        self.say(Message("rows", subscription, table, rows))

    def skip(self, subscription: str, events: int, why: str) -> None:
        """Note rows that this client does not get."""
        self.skipped_rows += events
        before, _why = self._skipped.get(subscription, (0, ""))
        self._skipped[subscription] = (before + events, why)
        self.ready.set()

    def next(self) -> Message | None:
        """What is to be sent next; None when there is nothing."""
        if self._waiting:
            message = self._waiting.popleft()
            self._rows -= len(message.rows)
            return message
        if self._skipped:
            subscription, (events, why) = next(iter(self._skipped.items()))
            del self._skipped[subscription]
            return Message("skipped", subscription, events=events, detail=f"{events} events skipped: {why}")
        self.ready.clear()
        return None


class _Slice(msgspec.Struct):
    """Ids (after low, up to high) of a table, how many rows there were, and when to count again."""

    table: str
    low: int
    high: int
    rows: int
    due_s: float


class Live:
    """The reader, and the clients."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clients: list[Client] = []
        self._wanted = asyncio.Event()
        self._places: dict[str, int] = {}
        self._runs: dict[tuple[str, int], int] | None = None
        self._begun: dict[str, tuple[int, set[bytes]]] = {}
        self._late: deque[_Slice] = deque()
        self._away = ""

    @property
    def clients(self) -> int:
        """How many watch."""
        return len(self._clients)

    def join(self, principal: Principal) -> Client:
        """One more client; Refused when there are too many."""
        mine = sum(client.user_id == principal.user_id for client in self._clients)
        if mine >= MOST_OF_USER or len(self._clients) >= MOST_CLIENTS:
            raise Refused(429, "too many connections watch already; close one")
        client = Client(principal.user_id)
        self._clients.append(client)
        return client

    def leave(self, client: Client) -> None:
        """A client has gone."""
        self._clients.remove(client)

    async def subscribe(self, client: Client, subscription: str, question: Question) -> None:
        """Tell a client from now on what a question finds. BadQuery, StoreError."""
        if len(client.questions) >= MOST_SUBSCRIPTIONS and subscription not in client.questions:
            raise Refused(429, f"at most {MOST_SUBSCRIPTIONS} subscriptions")
        where(self._database, _search(question))  # BadQuery for what can't be asked
        await self._find_place(question.table)
        client.questions[subscription] = question
        self._wanted.set()

    def unsubscribe(self, client: Client, subscription: str) -> bool:
        """No longer."""
        return client.questions.pop(subscription, None) is not None

    async def run(self) -> None:
        """Read until cancelled; sleeps while nobody watches."""
        while True:
            await self._wanted.wait()
            if not any(client.questions for client in self._clients):
                self._wanted.clear()
                self._forget()
                continue
            try:
                await self._poll()
                if self._away:
                    self._tell_store("back", "")
            except StoreError as error:
                if not self._away:
                    self._tell_store("away", "the store does not answer now; what is stored meanwhile will follow")
                    get_logger("siemd.web").warning("live.away", reason=str(error))
                await asyncio.sleep(AWAY_POLL_S)
            await asyncio.sleep(POLL_S)

    def _forget(self) -> None:
        """Nobody watches: whoever comes next begins with what comes then."""
        self._places.clear()
        self._begun.clear()
        self._late.clear()
        self._runs, self._away = None, ""

    def _tell_store(self, how: str, detail: str) -> None:
        self._away = how if how == "away" else ""
        for client in self._clients:
            client.say(Message("store", detail=detail or "the store answers again"))

    async def _poll(self) -> None:
        questions: dict[bytes, list[tuple[Client, str, Question]]] = {}
        for client in self._clients:
            for name, question in client.questions.items():
                questions.setdefault(question.key, []).append((client, name, question))
        by_table: dict[str, list[list[tuple[Client, str, Question]]]] = {}
        for listed in questions.values():
            by_table.setdefault(listed[0][2].table, []).append(listed)
        for table, asked in by_table.items():
            await (self._poll_alerts(asked) if table == ALERTS else self._poll_table(table, asked))
        for gone in set(self._places) - set(by_table):
            del self._places[gone]
            self._begun.pop(gone, None)
        if ALERTS not in by_table:
            self._runs = None
        await self._count_late()

    async def _find_place(self, table: str) -> None:
        if table == ALERTS:
            if self._runs is None:
                self._runs = await self._read_runs()
        elif table not in self._places:
            place = await self._newest(table)
            self._places.setdefault(table, place)

    async def _newest(self, table: str) -> int:
        rows = await self._database.fetch(f"SELECT MAX(id) AS newest FROM {table}", timeout_s=QUERY_S)  # noqa: S608
        return int(rows[0]["newest"] or 0)

    async def _read_runs(self) -> dict[tuple[str, int], int]:
        rows = await self._database.fetch(
            "SELECT host, epoch, seq FROM ingest_cursor WHERE source = 'detection' ORDER BY updated DESC LIMIT 1000",
            timeout_s=QUERY_S,
        )
        return {(row["host"], int(row["epoch"])): int(row["seq"]) for row in rows}

    async def _poll_table(self, table: str, asked: Iterable[list[tuple[Client, str, Question]]]) -> None:
        low = self._places.get(table, 0)
        if table not in self._begun:
            self._begun[table] = (await self._newest(table), set())
        high, done = self._begun[table]  # kept when the store goes away half-way, so that nothing is told twice
        if self._database.dialect == "mysql" and high > low and not done:
            rows = await self._count(table, low, high)  # first: what shows from now on may not be among the answers
            self._late.append(_Slice(table, low, high, rows, time.monotonic() + LATE_S))
        found = Sql("id > ? AND id <= ?", (low, high))
        for listed in asked if high > low else ():
            key = listed[0][2].key
            if key not in done:
                await self._answer(listed, found, "id")
                done.add(key)
        self._places[table] = high  # smaller than before when the table was cleared
        del self._begun[table]

    async def _poll_alerts(self, asked: list[list[tuple[Client, str, Question]]]) -> None:
        before, now = self._runs or {}, await self._read_runs()
        for (host, epoch), seq in now.items():
            known = before.get((host, epoch), 0)
            if seq > known:
                found = Sql("epoch = ? AND host = ? AND seq > ? AND seq <= ?", (epoch, host, known, seq))
                for listed in asked:
                    await self._answer(listed, found, "seq")
            before[host, epoch] = seq  # one by one, so that what was told is not told again when the store goes away
        self._runs = now

    async def _answer(self, listed: list[tuple[Client, str, Question]], found: Sql, order: str) -> None:
        """Put one question for all who ask it."""
        question = listed[0][2]
        condition = where(self._database, _search(question))
        names = ", ".join(dict.fromkeys((*question.fields, order)))
        values = (*found.values, *condition.values)
        rows = await self._database.fetch(
            f"SELECT {names} FROM {question.table} WHERE {found.text} AND ({condition.text}) "  # noqa: S608
            f"ORDER BY {order} LIMIT ?",
            (*values, MOST_ROWS + 1),
            timeout_s=QUERY_S,
        )
        skipped = 0
        if len(rows) > MOST_ROWS:
            counted = await self._database.fetch(
                f"SELECT COUNT(*) AS n FROM {question.table} WHERE {found.text} AND ({condition.text})",  # noqa: S608
                values,
                timeout_s=QUERY_S,
            )
            rows = rows[:MOST_ROWS]
            skipped = max(0, int(counted[0]["n"]) - MOST_ROWS)
        show = shown(question.table, question.fields)
        told = [show(row) for row in rows]
        for client, name, _question in listed:
            if client.questions.get(name) is not None:
                client.offer(name, question.table, told)
                if skipped:
                    client.skip(name, skipped, "more came at once than is shown live")

    async def _count(self, table: str, low: int, high: int) -> int:
        sql = f"SELECT COUNT(*) AS n FROM {table} WHERE id > ? AND id <= ?"  # noqa: S608 - our own names
        return int((await self._database.fetch(sql, (low, high), timeout_s=QUERY_S))[0]["n"])

    async def _count_late(self) -> None:
        while self._late and self._late[0].due_s <= time.monotonic():
            old = self._late[0]
            late = await self._count(old.table, old.low, old.high) - old.rows
            self._late.popleft()
            if late > 0:
                for client in self._clients:
                    for name, question in client.questions.items():
                        if question.table == old.table:
                            client.skip(name, late, "they were stored later than others; search shows them")


def _search(question: Question) -> Search:
    return Search(table=question.table, filters=question.filters, words=question.words)
