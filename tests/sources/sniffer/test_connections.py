"""Records of connections: who, how much, how long, how it ended; the same whether packets are looked at or skipped."""

from __future__ import annotations

import random
from typing import Any

import pytest

from siemd.events import NetworkEvent
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.facts import CONNECTIONS_A_TICK
from siemd.sources.sniffer.observers.connections import MAX_WAITING, Connection, ConnectionRecords, Traffic
from siemd.sources.sniffer.packet import ACK, FIN, PSH, RST, SYN, TCP, UDP, Frame
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream
from siemd.units import Seconds
from support.conversation import START_US, Wire, facts_of, only
from support.messages import resolve
from support.streams import http, talk
from support.traffic import batch_of, ip, split, tcp, udp

CLIENT, SERVER = "192.0.2.7", "198.51.100.10"
PORT = 40_001


class Call:
    """One TCP connection, packet by packet."""

    def __init__(self, wire: Wire, port: int = 8443) -> None:
        self.wire, self.port = wire, port

    def there(self, flags: int = ACK, payload: int = 0, seq: int = 101) -> None:
        self.wire.tcp(CLIENT, PORT, SERVER, self.port, flags, seq, 501, payload)

    def back(self, flags: int = ACK, payload: int = 0) -> None:
        self.wire.tcp(SERVER, self.port, CLIENT, PORT, flags, 501, 101, payload)

    def open(self) -> None:
        self.wire.syn(CLIENT, PORT, SERVER, self.port, 100, by_hand=False)
        self.wire.tcp(SERVER, self.port, CLIENT, PORT, SYN | ACK, 500, 101)
        self.there()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def call(wire: Wire) -> Call:
    return Call(wire)


def records(wire: Wire, **config: Any) -> list[NetworkEvent]:
    return only(facts_of(wire.packets, SensorConfig(**config)), "connection")


def counts(record: NetworkEvent) -> tuple[int, ...]:
    """Packets and bytes of the source, packets and bytes of the destination."""
    names = ("source_packets", "source_bytes", "destination_packets", "destination_bytes")
    return tuple(record.fields[name] for name in names)


def test_a_connection_from_its_first_packet_to_its_last(wire: Wire, call: Call) -> None:
    call.open()
    call.there(PSH | ACK, 300)
    wire.wait(2.5)
    call.back(PSH | ACK, 1400)
    call.back(PSH | ACK, 600)
    call.there(FIN | ACK)
    call.back(FIN | ACK)
    call.there()  # which comes after the end, and is of the connection
    (record,) = records(wire)
    assert (record.source_ip, record.source_port) == (CLIENT, PORT)
    assert (record.destination_ip, record.destination_port) == (SERVER, 8443)
    assert (record.protocol, record.time_us, record.count) == ("tcp", START_US, 9)
    assert counts(record) == (5, 300, 4, 2000)
    assert record.fields["state"] == "closed"
    assert record.fields["duration_s"] == pytest.approx(2.5 + 8 * 50e-6, abs=1e-9)
    assert record.fields["midstream"] is False


@pytest.mark.parametrize("by_client", [True, False])
def test_a_reset(wire: Wire, call: Call, *, by_client: bool) -> None:
    call.open()
    call.back(PSH | ACK, 10)
    (call.there if by_client else call.back)(RST | ACK)
    (record,) = records(wire)
    assert record.fields["state"] == ("reset_by_source" if by_client else "reset_by_destination")
    assert counts(record) == ((3, 0, 2, 10) if by_client else (2, 0, 3, 10))


def test_one_side_ended_it(wire: Wire, call: Call) -> None:
    call.open()
    call.there(FIN | ACK)
    call.back()
    (record,) = records(wire)
    assert record.fields["state"] == "half_closed"


def test_a_silent_one_is_stated_once_and_goes_on_as_another(wire: Wire, call: Call) -> None:
    call.open()
    call.there(PSH | ACK, 5)
    for _ in range(4):  # others go on meanwhile
        wire.wait(30)
        wire.ping("192.0.2.9", SERVER)
    call.there(PSH | ACK, 7)
    call.back()
    first, second = records(wire, memory_s=Seconds(20))
    assert first.fields["state"] == second.fields["state"] == "open"
    assert (first.fields["midstream"], second.fields["midstream"]) == (False, True)
    assert counts(first) == (3, 5, 1, 0)
    assert counts(second) == (1, 7, 1, 0)


