"""The Database on every kind of store: the same calls, bounded in time, whole or not at all, back after a failure."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from siemd.errors import UserError
from siemd.storage import StorageConfig, StoreError
from siemd.storage.database import Database, Duplicate, QueryTimeout, open_database
from siemd.storage.store import Store, open_store
from support.batches import probes
from support.mariadb import MariaServer

ENDLESS = "SELECT COUNT(*) AS n FROM logs a, logs b, logs c, logs d, logs e WHERE a.seq + b.seq + c.seq + d.seq < ?"
INSERT = "INSERT INTO ingest_cursor VALUES (?, 's', 1, 0, 0, 0, 0, '2026-01-01 00:00:00')"


@pytest.fixture
async def database(store: Store, store_config: StorageConfig, tmp_path: Path) -> AsyncIterator[Database]:
    """A Database on the fresh store."""
    opened = open_database(store_config, tmp_path)
    yield opened
    await opened.close()


async def hosts(database: Database) -> list[str]:
    return [row["host"] for row in await database.fetch("SELECT host FROM ingest_cursor ORDER BY host")]


async def test_parameters_come_back_as_they_were(database: Database) -> None:
    values = ["it's", 'a "b" \\ % _ ?', "žluťoučký 🐍", b"\0'\\\xff", 7, None, 0.5]
    marks = ", ".join(f"? AS v{index}" for index in range(len(values)))
    row = (await database.fetch(f"SELECT {marks}, '100%' AS percent", values))[0]
    assert [*row.values()] == [*values, "100%"]


async def test_sums_are_numbers(store: Store, database: Database) -> None:
    await store.write([probes(1, 3)])
    row = (await database.fetch("SELECT SUM(seq) AS n, AVG(seq) AS mean FROM logs"))[0]
    assert row == {"n": 6, "mean": 2.0} and type(row["n"]) is int


async def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    async with database.transaction() as work:
        assert await work.execute(INSERT, ("a",)) == 1
        assert (await work.fetch("SELECT COUNT(*) AS n FROM ingest_cursor"))[0]["n"] == 1
        assert await hosts(database) == []

    async def fail() -> None:
        async with database.transaction() as work:
            await work.execute(INSERT, ("b",))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await hosts(database) == ["a"]


async def test_execute_says_how_many_rows_it_found(database: Database) -> None:
    await database.execute(INSERT, ("a",))
    same = "UPDATE ingest_cursor SET seq = 0 WHERE host = ?"
    assert await database.execute(same, ("a",)) == 1
    assert await database.execute(same, ("b",)) == 0


async def test_after_a_failure_a_transaction_takes_nothing_more(database: Database) -> None:
    await database.execute(INSERT, ("a",))

    async def go_on() -> None:
        async with database.transaction() as work:
            await work.execute(INSERT, ("b",))
            with pytest.raises(Duplicate, match="there already"):
                await work.execute(INSERT, ("a",))
            await work.execute(INSERT, ("c",))

    with pytest.raises(StoreError, match="has ended"):
        await go_on()
    assert await hosts(database) == ["a"]
    await database.execute(INSERT, ("d",))
    assert await hosts(database) == ["a", "d"]


async def test_transactions_come_one_after_the_other(database: Database) -> None:
    await database.execute(INSERT, ("a",))

    async def add() -> None:
        async with database.transaction() as work:
            lock = "" if database.dialect == "sqlite" else " FOR UPDATE"
            row = (await work.fetch(f"SELECT seq FROM ingest_cursor WHERE host = 'a'{lock}"))[0]
            await asyncio.sleep(0)
            await work.execute("UPDATE ingest_cursor SET seq = ? WHERE host = 'a'", (row["seq"] + 1,))

    await asyncio.gather(*(add() for _ in range(20)))
    assert (await database.fetch("SELECT seq FROM ingest_cursor"))[0]["seq"] == 20


async def test_a_query_that_takes_too_long_is_ended(store: Store, database: Database) -> None:
    await store.write([probes(1, 500)])
    with pytest.raises(QueryTimeout, match="ended after"):
        await database.fetch(ENDLESS, (-1,), timeout_s=0.2)
    assert await hosts(database) == ["sensor-1"]


async def test_a_query_that_nobody_waits_for_frees_its_place(store: Store, database: Database) -> None:
    await store.write([probes(1, 500)])
    for _ in range(10):  # more than there are places
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.fetch(ENDLESS, (-1,))
    assert await hosts(database) == ["sensor-1"]
    if database.dialect == "mysql":
        running = "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE info LIKE ? AND time_ms > 30"
        async with asyncio.timeout(10):
            while (await database.fetch(running, ("SELECT COUNT(*) AS n FROM logs a%",)))[0]["n"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_waiting_for_a_place_has_an_end(store: Store, database: Database) -> None:
    await store.write([probes(1, 500)])
    given = [database.fetch(ENDLESS, (-1,), timeout_s=0.5) for _ in range(20)]
    done = await asyncio.gather(*given, return_exceptions=True)
    assert [type(one) for one in done] == [QueryTimeout] * 20
    assert await hosts(database) == ["sensor-1"]


async def test_a_stream_gives_every_row_in_pages(store: Store, database: Database) -> None:
    await store.write([probes(1, 2500)])
    pages = [page async for page in database.stream("SELECT seq FROM logs ORDER BY seq", page_rows=1000)]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [row["seq"] for page in pages for row in page] == list(range(1, 2501))


async def test_a_stream_may_be_left_in_the_middle(store: Store, database: Database) -> None:
    await store.write([probes(1, 2500)])
    for _ in range(20):
        async with aclosing(database.stream("SELECT * FROM logs ORDER BY seq", page_rows=10)) as pages:
            async for page in pages:
                assert page[0]["seq"] == 1
                break
    assert await hosts(database) == ["sensor-1"]


async def test_it_works_again_after_a_reset(store: Store, database: Database) -> None:
    await database.execute(INSERT, ("a",))
    await store.reset()
    assert await hosts(database) == []
    await database.execute(INSERT, ("b",))
    assert await hosts(database) == ["b"]


async def test_open_makes_what_is_missing(store_config: StorageConfig, tmp_path: Path) -> None:
    database = open_database(store_config, tmp_path)
    with pytest.raises(StoreError, match="siemd db migrate"):
        await database.fetch("SELECT * FROM logs")
    await database.open()
    assert await hosts(database) == []
    await database.close()
    await database.close()


async def test_a_server_that_is_killed_is_asked_again_when_it_is_back(
    mariadb: MariaServer, mysql_config: StorageConfig, tmp_path: Path
) -> None:
    database = open_database(mysql_config, tmp_path)
    await database.open()
    await database.execute(INSERT, ("a",))

    async def interrupted(end: Callable[[], None]) -> None:
        async with database.transaction() as work:
            await work.execute(INSERT, ("b",))
            end()
            await work.execute(INSERT, ("c",))

    for end in (mariadb.kill, mariadb.stop):
        assert await hosts(database) == ["a"]
        stream = database.stream("SELECT * FROM ingest_cursor")
        await anext(stream)
        with pytest.raises(StoreError):
            await interrupted(end)
        with pytest.raises(StoreError, match="MySQL"):
            await database.fetch("SELECT 1")
        with pytest.raises(StoreError, match="MySQL"):
            await database.execute(INSERT, ("d",))
        await stream.aclose()
        mariadb.start()
        assert await hosts(database) == ["a"]
        assert await database.execute("UPDATE ingest_cursor SET seq = 1") == 1
    await database.close()


async def test_a_locked_file_is_read_and_written_when_it_is_free(tmp_path: Path) -> None:
    database = open_database(StorageConfig(), tmp_path)
    await database.open()
    other = sqlite3.connect(tmp_path / "siemd.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await hosts(database) == []
    with pytest.raises(StoreError, match="locked by another program"):
        await database.execute(INSERT, ("a",))
    other.execute("ROLLBACK")
    assert await database.execute(INSERT, ("a",)) == 1
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.close()
    await database.close()


async def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    database = open_database(StorageConfig(), tmp_path)
    with pytest.raises(StoreError, match="there is no"):
        await database.fetch("SELECT 1")
    store = open_store(StorageConfig(), tmp_path)
    await store.open()
    await store.write([probes(1, 3)])
    assert await hosts(database) == ["sensor-1"]
    await store.close()
    for path in [*tmp_path.glob("siemd.db*")]:  # noqa: ASYNC240
        path.rename(path.with_name(f"old-{path.name}"))
    again = open_store(StorageConfig(), tmp_path)
    await again.open()
    assert await hosts(database) == []
    await again.close()
    await database.close()


def test_a_wrong_url_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"storage\.url"):
        open_database(StorageConfig(url="oracle:x"), tmp_path)


async def test_a_query_that_is_cancelled_twice_ends_before_its_connection(tmp_path: Path) -> None:
    """Closing a connection that a thread still uses would end the process."""
    database = open_database(StorageConfig(url="sqlite:"), tmp_path)
    await database.open()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT SUM(i) AS s FROM n"

    async def cancelled_often() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(database.fetch(endless))
        await asyncio.sleep(0.01)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()

    for _ in range(20):
        await asyncio.gather(*(cancelled_often() for _ in range(4)))
    assert await database.fetch("SELECT 1 AS one") == [{"one": 1}]
    await database.close()
