"""Events a second through three hops of Channel, one by one and in batches of 64."""

from __future__ import annotations

import asyncio
import itertools
import time

from siemd.channel import Channel
from siemd.events import Batch, Event, NetworkEvent

HOPS = 3


async def _events_a_second(batch_events: int, batches: int) -> float:
    channels = [Channel(f"hop{number}", 10_000) for number in range(HOPS)]
    events: list[Event] = [NetworkEvent(time_us=0, event_type="ping")] * batch_events
    batch = Batch(host="here", source="bench", epoch=1, events=events)

    async def produce() -> None:
        for _ in range(batches):
            await channels[0].put(batch)
        channels[0].close()

    async def relay(source: Channel, target: Channel) -> None:
        async for one in source:
            await target.put(one)
        target.close()

    async def consume() -> int:
        return sum([len(one.events) async for one in channels[-1]])

    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        for source, target in itertools.pairwise(channels):
            group.create_task(relay(source, target))
        arrived = group.create_task(consume())
    elapsed_s = time.perf_counter() - started_s
    assert arrived.result() == batch_events * batches
    return arrived.result() / elapsed_s


def run() -> list[tuple[str, str]]:
    """Singly, in batches, and the ratio."""
    singly = max(asyncio.run(_events_a_second(1, 100_000)) for _ in range(3))
    batched = max(asyncio.run(_events_a_second(64, 100_000)) for _ in range(3))
    return [
        (f"channels, {HOPS} hops, one event at a time", f"{singly / 1e3:,.0f} thousand events/s"),
        (f"channels, {HOPS} hops, batches of 64", f"{batched / 1e6:,.1f} million events/s"),
        ("batches of 64 against one at a time", f"{batched / singly:.1f} times"),
    ]
