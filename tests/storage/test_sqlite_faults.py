"""A disk that is full, a folder that can't be written, a file that is damaged: sentences, and no loss."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from siemd.channel import Channel
from siemd.health import Health
from siemd.storage import StorageConfig, StoreError, Writer, open_store
from siemd.units import Seconds
from support.batches import HOST, probes
from support.needs import need


@pytest.fixture
def small_disk(root: None, tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    need("mount", "umount")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "siemd-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no file systems can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def writer(config: StorageConfig, data_dir: Path, channel: Channel, health: Health) -> Writer:
    return Writer(config=config, channel=channel, data_dir=data_dir, health=health, host=HOST)


async def test_a_full_disk_is_said_waited_for_and_costs_nothing(small_disk: Path) -> None:
    channel, health = Channel("storing", 100), Health()
    run = writer(StorageConfig(batch_delay_s=Seconds(0.01), batch_events=50), small_disk, channel, health)
    component = health.component("writer")

    async def feed() -> None:
        for first in range(1, 4001, 20):
            numbered = probes(first, 20)
            for event in numbered.events:
                event.message = "m" * 400
            await channel.put(numbered)
        channel.close()

    ballast = small_disk / "ballast"
    await run.open()
    ballast.write_bytes(b"\0" * 1_000_000)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(run.run())
        feeding = group.create_task(feed())
        while not (component.status == "degraded" and "is full" in component.detail):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert "free some space" in component.detail and health.component("store").status == "failed"
        assert not feeding.done()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)  # noqa: ASYNC221
    assert component.status == "stopped"
    store = open_store(StorageConfig(), small_disk)
    assert [row["seq"] for row in await store.query("SELECT seq FROM logs ORDER BY seq")] == list(range(1, 4001))
    await store.close()


async def test_a_read_only_folder_is_a_sentence_with_what_to_do(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: ASYNC221
    for config in (StorageConfig(), StorageConfig(url="mysql://u:p@127.0.0.1:1/db")):
        run = writer(config, small_disk, Channel("storing", 100), Health())
        with pytest.raises(StoreError, match=r"cannot be .*; let siemd's user write the folder"):
            await run.checkpoints()
        await run.store.close()


async def test_a_file_that_turns_read_only_while_running_is_waited_for(small_disk: Path) -> None:
    store = open_store(StorageConfig(), small_disk)
    await store.open()
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: ASYNC221
    store = open_store(StorageConfig(), small_disk)
    with pytest.raises(StoreError, match="let siemd's user write the folder"):
        await store.write([probes(1, 1)])
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)  # noqa: ASYNC221
    assert (await store.write([probes(1, 1)])).stored == 1
    await store.close()


@pytest.mark.parametrize("how", ["garbage", "folder"])
async def test_a_store_that_is_no_database_is_left_alone(tmp_path: Path, how: str) -> None:
    path = tmp_path / "siemd.db"
    if how == "garbage":
        path.write_bytes(b"precious, but no database" * 400)
    else:
        path.mkdir()
    store = open_store(StorageConfig(), tmp_path)
    with pytest.raises(StoreError, match=r"siemd\.db (is damaged|cannot be).*; "):
        await store.open()
    await store.close()
    assert how == "folder" or path.read_bytes().startswith(b"precious")


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    store = open_store(StorageConfig(url=f"sqlite:{tmp_path / 'no' / 'events.db'}"), tmp_path)
    with pytest.raises(StoreError, match="cannot be used"):
        await store.open()
    await store.close()


async def test_only_the_owner_may_read(tmp_path: Path) -> None:
    store = open_store(StorageConfig(), tmp_path)
    await store.open()
    await store.write([probes(1, 1)])
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("siemd.db*")} == {0}  # noqa: ASYNC240
    await store.close()


async def test_reading_goes_on_beside_writing(tmp_path: Path) -> None:
    store = open_store(StorageConfig(), tmp_path)
    await store.open()
    async with asyncio.TaskGroup() as group:
        for first in range(1, 1001, 100):
            group.create_task(store.write([probes(1, 100, epoch=first)]))
            group.create_task(store.query("SELECT COUNT(*) AS n FROM logs"))
    assert (await store.query("SELECT COUNT(*) AS n FROM logs"))[0]["n"] == 1000
    await store.close()


async def test_another_process_leaves_the_journal_to_those_who_use_it(tmp_path: Path) -> None:
    """A second connection of this process must not cost the first one its locks: what it wrote is still in the WAL."""
    path = tmp_path / "siemd.db"
    first, second = (open_store(StorageConfig(url=f"sqlite:{path}"), tmp_path) for _ in range(2))
    await first.open()
    await first.write([probes(1, 10)])
    await second.open()
    look = f"c = sqlite3.connect({str(path)!r}); c.execute('SELECT COUNT(*) FROM logs').fetchone(); c.close()"
    script = f"import sqlite3; {look}"
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert path.with_name("siemd.db-wal").stat().st_size, "the other process took itself for the last one"
    await first.write([probes(11, 10)])
    for store in (first, second):
        assert (await store.query("SELECT COUNT(*) AS n FROM logs"))[0]["n"] == 20
        assert (await store.query("PRAGMA integrity_check"))[0]["integrity_check"] == "ok"
    await second.close()
    await first.close()
