"""Rows a second into MariaDB by siemd's store, by aiomysql's executemany and by LOAD DATA LOCAL, and into SQLite."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiomysql

from siemd.events import Batch, now_us
from siemd.storage import StorageConfig, Store, open_store
from siemd.storage.intake import intake
from siemd.storage.mysql_connection import parse_url
from siemd.storage.tables import TABLES, Row
from support.batches import probe
from support.mariadb import MariaServer
from support.needs import find

ROWS = 48_000
WRITE_ROWS = 8_000
ROUNDS = 3
_NAMES = ", ".join(f"`{name}`" for name in TABLES["logs"].names)
_MARKS = ", ".join(["%s"] * len(TABLES["logs"].names))


def _batches() -> list[Batch]:
    """Batches as the sniffer makes them, all numbers fresh."""
    epoch = now_us()
    events = [
        probe(seq, source_ip=f"10.0.{seq % 7}.{seq % 251}", source_port=40_000 + seq % 20_000, time_us=epoch + seq)
        for seq in range(1, ROWS + 1)
    ]
    return [
        Batch(host="bench", source="sniffer", epoch=epoch, events=list(events[first : first + WRITE_ROWS]))
        for first in range(0, ROWS, WRITE_ROWS)
    ]


def _rows(batch: Batch) -> list[Row]:
    return intake([batch], {}).rows["logs"]


async def _by_store(store: Store) -> tuple[float, float]:
    """Rows a second, and microseconds of this process a row."""
    batches = _batches()
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    for batch in batches:
        await store.write([batch])
    return ROWS / (time.perf_counter() - started_s), (time.process_time() - started_cpu_s) / ROWS * 1e6


async def _connect(url: str) -> Any:
    address = parse_url(url)
    return await aiomysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        db=address.database,
        charset="utf8mb4",
        local_infile=True,
    )


async def _by_executemany(connection: Any) -> tuple[float, float]:
    """From events to rows as the store does it, then the driver's own way."""
    batches = _batches()
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    async with connection.cursor() as cursor:
        for batch in batches:
            await cursor.executemany(f"INSERT INTO logs ({_NAMES}) VALUES ({_MARKS})", _rows(batch))
            await connection.commit()
    return ROWS / (time.perf_counter() - started_s), (time.process_time() - started_cpu_s) / ROWS * 1e6


async def _by_load_data(connection: Any, folder: Path) -> tuple[float, float]:
    """The files are written beforehand, which no daemon could."""
    files = []
    for number, batch in enumerate(_batches()):
        path = folder / f"{number}.tsv"
        lines = ["\t".join("\\N" if value is None else str(value) for value in row) for row in _rows(batch)]
        path.write_text("\n".join(lines) + "\n")
        files.append(path)
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    async with connection.cursor() as cursor:
        for path in files:
            await cursor.execute(
                f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE logs CHARACTER SET utf8mb4 "
                f"FIELDS ESCAPED BY '\\\\' ({_NAMES})"
            )
            await connection.commit()
    return ROWS / (time.perf_counter() - started_s), (time.process_time() - started_cpu_s) / ROWS * 1e6


async def _best(measure: Callable[[], Awaitable[tuple[float, float]]], store: Store) -> tuple[float, float]:
    """The best of some rounds, each into empty tables."""
    found = []
    for _ in range(ROUNDS):
        await store.reset()
        await store.keep({"logs": 30 * 86400.0}, now_us())
        found.append(await measure())
    return max(found)


async def _measure(folder: Path) -> list[tuple[str, str]]:
    results: list[tuple[str, str]] = []
    local = open_store(StorageConfig(), folder)
    await local.open()
    rate, cost_us = await _best(lambda: _by_store(local), local)
    await local.close()
    results.append(("rows into SQLite", f"{rate / 1e3:,.0f} thousand/s, {cost_us:.1f} µs a row"))
    if not find("mariadbd"):
        return [*results, ("rows into MariaDB", "needs a MariaDB server")]
    server = MariaServer(folder / "mariadb")
    server.folder.mkdir()
    try:
        server.install()
        url = server.url(server.new_database())
        store = open_store(StorageConfig(url=url), folder)
        await store.open()
        connection = await _connect(url)
        ways = {
            "siemd": await _best(lambda: _by_store(store), store),
            "aiomysql executemany": await _best(lambda: _by_executemany(connection), store),
            "LOAD DATA LOCAL": await _best(lambda: _by_load_data(connection, folder), store),
        }
        connection.close()
        await store.close()
    finally:
        server.kill()
    for name, (rate, cost_us) in ways.items():
        results.append((f"rows into MariaDB, {name}", f"{rate / 1e3:,.1f} thousand/s, {cost_us:.1f} µs a row here"))
    best = ways.pop("siemd")[0]
    return results + [
        (f"storing against {name}", f"{best / rate:.2f} times") for name, (rate, _cost_us) in ways.items()
    ]


def run() -> list[tuple[str, str]]:
    """Every way in one run, into the real table with its indexes and partitions, each transaction durable."""
    folder = Path(tempfile.mkdtemp(prefix="siemd-bench-"))
    try:
        return asyncio.run(_measure(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
