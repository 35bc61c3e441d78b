"""The writer stage: everything accepted is stored once, through outages, lost answers, kills and full spools."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from siemd.channel import Channel
from siemd.health import Health
from siemd.storage import StorageConfig, Writer, open_store, queries
from siemd.units import Bytes, Seconds
from support.batches import HOST, batch, probe, probes
from support.mariadb import MariaServer
from support.proxy import CommitCutter


class Running:
    """A writer at work and what feeds it."""

    def __init__(self, config: StorageConfig, data_dir: Path, capacity_events: int = 1000) -> None:
        self.health = Health()
        self.channel = Channel("storing", capacity_events)
        self.writer = Writer(
            config=config, channel=self.channel, data_dir=data_dir, health=self.health, host=HOST, grace_s=30
        )

    def extra(self, name: str) -> object:
        return self.health.component("store").extra.get(name, 0)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - conditions of any kind
                await asyncio.sleep(0.01)
        assert condition(), what


@asynccontextmanager
async def running(config: StorageConfig, data_dir: Path, capacity_events: int = 1000) -> AsyncIterator[Running]:
    """A writer, ended in order when the block ends."""
    run = Running(config, data_dir, capacity_events)
    async with asyncio.TaskGroup() as group:
        group.create_task(run.writer.run())
        yield run
        run.channel.close()


async def stored(config: StorageConfig, data_dir: Path) -> list[int]:
    """The sequence numbers in `logs`."""
    store = open_store(config, data_dir)
    try:
        return [row["seq"] for row in await store.query("SELECT seq FROM logs ORDER BY seq")]
    finally:
        await store.close()


async def test_everything_until_the_end_of_the_channel_is_stored(store_config: StorageConfig, tmp_path: Path) -> None:
    async with running(store_config, tmp_path) as run:
        assert await run.writer.checkpoints() == {}
        for first in range(1, 2001, 20):
            await run.channel.put(probes(first, 20, checkpoint=b"%d" % first))
    assert await stored(store_config, tmp_path) == list(range(1, 2001))
    writer, store = run.health.component("writer"), run.health.component("store")
    assert (writer.status, writer.received, writer.sent) == ("stopped", 2000, 2000)
    assert (store.status, store.received, store.sent, store.lag_s) == ("stopped", 2000, 2000, 0.0)
    assert run.writer.unaccepted_events == 0
    again = Running(store_config, tmp_path)
    assert await again.writer.checkpoints() == {"sniffer": b"1981"}
    again.channel.close()
    await again.writer.run()


async def test_losses_of_sources_become_events(store_config: StorageConfig, tmp_path: Path) -> None:
    async with running(store_config, tmp_path) as run:
        await run.channel.put(probes(8, 3, dropped=7, last_seq=10))
        await run.channel.put(batch(dropped=2, last_seq=12))
    store = open_store(store_config, tmp_path)
    rows = await store.query("SELECT provider, message, fields FROM application_logs ORDER BY seq")
    assert [row["message"] for row in rows] == ["7 events of sniffer were dropped", "2 events of sniffer were dropped"]
    assert rows[0]["provider"] == "siemd" and msgspec.json.decode(rows[0]["fields"])["dropped"] == 7
    ledger = {row["source"]: row for row in await queries.ledger(store)}
    assert (ledger["sniffer"]["produced"], ledger["sniffer"]["stored"], ledger["sniffer"]["missing"]) == (12, 3, 0)
    await store.close()


async def test_text_that_no_encoding_takes_passes_the_spool(mysql_config: StorageConfig, tmp_path: Path) -> None:
    async with running(mysql_config, tmp_path) as run:
        await run.channel.put(
            batch(probe(1, message="\ud800", fields={"\udc00": [1 << 90]}), probe(2, user_name="\0"), probe(3))
        )
        await run.channel.put(batch(probe(4, message=None), probe(5)))  # breaks the types that events state
    assert await stored(mysql_config, tmp_path) == [1, 2, 3, 5]
    assert run.extra("unreadable_batches") == 1


async def test_a_server_that_is_down_at_the_start_is_waited_for(
    mariadb: MariaServer, mysql_config: StorageConfig, tmp_path: Path
) -> None:
    mariadb.stop()
    try:
        async with running(mysql_config, tmp_path) as run:
            assert await run.writer.checkpoints() == {}
            await run.channel.put(probes(1, 10))
            store = run.health.component("store")
            await run.until(lambda: store.status == "degraded" and run.writer._spool.events == 10, "a visible failure")
            assert "start the server" in store.detail
            mariadb.start()
            await run.until(lambda: store.status == "ok" and store.sent == 10, "delivery")
    finally:
        if mariadb._process is None:
            mariadb.start()
    assert await stored(mysql_config, tmp_path) == list(range(1, 11))


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_server_that_goes_away_under_load_costs_nothing(
    mariadb: MariaServer, mysql_config: StorageConfig, tmp_path: Path, how: str
) -> None:
    """Killed again and again in the middle of writes; once it stays away until much waits in the spool."""
    total = 12_000

    async def feed(run: Running) -> None:
        for first in range(1, total, 40):
            await run.channel.put(probes(first, 40))
            await asyncio.sleep(0.002)

    async with running(mysql_config, tmp_path) as run:
        store = run.health.component("store")
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed(run))
            for _outage in range(3):
                before = store.sent
                await run.until(lambda before=before: store.sent > before or feeding.done(), "some progress")
                await asyncio.to_thread(mariadb.stop if how == "stopped" else mariadb.kill)
                waiting = min(total, run.writer._spool.events + 400)
                await run.until(lambda waiting=waiting: run.writer._spool.events >= waiting or feeding.done(), "spool")
                mariadb.start()
    assert run.health.component("writer").sent == total
    assert await stored(mysql_config, tmp_path) == list(range(1, total + 1))


async def test_a_lost_commit_answer_stores_nothing_twice(
    mariadb: MariaServer, mysql_database: str, mysql_config: StorageConfig, tmp_path: Path
) -> None:
    await (ready := open_store(mysql_config, tmp_path)).open()
    await ready.close()
    async with CommitCutter(mariadb.port, cuts=3) as proxy:
        config = StorageConfig(url=mariadb.url(mysql_database, proxy.port), batch_delay_s=Seconds(0.01))
        async with running(config, tmp_path) as run:
            first = 1
            while proxy.done < proxy.cuts or first < 500:
                await run.channel.put(probes(first, 10, checkpoint=b"%d" % first))
                first += 10
                await asyncio.sleep(0.01)
            await run.until(lambda: run.health.component("store").lag_s == 0 and not run.writer._spool.events, "ship")
    assert int(str(run.extra("redelivered_events"))) >= 10 * proxy.cuts
    assert await stored(mysql_config, tmp_path) == list(range(1, first))


CHILD = """
    import asyncio, structlog, sys
    from pathlib import Path
    from siemd.channel import Channel
    from siemd.health import Health
    from siemd.storage import StorageConfig, Writer
    from siemd.units import Seconds
    from support.batches import HOST, probes

    async def main(url, data_dir, epoch):
        channel, health = Channel("storing", 500), Health()
        writer = Writer(config=StorageConfig(url=url, batch_delay_s=Seconds(0.001)), channel=channel,
                        data_dir=Path(data_dir), health=health, host=HOST)
        last = int((await writer.checkpoints()).get("sniffer", b"0"))
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            for first in range(last + 1, last + 100_000, 5):
                numbered = probes(first, 5, epoch=epoch, checkpoint=b"%d" % (first + 4))
                for event in numbered.events:
                    event.count = event.seq  # the number in the input; seq starts anew with the epoch
                    event.seq -= last
                await channel.put(numbered)
                await asyncio.sleep(0)
                print(health.component("writer").sent, flush=True)

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
async def test_a_writer_killed_at_any_moment_goes_on_where_it_was(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A source that resumes at the stored checkpoint neither loses nor repeats an event, whenever the kill came."""
    if kind == "sqlite":
        config = StorageConfig()
    else:
        config = request.getfixturevalue("mysql_config")
    code = textwrap.dedent(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    accepted = 0
    for epoch in range(1, 4):
        child = subprocess.Popen(  # noqa: ASYNC220 - read line by line, nothing else to do meanwhile
            [sys.executable, "-c", code, config.url, str(tmp_path), str(epoch)],
            stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        sent = 0
        while sent < 400 * epoch:
            line = child.stdout.readline()
            assert line, "the writer ended by itself"
            sent = int(line)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        accepted += sent
    async with running(config, tmp_path):
        pass  # delivers what the spool still holds
    store = open_store(config, tmp_path)
    numbers = [row["count"] for row in await store.query("SELECT count FROM logs ORDER BY count")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= accepted
    await store.close()


async def test_a_full_spool_slows_the_sources_and_loses_nothing(
    mariadb: MariaServer, mysql_config: StorageConfig, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(mysql_config, spool_bytes=Bytes(20_000), batch_events=50)
    mariadb.stop()
    try:
        async with running(config, tmp_path, 100) as run:

            async def feed() -> None:
                for first in range(1, 2001, 20):
                    await run.channel.put(probes(first, 20))

            async with asyncio.TaskGroup() as group:
                group.create_task(feed())
                writer = run.health.component("writer")
                await run.until(lambda: writer.status == "degraded" and not run.channel.has_room(), "a full spool")
                assert "spool" in writer.detail and "is full" in writer.detail
                assert run.writer._spool.events < 2000
                mariadb.start()
    finally:
        if mariadb._process is None:
            mariadb.start()
    assert await stored(config, tmp_path) == list(range(1, 2001))


async def test_a_stop_while_the_server_is_away_leaves_all_in_the_spool(
    mariadb: MariaServer, mysql_config: StorageConfig, tmp_path: Path
) -> None:
    mariadb.stop()
    try:
        async with running(mysql_config, tmp_path) as run:
            await run.channel.put(probes(1, 100, checkpoint=b"hundred"))
        assert "100 events wait in the spool" in run.health.component("store").detail
    finally:
        mariadb.start()
    async with running(mysql_config, tmp_path) as run:
        assert await run.writer.checkpoints() == {"sniffer": b"hundred"}
    assert await stored(mysql_config, tmp_path) == list(range(1, 101))


async def test_a_damaged_spool_is_moved_aside_and_the_sources_go_on_from_what_is_stored(
    mysql_config: StorageConfig, tmp_path: Path
) -> None:
    async with running(mysql_config, tmp_path) as run:
        await run.channel.put(probes(1, 10, checkpoint=b"ten"))
    spool = tmp_path / "spool.db"
    spool.write_bytes(b"this is no database" * 1000)
    async with running(mysql_config, tmp_path) as run:
        assert await run.writer.checkpoints() == {"sniffer": b"ten"}
        await run.channel.put(probes(11, 10))
    aside = [path.name for path in tmp_path.glob("spool.db.damaged-*")]  # noqa: ASYNC240
    assert len(aside) == 1 and run.extra("damaged_spool") == aside[0]
    assert await stored(mysql_config, tmp_path) == list(range(1, 21))


async def test_a_forced_end_says_what_it_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store can't be written to, and the owner's patience ends."""
    monkeypatch.setattr("siemd.sqlite_file.BUSY_TIMEOUT_S", 0.1)
    config = StorageConfig(batch_delay_s=Seconds(0.01))
    run = Running(config, tmp_path)
    await run.writer.open()
    import sqlite3

    blocker = sqlite3.connect(tmp_path / "siemd.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.writer.run())
        await run.channel.put(probes(1, 10))
        await run.until(lambda: run.health.component("writer").status == "degraded", "the lock is reported")
        assert "locked by another program" in run.health.component("writer").detail
        task.cancel()
    blocker.close()
    assert run.writer.unaccepted_events == 10
