"""The outlet numbers every event and tells of every loss exactly once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from siemd.channel import Channel
from siemd.events import UsageSample
from siemd.health import ComponentHealth
from siemd.outlet import Outlet


def samples(count: int) -> list[UsageSample]:
    return [UsageSample(time_us=number, cpu_percent=0.0, ram_percent=0.0) for number in range(count)]


def make(tmp_path: Path, capacity_events: int) -> tuple[Outlet, Channel]:
    channel = Channel("events", capacity_events)
    health = ComponentHealth(name="source")
    return Outlet(host="h", source="s", channel=channel, health=health, data_dir=tmp_path), channel


async def test_a_loss_is_told_with_the_next_batch_and_its_numbers_stay_missing(tmp_path: Path) -> None:
    outlet, channel = make(tmp_path, 4)
    assert outlet.offer(samples(4))
    assert not outlet.offer(samples(3))
    await channel.get()
    assert outlet.offer(samples(1))
    batch = await channel.get()
    assert batch is not None
    assert (batch.dropped, batch.events[0].seq, batch.last_seq) == (3, 8, 8)
    assert (outlet.health.received, outlet.health.sent, outlet.health.dropped) == (8, 5, 3)


async def test_two_waiting_senders_do_not_tell_the_same_loss_twice(tmp_path: Path) -> None:
    outlet, channel = make(tmp_path, 1)
    assert outlet.offer(samples(1))
    assert not outlet.offer(samples(5))
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(outlet.send(samples(1)))
        told = [batch.dropped for _ in range(3) if (batch := await channel.get())]
    assert sum(told) == 5


async def test_a_cancelled_sender_leaves_the_loss_to_be_told(tmp_path: Path) -> None:
    outlet, channel = make(tmp_path, 1)
    assert outlet.offer(samples(1))
    assert not outlet.offer(samples(5))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outlet.send(samples(1)), 0.01)
    await channel.get()
    await outlet.report_losses()
    batch = await channel.get()
    assert batch is not None
    assert (batch.dropped, batch.events) == (5, [])
    await outlet.report_losses()
    assert channel.events == 0
    assert channel.get_ready() is None


def test_a_clock_that_was_set_back_makes_no_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of a run whose epoch was there before would be taken for a redelivery, and not be stored."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_795_000_000_000_000_000)
    epochs = {make(tmp_path, 1)[0].epoch for _ in range(100)}
    assert len(epochs) == 100
    assert max(epochs) < 1 << 53
