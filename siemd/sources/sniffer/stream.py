"""Frames to facts: decodes what has to be looked at, in the order of capture, and passes over what is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siemd.events import NetworkEvent
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.sensor import Sensor

if TYPE_CHECKING:
    from siemd.sources.sniffer.frames import FrameBatch
    from siemd.sources.sniffer.skimmer import Skimmer

MIN_BATCH = 64  # columns of fewer frames cost more than looking at each
LEAST_MEMORY = 128  # bytes: the longest headers that columns read are shorter


class Stream:
    """A decoder and a sensor in one. The same frames give the same facts, in any batches and either form of them."""

    def __init__(self, sensor: Sensor) -> None:
        self.decoder = Decoder()
        self.sensor = sensor
        self.packets = 0  # that were decoded
        self._skimmer: Skimmer | None = None

    @property
    def settled_packets(self) -> int:
        """Packets of settled flows, which were not looked at."""
        return self._skimmer.skipped if self._skimmer else 0

    def feed(self, frames: list[Frame] | FrameBatch) -> list[NetworkEvent]:
        """Observe frames in the order of capture; returns the facts that became due."""
        if not isinstance(frames, list):
            if len(frames) >= MIN_BATCH and len(frames.memory) >= LEAST_MEMORY:
                return self._skim(frames)
            frames = frames.frames()
        packets = self.decoder.decode(frames)
        self.packets += len(packets)
        if self._skimmer is not None:
            self._skimmer.forget()
        return self.sensor.feed(packets) if packets else []

    def _skim(self, batch: FrameBatch) -> list[NetworkEvent]:
        if self._skimmer is None:
            from siemd.sources.sniffer.skimmer import Skimmer

            self._skimmer = Skimmer(self.decoder, self.sensor)
        facts = self._skimmer.feed(batch)
        self.packets = self.packets + self._skimmer.taken()
        return facts
