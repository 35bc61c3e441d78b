"""Bounded memory for the observers: a map that forgets the idle, and a queue of what falls due."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

UNSETTLED, SETTLED_EMPTY, SETTLED, READ, READ_LATER = range(5)  # how far a flow is settled, see TcpObserver.feed


def takes_back(level: int, said: int) -> bool:
    """Whether a packet of this level takes back what was said of its flow, in whichever direction."""
    return level in (UNSETTLED, READ) or (level == READ_LATER and said == SETTLED)


class Changes:
    """Counts the generations of maps: while the number stays, to look up again what was looked up changes nothing."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Aging(Generic[K, V]):
    """A map in two generations: what is not looked up for a whole generation is forgotten.

    A generation ends by time (`age`) or when it is half the cap; only the latter counts as eviction. Values must not
    be None. Costs no time stamps and no list: a hit in the young generation is one dict lookup.
    """

    __slots__ = ("_changes", "_forgotten", "_half", "_old", "_young", "evicted")

    def __init__(
        self,
        cap: int,
        changes: Changes | None = None,
        forgotten: Callable[[dict[K, V]], None] | None = None,
    ) -> None:
        """changes: counts the generations, which may be those of several maps. forgotten: is told what is forgotten."""
        self._half = max(1, cap // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self.evicted = 0
        self._changes = changes
        self._forgotten = forgotten

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        """The value, which thereby counts as used; None if there is none."""
        value = self._young.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def holds(self, key: K) -> bool:
        """Whether there is a value, which thereby does not count as used."""
        return key in self._young or key in self._old

    def room(self) -> int:
        """How many more can be put before the next generation."""
        return self._half - len(self._young) - 1

    def put(self, key: K, value: V) -> None:
        """Set a value."""
        self._young[key] = value
        if len(self._young) >= self._half:
            self.evicted += len(self._old)
            self.age()

    def age(self) -> None:
        """Begin a new generation; the old one is forgotten."""
        old, self._old, self._young = self._old, self._young, {}
        if self._changes is not None:
            self._changes.number += 1
        if self._forgotten is not None and old:
            self._forgotten(old)

    def forget_all(self) -> None:
        """Forget everything: the end of input."""
        self.age()
        self.age()


class Deadlines(Generic[V]):
    """Things to judge after a fixed wait, in order; beyond the cap the oldest are to be judged early, counted.

    Times are of the sensor's own clock (microseconds), which never runs backwards.
    """

    __slots__ = ("_cap", "_queue", "_wait_us", "early")

    def __init__(self, wait_us: int, cap: int) -> None:
        self._wait_us = wait_us
        self._cap = cap
        self._queue: deque[tuple[int, V]] = deque()
        self.early = 0

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, now_us: int, item: V) -> V | None:
        """Let the item fall due after the wait; returns the one to be judged now because there is no more room."""
        self._queue.append((now_us + self._wait_us, item))
        if len(self._queue) <= self._cap:
            return None
        self.early += 1
        return self._queue.popleft()[1]

    def due(self, now_us: int) -> Iterator[V]:
        """Take out what is due."""
        queue = self._queue
        while queue and queue[0][0] <= now_us:
            yield queue.popleft()[1]

    def rest(self) -> Iterator[V]:
        """Take out everything."""
        while self._queue:
            yield self._queue.popleft()[1]


class Distinct:
    """Counts distinct 32-bit hashes in little memory: the first few one by one, then in a bitmap (linear counting).

    Collisions count as seen before, so that `count` is never too high (K.-Y. Whang and others, 1990, without the
    correction).
    """

    __slots__ = ("_bits", "_few", "count")

    FEW = 16
    BITS = 8192

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._bits: bytearray | None = None
        self.count = 0

    def add(self, number: int) -> bool:
        """Whether the number is new."""
        number %= self.BITS
        bits = self._bits
        if bits is None:
            if number in self._few:
                return False
            self._few.add(number)
            self.count += 1
            if self.count >= self.FEW:
                bits = self._bits = bytearray(self.BITS // 8)
                for one in self._few:
                    bits[one >> 3] |= 1 << (one & 7)
                self._few = set()
            return True
        mask = 1 << (number & 7)
        if bits[number >> 3] & mask:
            return False
        bits[number >> 3] |= mask
        self.count += 1
        return True
