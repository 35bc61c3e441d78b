"""Passes over the packets of settled flows: of them every observer is sure to learn nothing, so none becomes an object.

Nor do those of tries that were refused at once (see refusals): the sensor is told of these in their place.
That changes no fact: whatever could (a flow's end, an interface's clock, something forgotten) makes packets be looked
at that would otherwise be passed over. To look is always right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from siemd.events import NetworkEvent
from siemd.sources.sniffer import refusals
from siemd.sources.sniffer.columns import Columns
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.frames import FrameBatch, Mask
from siemd.sources.sniffer.packet import FIN, RST, SYN, TCP, Packet
from siemd.sources.sniffer.refusals import Refusals
from siemd.sources.sniffer.sensor import SET_BACK_US, Sensor
from siemd.sources.sniffer.settled import Learnt, Settled
from siemd.sources.sniffer.state import READ, READ_LATER, SETTLED, UNSETTLED

_PIECE = 512  # frames: what is learnt from these is known for the next …
_MOST = 0.9  # … unless this part is passed over: then pieces cost more than they spare
_DOUBTFUL = (UNSETTLED, READ)  # levels of a packet that take back what was said of its flow
_LARGEST_STEP_US = 600_000_000  # a batch with a larger one is left to the sensor, which judges clocks


class Skimmer:
    """Feeds a sensor with batches of frames. skipped: packets that were passed over."""

    def __init__(self, decoder: Decoder, sensor: Sensor) -> None:
        self._decoder = decoder
        self._sensor = sensor
        self._settled = Settled()
        self._number = sensor.changes.number
        sensor.count_skipped = self._settled.tell
        self._learns = True  # whether there is much to be looked at
        self._taken = 0
        self.skipped = 0

    def feed(self, batch: FrameBatch) -> list[NetworkEvent]:
        """Observe frames in the order of capture; returns the facts that became due."""
        columns = Columns(batch, self._settled.hashed)
        facts: list[NetworkEvent] = []
        at = 0
        while at < len(batch):
            whole = not self._learns and self._sensor.room() > len(batch)
            piece = slice(at, len(batch) if whole else at + _PIECE)
            at = piece.stop
            facts += self._feed(batch.only(piece), columns.only(piece))
        return facts

    def _feed(self, batch: FrameBatch, columns: Columns) -> list[NetworkEvent]:
        if self._sensor.changes.number != self._number:
            self.forget()
        skipped, said = self._settled.skipped(columns)
        found = refusals.none(len(batch))
        refused = refusals.may_be_any(columns) and self._sensor.room() > len(batch)
        if refused or skipped.any():
            tells, ticks = self._tells_time(batch, columns.plain)
            skipped &= ~tells
            if refused:
                found = refusals.find(batch, columns, ~(skipped | tells), np.cumsum(ticks | ~columns.plain))
        self._learns = int(np.count_nonzero(skipped | found.frames)) < _MOST * len(batch)
        return self._sensor.feed(self._packets(batch, columns, skipped, said, found))

    def forget(self) -> None:
        """Nothing is settled: the sensor was fed beside this."""
        self._settled.forget()
        self._number = self._sensor.changes.number

    def taken(self) -> int:
        """How many packets, looked at or not, there were since this was asked before."""
        taken, self._taken = self._taken, 0
        return taken

    def _packets(
        self, batch: FrameBatch, columns: Columns, skipped: Mask, said: npt.NDArray[np.uint8], refused: Refusals
    ) -> Iterator[Packet]:
        """What of a batch must be looked at; learns which flows are settled while the sensor takes it.

        Should something happen that makes doubtful what was learnt before, nothing more is passed over.
        """
        sensor, changes, number = self._sensor, self._sensor.changes, self._number
        wanted = np.flatnonzero(~(skipped | refused.frames))
        chosen = batch.only(wanted)
        about = zip(wanted.tolist(), columns.plain[wanted].tolist(), said[wanted].tolist(), strict=True)
        learnt: list[Learnt] = []
        for (index, plain, before), packet in zip(about, self._decoder.decode_each(chosen), strict=True):
            if refused.next < index:
                yield from self._refused(batch, refused, index)
            if packet is None:
                continue
            self._taken += 1
            yield packet
            level = sensor.settled
            if level and plain and sensor.traffic is not None:
                learnt.append(Learnt(index, level, sensor.read_from, sensor.traffic))
            if plain:
                doubtful = before != UNSETTLED and (level in _DOUBTFUL or (before == SETTLED and level == READ_LATER))
            else:
                doubtful = level >= READ or _is_odd(packet)
            if not doubtful and changes.number == number:
                continue
            self._count(columns, batch, np.flatnonzero(skipped[:index]))
            self.forget()
            yield from self._rest(batch, refused, index + 1)
            return
        yield from self._refused(batch, refused, len(batch))
        self._count(columns, batch, np.flatnonzero(skipped))
        self._settled.settle(columns, learnt)

    def _count(self, columns: Columns, batch: FrameBatch, skipped: npt.NDArray[np.intp]) -> None:
        if len(skipped):
            self._settled.count(columns, batch.times_us, skipped)
        self.skipped += len(skipped)
        self._taken += len(skipped)

    def _rest(self, batch: FrameBatch, refused: Refusals, begin: int) -> Iterator[Packet]:
        """Everything from frame `begin` on."""
        wanted = np.flatnonzero(~refused.frames[begin:]) + begin
        for index, packet in zip(wanted.tolist(), self._decoder.decode_each(batch.only(wanted)), strict=True):
            if refused.next < index:
                yield from self._refused(batch, refused, index)
            if packet is not None:
                self._taken += 1
                yield packet
        yield from self._refused(batch, refused, len(batch))

    def _refused(self, batch: FrameBatch, refused: Refusals, index: int) -> Iterator[Packet]:
        """Tell the sensor what was refused before a frame; of flows that it knows it gets the packets."""
        while tries := refused.before(index):
            done = self._sensor.refused(tries)
            self._taken += 2 * done
            refused.passed(done)
            if done == len(tries):
                return
            for packet in self._decoder.decode_each(batch.only(np.asarray(refused.pair()))):
                if packet is not None:
                    self._taken += 1
                    yield packet
            refused.passed(1)

    def _tells_time(self, batch: FrameBatch, plain: Mask) -> tuple[Mask, Mask]:
        """(The frames without which the sensor's clock would go otherwise, those that begin a tick).

        Those that begin a tick, that are older than one before them, the newest before such a one, and the newest of
        all; every one where times leap.
        """
        clock = self._sensor.clock()
        times = batch.times_us + clock.offset_us
        if times.min() < clock.now_us - SET_BACK_US or times.max() > clock.now_us + _LARGEST_STEP_US:
            return np.ones(len(times), dtype=np.bool_), np.ones(len(times), dtype=np.bool_)
        # The sensor's clock is between these two: frames that are not plain may be no packets.
        newest_of_all = np.maximum.accumulate(np.concatenate(([clock.now_us], times)))[:-1]
        newest = np.maximum.accumulate(np.concatenate(([clock.now_us], np.where(plain, times, clock.now_us))))
        ticks = newest[1:] // clock.tick_us > newest[:-1] // clock.tick_us
        behind = times < newest_of_all
        tells = ticks | behind
        rises = np.where(newest[1:] > newest[:-1], np.arange(len(times)), 0)
        last_rise = np.maximum.accumulate(rises)
        tells[last_rise[behind]] = True
        tells[last_rise[-1]] = True
        return tells, ticks


def _is_odd(packet: Packet) -> bool:
    return packet.protocol == TCP and packet.flags & (SYN | FIN | RST) != 0
