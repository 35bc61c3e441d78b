"""The API: requests a second of the hot endpoints, and storing 5,000 events/s beside 100 requests/s, on both stores.

The server is a process of its own (`siemd web`), and so is whoever asks; SIEMD_BENCH_SECONDS: how long each part takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from siemd.channel import Channel
from siemd.config import load_config
from siemd.events import Batch, new_epoch, now_us
from siemd.health import Health
from siemd.storage import StorageConfig, Writer, open_store
from siemd.storage.database import open_database
from siemd.web.access.principal import Actor, Principal
from siemd.web.access.roles import SCOPES, rights_of
from siemd.web.services import Services
from support.batches import alert, batch, probe
from support.mariadb import MariaServer, free_port
from support.needs import find
from support.waiting import wait_until

SECONDS = float(os.environ.get("SIEMD_BENCH_SECONDS", "10"))
STORED_BEFORE = 100_000
EVENTS_S, REQUESTS_S = 5_000, 100
STEP_S = 0.1
PATHS = {
    "who am I (no search)": "/api/v1/session",
    "the newest 100 events": "/api/v1/events/logs?limit=100",
    "events of an address": "/api/v1/events/logs?limit=50&filter=source_ip:eq:10.0.3.7",
    "incidents": "/api/v1/alerts?limit=50",
    "counts over a day": "/api/v1/statistics/logs/timeline?by=event_type&buckets=48",
    "top sources of a day": "/api/v1/statistics/logs/top?field=source_ip",
}
# Asks in a process of its own: as fast as 4 connections can, or so many a second; prints how many and how fast.
ASKING = """
import asyncio, json, sys, time
import httpx

origin, token, paths, seconds, rate = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])

