"""Batches: the same frames give the same facts, one by one or thousands at once, however they are split."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import NetworkEvent
from siemd.sources.sniffer.columns import Columns, FlowHash
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.packet import ACK, FIN, PSH, RST, SYN, TCP, UDP, Frame, Packet
from siemd.sources.sniffer.pcapfile import read_frames
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import MIN_BATCH, Stream
from siemd.units import Seconds
from support.same import in_batches, one_by_one
from support.traffic import START_US, Chatter, batch_of, ip, tcp, udp

# Small enough that much is forgotten, which may not depend on batches either.
SMALL = SensorConfig(max_flows=1024, max_hosts=256, memory_s=Seconds(20))
HOST, PEER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def test_captures_give_the_same_facts(corpus: Path) -> None:
    for path in sorted((corpus / "pcap").glob("*.pcap")):
        with path.open("rb") as file:
            frames = [frame for batch in read_frames(file) for frame in batch]
        alone, counters = one_by_one(frames, SensorConfig())
        for seed, largest in ((1, 100), (2, 700), (3, 20_000)):
            batched, same, stream = in_batches(frames, SensorConfig(), seed, largest)
            assert batched == alone, path.name
            assert same == counters, path.name
            assert stream.packets == len(Decoder().decode(frames)), path.name


@pytest.mark.parametrize("seed", range(32))
def test_chatter_gives_the_same_facts(seed: int) -> None:
    frames = Chatter(seed, clocks=seed % 3 == 0).frames(4000)
    alone, counters = one_by_one(frames, SMALL)
    batched, same, stream = in_batches(frames, SMALL, seed, 600)
    assert batched == alone
    assert same == counters
    assert stream.packets == len(Decoder().decode(frames))


def conversation(*, port: int = 443, packets: int = 1000) -> list[Frame]:
    """A connection that exchanges so many packets after its handshake."""
    there, back = (40_000, port), (port, 40_000)
    datas = [
        ip(TCP, HOST, PEER, tcp(there, SYN, 0, 0, b"", options=bytes(20))),
        ip(TCP, PEER, HOST, tcp(back, SYN | ACK, 0, 1, b"")),
        ip(TCP, HOST, PEER, tcp(there, ACK, 1, 1, b"")),
    ]
    for number in range(packets):
        if number % 2:
            datas.append(ip(TCP, HOST, PEER, tcp(there, ACK, 1, 1, b"question")))
        else:
            datas.append(ip(TCP, PEER, HOST, tcp(back, PSH | ACK, 1, 1, b"answer" * 100)))
    return [Frame(START_US + number * 10, data, len(data)) for number, data in enumerate(datas)]


def fed(stream: Stream, frames: list[Frame], size: int) -> list[NetworkEvent]:
    return [fact for at in range(0, len(frames), size) for fact in stream.feed(batch_of(frames[at : at + size]))]


def test_settled_traffic_is_passed_over() -> None:
    stream = Stream(Sensor(SensorConfig()))
    fed(stream, conversation(), 100)
    assert stream.packets == 1003
    assert stream.settled_packets > 750


@pytest.mark.parametrize("flags", [FIN | ACK, RST | ACK, SYN])
@pytest.mark.parametrize("options", [b"", bytes(4)])
@pytest.mark.parametrize("size", [MIN_BATCH, 151, 2000])
def test_an_end_or_a_beginning_is_seen(flags: int, options: bytes, size: int) -> None:
    """Even one that is not plain, and in the midst of a batch."""
    odd = ip(TCP, HOST, PEER, tcp((40_000, 443), flags, 1, 1, b""), options=options)
    frames = conversation()
    datas = [frame.data for frame in (*frames, *frames[4:54], Frame(0, odd, 0), *frames[4:104], *frames[4:104])]
    whole = [Frame(START_US + number * 10, data, len(data)) for number, data in enumerate(datas)]
    stream = Stream(Sensor(SensorConfig()))
    facts = fed(stream, whole, size)
    assert facts + stream.sensor.finish() == one_by_one(whole, SensorConfig())[0]
    assert stream.settled_packets > 700
    if flags & RST:
        assert stream.settled_packets < len(frames) + 51


def test_ssh_is_never_passed_over_while_it_is_read() -> None:
    frames = conversation(port=22, packets=300)
    banner = ip(TCP, PEER, HOST, tcp((22, 40_000), PSH | ACK, 1, 1, b"SSH-2.0-x\r\n"))
    frames[3] = Frame(frames[3].time_us, banner, len(banner))
    stream = Stream(Sensor(SensorConfig()))
    fed(stream, frames, 100)
    assert stream.settled_packets == 0


def test_a_banner_in_the_midst_is_seen() -> None:
    """Such as behind a proxy's CONNECT."""
    frames = conversation(packets=400)
    banner = ip(TCP, PEER, HOST, tcp((443, 40_000), PSH | ACK, 5000, 1, b"SSH-2.0-x\r\n"))
    frames.insert(350, Frame(frames[350].time_us, banner, len(banner)))
    stream = Stream(Sensor(SensorConfig()))
    facts = fed(stream, frames, 100) + stream.sensor.finish()
    assert [fact.event_type for fact in facts] == ["ssh_auth", "connection"]
    assert stream.settled_packets > 100


