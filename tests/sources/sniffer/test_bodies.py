"""Bodies whose length HTTP told are passed over unread, and that changes nothing of what is stated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import msgspec
import pytest

from siemd.sources.sniffer.packet import Frame, Packet
from siemd.sources.sniffer.sensor import SensorConfig
from siemd.sources.sniffer.stream import Stream
from siemd.units import Seconds
from support.conversation import only, played
from support.same import in_batches, one_by_one
from support.streams import Turn, http, mix_up, talk, without
from support.traffic import frame_of

FEW, MANY = 8, 60  # connections


def chunked(path: str, *sizes: int) -> list[Turn]:
    """A request, and an answer in chunks."""
    (who, request), (other, answer) = http(path)
    head = answer.split(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n" % size + bytes(size) + b"\r\n" for size in (*sizes, 0))
    return [(who, request), (other, head + chunks)]


def browsing(seed: int, connections: int) -> list[Packet]:
    """Connections that are kept for some requests each, all at once."""
    chance = random.Random(seed)
    packets: list[Packet] = []
    for number in range(connections):
        turns: list[Turn] = []
        for page in range(chance.randint(1, 4)):
            kind = chance.random()
            if kind < 0.2:
                turns += chunked(f"/chunks/{page}", *(chance.choice((10, 3000, 40_000)) for _ in range(4)))
            elif kind < 0.4:
                post = http(f"/upload/{page}", method="POST", fields="Content-Length: 60000\r\n")
                turns += [(">", post[0][1] + bytes(60_000)), post[1]]
            else:
                turns += http(f"/page/{page}", chance.choice((200, 404)), body=chance.choice((0, 500, 90_000, 400_000)))
        end = chance.choice(("fin", "reset", ""))
        source = f"192.0.2.{10 + number}"
        packets += played(partial(talk, turns=turns, source=source, end=end, pause_s=chance.choice((0.001, 0.05))))
    return sorted(packets, key=lambda packet: packet.time_us)


def compare(frames: Sequence[Frame], seed: int, config: SensorConfig | None = None) -> Stream:
    """The stream that took them in batches and stated what a sensor did that was fed each."""
    config = config or SensorConfig()
    alone, _ = one_by_one(frames, config)
    batched, _, stream = in_batches(frames, config, seed, 700)
    assert batched == alone
    assert only(alone, "http_request")
    return stream


@pytest.mark.parametrize("seed", range(6))
def test_the_same_is_stated(seed: int) -> None:
    packets = browsing(seed, MANY)
    stream = compare([frame_of(packet) for packet in packets], seed)
    assert stream.settled_packets > len(packets) / 3


@pytest.mark.parametrize("seed", range(8))
def test_of_what_is_shuffled_doubled_and_lost(seed: int) -> None:
    chance = random.Random(seed)
    packets = without(mix_up(browsing(seed, FEW), seed, twice=0.05), lambda _: chance.random() < 0.03)
    compare([frame_of(packet) for packet in packets], seed)


@pytest.mark.parametrize("seed", range(3))
def test_of_payloads_that_the_capture_cut(seed: int) -> None:
    whole = [frame_of(packet) for packet in browsing(seed, FEW)]
    compare([Frame(frame.time_us, frame.data[:300], frame.length) for frame in whole], seed)


@pytest.mark.parametrize(("pause_s", "memory_s"), [(1, 20), (15, 20), (30, 20), (50, 20), (50, 600), (200, 2000)])
def test_a_slow_body_keeps_its_connection_read(pause_s: int, memory_s: int) -> None:
    """As long as its packets come, looked at or not."""
    packets = played(partial(talk, turns=[*http("/slow", body=70_000), *http("/next")]))
    frames, late_us = [], 0
    for packet in packets:
        late_us += pause_s * 1_000_000 if packet.payload_length > 1000 else 10
        for host in range(40):  # all in step, so that a batch has something of each
            ends = [bytes((*address[:3], host)) for address in (packet.source_ip, packet.destination_ip)]
            moved = msgspec.structs.replace(packet, source_ip=ends[0], destination_ip=ends[1])
            frame = frame_of(moved)
            frames.append(Frame(packet.time_us + late_us, frame.data, frame.length))
    stream = compare(frames, 1, SensorConfig(memory_s=Seconds(memory_s)))
    assert stream.settled_packets > 0 or memory_s < 2 * pause_s
