"""Many frames at once, as columns of numpy over one piece of memory: nothing is copied until somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from siemd.sources.sniffer.packet import Frame

Memory = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Row = tuple[int, int, int, int, int]  # of a frame: time_us, start, captured, length, link type
Mask = npt.NDArray[np.bool_]


class FrameBatch:
    """Frames in the order of capture; every column has an entry for each.

    memory: where their bytes are. starts: where in it each begins. captured: how many bytes are there. lengths: bytes
    on the wire. times_us, link_types: as of packet.Frame. The memory of a live capture is valid until its next read.
    """

    __slots__ = ("captured", "lengths", "link_types", "memory", "starts", "times_us")

    def __init__(
        self,
        memory: Memory,
        starts: Numbers,
        captured: Numbers,
        lengths: Numbers,
        times_us: Numbers,
        link_types: Numbers,
    ) -> None:
        self.memory = memory
        self.starts = starts
        self.captured = captured
        self.lengths = lengths
        self.times_us = times_us
        self.link_types = link_types

    def __len__(self) -> int:
        return len(self.starts)

    def frames(self) -> list[Frame]:
        """Every frame by itself, its bytes copied."""
        data = self.memory.data
        return [
            Frame(time_us, bytes(data[start : start + captured]), length, link_type)
            for time_us, start, captured, length, link_type in self.rows()
        ]

    def rows(self) -> Iterator[Row]:
        """(time_us, start, captured, length, link type) of each frame."""
        columns = self.times_us, self.starts, self.captured, self.lengths, self.link_types
        return zip(*(column.tolist() for column in columns), strict=True)

    def copied(self) -> FrameBatch:
        """The same in memory of its own, with as much room for each frame as the longest needs."""
        width = max(1, int(self.captured.max(initial=0)))
        memory = gather(self.memory, self.starts, width).view(np.uint8)
        starts = np.arange(len(self), dtype=np.int64) * width
        return FrameBatch(memory, starts, self.captured, self.lengths, self.times_us, self.link_types)

    def only(self, chosen: Mask | npt.NDArray[np.intp] | slice) -> FrameBatch:
        """The frames that a mask, a list of indices or a slice chooses."""
        return FrameBatch(
            self.memory,
            self.starts[chosen],
            self.captured[chosen],
            self.lengths[chosen],
            self.times_us[chosen],
            self.link_types[chosen],
        )


def merged(batches: Iterable[FrameBatch]) -> FrameBatch:
    """Batches of one memory as one, in the order of time."""
    some = list(batches)
    if len(some) == 1:
        return some[0]
    whole = FrameBatch(
        some[0].memory,
        np.concatenate([batch.starts for batch in some]),
        np.concatenate([batch.captured for batch in some]),
        np.concatenate([batch.lengths for batch in some]),
        np.concatenate([batch.times_us for batch in some]),
        np.concatenate([batch.link_types for batch in some]),
    )
    return whole.only(np.argsort(whole.times_us, kind="stable"))


def gather(memory: Memory, starts: Numbers, count: int) -> npt.NDArray[np.void]:
    """`count` bytes from each start, side by side."""
    every = np.ndarray((len(memory) - count + 1,), dtype=f"V{count}", buffer=memory, strides=(1,))
    return every[starts]
