"""The spool: a queue on disk that behaves as a list in memory would, whatever happens in between."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from siemd.storage.spool import Spool
from siemd.storage.store import SpoolFull
from support.batches import HOST, batch, probes

CAPACITY_BYTES = 3000


class SpoolModel(RuleBasedStateMachine):
    """Appends, reads, deletions, restarts and crashes, against a list and a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="siemd-spool-"))
        self.waiting: list[list[int]] = []  # the numbers in each batch
        self.saved: dict[str, bytes] = {}
        self.next_seq = 1
        self.read_id = 0
        self.read_batches = 0
        self.open()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def open(self) -> None:
        self.spool = Spool(self.folder / "spool.db", CAPACITY_BYTES)
        self.do(self.spool.open())

    @rule(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4), mark=st.none() | st.binary(max_size=8))
    def append(self, sizes: list[int], mark: bytes | None) -> None:
        batches = []
        for size in sizes:
            batches.append(probes(self.next_seq, size, checkpoint=mark))
            self.next_seq += size
        try:
            self.do(self.spool.append(batches))
        except SpoolFull:
            assert self.spool.bytes >= CAPACITY_BYTES
            return
        self.waiting += [[event.seq for event in given.events] for given in batches]
        if mark is not None:
            self.saved["sniffer"] = mark

    @rule(most=st.integers(1, 12))
    def read(self, most: int) -> None:
        found = self.do(self.spool.read(most))
        if not self.waiting:
            assert found is None
            return
        numbers = [[event.seq for event in given.events] for given in found.batches]
        assert numbers == self.waiting[: len(numbers)] and numbers
        assert len(numbers) == 1 or sum(map(len, numbers)) <= most
        self.read_id, self.read_batches = found.last_id, len(numbers)

    @precondition(lambda self: self.read_batches)
    @rule()
    def delete(self) -> None:
        self.do(self.spool.delete(self.read_id))
        del self.waiting[: self.read_batches]
        self.read_batches = 0

    @rule()
    def restart(self) -> None:
        self.do(self.spool.close())
        self.open()

    @rule()
    def crash(self) -> None:
        """What a kill leaves: the files as they are, the log of changes not yet merged."""
        copy = Path(tempfile.mkdtemp(prefix="siemd-spool-"))
        for path in self.folder.iterdir():
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)
        self.do(self.spool.close())
        shutil.rmtree(self.folder)
        self.folder = copy
        self.open()

    @invariant()
    def counters_agree(self) -> None:
        assert self.spool.events == sum(map(len, self.waiting))
        assert (self.spool.bytes > 0) == bool(self.waiting)
        assert self.do(self.spool.checkpoints(HOST)) == self.saved

    def teardown(self) -> None:
        self.do(self.spool.close())
        self.loop.close()
        shutil.rmtree(self.folder)


TestSpoolModel = SpoolModel.TestCase
TestSpoolModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "middle"])
async def test_a_damaged_file_is_moved_aside_and_kept(tmp_path: Path, damage: str) -> None:
    spool = Spool(tmp_path / "spool.db", 1 << 30)
    await spool.open()
    await spool.append([probes(n * 50 + 1, 50) for n in range(40)])
    await spool.close()
    path = tmp_path / "spool.db"
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data[:] = b"\xa5" * len(data)
    elif damage == "truncated":
        del data[len(data) // 3 :]
    else:
        data[4096 : len(data) - 4096] = b"\x00" * (len(data) - 8192)
    path.write_bytes(data)

    again = Spool(path, 1 << 30)
    await again.open()
    assert again.quarantined.startswith("spool.db.damaged-") and (tmp_path / again.quarantined).exists()
    await again.append([probes(1, 5)])
    found = await again.read(100)
    assert found is not None and [event.seq for event in found.batches[0].events] == [1, 2, 3, 4, 5]
    await again.close()


async def test_an_unreadable_batch_is_put_aside_and_the_next_ones_come(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 1 << 30)
    await spool.open()
    await spool.append([probes(1, 5)])
    connection = sqlite3.connect(tmp_path / "spool.db")
    with connection:
        connection.execute("INSERT INTO batches (accepted_us, events, payload) VALUES (1, 3, ?)", (b"\xc1broken",))
    await spool.append([probes(6, 5)])
    found = await spool.read(100)
    assert found is not None and [len(given.events) for given in found.batches] == [5, 5]
    assert spool.unreadable == 1
    assert connection.execute("SELECT payload FROM unreadable").fetchall() == [(b"\xc1broken",)]
    connection.close()
    await spool.close()


async def test_what_breaks_an_event_s_types_costs_only_that_event(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 1 << 30)
    await spool.open()
    given = probes(1, 5, dropped=2)
    given.events[2].message = 5  # type: ignore[assignment]
    await spool.append([given, batch(checkpoint=b"x")])
    found = await spool.read(100)
    assert found is not None and [event.seq for event in found.batches[0].events] == [1, 2, 4, 5]
    assert found.batches[0].dropped == 2 and found.batches[1].checkpoint == b"x"
    await spool.close()
