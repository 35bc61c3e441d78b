"""Counts are the same from rollups as from rows, whatever happens to the writer, on every kind of store."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siemd.errors import StoreError
from siemd.events import TIME_MAX_US, now_us
from siemd.storage import StorageConfig
from siemd.storage.columns import BadQuery
from siemd.storage.conditions import Filter
from siemd.storage.database import Database, open_database
from siemd.storage.pieces import State, pieces, rollup_for, rollup_state
from siemd.storage.reading import time_us
from siemd.storage.rollups import ROLLED_UP, tables_of
from siemd.storage.statistics import Counted, counts_over_time, top_values, total
from siemd.storage.store import Store, Written, open_store
from siemd.storage.tables import TABLES, time_text
from support.batches import batch, connection, log, probe, usage
from support.mariadb import MariaServer

HOUR_US = 3_600_000_000
NOW_US = now_us() // HOUR_US * HOUR_US + 1_234_567_890


def mixed(seed: int, count: int, epoch: int = 1, host: str = "sensor-1") -> list[Any]:
    """Batches of all kinds, in and out of order, over a month, most of them of the last days."""
    dice = random.Random(seed)
    spans = [HOUR_US // 60, HOUR_US, 30 * HOUR_US, 700 * HOUR_US]

    def moment() -> int:
        moment_us = NOW_US - dice.randrange(dice.choice(spans))
        edge_us = moment_us // HOUR_US * HOUR_US  # of a bucket: where rounding would show
        return dice.choice([moment_us, moment_us, edge_us, edge_us - 1])

    def common(seq: int) -> dict[str, Any]:
        return {"time_us": moment(), "host": host, "seq": seq}

    facts = [
        probe(
            **common(seq),
            event_type=dice.choice(["ping", "tcp_probe"]),
            source_ip=dice.choice(["", "10.0.0.1", "10.0.0.2", "2001:db8::1"]),
        )
        for seq in range(1, count + 1)
    ]
    flows = [connection(**common(seq)) for seq in range(1, count // 4 + 1)]
    records = [
        log(
            **common(seq),
            table=dice.choice(["security_logs", "channel_logs"]),
            channel=dice.choice(["Security", "security", "Sysmon"]),
            event_id=dice.choice([1, 4625]),
            level=dice.choice(["", "warning"]),
            source_ip=dice.choice(["", "10.0.0.1"]),
        )
        for seq in range(1, count + 1)
    ]
    samples = [usage(**common(seq)) for seq in range(1, count // 4 + 1)]
    return [
        batch(*events, source=source, epoch=epoch, host=host)
        for source, events in (("sniffer", facts), ("flows", flows), ("windows", records), ("metrics", samples))
    ]


async def recounted(database: Database, name: str) -> dict[str, Counter[tuple[Any, ...]]]:
    """What the rollups of a table must hold, counted from its rows in Python."""
    time = TABLES[name].columns[0].name
    result: dict[str, Counter[tuple[Any, ...]]] = {rollup: Counter() for rollup in tables_of(name)}
    for row in await database.fetch(f"SELECT *, {time} AS moment FROM {name}"):
        second = time_us(row["moment"]) // 1_000_000
        kinds = [
            row.get(kind, 0 if kind == "event_id" else "") for kind in ("event_type", "channel", "event_id", "level")
        ]
        kinds = [str(kind).lower() for kind in kinds]
        for rollup, width in (("rollup_minute", 60), ("rollup_hour", 3600)):
            result[rollup][(str(second // width * width), row["host"], *kinds)] += 1
        if "source_ip" in row:
            result["rollup_source_hour"][(str(second // 3600 * 3600), row["source_ip"], row["host"])] += 1
    return result


async def assert_whole(database: Database, *, minutes: bool = True) -> None:
    """Every rollup holds exactly what the rows say."""
    for name in ROLLED_UP:
        wanted = await recounted(database, name)
        for rollup, counts in wanted.items():
            if rollup == "rollup_minute" and not minutes:
                continue
            found: Counter[tuple[Any, ...]] = Counter()
            for row in await database.fetch(f"SELECT * FROM {rollup} WHERE table_name = ?", (name,)):
                *key, count = (str(value).lower() for value in list(row.values())[1:])
                found[tuple(key)] += int(count)
            assert found == counts, (name, rollup)


@pytest.fixture
async def database(store: Store, store_config: StorageConfig, tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(store_config, tmp_path)
    yield opened
    await opened.close()


async def test_rollups_are_what_the_rows_say(store: Store, database: Database) -> None:
    for epoch in (1, 2):
        await store.write(mixed(epoch, 120, epoch))
    await assert_whole(database)


async def test_a_redelivery_counts_once(store: Store, database: Database) -> None:
    for batches in (mixed(1, 50), mixed(1, 50), mixed(1, 80)):
        await store.write(batches)
    await assert_whole(database)
    assert await total(database, Counted(table="logs")) == 80


async def test_what_the_store_refused_is_not_counted(store: Store, database: Database) -> None:
    if database.dialect == "sqlite":
        trigger = (
            "CREATE TRIGGER no_ping BEFORE INSERT ON logs WHEN NEW.event_type = 'ping' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        trigger = (
            "CREATE TRIGGER no_ping BEFORE INSERT ON logs FOR EACH ROW "
            "IF NEW.event_type = 'ping' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"
        )
    await database.execute(trigger)
    written = await store.write(mixed(1, 60))
    assert written.rejected
    await assert_whole(database)


async def test_writers_of_several_hosts_count_together(
    store_config: StorageConfig, database: Database, tmp_path: Path
) -> None:
    stores = [open_store(store_config, tmp_path) for _ in range(3)]
    for one in stores:
        await one.open()

    async def write(one: Store, host: str) -> None:
        for epoch in range(1, 5):
            batches = mixed(epoch, 40, epoch, host)
            while True:
                try:
                    await one.write(batches)
                    break
                except Exception as error:
                    assert "deadlock" in str(error).lower(), error

    await asyncio.gather(*(write(one, f"host-{index}") for index, one in enumerate(stores)))
    await assert_whole(database)
    for one in stores:
        await one.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from siemd.storage import StorageConfig, open_store
from tests_mixed import mixed

async def main():
    store = open_store(StorageConfig(url=sys.argv[1]), Path("."))
    await store.open()
    for epoch in range(1, 10_000):
        for batches in (mixed(epoch, 30, epoch), mixed(epoch, 60, epoch)):
            await store.write(batches)
        print(epoch, flush=True)

asyncio.run(main())
"""


