"""The directions of flows of which nothing more is to be learnt, so that their packets need not be looked at.

A table of hashes with one place for each: a newcomer takes the place of who was there, which costs time and no fact,
for a packet that is not skipped is merely looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from siemd.sources.sniffer.columns import Columns, FlowHash, Hashes
from siemd.sources.sniffer.frames import Mask
from siemd.sources.sniffer.packet import FIN, RST, SYN
from siemd.sources.sniffer.state import READ, SETTLED, UNSETTLED

_BITS = 18  # 2.4 MB, whatever comes
_SHIFT = np.uint64(64 - _BITS)


class Settled:
    """How far each direction of a flow is settled (see state)."""

    def __init__(self) -> None:
        self.hashed = FlowHash()
        self._ways = np.zeros(1 << _BITS, dtype=np.uint64)
        self._levels = np.zeros(1 << _BITS, dtype=np.uint8)
        self.is_empty = True

    def skipped(self, columns: Columns) -> tuple[Mask, Mask]:
        """(The frames of a batch that need not be looked at, those of flows with a settled direction).

        A flow that has a SYN, FIN or RST in this batch is looked at in all of it, and no longer settled.
        """
        odd = _odd(columns)
        if self.is_empty:
            return np.zeros(len(odd), dtype=np.bool_), np.zeros(len(odd), dtype=np.bool_)
        if odd.any():
            for ways in self.hashed.ways(np.unique(columns.flow[odd])):
                self._unsettle(ways)
        levels = np.where(columns.plain, self._levels_of(columns.way), UNSETTLED)
        back = np.where(columns.plain, self._levels_of(self.hashed.back(columns.way)), UNSETTLED)
        skipped = (levels == SETTLED) | ((levels != UNSETTLED) & columns.empty)
        return skipped & ~columns.banner, (levels == SETTLED) | (back == SETTLED)

    def settle(self, columns: Columns, indices: Sequence[int], levels: Sequence[int]) -> None:
        """Remember how far the flows of these plain frames of a batch are settled, unless they had SYN, FIN or RST."""
        if not indices:
            return
        chosen, level = np.asarray(indices, dtype=np.intp), np.asarray(levels, dtype=np.uint8)
        flows = columns.flow[chosen]
        calm = ~np.isin(flows, columns.flow[_odd(columns)])
        if (level == READ).any():  # what was said before of the other direction is over
            calm &= (level != SETTLED) | ~np.isin(flows, flows[level == READ])
        ways = columns.way[chosen[calm]]
        places = (ways >> _SHIFT).astype(np.intp)
        self._ways[places] = ways
        self._levels[places] = level[calm]
        self.is_empty = False

    def forget(self) -> None:
        """Nothing is settled."""
        if not self.is_empty:
            self._ways[:] = 0
            self.is_empty = True

    def _unsettle(self, ways: Hashes) -> None:
        """These directions are not settled."""
        places = (ways >> _SHIFT).astype(np.intp)
        self._ways[places[self._ways[places] == ways]] = 0

    def _levels_of(self, ways: Hashes) -> npt.NDArray[np.uint8]:
        places = (ways >> _SHIFT).astype(np.intp)
        return np.where(self._ways[places] == ways, self._levels[places], UNSETTLED)


def _odd(columns: Columns) -> Mask:
    odd: Mask = columns.plain & (columns.flags & (SYN | FIN | RST) != 0)
    return odd
