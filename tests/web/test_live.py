"""The WebSocket that shows what is stored: to whom it may, all of it or an honest number, through any trouble."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from siemd.errors import StoreError
from siemd.storage import StorageConfig
from siemd.storage.store import Store, open_store
from siemd.units import Seconds
from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right, rights_of
from siemd.web.api import live as api_live
from siemd.web.config import LimitsConfig, WebConfig
from siemd.web.live import MOST_OF_USER, MOST_QUEUED_ROWS, MOST_ROWS, Client
from support.batches import alert, batch, log, probe, probes
from support.mariadb import MariaServer
from support.web import Web, serving, until, web_config


class Watcher:
    """A connection, and what came on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 30))
        self.messages.append(message)
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        while (message := await self.next())["type"] != kind:
            assert message["type"] != "error", message
        return message

    async def subscribe(self, name: str = "a", table: str = "logs", **more: Any) -> None:
        await self.say(type="subscribe", id=name, table=table, **more)
        assert (await self.next())["type"] == "subscribed"

    async def rows(self, count: int, name: str = "a") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = await self.until("rows")
            found += message["rows"] if message["id"] == name else []
        return found


@asynccontextmanager
async def watching(
    web: Web, *, role: Any = "viewer", scopes: Any = None, origin: str | None = None, **options: Any
) -> AsyncIterator[Watcher]:
    """A connection by a session's cookie from siemd's own pages, or by a token in the header."""
    headers: dict[str, str] = {}
    if scopes is None:
        client = await web.as_role(role)
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        origin = origin or web.origin
    else:
        headers["Authorization"] = (await web.with_token(role, scopes)).headers["Authorization"]
    url = f"ws://127.0.0.1:{web.server.port}/api/v1/live"
    async with connect(
        url, additional_headers=headers, origin=Origin(origin) if origin else None, proxy=None, **options
    ) as socket:
        yield Watcher(socket)


async def test_what_is_stored_shows_as_it_is_asked_for(web: Web, store: Store) -> None:
    await store.write([probes(1, 5)])
    async with watching(web) as watcher, watching(web, role="admin") as other:
        await watcher.subscribe("some", filters=[{"field": "source_ip", "op": "cidr", "value": "10.0.0.0/8"}])
        await watcher.subscribe("words", "security_logs", words="failed", fields=["event_id", "time"])
        await watcher.subscribe("alerts", "alerts")
        await other.subscribe()
        facts = [probe(seq, source_ip="10.1.1.1" if seq % 2 else "192.0.2.1") for seq in range(6, 16)]
        records = [log(seq, message="it failed" if seq == 1 else "it worked") for seq in (1, 2)]
        await store.write(
            [batch(*facts), batch(*records, source="windows"), batch(alert(1), alert(2), source="detection")]
        )
        found: dict[str, list[dict[str, Any]]] = {"some": [], "words": [], "alerts": []}
        while not all(found.values()):
            message = await watcher.until("rows")
            found[message["id"]] += message["rows"]
        assert [row["seq"] for row in found["some"]] == [7, 9, 11, 13, 15]
        assert list(found["words"][0]) == ["event_id", "event_time"] and len(found["words"]) == 1
        assert found["alerts"][-1]["incident_id"] == "incident-1" and "evidence" not in found["alerts"][-1]
        assert [row["seq"] for row in await other.rows(10)] == list(range(6, 16)), "what was before is not told"
        await watcher.say(type="unsubscribe", id="some")
        await watcher.until("unsubscribed")
        await watcher.say(type="ping")
        await watcher.until("pong")
    await until(lambda: web.server.services.live.clients == 0, "both are forgotten")


async def test_incidents_show_again_as_they_grow(web: Web, store: Store) -> None:
    async with watching(web, scopes=[Right.READ_ALERTS]) as watcher:
        await watcher.subscribe("a", "alerts", filters=[{"field": "level", "op": "eq", "value": "high"}])
        for revision in (1, 2, 3):
            await store.write([batch(alert(revision), source="detection")])
            (row,) = await watcher.rows(1)
            assert row["revision"] == revision
        await store.write([batch(alert(1, incident_id="low", level="low"), source="detection", epoch=2)])
        await store.write([batch(alert(2, incident_id="high"), source="detection", epoch=2)])
        assert [row["incident_id"] for row in await watcher.rows(1)] == ["high"], "of another run, and as asked"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1"])
async def test_another_sites_page_gets_no_connection(sqlite_web: Web, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with watching(sqlite_web, origin=origin):
            pass
    assert refused.value.response.status_code == 403
    assert sqlite_web.server.services.live.clients == 0


async def test_nobody_gets_no_connection(sqlite_web: Web) -> None:
    url = f"ws://127.0.0.1:{sqlite_web.server.port}/api/v1/live"
    token = Subprotocol("siemd.token.siemd_" + "x" * 43)
    for options in (
        {"origin": sqlite_web.origin}, {}, {"additional_headers": {"Authorization": "Bearer siemd_" + "x" * 43}},
        {"subprotocols": ["siemd.v1", token]}, {"additional_headers": {"Cookie": "siemd_session=" + "x" * 43}},
        {"subprotocols": ["siemd.v1", token, token], "origin": sqlite_web.origin},
    ):  # fmt: skip
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, proxy=None, **options)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403


