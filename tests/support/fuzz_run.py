"""Feeds damaged frames to the decoder and to every observer, by both ways at once, and tells what that cost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from siemd.events import NetworkEvent
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import MIN_BATCH, Stream
from support.conversation import check_fact
from support.fuzzed import damaged, every_prefix, material
from support.own_process import resident_bytes
from support.traffic import batch_of

# So small that everything is full, and forgets, long before the first measurement.
SMALL = SensorConfig(max_flows=1024, max_hosts=256)
_BATCHES = (MIN_BATCH, 200, 700)
Result = dict[str, int | list[str]]


def run_damaged(*, count: int, seed: int, corpus: str = "") -> Result:
    """So many damaged frames; a bug is raised with the frames that led to it."""
    random.seed(seed)  # scapy's
    chance = random.Random(seed)
    return _run(damaged(_material(corpus), chance, count), count, chance)


def run_prefixes(*, most: int, seed: int, corpus: str = "") -> Result:
    """Every prefix of frames; those of all if they are at most so many, else those of the frames chosen by chance."""
    random.seed(seed)
    chance = random.Random(seed)
    unique = list({frame.data: frame for frame in _material(corpus)}.values())
    chance.shuffle(unique)
    chosen, count = [], 0
    for frame in unique:
        if count + len(frame.data) + 1 <= most:
            chosen.append(frame)
            count += len(frame.data) + 1
    return _run((cut for frame in chosen for cut in every_prefix(frame)), count, chance)


def _material(corpus: str) -> list[Frame]:
    return material(Path(corpus) if corpus else None)


def _run(frames: Iterator[Frame], count: int, chance: random.Random) -> Result:
    """Feeds them one by one and in batches; both must state the same."""
    alone, batched = Stream(Sensor(SMALL)), Stream(Sensor(SMALL))
    kinds: set[str] = set()
    facts = done = warm_bytes = held = 0
    while piece := list(islice(frames, chance.choice(_BATCHES))):
        stated = _told(lambda piece=piece: alone.feed(piece), piece)
        assert _told(lambda piece=piece: batched.feed(batch_of(piece)), piece) == stated
        for fact in stated:
            check_fact(fact)
            kinds.add(fact.event_type)
        facts += len(stated)
        done += len(piece)
        held = max(held, sum(n for name, n in alone.sensor.counters().items() if name.endswith("_held")))
        if not warm_bytes and done >= count // 3:
            warm_bytes = resident_bytes()
    end_bytes = resident_bytes()
    assert alone.sensor.finish() == batched.sensor.finish()
    return {
        "frames": done,
        "packets": alone.packets,
        "passed_over": batched.settled_packets,
        "facts": facts,
        "kinds": sorted(kinds),
        "held": held,
        "warm_bytes": warm_bytes,
        "end_bytes": end_bytes,
    }


def _told(feed: Callable[[], list[NetworkEvent]], piece: list[Frame]) -> list[NetworkEvent]:
    try:
        return feed()
    except Exception as error:
        error.add_note("\n".join(f"{frame.time_us} {frame.length} {frame.data.hex()}" for frame in piece))
        raise
