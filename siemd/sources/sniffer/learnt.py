"""What is learnt within a batch of how far flows are settled, packet by packet; behind it, `Settled` remembers it."""

from __future__ import annotations

from siemd.sources.sniffer.observers.connections import Traffic
from siemd.sources.sniffer.state import READ_LATER, SETTLED, UNSETTLED, takes_back

_WRAP = 1 << 32


class Learnt:
    """Directions of flows by their hashes. ways: of each its level, where READ_LATER ends, and who counts packets."""

    def __init__(self) -> None:
        self.ways: dict[int, tuple[int, int, Traffic]] = {}

    def passes(self, way: int, size: int, end: int, time_us: int) -> bool:
        """Whether a packet need not be looked at, which is counted then. size, end: see Columns."""
        found = self.ways.get(way)
        if found is None:
            return False
        level, until, traffic = found
        if level == SETTLED or not size or (level == READ_LATER and (until - end) % _WRAP < _WRAP // 2):
            traffic.add(1, size, time_us)
            return True
        return False

    def learn(self, way: int, back: int, told: tuple[int, int, Traffic | None], *, odd: bool) -> None:
        """A packet was looked at. told: level, where READ_LATER ends, traffic. odd: it has SYN, FIN or RST."""
        level, until, traffic = told
        ways = self.ways
        if level == UNSETTLED or traffic is None:
            ways.pop(way, None)
        else:
            ways[way] = level, until, traffic
        other = ways.get(back)
        if other is not None and (odd or takes_back(level, other[0])):
            del ways[back]

    def forget(self) -> None:
        """Nothing holds any more."""
        self.ways.clear()