async def test_a_killed_writer_leaves_rows_and_rollups_agreed(
    store_config: StorageConfig, store: Store, database: Database
) -> None:
    """kill -9 in the middle of writing, five times; then what was last written comes again."""
    code = WRITER.replace("from tests_mixed import mixed", "from storage.test_statistics import mixed")
    folder = Path(__file__).parents[1]
    for round_number in range(1, 6):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, store_config.url, cwd=folder, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder.parent}"},
        )  # fmt: skip
        assert writer.stdout is not None
        last = 0
        for _ in range(round_number * 2):
            last = int(await writer.stdout.readline())
        await asyncio.sleep(random.Random(round_number).random() / 50)  # anywhere within a write
        writer.kill()
        await writer.wait()
        assert last
    await assert_whole(database)
    await store.write(mixed(1, 60, 1))
    await assert_whole(database)


async def test_a_killed_server_leaves_rows_and_rollups_agreed(
    mariadb: MariaServer, mysql_config: StorageConfig, tmp_path: Path
) -> None:
    store, database = open_store(mysql_config, tmp_path), open_database(mysql_config, tmp_path)
    await store.open()
    for epoch in range(1, 4):
        writing = [store.write(mixed(epoch * 10 + part, 400, epoch * 10 + part)) for part in range(4)]

        async def kill(epoch: int = epoch) -> None:
            await asyncio.sleep(epoch / 100)  # anywhere within a write
            mariadb.kill()

        done = await asyncio.gather(*writing, kill(), return_exceptions=True)
        assert all(one is None or isinstance(one, StoreError | Written) for one in done), done
        mariadb.start()
        for part in range(4):
            await store.write(mixed(epoch * 10 + part, 400, epoch * 10 + part))  # again, as the shipper does
    await assert_whole(database)
    assert await total(database, Counted(table="logs")) == 3 * 4 * 400
    await database.close()
    await store.close()