def test_ports_used_again(wire: Wire, call: Call) -> None:
    call.open()
    call.there(PSH | ACK, 5)
    wire.tcp(CLIENT, PORT, SERVER, 8443, SYN, 90_000, header=40)
    wire.tcp(SERVER, 8443, CLIENT, PORT, SYN | ACK, 700, 90_001)
    call.there(PSH | ACK, 9, seq=90_001)
    assert sorted(counts(record) for record in records(wire)) == [(2, 9, 1, 0), (3, 5, 1, 0)]


def test_a_connection_that_is_played_again(wire: Wire, call: Call) -> None:
    """Such as by tcpreplay: with the very same numbers, soon after its end."""
    for _ in range(2):
        call.open()
        call.there(PSH | ACK, 5)
        call.there(FIN | ACK)
        call.back(FIN | ACK)
        call.there()
    assert [counts(record) for record in records(wire)] == [(5, 5, 2, 0), (5, 5, 2, 0)]


def test_an_answer_that_is_not_seen(wire: Wire) -> None:
    wire.syn(CLIENT, PORT, SERVER, 8443, 100, by_hand=False)
    wire.tcp(CLIENT, PORT, SERVER, 8443, ACK, 101, 501)
    wire.tcp(CLIENT, PORT, SERVER, 8443, PSH | ACK, 101, 501, 44)
    (record,) = records(wire)
    assert record.fields["state"] == "one_sided"
    assert counts(record) == (3, 44, 0, 0)


def test_the_middle_of_one(wire: Wire) -> None:
    """The side with the service's port is the destination, whoever was heard first."""
    call = Call(wire, port=443)
    call.back(PSH | ACK, 900)
    call.there(PSH | ACK, 20)
    call.back(RST)
    (record,) = records(wire)
    assert (record.source_ip, record.destination_port) == (CLIENT, 443)
    assert record.fields["midstream"] is True
    assert record.fields["state"] == "reset_by_destination"
    assert counts(record) == (1, 20, 2, 900)


def test_a_syn_ack_whose_syn_was_not_seen(wire: Wire, call: Call) -> None:
    wire.tcp(SERVER, 8443, CLIENT, PORT, SYN | ACK, 500, 101)
    call.there(PSH | ACK, 6)
    (record,) = records(wire)
    assert (record.source_ip, record.fields["midstream"]) == (CLIENT, True)
    assert counts(record) == (1, 6, 1, 0)


def test_repeated_syns_count(wire: Wire, call: Call) -> None:
    wire.syn(CLIENT, PORT, SERVER, 8443, 100, by_hand=False)
    call.open()
    assert counts(records(wire)[0]) == (3, 0, 1, 0)


def test_the_service_is_named(wire: Wire) -> None:
    talk(wire, http("/", 200))
    assert [record.fields["service"] for record in records(wire)] == ["http"]


def test_datagrams(wire: Wire) -> None:
    for _ in range(3):
        wire.udp(CLIENT, 40_000, SERVER, 443, b"x" * 100)
        wire.wait(0.5)
        wire.udp(SERVER, 443, CLIENT, 40_000, b"x" * 1000)
    (record,) = records(wire)
    assert (record.protocol, record.source_ip, record.destination_port) == ("udp", CLIENT, 443)
    assert counts(record) == (3, 300, 3, 3000)
    assert record.fields["state"] == "open"
    assert record.fields["duration_s"] == pytest.approx(1.5, abs=0.01)


def test_a_stream_of_datagrams_that_nobody_answers(wire: Wire) -> None:
    for _ in range(20):
        wire.udp(CLIENT, 40_000, SERVER, 514, b"x" * 10)
    (record,) = records(wire)
    assert (record.fields["state"], counts(record)) == ("one_sided", (20, 200, 0, 0))


