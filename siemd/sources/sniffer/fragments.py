"""TCP headers cut by fragmentation (nmap -f hides its flags so), held until the next fragments complete them."""

from __future__ import annotations

from collections import OrderedDict

MAX_HELD = 4096

# (source, destination, identification, VLAN): TCP only
Key = tuple[bytes, bytes, int, int]


class CutHeaders:
    """The beginnings of TCP segments whose header has not come in whole; the oldest go when there are too many.

    evicted: how many were given up so. Fragments that overlap or come out of order complete nothing.
    """

    def __init__(self) -> None:
        self.evicted = 0
        self._held: OrderedDict[Key, bytes] = OrderedDict()  # a dict finds its first in time of its deletions

    def first(self, key: Key, part: bytes) -> None:
        """The first fragment's bytes; held if they don't have the whole header."""
        self._held.pop(key, None)
        if _is_whole(part):
            return
        if len(self._held) >= MAX_HELD:
            self._held.popitem(last=False)
            self.evicted += 1
        self._held[key] = part

    def later(self, key: Key, offset: int, part: bytes) -> bytes | None:
        """A later fragment's bytes and their offset; the segment's beginning when they complete its header."""
        held = self._held.get(key)
        if held is None or offset != len(held):
            return None
        joined = held + part[:60]  # no TCP header is longer
        if not _is_whole(joined):
            if part:
                self._held[key] = joined
            return None
        del self._held[key]
        return held + part


def _is_whole(part: bytes) -> bool:
    return len(part) >= 20 and len(part) >= part[12] >> 4 << 2