async def test_a_token_may_stand_among_the_subprotocols_and_is_not_said_back(sqlite_web: Web) -> None:
    client = await sqlite_web.with_token("viewer", [Right.READ_EVENTS])
    token = client.headers["Authorization"].removeprefix("Bearer ")
    url = f"ws://127.0.0.1:{sqlite_web.server.port}/api/v1/live"
    offered = [Subprotocol("siemd.v1"), Subprotocol(f"siemd.token.{token}")]
    async with connect(url, subprotocols=offered, origin=Origin("http://elsewhere.example"), proxy=None) as socket:
        assert socket.subprotocol == "siemd.v1"
        assert socket.response is not None and token not in str(socket.response.headers)
        watcher = Watcher(socket)
        await watcher.subscribe()


async def test_a_scope_is_wanted_for_each_table(sqlite_web: Web) -> None:
    async with watching(sqlite_web, scopes=[Right.READ_ALERTS]) as watcher:
        await watcher.subscribe("a", "alerts")
        await watcher.say(type="subscribe", id="b", table="logs")
        refused = await watcher.next()
        assert refused["type"] == "error" and "events:read" in refused["detail"] and refused["id"] == "b"


async def test_the_connection_ends_with_the_session(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_live, "CHECK_EVERY_S", 0.1)
    user = await web.user("ada", "analyst")
    client = await web.session_of(user)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = f"ws://127.0.0.1:{web.server.port}/api/v1/live"
    async with connect(url, additional_headers={"Cookie": cookie}, origin=Origin(web.origin), proxy=None) as socket:
        watcher = Watcher(socket)
        await watcher.subscribe()
        assert (await client.delete("/api/v1/session")).status_code == 204
        with pytest.raises(ConnectionClosed) as closed:
            await watcher.until("the end")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


async def test_watching_keeps_no_session_alive(web: Web) -> None:
    client = await web.as_role("viewer")
    token = client.cookies["siemd_session"]
    await web.services.database.execute("UPDATE sessions SET last_used = '2026-01-01 00:00:00.000000'")
    assert await web.services.sessions.find(token, touch=False) is None, "unused for too long"
    client = await web.as_role("viewer")
    earlier = "SELECT last_used FROM sessions"
    before = await web.services.database.fetch(earlier)
    assert await web.services.sessions.find(client.cookies["siemd_session"], touch=False) is not None
    assert await web.services.database.fetch(earlier) == before


@pytest.mark.parametrize(
    "said",
    [
        "", "{", "[]", "null", '{"type": "drop"}', '{"type": "subscribe"}', "[" * 20_000, '{"type": 1}',
        '{"type": "subscribe", "id": "a", "table": "users"}', '{"type": "subscribe", "id": "", "table": "logs"}',
        '{"type": "subscribe", "id": "a", "table": "logs", "filters": [{"field": "x", "op": "eq", "value": 1}]}',
        '{"type": "subscribe", "id": "a", "table": "logs", "fields": ["1; DROP TABLE logs"]}',
        '{"type": "subscribe", "id": "a", "table": "logs", "words": "' + "a " * 400 + '"}',
        '{"type": "unsubscribe", "id": "nothing"}',
    ],
)  # fmt: skip
async def test_what_is_not_understood_is_said_and_does_no_harm(sqlite_web: Web, said: str) -> None:
    async with watching(sqlite_web) as watcher:
        await watcher.socket.send(said)
        assert (await watcher.next())["type"] == "error"
        await watcher.subscribe()


async def test_a_message_that_is_too_large_ends_the_connection(sqlite_web: Web) -> None:
    async with watching(sqlite_web) as watcher:
        await watcher.socket.send("x" * 200_000)
        with pytest.raises(ConnectionClosed):
            await watcher.until("the end")


async def test_a_connection_outlives_the_deadlines_of_requests(storage: StorageConfig, tmp_path: Path) -> None:
    limits = LimitsConfig(header_time_s=Seconds(0.2), body_time_s=Seconds(0.2), stall_time_s=Seconds(0.2))
    async with serving(web_config(tmp_path, storage, WebConfig(limits=limits))) as web, watching(web) as watcher:
        for _ in range(5):
            await asyncio.sleep(0.1)
            await watcher.say(type="ping")
            assert (await watcher.next())["type"] == "pong"


async def test_connections_and_subscriptions_are_bounded(sqlite_web: Web) -> None:
    async with asyncio.timeout(60):
        opened = [watching(sqlite_web) for _ in range(MOST_OF_USER)]
        watchers = [await one.__aenter__() for one in opened]
        with pytest.raises(InvalidStatus):
            async with watching(sqlite_web):
                pass
        for number in range(8):
            await watchers[0].subscribe(str(number))
        await watchers[0].say(type="subscribe", id="9", table="logs")
        assert (await watchers[0].next())["type"] == "error"
        for one in opened:
            await one.__aexit__(None, None, None)
    await until(lambda: sqlite_web.server.services.live.clients == 0, "all are gone")
    async with watching(sqlite_web):
        pass