def test_what_is_none(wire: Wire) -> None:
    """Scans, refused tries, half handshakes, DNS, a lone packet."""
    wire.syn_scan(range(1, 30), open_ports=(22, 25))
    wire.refused(CLIENT, SERVER, 81)
    wire.syn(CLIENT, PORT, SERVER, 82, 100, by_hand=False)
    wire.tcp(SERVER, 82, CLIENT, PORT, SYN | ACK, 500, 101)
    resolve(wire, CLIENT, "example.com")
    wire.udp(CLIENT, 40_000, SERVER, 9, b"x")
    wire.tcp(CLIENT, 50_000, SERVER, 83, FIN)
    wire.tcp(CLIENT, 50_001, SERVER, 84, ACK, 1, 1)
    wire.tcp(CLIENT, 50_002, SERVER, 85, PSH | ACK, 1, 1, 100)
    wire.ping(CLIENT, SERVER)
    assert records(wire) == []


def test_they_can_be_switched_off(wire: Wire, call: Call) -> None:
    call.open()
    call.there(PSH | ACK, 5)
    assert records(wire, connections=False) == []


def test_they_are_bounded() -> None:
    def one(number: int) -> Connection:
        key = (number.to_bytes(4, "big"), 1, b"\1\1\1\1", 2, 0)
        return Connection(key, TCP, START_US, Traffic(1, 1, START_US), Traffic(1, 1, START_US), "open")

    crowded = ConnectionRecords(1000, 10, wanted=True)
    for number in range(MAX_WAITING):
        crowded.forgotten(one(number)._replace(state="one_sided"))
    crowded.forgotten(one(MAX_WAITING))
    assert crowded.counters()["connections_waiting"] == CONNECTIONS_A_TICK + 1, "what has both sides finds room"

    held = ConnectionRecords(1000, 10, wanted=True)
    for number in range(MAX_WAITING + 50):
        held.forgotten(one(number))
    assert held.counters() == {"connections_waiting": MAX_WAITING, "connections_lost": 50}
    assert len(held.tick(START_US)) == CONNECTIONS_A_TICK
    for number in range(30):  # more ends than may linger are stated early, not lost
        held.ended(one(number), START_US)
    assert held.counters() == {"connections_waiting": MAX_WAITING - CONNECTIONS_A_TICK + 30, "connections_lost": 50}
    assert len(held.finish()) == MAX_WAITING - CONNECTIONS_A_TICK + 30
    assert held.counters()["connections_waiting"] == 0


HOST, PEER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def crowd(chance: random.Random, flows: int, packets: int) -> list[Frame]:
    """Many connections and exchanges of datagrams at once, some of which end, some with headers that are not plain."""
    datas = []
    for number in range(flows):
        ends = (HOST, PEER) if number % 5 else (bytes(15) + b"\1", bytes(15) + b"\2")
        there, back = (10_000 + number, 443), (443, 10_000 + number)
        queue = []
        if number % 3:
            queue.append(ip(TCP, *ends, tcp(there, SYN, 0, 0, b"", options=bytes(20))))
            queue.append(ip(TCP, *ends[::-1], tcp(back, SYN | ACK, 0, 1, b"")))
        for _ in range(packets):
            payload = b"\xfe\xfd\xfc\xfb" * chance.choice((0, 0, 5, 200))
            forward = chance.random() < 0.5
            way, ports = (ends, there) if forward else (ends[::-1], back)
            odd = bytes(4) if chance.random() < 0.01 and number % 5 else b""
            rest = tcp(ports, ACK, 1, 1, payload) if number % 3 else udp(ports, payload)
            queue.append(ip(TCP if number % 3 else UDP, *way, rest, options=odd))
        if number % 3 and number % 2:
            odd = bytes(4) if number % 500 == 1 else b""
            queue.append(ip(TCP, *ends, tcp(there, FIN | ACK, 1, 1, b""), options=odd))
            queue.append(ip(TCP, *ends[::-1], tcp(back, chance.choice((FIN, RST)) | ACK, 1, 2, b"")))
            queue.append(ip(TCP, *ends, tcp(there, ACK, 2, 2, b"")))
        datas.append(queue)
    frames: list[Frame] = []
    time_us = START_US
    while datas:
        at = chance.randrange(len(datas))
        some = chance.randint(1, 8)
        for data in datas[at][:some]:
            time_us += chance.choice((10, 1000))
            frames.append(Frame(time_us, data, len(data)))
        del datas[at][:some]
        if not datas[at]:
            datas[at] = datas[-1]
            datas.pop()
    return frames