async def test_rows_from_before_the_rollups_are_counted_afterwards(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write(mixed(1, 100))
    for name in ("rollup_minute", "rollup_hour", "rollup_source_hour"):
        await database.execute(f"DELETE FROM {name}")
    for name in ROLLED_UP:
        await database.execute(
            f"UPDATE rollup_state SET rebuild_last = (SELECT COALESCE(MAX(id), 0) FROM {name}) WHERE table_name = ?",
            (name,),
        )
    await store.write(mixed(2, 30, epoch=2))
    monkeypatch.setattr("siemd.storage.rollups.REBUILD_ROWS", 17)
    steps = 0
    counted = Counted(table="logs")
    while await store.roll_up():
        steps += 1
        assert await total(database, counted) == 130  # not by rollups that know a part only
        await store.write(mixed(3, 3, epoch=100 + steps)[1:])
    assert steps > 10
    await assert_whole(database, minutes=False)
    assert (await rollup_state(database, "logs")).hours
    assert await total(database, counted) == 130


async def test_retention_cuts_rollups_where_it_cuts_rows(store: Store, database: Database) -> None:
    day_us = 24 * HOUR_US
    await store.keep(dict.fromkeys(ROLLED_UP, 40 * 86400.0), NOW_US - 20 * day_us)  # partitions of that time
    await store.write(mixed(1, 200))
    await store.keep(dict.fromkeys(ROLLED_UP, 3 * 86400.0), NOW_US)
    await assert_whole(database, minutes=database.dialect == "sqlite")  # whose rows are all younger than the minutes
    assert 0 < await total(database, Counted(table="logs")) < 200
    await store.keep(dict.fromkeys(ROLLED_UP, 3 * 86400.0), NOW_US + 20 * day_us)
    assert await database.fetch("SELECT * FROM rollup_minute") == []
    assert (await rollup_state(database, "logs")).minutes_since_s


class Filled:
    """A store with a month of events, its Database, and the loop that both live in."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        self.run = runner.run
        self.database = database


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("filled")
    url = "sqlite:"
    if request.param == "mariadb":
        server: MariaServer = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    config = StorageConfig(url=url)
    with asyncio.Runner() as runner:
        store, database = open_store(config, folder), open_database(config, folder)
        runner.run(store.open())
        runner.run(store.write(mixed(1, 400)))
        runner.run(store.write(mixed(2, 400, host="sensor-2")))
        runner.run(store.keep({}, NOW_US))  # forgets old minutes
        yield Filled(runner, database)
        runner.run(database.close())
        runner.run(store.close())


_FIELDS = {
    "logs": ["", "event_type", "host", "source_ip", "destination_port", "fields.probe"],
    "security_logs": ["", "channel", "event_id", "level", "source_ip", "computer"],
    "connections": ["", "host", "source_ip", "state"],
    "usage_data": ["", "host"],
}
_FILTERS = {
    "logs": [Filter("event_type", "eq", "ping"), Filter("host", "ne", "sensor-2"), Filter("source_ip", "prefix", "10."),
             Filter("source_ip", "cidr", "10.0.0.0/31"), Filter("protocol", "eq", "tcp")],
    "security_logs": [Filter("channel", "eq", "SECURITY"), Filter("event_id", "in", [1]), Filter("level", "exists"),
                      Filter("host", "eq", "sensor-1")],
    "connections": [Filter("host", "eq", "sensor-1"), Filter("source_ip", "eq", "10.0.0.1"),
                    Filter("source_bytes", "gte", 3)],
    "usage_data": [Filter("host", "eq", "sensor-1")],
}  # fmt: skip


@st.composite
def _counted(draw: st.DrawFn) -> tuple[Counted, str, int | None]:
    table = draw(st.sampled_from(sorted(_FIELDS)))
    back = st.sampled_from(
        [0, 1, 59, 60, 3600, 7 * 3600 + 11, 26 * 3600, 3 * 86400, 9 * 86400, 40 * 86400]
    ) | st.integers(0, 86400)
    first, last = sorted((draw(back), draw(back)), reverse=True)
    exact = draw(st.booleans())
    edge = NOW_US if exact else NOW_US // HOUR_US * HOUR_US + HOUR_US
    counted = Counted(
        table=table,
        start_us=draw(st.sampled_from([None, edge - first * 1_000_000])),
        end_us=draw(st.sampled_from([None, edge - last * 1_000_000])),
        filters=draw(st.lists(st.sampled_from(_FILTERS[table]), max_size=2)),
        words=draw(st.sampled_from(["", "", "logged -x", "192.0.2"])),
    )
    return counted, draw(st.sampled_from(_FIELDS[table])), draw(st.sampled_from([None, 3600, 86400]))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=_counted())
def test_rollups_and_rows_answer_alike(filled: Filled, asked: tuple[Counted, str, int | None]) -> None:
    counted, field, width_s = asked
    database = filled.database
    plain = RowsOnly(database)

    async def answer(source: Any) -> list[Any]:
        result: list[Any] = [await total(source, counted)]
        if field:
            top = await top_values(source, counted, field)
            result += [sorted((count, str(value).lower()) for value, count in top.values), top.total, top.others]
        line = await counts_over_time(source, counted, by=field, width_s=width_s)
        result += [line.total, len(line.times)]
        result += [sorted((one.others, str(one.value).lower(), one.counts) for one in line.series)]
        return result

    by_rollup = filled.run(answer(database))
    assert by_rollup == filled.run(answer(plain))


class RowsOnly:
    """The same Database, whose rollups are said to be unfinished."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect

    async def fetch(self, sql: str, parameters: Any = (), **options: Any) -> list[dict[str, Any]]:
        if "FROM rollup_state" in sql:
            return []
        assert "rollup_" not in sql
        return await self._database.fetch(sql, parameters, **options)


def test_a_month_of_whole_hours_never_reads_rows(filled: Filled) -> None:
    state = filled.run(rollup_state(filled.database, "logs"))
    assert state.hours
    end_us = NOW_US // HOUR_US * HOUR_US
    assert [piece.width_s for piece in pieces(end_us - 720 * HOUR_US, end_us, state, "kind", 86400)] == [3600]
    widths = [piece.width_s for piece in pieces(end_us - 720 * HOUR_US, NOW_US, state, "kind", 86400)]
    assert sorted(widths) == [0, 60, 3600]
    assert rollup_for("logs", ["host", "event_type"], "") == "kind"
    assert rollup_for("logs", ["host", "source_ip"], "") == "source"
    assert rollup_for("logs", ["source_ip", "event_type"], "") == ""
    assert rollup_for("security_logs", ["channel", "event_id"], "word") == ""


@given(
    start=st.none() | st.integers(0, TIME_MAX_US),
    length=st.none() | st.integers(0, 10 * HOUR_US),
    since=st.none() | st.integers(0, 2_000_000),
    step=st.sampled_from([0, 1, 60, 3600, 86400]),
    kind=st.sampled_from(["", "kind", "source"]),
)
def test_pieces_cover_a_range_once(
    start: int | None, length: int | None, since: int | None, step: int, kind: str
) -> None:
    end = None if length is None else (start or 0) + length
    found = pieces(start, end, State(hours=True, minutes_since_s=since), kind, step)
    edges = sorted((piece.start_us or 0, TIME_MAX_US * 2 if piece.end_us is None else piece.end_us) for piece in found)
    assert edges[0][0] == (start or 0) and edges[-1][1] == (TIME_MAX_US * 2 if end is None else end)
    assert all(left[1] == right[0] for left, right in pairwise(edges))
    for piece in found:
        assert piece.width_s == 0 or (piece.start_us or 0) % (piece.width_s * 1_000_000) == 0


@pytest.mark.parametrize(
    ("counted", "options"),
    [
        (Counted(table="users"), {}),
        (Counted(table="logs", start_us=2, end_us=1), {}),
        (Counted(table="logs"), {"by": "message"}),
        (Counted(table="logs"), {"by": "fields"}),
        (Counted(table="logs"), {"by": "password"}),
        (Counted(table="logs"), {"width_s": 7}),
        (Counted(table="logs"), {"buckets": 100_000}),
        (Counted(table="logs", start_us=0), {"width_s": 1}),
        (Counted(table="logs"), {"by": "host", "limit": 0}),
    ],
    ids=str,
)
def test_what_cannot_be_counted_is_said(filled: Filled, counted: Counted, options: dict[str, Any]) -> None:
    with pytest.raises(BadQuery) as caught:
        filled.run(counts_over_time(filled.database, counted, **options))
    assert caught.value.field


def test_an_empty_table_has_counts_too(filled: Filled) -> None:
    line = filled.run(counts_over_time(filled.database, Counted(table="system_logs"), by="host"))
    assert line.total == 0 and not line.series
    assert filled.run(top_values(filled.database, Counted(table="system_logs"), "host")).values == []
    assert msgspec.json.encode(line)
    assert time_text(NOW_US)
