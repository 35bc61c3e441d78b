"""What the API asks of a store, on SQLite and MariaDB: counts, top values, search and export, as ratios in one run.

SIEMD_BENCH_ROWS: how many facts lie in the store, spread over 30 days (5000000 for figures; the default is a check).
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from siemd.events import Batch, NetworkEvent, now_us
from siemd.storage import StorageConfig, open_store
from siemd.storage.conditions import Filter
from siemd.storage.database import Database, open_database
from siemd.storage.search import Search, export, search
from siemd.storage.statistics import Counted, counts_over_time, top_values
from support.mariadb import MariaServer
from support.needs import find

ROWS = int(os.environ.get("SIEMD_BENCH_ROWS", "20000"))
WRITE_ROWS = 8_000
ROUNDS = 5
DAYS = 30
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
EXPORT_ROWS = 200_000
_TYPES = ["tcp_probe"] * 5 + ["dns_names", "ping", "ssh_auth", "udp_probe", "periodicity"]


def _batches(end_us: int) -> Iterator[Batch]:
    """Facts in the order of time; few sources make most of them, thousands make the rest."""
    dice = random.Random(4)
    epoch, step_us = now_us(), DAYS * DAY_US // ROWS
    events: list[Any] = []
    for seq in range(1, ROWS + 1):
        busy = dice.random() < 0.8
        source = f"10.0.0.{dice.randrange(40)}" if busy else f"198.51.{dice.randrange(100)}.{dice.randrange(250)}"
        kind = dice.choice(_TYPES)
        port = dice.choice((22, 80, 443, 3389, 8080))
        events.append(
            NetworkEvent(
                time_us=end_us - (ROWS - seq) * step_us - 1,
                event_type=kind,
                source_ip=source,
                destination_ip=f"10.1.{seq % 4}.{seq % 250}",
                source_port=40_000 + seq % 20_000,
                destination_port=port,
                protocol="tcp",
                message=f"{source} sent a {kind} to port {port}" + (" with a needle" if seq % 50_021 == 77 else ""),
                fields={"probe": "syn", "destination_ports": [port], "outcome": "refused"},
                seq=seq,
            )
        )
        if len(events) == WRITE_ROWS or seq == ROWS:
            yield Batch(host="bench", source="sniffer", epoch=epoch, events=events)
            events = []


async def _ms(work: Callable[[], Awaitable[Any]], rounds: int = ROUNDS) -> float:
    """The best of some rounds, in milliseconds."""
    best = float("inf")
    for _ in range(rounds):
        started_s = time.perf_counter()
        await work()
        best = min(best, time.perf_counter() - started_s)
    return best * 1000


async def _measure(name: str, database: Database, end_us: int) -> list[tuple[str, str]]:
    def counted(range_us: int, **values: Any) -> Counted:
        return Counted(table="logs", start_us=end_us - range_us, end_us=end_us, **values)

    def timeline(range_us: int, by: str = "event_type", **values: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: counts_over_time(database, counted(range_us, **values), by=by, timeout_s=600)

    def found(*filters: Filter, words: str = "", range_us: int = DAYS * DAY_US) -> Callable[[], Awaitable[Any]]:
        asked = Search(table="logs", start_us=end_us - range_us, end_us=end_us, filters=filters, words=words)
        return lambda: search(database, asked, timeout_s=600)

    hour, day, month = [await _ms(timeline(range_us)) for range_us in (HOUR_US, DAY_US, DAYS * DAY_US)]
    rows = await _ms(timeline(DAYS * DAY_US, filters=[Filter("protocol", "eq", "tcp")]), 1)
    sources = await _ms(lambda: top_values(database, counted(DAYS * DAY_US), "source_ip", timeout_s=600))
    targets = await _ms(lambda: top_values(database, counted(DAYS * DAY_US), "destination_ip", timeout_s=600), 1)
    newest = await _ms(found())
    rare = await _ms(found(Filter("source_ip", "eq", "198.51.7.7")))
    network = await _ms(found(Filter("source_ip", "cidr", "198.51.7.0/24")), 2)
    common = await _ms(found(words="ssh_auth"), 2)
    needle = await _ms(found(words="needle"), 1)
    needle_day = await _ms(found(words="needle", range_us=DAY_US), 2)
    field = await _ms(found(Filter("fields.outcome", "eq", "refused")), 2)
    started_s, exported = time.perf_counter(), 0
    async for page in export(database, Search(table="logs"), most_rows=EXPORT_ROWS, timeout_s=600):
        exported += len(page)
    rate = exported / (time.perf_counter() - started_s)
    return [
        (f"{name}, {label}", figure)
        for label, figure in (
            ("counts over an hour, by type", f"{hour:,.1f} ms"),
            ("counts over a day, by type", f"{day:,.1f} ms, {day / hour:.1f} × the hour"),
            (f"counts over {DAYS} days, by type", f"{month:,.1f} ms, {month / hour:.1f} × the hour"),
            ("the same by a filter no rollup knows", f"{rows:,.0f} ms, {rows / month:,.0f} × the rollup"),
            (f"top sources of {DAYS} days", f"{sources:,.1f} ms"),
            ("top destinations, from the rows", f"{targets:,.0f} ms, {targets / sources:,.0f} × the sources"),
            ("the newest 100", f"{newest:,.1f} ms"),
            ("search by a rare address", f"{rare:,.1f} ms, {rare / newest:.1f} × the newest"),
            ("search by a network", f"{network:,.1f} ms"),
            ("search by a frequent word", f"{common:,.1f} ms"),
            ("search by a rare word, reads all", f"{needle:,.0f} ms, {needle / ROWS * 1e3:.2f} µs a row"),
            ("search by a rare word in a day", f"{needle_day:,.0f} ms"),
            ("search by a native field", f"{field:,.1f} ms"),
            ("export", f"{rate:,.0f} rows/s"),
        )
    ]


async def _on(name: str, config: StorageConfig, folder: Path) -> list[tuple[str, str]]:
    end_us = now_us() // HOUR_US * HOUR_US
    store, database = open_store(config, folder), open_database(config, folder)
    await store.open()
    for day in range(DAYS, -1, -1):  # a partition for each day, as if siemd had run so long
        await store.keep({"logs": (DAYS + 1) * 86400.0}, end_us - day * DAY_US)
    started_s = time.perf_counter()
    for one in _batches(end_us):
        await store.write([one])
    rate = ROWS / (time.perf_counter() - started_s)
    await store.keep({}, now_us())
    try:
        return [(f"{name}, {ROWS:,} rows stored", f"{rate:,.0f} rows/s"), *await _measure(name, database, end_us)]
    finally:
        await database.close()
        await store.close()


async def _all(folder: Path) -> list[tuple[str, str]]:
    results = await _on("SQLite", StorageConfig(), folder)
    if not find("mariadbd"):
        return [*results, ("MariaDB", "needs a MariaDB server")]
    server = MariaServer(folder / "mariadb")
    server.folder.mkdir()
    try:
        server.install()
        results += await _on("MariaDB", StorageConfig(url=server.url(server.new_database())), folder)
    finally:
        server.kill()
    return results


def run() -> list[tuple[str, str]]:
    """Both stores, filled alike, asked alike."""
    folder = Path(tempfile.mkdtemp(prefix="siemd-bench-", dir=os.environ.get("SIEMD_BENCH_DIR")))
    try:
        return asyncio.run(_all(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