async def main():
    done, took, failed = 0, [], 0
    async with httpx.AsyncClient(base_url=origin, headers={"Authorization": "Bearer " + token}, timeout=60, trust_env=False) as client:
        end = time.perf_counter() + seconds
        async def ask(number):
            nonlocal done, failed
            started = time.perf_counter()
            answer = await client.get(paths[number % len(paths)])
            took.append(time.perf_counter() - started)
            done, failed = done + 1, failed + (answer.status_code != 200)
        async def worker(index):
            number = index
            while time.perf_counter() < end:
                await ask(number)
                number += 1
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            if not rate:
                for index in range(4):
                    group.create_task(worker(index))
            else:
                for number in range(int(seconds * rate)):
                    await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
                    group.create_task(ask(number))
        whole = time.perf_counter() - started
    took.sort()
    print(json.dumps({"rate": done / whole, "failed": failed, "median_ms": took[len(took) // 2] * 1e3, "p99_ms": took[len(took) * 99 // 100] * 1e3}))

asyncio.run(main())
"""  # noqa: E501


def _ask(origin: str, token: str, paths: list[str], rate: float = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ASKING, origin, token, json.dumps(paths), str(SECONDS), str(rate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _told(process: subprocess.Popen[bytes]) -> dict[str, float]:
    output, _error = process.communicate()
    told: dict[str, float] = json.loads(output)
    return told


async def _prepare(path: Path, url: str, folder: Path) -> str:
    """Fill the store; an admin's token."""
    store = open_store(StorageConfig(url=url), folder)
    await store.open()
    start_us, epoch = now_us() - 20 * 3_600_000_000, new_epoch()
    for first in range(0, STORED_BEFORE, 8_000):
        events = [
            probe(
                seq + 1, time_us=start_us + seq * 700_000, source_ip=f"10.0.{seq % 7}.{seq % 50}",
                event_type=("tcp_probe", "ping", "dns_names")[seq % 3],
            )
            for seq in range(first, min(first + 8_000, STORED_BEFORE))
        ]  # fmt: skip
        await store.write([batch(*events, epoch=epoch)])
    await store.write([batch(*(alert(n, incident_id=f"i{n}") for n in range(1, 501)), source="detection", epoch=epoch)])
    await store.close()
    config = load_config(path)
    services = Services(config, config.data_path(), open_database(config.storage, config.data_path()))
    user_id = await services.users.add(Actor("bench", "cli"), "bench", "admin")
    owner = Principal(user_id, "bench", "admin", rights_of("admin"), "session")
    async with services.database.transaction() as transaction:
        token, _id = await services.tokens.make(transaction, owner, "bench", SCOPES, 86_400)
    await services.close()
    return token


@contextmanager
def _server(folder: Path, url: str) -> Iterator[tuple[str, Path]]:
    port, path, output = free_port(), folder / "siemd.yaml", folder / "output"
    web = {"listen": f"127.0.0.1:{port}"}
    path.write_text(json.dumps({"data_dir": str(folder / "data"), "storage": {"url": url}, "web": web}))
    command = [sys.executable, "-m", "siemd", "web", "--config", str(path)]
    with output.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            wait_until(lambda: b"/setup#" in output.read_bytes(), "the server is ready")
            yield f"http://127.0.0.1:{port}", path
        finally:
            process.terminate()


async def _ingest(url: str, folder: Path) -> tuple[float, float]:
    """Events stored a second at EVENTS_S, and how many seconds after the last one was sent all were there."""
    config = StorageConfig(url=url)
    channel = Channel("storing", 50_000)
    writer = Writer(config=config, channel=channel, data_dir=folder, health=Health(), host="bench")
    await writer.checkpoints()
    database, epoch, sent = open_database(config, folder), new_epoch(), 0
    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run())
        for step in range(int(SECONDS / STEP_S)):
            await asyncio.sleep(max(0.0, started_s + step * STEP_S - time.perf_counter()))
            count = int(EVENTS_S * STEP_S)
            events = [probe(seq) for seq in range(sent + 1, sent + count + 1)]
            await channel.put(Batch(host="bench", source="bench", epoch=epoch, events=list(events)))
            sent += count
        last_s = time.perf_counter()
        channel.close()
    stored = 0
    while stored < sent:
        sql = "SELECT COALESCE(SUM(stored), 0) AS n FROM ingest_cursor WHERE epoch = ?"
        stored = int((await database.fetch(sql, (epoch,)))[0]["n"])
    end_s = time.perf_counter()
    await database.close()
    return sent / (end_s - started_s), end_s - last_s


def _on(name: str, folder: Path, url: str) -> list[tuple[str, str]]:
    results = []
    with _server(folder, url) as (origin, path):
        token = asyncio.run(_prepare(path, url, folder))
        baseline = 0.0
        for label, one in PATHS.items():
            told = _told(_ask(origin, token, [one]))
            baseline = baseline or told["rate"]
            results.append(
                (f"{name}, {label}", f"{told['rate']:,.0f} requests/s, {told['rate'] / baseline:.2f} × the first")
            )
        alone, alone_lag_s = asyncio.run(_ingest(url, folder / "alone"))
        asking = _ask(origin, token, list(PATHS.values()), REQUESTS_S)
        beside, beside_lag_s = asyncio.run(_ingest(url, folder / "beside"))
        told = _told(asking)
    results += [
        (f"{name}, {EVENTS_S:,} events/s, nobody asks", f"{alone:,.0f} stored/s, {alone_lag_s:.2f} s behind"),
        (
            f"{name}, the same beside {REQUESTS_S} requests/s",
            f"{beside:,.0f} stored/s ({beside / alone:.2f} ×), {beside_lag_s:.2f} s behind",
        ),
        (
            f"{name}, those requests",
            f"{told['rate']:,.0f}/s, {told['failed']:.0f} refused, half within {told['median_ms']:.0f} ms",
        ),
    ]
    return results


def run() -> list[tuple[str, str]]:
    """Both stores, asked alike."""
    folder = Path(tempfile.mkdtemp(prefix="siemd-bench-", dir=os.environ.get("SIEMD_BENCH_DIR")))
    for name in ("sqlite/alone", "sqlite/beside", "mariadb/alone", "mariadb/beside"):
        (folder / name).mkdir(parents=True)
    try:
        results = _on("SQLite", folder / "sqlite", f"sqlite:{folder / 'events.db'}")
        if not find("mariadbd"):
            return [*results, ("MariaDB", "needs a MariaDB server")]
        server = MariaServer(folder / "server")
        server.folder.mkdir()
        try:
            server.install()
            return [*results, *_on("MariaDB", folder / "mariadb", server.url(server.new_database()))]
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
