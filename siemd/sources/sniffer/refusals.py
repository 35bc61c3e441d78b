"""SYNs that are refused at once: both packets of such a try are told from columns, and become no objects.

Nearly all of a port scan is that. Only tries are taken of which a batch has the two packets and no other, and between
which nothing happened that could see them half done.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from siemd.sources.sniffer.columns import Columns
from siemd.sources.sniffer.frames import FrameBatch, Mask, Numbers, gather
from siemd.sources.sniffer.observers.attempts import Refusal
from siemd.sources.sniffer.observers.tcp_shapes import TCP_FLAGS, TINY_WINDOWS
from siemd.sources.sniffer.packet import ACK, RST, SYN

_FEWEST = 1 / 16  # refusals among the frames of a batch: with fewer the search costs more than it spares

# A plain frame with IPv4 and no VLAN tag, as far as it tells a SYN.
_LAYOUT = np.dtype(
    {
        "names": [
            *("ethertype", "source", "destination", "source_port", "destination_port"),
            *("seq", "header_length", "window"),
        ],
        "formats": [">u2", "V4", "V4", ">u2", ">u2", ">u4", "u1", ">u2"],
        "offsets": [12, 26, 30, 34, 36, 38, 46, 48],
        "itemsize": 54,
    }
)
_IPV4 = 0x0800
_OF_OS_DETECTION = (*TINY_WINDOWS, 31337)  # windows of SYNs that OsProbes must see


class Refusals:
    """Those of one batch, in the order of their refusals. frames: which are theirs. next: the next refusal's frame."""

    def __init__(self, count: int, pairs: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], tries: list[Refusal]):
        self.frames: Mask = np.zeros(count, dtype=np.bool_)
        for indices in pairs:
            self.frames[indices] = True
        self._pairs = pairs
        self._ends = pairs[1].tolist()
        self._tries = tries
        self._at = 0
        self._none = count
        self.next = self._ends[0] if tries else count

    def before(self, index: int) -> list[Refusal]:
        """What is left of those that were refused before a frame."""
        return self._tries[self._at : bisect_left(self._ends, index, self._at)]

    def passed(self, count: int) -> None:
        """So many of them are done with."""
        self._at += count
        self.next = self._ends[self._at] if self._at < len(self._ends) else self._none

    def pair(self) -> list[int]:
        """The two frames of the next one."""
        return [int(indices[self._at]) for indices in self._pairs]


def none(count: int) -> Refusals:
    """No refusals in a batch of so many frames."""
    nowhere = np.zeros(0, dtype=np.intp)
    return Refusals(count, (nowhere, nowhere), [])


def may_be_any(columns: Columns) -> bool:
    """Whether it is worth to search."""
    return int(np.count_nonzero(columns.flags & RST)) > _FEWEST * len(columns.flags)


def find(batch: FrameBatch, columns: Columns, free: Mask, moments: Numbers) -> Refusals:
    """The refusals of a batch. free: frames that nobody need look at in their place. moments: one number for all frames
    between which nothing happens that could see a try half done.
    """
    plain = np.flatnonzero(columns.plain)
    order = plain[np.argsort(columns.flow[plain], kind="stable")]
    flow = columns.flow[order]
    alike = np.concatenate(([False], flow[1:] == flow[:-1], [False]))
    first = np.flatnonzero(alike[1:-1] & ~alike[:-2] & ~alike[2:])  # of two frames that have the flow for themselves
    syn, end = order[first], order[first + 1]
    flags = columns.flags
    empty = free & (columns.size == 0)
    good = empty[syn] & empty[end] & (flags[syn] == SYN) & (flags[end] & (TCP_FLAGS ^ ACK) == RST)
    good &= (columns.way[syn] != columns.way[end]) & (moments[syn] == moments[end])
    rows = gather(batch.memory, batch.starts[syn[good]], _LAYOUT.itemsize).view(_LAYOUT)
    header_length, window = (rows["header_length"] >> 4).astype(np.int64) << 2, rows["window"].astype(np.int64)
    by_hand = _made_by_hand(header_length, window)
    fit = (rows["ethertype"] == _IPV4) & ~np.isin(window, _OF_OS_DETECTION)
    chosen = np.flatnonzero(good)[fit]
    turn = np.argsort(end[chosen])
    pairs = syn[chosen][turn], end[chosen][turn]
    columns_of = (rows[fit][turn], by_hand[fit][turn], batch.times_us[pairs[0]])
    return Refusals(len(batch), pairs, _tries(*columns_of))


def _made_by_hand(header_lengths: Numbers, windows: Numbers) -> Mask:
    """As tcp_shapes.raw_syn, for other windows than _OF_OS_DETECTION."""
    own = (windows % 1024 == 0) | (windows == 65535)
    by_hand: Mask = (header_lengths <= 20) | ((header_lengths == 24) & own)
    return by_hand


def _tries(rows: npt.NDArray[np.void], by_hand: Mask, times_us: Numbers) -> list[Refusal]:
    source, destination = rows["source"].tolist(), rows["destination"].tolist()
    source_port, destination_port = rows["source_port"].tolist(), rows["destination_port"].tolist()
    vlan = [0] * len(rows)
    keys = zip(source, source_port, destination, destination_port, vlan, strict=True)
    reverse = zip(destination, destination_port, source, source_port, vlan, strict=True)
    return list(zip(keys, reverse, by_hand.tolist(), rows["seq"].tolist(), times_us.tolist(), strict=True))
