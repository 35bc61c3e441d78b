"""Runs a source against a real channel and collects what it sends, as the store would see it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from siemd.channel import Channel
from siemd.events import Batch, Event
from siemd.health import ComponentHealth
from siemd.outlet import Outlet


class Collector:
    """One run of a source: its batches so far, its events, its last checkpoint, its health."""

    def __init__(self, source_type: Any, config: Any, folder: Path, checkpoint: bytes | None = None) -> None:
        self.channel = Channel("events", 10_000)
        self.health = ComponentHealth(name=source_type.name)
        self.outlet = Outlet(
            host="test",
            source=source_type.name,
            channel=self.channel,
            health=self.health,
            data_dir=folder,
            checkpoint=checkpoint,
        )
        self.batches: list[Batch] = []
        self.checkpoint = checkpoint
        self.source = source_type(config, self.outlet)

    @property
    def events(self) -> list[Any]:
        return [event for batch in self.batches for event in batch.events]

    async def collect(self) -> None:
        async for batch in self.channel:
            self.batches.append(batch)
            if batch.checkpoint is not None:
                self.checkpoint = batch.checkpoint

    async def until(self, condition: Callable[[list[Event]], Any], what: str, deadline_s: float = 60) -> None:
        """Wait until the condition holds of all events collected so far."""
        end_s = asyncio.get_running_loop().time() + deadline_s
        while not condition(self.events):
            if asyncio.get_running_loop().time() > end_s:
                raise AssertionError(f"waited in vain: {what}; {len(self.events)} events, {self.health}")
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def collecting(
    source_type: Any, config: Any, folder: Path, checkpoint: bytes | None = None
) -> AsyncIterator[Collector]:
    """A source that runs while the block does; at its end it is cancelled and the channel read to its end."""
    collector = Collector(source_type, config, folder, checkpoint)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(collector.source.run(), name="source")
        reading = group.create_task(collector.collect(), name="collect")
        try:
            yield collector
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            collector.channel.close()
            await reading
