"""The directions of flows of which nothing more is to be learnt, so that their packets need not be looked at.

A table of hashes with one place for each: a newcomer takes the place of who was there, which costs time and no fact,
for a packet that is not skipped is merely looked at.

What is skipped is counted beside it, and told to the flow before that flow can end: by whoever takes its place, by its
next SYN, FIN or RST, and by all that makes doubtful what is settled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from siemd.sources.sniffer.columns import Columns, FlowHash, Hashes
from siemd.sources.sniffer.frames import Mask, Numbers
from siemd.sources.sniffer.learnt import Learnt
from siemd.sources.sniffer.observers.connections import Traffic
from siemd.sources.sniffer.state import READ_LATER, SETTLED, UNSETTLED

Levels = npt.NDArray[np.uint8]

_BITS = 18  # 9.7 MB, whatever comes, and the dict of `_traffic`
_SHIFT = np.uint64(64 - _BITS)


class Settled:
    """How far each direction of a flow is settled (see state)."""

    def __init__(self) -> None:
        self.hashed = FlowHash()
        self._ways = np.zeros(1 << _BITS, dtype=np.uint64)
        self._levels = np.zeros(1 << _BITS, dtype=np.uint8)
        self._until = np.zeros(1 << _BITS, dtype=np.uint32)  # of READ_LATER, in TCP's sequence numbers
        self._packets = np.zeros(1 << _BITS, dtype=np.int64)  # skipped and not yet told, as the next two
        self._bytes = np.zeros(1 << _BITS, dtype=np.int64)
        self._newest_us = np.zeros(1 << _BITS, dtype=np.int64)
        self._traffic: dict[int, Traffic] = {}
        self.is_empty = True

    def skipped(self, columns: Columns) -> tuple[Mask, Levels]:
        """(The frames of a batch that need not be looked at, what was said of each one's flow).

        The latter is SETTLED if either direction is, else READ_LATER if either is, else UNSETTLED.

        A flow that has a SYN, FIN or RST in this batch is looked at in all of it, and no longer settled.
        """
        odd = columns.odd
        if self.is_empty:
            return np.zeros(len(odd), dtype=np.bool_), np.zeros(len(odd), dtype=np.uint8)
        if odd.any():
            for ways in self.hashed.ways(np.unique(columns.flow[odd])):
                self._unsettle(ways)
        levels = np.where(columns.plain, self._levels_of(columns.way), UNSETTLED)
        back = np.where(columns.plain, self._levels_of(columns.back), UNSETTLED)
        skipped = (levels == SETTLED) | ((levels != UNSETTLED) & (columns.size == 0))
        later = levels == READ_LATER
        if later.any():
            left = self._until[(columns.way >> _SHIFT).astype(np.intp)] - columns.end
            skipped |= later & (left.view(np.int32) >= 0)
        said = np.zeros(len(odd), dtype=np.uint8)
        said[later | (back == READ_LATER)] = READ_LATER
        said[(levels == SETTLED) | (back == SETTLED)] = SETTLED
        return skipped & ~columns.banner, said

    def count(self, columns: Columns, times_us: Numbers, skipped: npt.NDArray[np.intp]) -> None:
        """These frames of a batch were skipped."""
        places = (columns.way[skipped] >> _SHIFT).astype(np.intp)
        np.add.at(self._packets, places, 1)
        np.add.at(self._bytes, places, columns.size[skipped])
        np.maximum.at(self._newest_us, places, times_us[skipped])

    def tell(self) -> None:
        """Tell every flow what was skipped of it."""
        self._tell(np.flatnonzero(self._packets))

    def settle(self, learnt: Learnt) -> None:
        """Remember what a batch taught."""
        if not learnt.ways:
            return
        levels, untils, traffic = zip(*learnt.ways.values(), strict=True)
        ways = np.fromiter(learnt.ways, dtype=np.uint64, count=len(learnt.ways))
        places = (ways >> _SHIFT).astype(np.intp)
        self._tell(np.unique(places))
        self._ways[places] = ways
        self._levels[places] = levels
        self._until[places] = np.asarray(untils, dtype=np.uint32)
        self._traffic.update(zip(places.tolist(), traffic, strict=True))
        self.is_empty = False

    def forget(self) -> None:
        """Nothing is settled."""
        if not self.is_empty:
            self.tell()
            self._ways[:] = 0
            self._traffic.clear()
            self.is_empty = True

    def _unsettle(self, ways: Hashes) -> None:
        """These directions are not settled."""
        places = (ways >> _SHIFT).astype(np.intp)
        places = places[self._ways[places] == ways]
        self._tell(places)
        self._ways[places] = 0

    def _tell(self, places: npt.NDArray[np.intp]) -> None:
        """Tell the flows at these places, each given once, what was skipped of them."""
        places = places[self._packets[places] > 0]
        columns = places, self._packets[places], self._bytes[places], self._newest_us[places]
        for place, packets, size, newest_us in zip(*(column.tolist() for column in columns), strict=True):
            self._traffic[place].add(packets, size, newest_us)
        for counts in (self._packets, self._bytes, self._newest_us):
            counts[places] = 0

    def _levels_of(self, ways: Hashes) -> Levels:
        places = (ways >> _SHIFT).astype(np.intp)
        return np.where(self._ways[places] == ways, self._levels[places], UNSETTLED)