@pytest.mark.parametrize("memory_s", [5, 300])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_skipped_counts(seed: int, memory_s: int) -> None:
    """Also for flows whose place another takes, which with so many happens."""
    chance = random.Random(seed)
    frames = crowd(chance, flows=1500, packets=40)
    sensor = Sensor(SensorConfig(max_flows=16_384, memory_s=Seconds(memory_s)))
    decoder = Decoder()
    packets = [packet for frame in frames if (packet := decoder.decode_layers(frame)) is not None]
    alone = sensor.feed(packets) + sensor.finish()
    stream = Stream(Sensor(sensor.config))
    batched = [fact for piece in split(frames, chance, 700) for fact in stream.feed(batch_of(piece))]
    assert batched + stream.sensor.finish() == alone
    assert stream.settled_packets > len(frames) / 10
    stated = only(alone, "connection")
    size = sum(packet.payload_length for packet in packets)
    count = len(packets) - 15  # some last ones come so late that the record was made before
    if memory_s < 300:  # what is left of some that were forgotten is too little for a record
        size, count = size * 9 // 10, count * 9 // 10
    assert sum(sum(counts(one)[1::2]) for one in stated) >= size
    assert sum(one.count for one in stated) >= count
    assert sum(one.count for one in stated) <= len(packets)


def test_silence_tells_what_was_skipped() -> None:
    datas = [ip(UDP, HOST, PEER, udp((40_000, 443), b"q")), ip(UDP, PEER, HOST, udp((443, 40_000), b"a"))]
    frames = [Frame(START_US + number, datas[number % 2], 60) for number in range(1000)]
    stream = Stream(Sensor(SensorConfig()))
    for at in range(0, 1000, 100):
        stream.feed(batch_of(frames[at : at + 100]))
    assert stream.settled_packets > 700
    facts: list[NetworkEvent] = []
    for minute in range(1, 20):
        facts += stream.sensor.advance(START_US + minute * 60_000_000)
    (record,) = facts
    assert counts(record) == (500, 500, 500, 500)


def test_a_handshake_that_takes_long(wire: Wire, call: Call) -> None:
    """The port counts as unanswered, yet what comes of it is a connection, and is read."""
    wire.syn(CLIENT, PORT, SERVER, 8443, 100, by_hand=False)
    wire.wait(8)
    wire.ping("192.0.2.9", SERVER)
    wire.tcp(SERVER, 8443, CLIENT, PORT, SYN | ACK, 500, 101)
    call.there()
    call.there(PSH | ACK, 5)
    call.back(PSH | ACK, 6)
    facts = facts_of(wire.packets)
    assert [fact.fields["outcome"] for fact in only(facts, "tcp_probe")] == ["unanswered"]
    assert [counts(fact) for fact in only(facts, "connection")] == [(3, 5, 2, 6)]


def test_a_client_that_takes_long(wire: Wire, call: Call) -> None:
    wire.syn(CLIENT, PORT, SERVER, 8443, 100, by_hand=False)
    wire.tcp(SERVER, 8443, CLIENT, PORT, SYN | ACK, 500, 101)
    wire.wait(8)
    wire.ping("192.0.2.9", SERVER)
    call.there()
    call.there(PSH | ACK, 5)
    assert [counts(record) for record in records(wire)] == [(3, 5, 1, 0)]


def test_a_late_refusal_is_none(wire: Wire) -> None:
    wire.syn(CLIENT, PORT, SERVER, 8443, 100, by_hand=False)
    wire.wait(8)
    wire.ping("192.0.2.9", SERVER)
    wire.tcp(SERVER, 8443, CLIENT, PORT, RST | ACK, 0, 101)
    facts = facts_of(wire.packets)
    assert [fact.fields["outcome"] for fact in only(facts, "tcp_probe")] == ["unanswered"]
    assert only(facts, "connection") == []
