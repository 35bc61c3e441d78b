"""Passes over the packets of settled flows: of them every observer is sure to learn nothing, so none becomes an object.

Nor do those of tries that were refused at once (see refusals): the sensor is told of these in their place.
That changes no fact: whatever could (a flow's end, an interface's clock, something forgotten) makes packets be looked
at that would otherwise be passed over. To look is always right.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from siemd.events import NetworkEvent
from siemd.sources.sniffer import refusals
from siemd.sources.sniffer.columns import Columns
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.frames import FrameBatch, Mask, Numbers, Row
from siemd.sources.sniffer.learnt import Learnt
from siemd.sources.sniffer.packet import FIN, RST, SYN, TCP, Packet
from siemd.sources.sniffer.refusals import Refusals
from siemd.sources.sniffer.sensor import SET_BACK_US, Sensor
from siemd.sources.sniffer.settled import Levels, Settled
from siemd.sources.sniffer.state import READ, UNSETTLED, takes_back

_PIECE = 8192  # frames that are looked through at once …
_FEW = 256  # … or so few where every frame tells time, and before flows are forgotten
_LARGEST_STEP_US = 600_000_000  # a batch with a larger one is left to the sensor, which judges clocks


class _Piece:
    """Frames with what is known of each before the first of them is looked at.

    tells: whether it must be, for the clock's sake. skipped: whether it need not be, as its flow was settled before.
    said: of its flow, see Settled.skipped. found: tries that are told without packets.
    """

    def __init__(self, batch: FrameBatch, columns: Columns, tells: Mask, skipped: Mask, said: Levels, found: Refusals):
        self.batch = batch
        self.columns = columns
        self.skipped = skipped
        self.found = found
        self._said = said
        self._tells = tells

    def wanted(self, begin: int) -> Iterator[tuple[int, Row, tuple[bool, bool, bool, int], tuple[int, int, int, int]]]:
        """From a frame on: (its index, its row in the batch, (plain, free, odd, said), (way, back, size, end)).

        free: whether it need not be looked at if its flow turns out to be settled.
        """
        chosen = np.flatnonzero(~(self.skipped | self.found.frames)[begin:]) + begin
        columns = self.columns
        plain, odd = columns.plain[chosen], columns.odd[chosen]
        free = plain & ~(odd | self._tells[chosen] | columns.banner[chosen])
        kinds = (plain, free, odd, self._said[chosen])
        numbers = (column[chosen] for column in (columns.way, columns.back, columns.size, columns.end))
        return zip(
            chosen.tolist(),
            self.batch.only(chosen).rows(),
            zip(*(column.tolist() for column in kinds), strict=True),
            zip(*(column.tolist() for column in numbers), strict=True),
            strict=True,
        )

    def forget(self, index: int) -> bool:
        """What was said before does not hold behind a frame; returns whether that matters."""
        behind = slice(index + 1, len(self.batch))
        mattered = bool(self.skipped[behind].any() or self._said[behind].any())
        self.skipped[:] = False
        self._said[:] = UNSETTLED
        return mattered


class Skimmer:
    """Feeds a sensor with batches of frames. skipped: packets that were passed over."""

    def __init__(self, decoder: Decoder, sensor: Sensor) -> None:
        self._decoder = decoder
        self._sensor = sensor
        self._settled = Settled()
        self._number = sensor.changes.number
        sensor.count_skipped = self._settled.tell
        self._taken = 0
        self.skipped = 0

    def feed(self, batch: FrameBatch) -> list[NetworkEvent]:
        """Observe frames in the order of capture; returns the facts that became due."""
        columns = Columns(batch, self._settled.hashed)
        facts: list[NetworkEvent] = []
        at = 0
        while at < len(batch):
            piece = slice(at, at + self._steady(batch.times_us[at : at + _PIECE]))
            at = piece.stop
            facts += self._feed(batch.only(piece), columns.only(piece))
        return facts

    def _steady(self, times_us: Numbers) -> int:
        """How many of the next frames to take at once: the sensor's clock may go odd ways only from the first on."""
        clock = self._sensor.clock()
        newest = np.maximum.accumulate(np.concatenate(([clock.now_us], times_us + clock.offset_us)))
        odd = times_us + clock.offset_us < newest[1:] - SET_BACK_US
        odd |= newest[1:] - newest[:-1] > _LARGEST_STEP_US
        steady = int(np.argmax(odd)) if odd.any() else len(odd)
        if not steady:
            return _FEW
        return steady if self._sensor.room() > steady else min(steady, _FEW)

    def _feed(self, batch: FrameBatch, columns: Columns) -> list[NetworkEvent]:
        if self._sensor.changes.number != self._number:
            self.forget()
        tells, ticks = self._tells_time(batch, columns.plain)
        skipped, said = self._settled.skipped(columns)
        skipped &= ~tells
        found = refusals.none(len(batch))
        if refusals.may_be_any(columns) and self._sensor.room() > len(batch):
            found = refusals.find(batch, columns, ~(skipped | tells), np.cumsum(ticks | ~columns.plain))
        return self._sensor.feed(self._packets(_Piece(batch, columns, tells, skipped, said, found)))

    def forget(self) -> None:
        """Nothing is settled: the sensor was fed beside this."""
        self._settled.forget()
        self._number = self._sensor.changes.number

    def taken(self) -> int:
        """How many packets, looked at or not, there were since this was asked before."""
        taken, self._taken = self._taken, 0
        return taken

    def _packets(self, piece: _Piece) -> Iterator[Packet]:
        """What must be looked at; learns which flows are settled while the sensor takes it.

        Should something happen that makes doubtful what was learnt before, nothing is passed over but what is learnt
        from then on.
        """
        learnt, begin = Learnt(), 0
        while begin < len(piece.batch):
            begin = yield from self._packets_from(begin, piece, learnt)
        yield from self._refused(piece, begin)
        self._count(piece, begin)
        self._settled.settle(learnt)

    def _packets_from(self, begin: int, piece: _Piece, learnt: Learnt) -> Generator[Packet, None, int]:
        """Those from a frame on; returns from which on they must be chosen anew."""
        sensor, found = self._sensor, piece.found
        data, decode = piece.batch.memory.data, self._decoder.decode_at
        for index, row, (plain, free, odd, before), (way, back, size, end) in piece.wanted(begin):
            if found.next < index:
                yield from self._refused(piece, index)
            if free and learnt.passes(way, size, end, row[0]):
                self._pass_over(1)
                continue
            packet = decode(data, row)
            if packet is None:
                continue
            self._taken += 1
            yield packet
            level = sensor.settled
            if plain:
                if level or learnt.ways:
                    learnt.learn(way, back, (level, sensor.read_from, sensor.traffic), odd=odd)
                doubtful = before != UNSETTLED and takes_back(level, before)
            else:
                doubtful = level >= READ or _is_odd(packet)
            if doubtful or sensor.changes.number != self._number:
                learnt.forget()
                self._count(piece, index)
                self.forget()
                if piece.forget(index):
                    return index + 1
        return len(piece.batch)

    def _pass_over(self, count: int) -> None:
        self.skipped += count
        self._taken += count

    def _count(self, piece: _Piece, end: int) -> None:
        """What was skipped before a frame."""
        skipped = np.flatnonzero(piece.skipped[:end])
        if len(skipped):
            self._settled.count(piece.columns, piece.batch.times_us, skipped)
            self._pass_over(len(skipped))

    def _refused(self, piece: _Piece, index: int) -> Iterator[Packet]:
        """Tell the sensor what was refused before a frame; of flows that it knows it gets the packets."""
        found = piece.found
        while tries := found.before(index):
            done = self._sensor.refused(tries)
            self._taken += 2 * done
            found.passed(done)
            if done == len(tries):
                return
            for row in piece.batch.only(np.asarray(found.pair())).rows():
                packet = self._decoder.decode_at(piece.batch.memory.data, row)
                if packet is not None:
                    self._taken += 1
                    yield packet
            found.passed(1)

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
