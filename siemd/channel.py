"""Bounded, closable, counted queue of event batches, and the bridge by which a thread feeds the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from siemd.events import Batch, LogEvent

CHARACTERS_PER_EVENT = 4096  # a usual record has 2,000; a journal record of a hostile user may have four million

T = TypeVar("T")


class Closed(Exception):
    """A batch was put into a channel that is closed."""


class Channel:
    """A queue of batches between stages, bounded by the number and the size of the events in it, used from one event
    loop.

    `put` waits for room (for sources that can wait); `offer` refuses when full (for the one that can't, which counts
    what it drops). A batch larger than the whole bound still passes when the channel is empty. `close` is synchronous:
    receivers get what is left, then the end.
    """

    def __init__(self, name: str, capacity_events: int) -> None:
        self.name = name
        self.capacity_events = capacity_events
        self.events = 0
        self.characters = 0  # of text in the events' fields
        self.received_events = 0
        self.refused_events = 0
        self.closed = False
        self._batches: deque[tuple[Batch, int]] = deque()
        self._receivers: deque[asyncio.Future[None]] = deque()
        self._senders: deque[asyncio.Future[None]] = deque()

    def has_room(self) -> bool:
        """Whether the next batch would be taken at once."""
        return self.events < self.capacity_events and self.characters < self.capacity_events * CHARACTERS_PER_EVENT

    def offer(self, batch: Batch) -> bool:
        """Take the batch if there is room; False, counted in `refused_events`, if there is none or it is closed."""
        if self.closed or not self.has_room():
            self.refused_events += len(batch.events)
            return False
        self._add(batch)
        return True

    async def put(self, batch: Batch) -> None:
        """Wait for room, then take the batch; raises Closed when the channel is or gets closed."""
        while not self.closed and not self.has_room():
            await self._wait(self._senders)
        if self.closed:
            raise Closed(self.name)
        self._add(batch)

    async def get(self) -> Batch | None:
        """The next batch, or None at the end of a closed channel."""
        while not self._batches:
            if self.closed:
                return None
            await self._wait(self._receivers)
        return self._take()

    def get_ready(self) -> Batch | None:
        """The next batch if one is here now; never waits."""
        return self._take() if self._batches else None

    def close(self) -> None:
        """No more batches come in; wakes everyone."""
        self.closed = True
        for waiters in (self._receivers, self._senders):
            while waiters:
                _wake(waiters.popleft())

    async def __aiter__(self) -> AsyncIterator[Batch]:
        while (batch := await self.get()) is not None:
            yield batch

    def _add(self, batch: Batch) -> None:
        characters = _characters(batch)
        self._batches.append((batch, characters))
        self.characters += characters
        self.events += len(batch.events)
        self.received_events += len(batch.events)
        if self._receivers:
            _wake(self._receivers.popleft())

    def _take(self) -> Batch:
        batch, characters = self._batches.popleft()
        self.characters -= characters
        self.events -= len(batch.events)
        if self._senders and self.has_room():
            _wake(self._senders.popleft())
        return batch

    async def _wait(self, waiters: deque[asyncio.Future[None]]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in waiters:
                waiters.remove(waiter)
            elif waiters:  # woken and cancelled at once: hand the wake-up on, or the other side would sleep for ever
                _wake(waiters.popleft())
            raise


def _characters(batch: Batch) -> int:
    """The text in the fields of the batch's log events; only logs hold long text."""
    total = 0
    for event in batch.events:
        if type(event) is LogEvent:
            for value in event.fields.values():
                if type(value) is str:
                    total += len(value)
                elif type(value) is list:
                    total += sum(len(item) for item in value if type(item) is str)
    return total


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class ThreadBridge(Generic[T]):
    """Items from a thread to the event loop: a bounded deque and one coalesced wake-up, so that a busy thread costs
    the loop one call a round instead of one an item (14 times janus and culsans at batch 1).
    """

    def __init__(self, deliver: Callable[[T], None], capacity: int) -> None:
        """deliver: called in the loop with each item, in order. capacity: items that may wait. Make it in the loop."""
        self.refused = 0
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._wake_pending = False

    def send(self, item: T) -> bool:
        """From the thread: pass an item on. False, counted in `refused`, when the loop is too far behind or gone."""
        if len(self._items) >= self._capacity:
            self.refused += 1
            return False
        self._items.append(item)
        if not self._wake_pending:
            self._wake_pending = True
            try:
                self._loop.call_soon_threadsafe(self.flush)
            except RuntimeError:  # the loop is closed: nobody will read
                self.refused += 1
                return False
        return True

    def flush(self) -> None:
        """In the loop: deliver all that waits. Also called once after the thread has ended."""
        self._wake_pending = False  # before draining: an item added meanwhile asks for another wake-up
        while self._items:
            self._deliver(self._items.popleft())
