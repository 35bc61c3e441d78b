"""Channels lose nothing, keep the order and their bound, and wake everyone; the bridge serves a real thread."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.channel import CHARACTERS_PER_EVENT, Channel, Closed, ThreadBridge
from siemd.events import Batch, LogEvent, UsageSample


def batch(size: int, source: str = "test", epoch: int = 1) -> Batch:
    sample = UsageSample(time_us=0, cpu_percent=0, ram_percent=0)
    return Batch(host="here", source=source, epoch=epoch, events=[sample] * size)


async def settle() -> None:
    """Let every task that can move do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_gives_batches_in_order_and_then_the_end() -> None:
    channel = Channel("c", 100)
    sent = [batch(size) for size in (1, 2, 3)]
    for one in sent:
        await channel.put(one)
    assert channel.events == channel.received_events == 6
    channel.close()
    assert [one async for one in channel] == sent
    assert channel.events == 0
    assert await channel.get() is None


async def test_counts_what_it_refuses() -> None:
    channel = Channel("c", 4)
    assert channel.offer(batch(3))
    assert channel.offer(batch(3)), "there was room, so the whole batch fits"
    assert not channel.has_room()
    assert not channel.offer(batch(5))
    assert channel.refused_events == 5
    assert channel.events == 6
    channel.close()
    assert not channel.offer(batch(2))
    assert channel.refused_events == 7


async def test_a_batch_beyond_the_bound_passes_an_empty_channel() -> None:
    channel = Channel("c", 4)
    assert channel.offer(batch(400))
    assert not channel.offer(batch(1))


async def test_large_records_fill_it_as_well() -> None:
    """50,000 journal records of four megabytes would be 150 GiB."""

    def record(value: Any) -> Batch:
        event = LogEvent(time_us=0, table="system_logs", platform="linux", fields={"EventID": 1, "MESSAGE": value})
        return Batch(host="here", source="test", epoch=1, events=[event])

    for large in ("x" * CHARACTERS_PER_EVENT, ["x" * CHARACTERS_PER_EVENT]):
        channel = Channel("c", 3)
        assert channel.offer(record("small"))
        assert [channel.offer(record(value)) for value in (["x"], large * 3, "x")] == [True, True, False]
        for _ in range(3):
            assert channel.get_ready() is not None
        assert (channel.events, channel.characters) == (0, 0)
        assert channel.has_room()


async def test_put_waits_for_room() -> None:
    channel = Channel("c", 2)
    await channel.put(batch(2))
    async with asyncio.TaskGroup() as group:
        sender = group.create_task(channel.put(batch(1)))
        await settle()
        assert not sender.done()
        assert channel.get_ready() is not None
        await sender
    assert channel.events == 1
    assert channel.get_ready() is not None
    assert channel.get_ready() is None


async def test_close_ends_waiting_senders_and_receivers() -> None:
    full, empty = Channel("full", 1), Channel("empty", 1)
    await full.put(batch(1))
    async with asyncio.TaskGroup() as group:
        senders = [group.create_task(_refused(full.put(batch(1)))) for _ in range(3)]
        receivers = [group.create_task(empty.get()) for _ in range(3)]
        await settle()
        full.close()
        empty.close()
    assert all(sender.result() for sender in senders)
    assert [receiver.result() for receiver in receivers] == [None, None, None]
    assert await full.get() is not None, "what was taken before the end is still given out"
    assert await full.get() is None
    with pytest.raises(Closed):
        await full.put(batch(1))


async def test_a_cancelled_receiver_hands_its_wake_up_on() -> None:
    channel = Channel("c", 10)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(channel.get())
        second = group.create_task(channel.get())
        await settle()
        channel.offer(batch(1))  # wakes the first …
        first.cancel()  # … which is cancelled before it runs
    assert first.cancelled()
    assert second.result() is not None


async def test_a_cancelled_sender_hands_its_room_on() -> None:
    channel = Channel("c", 1)
    await channel.put(batch(1))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(channel.put(batch(1)))
        second = group.create_task(channel.put(batch(1)))
        await settle()
        await channel.get()
        first.cancel()
    assert first.cancelled()
    assert second.done()
    assert channel.events == 1


async def test_cancelling_while_waiting_leaves_nothing_behind() -> None:
    channel = Channel("c", 1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await channel.get()
    await channel.put(batch(1))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await channel.put(batch(1))
    assert channel.events == 1
    assert channel.get_ready() is not None
    assert channel.offer(batch(1))


@given(
    sizes=st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=4),
    receivers=st.integers(1, 3),
    capacity=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_nothing_is_lost_or_doubled_whoever_is_cancelled(
    sizes: list[list[int]], receivers: int, capacity: int, seed: int
) -> None:
    """Senders and receivers that give up at random moments: what was put is got, once, in each sender's order."""
    channel = Channel("c", capacity)
    chance = random.Random(seed)
    put: list[tuple[str, int]] = []
    got: list[tuple[str, int]] = []

    async def impatient(action: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(chance.choice([None, 0, 0.0001])):
                return True, await action
        except TimeoutError:
            return False, None

    async def send(name: str, mine: list[int]) -> None:
        for number, size in enumerate(mine):
            one = batch(size, name, number)
            done = False
            while not done:
                done, _ = await impatient(channel.put(one))
            put.append((name, number))

    async def receive() -> None:
        while True:
            done, one = await impatient(channel.get())
            assert channel.events < capacity + 5
            if done and one is None:
                return
            if done:
                got.append((one.source, one.epoch))

    async def everything() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            ends = [group.create_task(receive()) for _ in range(receivers)]
            async with asyncio.TaskGroup() as senders:
                for number, mine in enumerate(sizes):
                    senders.create_task(send(f"s{number}", mine))
            channel.close()
        assert all(end.done() for end in ends)

    asyncio.run(everything())
    assert sorted(got) == sorted(put)
    assert channel.events == 0
    assert channel.received_events == sum(map(sum, sizes))
    if receivers == 1:
        for name in {name for name, _ in got}:
            numbers = [number for owner, number in got if owner == name]
            assert numbers == sorted(numbers)


async def test_the_bridge_carries_a_threads_items_in_order() -> None:
    got: list[int] = []
    everything = asyncio.Event()

    def deliver(item: int) -> None:
        got.append(item)
        if item == 49_999:
            everything.set()

    bridge = ThreadBridge(deliver, 50_000)
    thread = threading.Thread(target=lambda: [bridge.send(item) for item in range(50_000)])
    thread.start()
    async with asyncio.timeout(30):
        await everything.wait()
    thread.join()
    assert got == list(range(50_000))
    assert bridge.refused == 0


async def test_the_bridge_is_bounded_and_counts() -> None:
    got: list[int] = []
    bridge = ThreadBridge(got.append, 3)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.extend(bridge.send(item) for item in range(10)))
    thread.start()
    thread.join()  # the loop is busy here, so nothing is delivered meanwhile
    assert results == [True] * 3 + [False] * 7
    assert bridge.refused == 7
    bridge.flush()
    assert got == [0, 1, 2]
    assert bridge.send(10), "there is room again"
    await settle()
    assert got == [0, 1, 2, 10]


def test_the_bridge_says_when_the_loop_is_gone() -> None:
    async def make() -> ThreadBridge[int]:
        return ThreadBridge(lambda item: None, 10)

    bridge = asyncio.run(make())
    assert not bridge.send(1)
    assert bridge.refused == 1


async def _refused(action: Coroutine[Any, Any, None]) -> bool:
    try:
        await action
    except Closed:
        return True
    return False