def test_a_flow_that_is_only_passed_over_is_not_forgotten() -> None:
    """Its end comes after many generations, and a packet behind it begins nothing."""
    frames = [
        Frame(START_US + number * 1_000_000, frame.data, frame.length)
        for number, frame in enumerate(conversation(packets=2000))
    ]
    stream = Stream(Sensor(SensorConfig(memory_s=Seconds(30))))
    facts = fed(stream, frames, 200)
    assert stream.sensor.counters()["tcp_flows_held"] == 1
    assert facts == []


@pytest.mark.parametrize("port", [443, 51_820, 53])
def test_udp_streams_settle_and_questions_do_not(port: int) -> None:
    pair = [ip(UDP, HOST, PEER, udp((40_000, port), b"q")), ip(UDP, PEER, HOST, udp((port, 40_000), b"a"))]
    frames = [Frame(START_US + number, pair[number % 2], 60) for number in range(1000)]
    stream = Stream(Sensor(SensorConfig()))
    fed(stream, frames, 100)
    assert (stream.settled_packets > 700) == (port != 53)
    assert (stream.settled_packets == 0) == (port == 53)


class TestColumns:
    """Columns agree with the Decoder on every frame that they call plain."""

    hashed = FlowHash()

    def agree(self, frames: list[Frame]) -> int:
        """How many are plain."""
        decoder = Decoder()
        columns = Columns(batch_of(frames), self.hashed)
        flows: dict[object, tuple[int, int]] = {}
        for index, frame in enumerate(frames):
            if not columns.plain[index]:
                continue
            before = (decoder.malformed, decoder.truncated, decoder.unknown, decoder.fragments)
            packet = decoder.decode_layers(frame)
            assert packet is not None
            assert before == (decoder.malformed, decoder.truncated, decoder.unknown, decoder.fragments)
            assert packet.protocol in (TCP, UDP)
            assert not packet.fragment
            assert columns.flags[index] == packet.flags
            assert columns.size[index] == packet.payload_length
            if packet.protocol == TCP:
                assert columns.end[index] == (packet.seq + packet.payload_length) % (1 << 32)
            if packet.payload[:4] == b"SSH-":
                assert columns.banner[index]
            way, flow = int(columns.way[index]), int(columns.flow[index])
            assert flows.setdefault(_way(packet), (way, flow)) == (way, flow)
            back = flows.get(_way(packet, back=True))
            if back is not None and _way(packet, back=True) != _way(packet):
                assert back[1] == flow
                assert back[0] != way
            assert way in [int(one[0]) for one in self.hashed.ways(columns.flow[index : index + 1])]
        assert len({way for way, _ in flows.values()}) == len(flows)
        return int(columns.plain.sum())

    @pytest.mark.parametrize("seed", range(5))
    def test_on_chatter(self, seed: int) -> None:
        assert self.agree(Chatter(seed).frames(2000)) > 1500

    def test_on_captures(self, corpus: Path) -> None:
        for path in sorted((corpus / "pcap").glob("*.pcap")):
            with path.open("rb") as file:
                frames = [frame for batch in read_frames(file) for frame in batch]
            for at in range(0, len(frames), 5000):
                self.agree(frames[at : at + 5000])

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=120), min_size=MIN_BATCH, max_size=MIN_BATCH + 10), st.integers(0, 100))
    def test_on_any_bytes(self, datas: list[bytes], more: int) -> None:
        self.agree([Frame(START_US, data, len(data) + more) for data in datas])

    @settings(deadline=None, max_examples=60)
    @given(st.data())
    def test_on_plain_frames_with_wrong_numbers(self, data: st.DataObject) -> None:
        frames = []
        for _ in range(MIN_BATCH):
            start = data.draw(st.sampled_from(_PLAIN))
            frame = bytearray(start)
            for _ in range(data.draw(st.integers(0, 3))):
                frame[data.draw(st.integers(12, min(77, len(frame) - 1)))] = data.draw(st.integers(0, 255))
            cut = bytes(frame[: data.draw(st.integers(0, len(frame)))]) if data.draw(st.booleans()) else bytes(frame)
            frames.append(Frame(START_US, cut, max(len(cut), data.draw(st.sampled_from([0, len(frame), 5000])))))
        self.agree(frames)

    def test_an_empty_memory(self) -> None:
        batch = batch_of([Frame(START_US, b"", 0)] * MIN_BATCH)
        batch.memory = np.zeros(0, dtype=np.uint8)
        batch.starts[:] = 0
        assert Stream(Sensor(SMALL)).feed(batch) == []


_SIX = bytes(15) + b"\x01", bytes(15) + b"\x02"
_PLAIN = [
    ip(protocol, *ends, rest, vlan=vlan, pad=pad)
    for ends in ((HOST, PEER), _SIX)
    for vlan in (0, 7)
    for pad in (0, 8)
    for protocol, rest in (
        (TCP, tcp((40_000, 443), ACK, 1, 2, b"payload")),
        (TCP, tcp((40_000, 443), SYN, 1, 2, b"", options=bytes(20))),
        (UDP, udp((40_000, 53), b"payload")),
        (UDP, struct.pack(">HHHH", 40_000, 53, 0, 0)),
    )
]


def _way(packet: Packet, *, back: bool = False) -> tuple[object, ...]:
    ends = (packet.source_ip, packet.source_port), (packet.destination_ip, packet.destination_port)
    return (*(ends[::-1] if back else ends), packet.vlan, packet.protocol)
