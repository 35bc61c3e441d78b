"""Frames one by one and in batches, which must tell the same."""

from __future__ import annotations

import random
from collections.abc import Sequence

from siemd.events import NetworkEvent
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream
from support.traffic import batch_of, split


def one_by_one(frames: Sequence[Frame], config: SensorConfig) -> tuple[list[NetworkEvent], dict[str, int]]:
    """The facts, and what the sensor holds at the end."""
    decoder, sensor = Decoder(), Sensor(config)
    facts = []
    for frame in frames:
        packet = decoder.decode_layers(frame)
        if packet is not None:
            facts += sensor.feed([packet])
    counters = {**sensor.counters(), "malformed": decoder.malformed, "truncated": decoder.truncated}
    return facts + sensor.finish(), counters


def in_batches(
    frames: Sequence[Frame], config: SensorConfig, seed: int, largest: int
) -> tuple[list[NetworkEvent], dict[str, int], Stream]:
    """The same through batches of random sizes."""
    stream = Stream(Sensor(config))
    facts = []
    for piece in split(frames, random.Random(seed), largest):
        facts += stream.feed(batch_of(piece))
    decoder = stream.decoder
    counters = {**stream.sensor.counters(), "malformed": decoder.malformed, "truncated": decoder.truncated}
    return facts + stream.sensor.finish(), counters, stream
