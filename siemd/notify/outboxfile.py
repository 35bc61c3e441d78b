"""The outbox's file, and what happens when it is found damaged: it is set aside, and a new one is begun."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from siemd.errors import StoreDamaged, StoreError
from siemd.events import now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.notify import outbox
from siemd.sqlite_file import SqliteFile, transaction

T = TypeVar("T")


class OutboxFile:
    """notify.db. epoch: of the run of detection that goes on; reached: up to which number it has been dealt with."""

    def __init__(self, data_dir: Path, epoch: int, health: ComponentHealth) -> None:
        self.epoch = epoch
        self.reached = 0
        self._path = data_dir / outbox.FILE_NAME
        self._health = health
        self._file = SqliteFile(self._path, outbox.prepare)
        self._replaced = 0
        self._replacing = asyncio.Lock()

    async def begin(self) -> None:
        """Note on disk that this run's incidents are to be told; StoreError when the disk says no."""
        try:
            await self._note_run()
        except StoreDamaged:  # a new one has been begun
            await self._note_run()

    async def close(self) -> None:
        """Let go of the file."""
        await self._file.close()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in a transaction; on a file that is found damaged it has failed, and the next goes to a new one."""

        def inside(db: sqlite3.Connection) -> T:
            with transaction(db):
                return work(db)

        replaced = self._replaced
        try:
            return await self._file.run(inside)
        except StoreDamaged as error:
            async with self._replacing:
                if replaced == self._replaced:  # nobody else has seen it
                    await self._replace(error)
            raise

    async def _note_run(self) -> None:
        await self.run(lambda db: outbox.move_cursor(db, self.epoch, self.reached))

    async def _replace(self, error: StoreDamaged) -> None:
        """What waited in the damaged file is not told, and it is said so; what this run has told is not told again."""
        aside = f"{self._path.name}.damaged-{now_us() // 1_000}"
        await self._file.set_aside(aside)
        self._replaced += 1  # after it: whoever began before has seen the old file
        get_logger("siemd.notify").error("notify.outbox_damaged", reason=str(error), moved_to=aside)
        self._health.add("lost_outboxes")
        with contextlib.suppress(StoreError):
            await self._file.run(lambda db: outbox.move_cursor(db, self.epoch, self.reached))