async def test_more_than_can_be_shown_is_told(web: Web, store: Store) -> None:
    async with watching(web) as watcher:
        await watcher.subscribe(fields=["seq"])
        await store.write([probes(1, MOST_ROWS * 3)])
        rows = [row["seq"] for row in await watcher.rows(MOST_ROWS)]
        assert rows == list(range(1, MOST_ROWS + 1))
        skipped = await watcher.until("skipped")
        assert skipped["events"] == 2 * MOST_ROWS and "skipped" in skipped["detail"]
        await store.write([probes(MOST_ROWS * 3 + 1, 2)])
        assert [row["seq"] for row in await watcher.rows(2)] == [MOST_ROWS * 3 + 1, MOST_ROWS * 3 + 2]


async def test_a_slow_client_is_told_what_it_missed() -> None:
    client = Client("ada")
    rows = [{"seq": number} for number in range(100)]
    given = 0
    for _ in range(MOST_QUEUED_ROWS // 100 + 7):
        client.offer("a", "logs", rows)
        given += 100
    told = skipped = 0
    while (message := client.next()) is not None:
        assert not skipped or message.type == "skipped", "what was skipped is told before anything that came later"
        told += len(message.rows)
        skipped += message.events
    assert told == MOST_QUEUED_ROWS and told + skipped == given and client.skipped_rows == skipped
    client.offer("a", "logs", rows)
    message = client.next()
    assert message is not None and len(message.rows) == 100, "and then it goes on"


async def test_a_client_that_takes_nothing_is_cut(storage: StorageConfig, tmp_path: Path) -> None:
    limits = LimitsConfig(stall_time_s=Seconds(0.5))
    async with serving(web_config(tmp_path, storage, WebConfig(limits=limits))) as web:
        store = open_store(storage, tmp_path)
        await store.open()
        try:
            async with watching(web, max_queue=1) as watcher:
                await watcher.subscribe()
                watcher.socket.transport.pause_reading()
                live = web.server.services.live
                number = 0
                while live.clients:
                    events = [probe(seq, message="m" * 20_000) for seq in range(number + 1, number + 201)]
                    await store.write([batch(*events)])
                    number += 200
                    assert number < 40_000
                    await asyncio.sleep(0.05)
                watcher.socket.transport.abort()
        except (ConnectionClosed, OSError):
            pass
        finally:
            await store.close()


async def test_it_goes_on_after_the_store_was_away(mariadb: MariaServer, mysql_database: str, tmp_path: Path) -> None:
    storage = StorageConfig(url=mariadb.url(mysql_database))
    async with serving(web_config(tmp_path, storage)) as web:
        store = open_store(storage, tmp_path)
        await store.open()
        async with watching(web) as watcher:
            await watcher.subscribe(fields=["seq"])
            await store.write([probes(1, 3)])
            assert len(await watcher.rows(3)) == 3
            mariadb.kill()
            assert "does not answer" in (await watcher.until("store"))["detail"]
            mariadb.start()
            while True:
                try:
                    await store.open()
                    await store.write([probes(4, 3)])
                    break
                except StoreError:
                    await asyncio.sleep(0.1)
            assert [row["seq"] for row in await watcher.rows(3)] == [4, 5, 6], "each once, none lost"
        await store.close()


async def test_rows_that_show_late_are_told(
    mariadb: MariaServer, mysql_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another siemd's transaction took its ids first and is committed last."""
    monkeypatch.setattr("siemd.web.live.LATE_S", 0.5)
    storage = StorageConfig(url=mariadb.url(mysql_database))
    async with serving(web_config(tmp_path, storage)) as web:
        store = open_store(storage, tmp_path)
        await store.open()
        await store.write([probes(1, 1)])
        other = mariadb.connect(mysql_database)
        other.autocommit(False)
        columns = [row["column_name"] for row in await web.services.database.fetch(
            "SELECT column_name AS column_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = 'logs' AND column_name <> 'id'"
        )]  # fmt: skip
        names = ", ".join(f"`{name}`" for name in columns)
        async with watching(web) as watcher:
            await watcher.subscribe(fields=["seq"])
            with other.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")  # keeps nobody from writing
                cursor.execute(f"INSERT INTO logs ({names}) SELECT {names} FROM logs WHERE seq = 1")
            await store.write([probes(2, 1)])
            assert [row["seq"] for row in await watcher.rows(1)] == [2]
            other.commit()
            skipped = await watcher.until("skipped")
            assert skipped["events"] == 1 and "later" in skipped["detail"]
        other.close()
        await store.close()


def test_a_principal_without_the_right_is_known() -> None:
    principal = Principal("1", "ada", "viewer", rights_of("viewer"), "session")
    assert principal.may(Right.READ_EVENTS) and not principal.may(Right.WRITE_RULES)
