"""Whatever packets come, in whatever order: the sensor never raises, stays within its caps, and is deterministic."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import TIME_MAX_US, NetworkEvent
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.packet import ARP, ICMP, ICMPV6, SCTP, TCP, UDP, Frame, Packet
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import START_US, Wire, check_fact, facts_of, only
from support.messages import answer, dhcp, dhcpv6, netbios_answer, netbios_query, query, txt
from support.streams import rdp, smb

SMALL = SensorConfig(max_flows=1024, max_hosts=256)
addresses = st.sampled_from([bytes([192, 0, 2, n]) for n in range(1, 6)] + [bytes(15) + bytes([n]) for n in range(3)])
ports = st.sampled_from([0, 22, 53, 53, 67, 68, 137, 546, 547, 5353, 5355, 80, 33_434, 40_000, 65_535])
times = st.one_of(
    st.integers(START_US, START_US + 20_000_000),
    st.integers(START_US - 10**10, START_US + 10**10),
    st.integers(0, TIME_MAX_US),
)
payloads = st.sampled_from(
    [
        *(
            b"",
            b"x",
            b"SSH-2.0-a\r\n",
            b"SSH-",
            b"\x00\x00\x00\x0c\x0a\x15" + bytes(10),
            bytes(44),
            bytes(300),
            b"\xff" * 9,
        ),
        *(b"GET / HTTP/1.1\r\n", b"Host: a\r\n\r\n", b"HTTP/1.1 404 no\r\nContent-Length: 5\r\n\r\n", b"220 FTP\r\n"),
        *(
            b"USER a\r\nPASS b\r\n",
            b"530 no\r\n",
            b"\x16\x03\x01\x00\x05\x01\x00",
            b"+OK\r\n",
            b"* OK\r\n",
            b"\xff\xfd\x18",
        ),
        *(b"\x01\0\0\4", b"\x02\0\0\4", b"\x06\0\0\4", b"\x0a\0\0\4", b"\x0b\0\0\4"),  # chunks of SCTP
        *(b"C" * 300, b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x01default\n", b"OPTIONS / RTSP/1.0\r\n\r\n"),
        *(query("a.example.org", ident=7), answer("a.example.org", [txt(b"x")], ident=7), answer("b.example", code=3)),
        *(netbios_query("a", ident=7), netbios_answer("a", "192.0.2.1", ident=7)),
        *(dhcp(2, "192.0.2.1"), dhcp(5, "192.0.2.2", gateway="192.0.2.9"), dhcpv6(7, b"d", dns=("::1",))),
        *(bytes(16) + b"\x01\x01" + b"\2" * 6, bytes(15) + b"\1\2\1" + b"\2" * 6, bytes(8) + b"\3\4" + b"\5" * 30),
        *(rdp("a", 0)[0][1], smb("a", 0)[0][1], smb("a", 0)[-1][1]),
    ]
)


@st.composite
def packets(draw: st.DrawFn, *, nested: bool = True) -> Packet:
    payload = draw(payloads)
    packet = Packet(
        draw(times),
        draw(st.integers(0, 70_000)),
        draw(st.sampled_from([TCP, TCP, TCP, UDP, ICMP, ICMPV6, ARP, SCTP, SCTP, 47, 99])),
        draw(addresses),
        draw(addresses),
        source_mac=draw(st.sampled_from([b"", b"\x02\0\0\0\0\x01"])),
        vlan=draw(st.sampled_from([0, 0, 7])),
        ttl=draw(st.one_of(st.just(255), st.integers(0, 255))),
        source_port=draw(ports),
        destination_port=draw(ports),
        flags=draw(st.integers(0, 255)),
        seq=draw(st.sampled_from([0, 1, 2, 0xFFFFFFFF, 1 << 31])),
        ack=draw(st.sampled_from([0, 1, 2])),
        window=draw(st.sampled_from([0, 1, 3, 128, 256, 1024, 501])),
        header_length=draw(st.sampled_from([0, 20, 24, 32, 40])),
        icmp_type=draw(st.sampled_from([-1, 0, 1, 3, 8, 11, 13, 14, 128, 129, 134, 135, 136])),
        icmp_code=draw(st.sampled_from([0, 2, 9])),
        options=draw(st.sampled_from([b"", b"\x08\x0a\xff\xff\xff\xff\0\0\0\0"])),
        cut_header=draw(st.booleans()) and draw(st.booleans()),
        ident=draw(st.integers(0, 3)),
        arp_operation=draw(st.integers(0, 3)),
        payload=payload,
        payload_length=len(payload) + draw(st.sampled_from([0, 0, 50])),
        fragment=draw(st.booleans()) and draw(st.booleans()),
    )
    if nested and draw(st.booleans()):
        packet.quoted = draw(packets(nested=False))
    return packet


def run(some: list[Packet], batch: int) -> list[NetworkEvent]:
    return facts_of([msgspec.structs.replace(packet) for packet in some], SMALL, batch=batch)


@settings(max_examples=300, deadline=None)
@given(st.lists(packets(), max_size=120), st.integers(1, 50))
def test_any_packets(some: list[Packet], batch: int) -> None:
    facts = run(some, batch)
    assert facts == run(some, 7)  # however they are batched
    for fact in facts:
        check_fact(fact)


@given(st.lists(st.binary(max_size=120), max_size=60))
def test_any_frames(frames: list[bytes]) -> None:
    decoder, sensor = Decoder(), Sensor(SMALL)
    for number, data in enumerate(frames):
        sensor.feed(decoder.decode([Frame(START_US + number, data, len(data))]))
    sensor.finish()


@given(st.lists(st.one_of(st.integers(0, TIME_MAX_US), packets()), max_size=60))
def test_time_may_pass_in_between(steps: list[int | Packet]) -> None:
    sensor = Sensor(SMALL)
    for step in steps:
        if isinstance(step, int):
            sensor.advance(step)
        else:
            sensor.feed([step])
    sensor.finish()


def held(sensor: Sensor) -> int:
    return sum(number for name, number in sensor.counters().items() if name.endswith("_held"))


def test_state_stays_bounded_under_spoofed_floods() -> None:
    config = SensorConfig(max_flows=4096, max_hosts=1024)
    sensor = Sensor(config)
    facts = 0
    wire = Wire(step_us=3)
    for number in range(60_000):
        source = f"{1 + number % 220}.{number // 220 % 250}.{number // 55_000}.{number % 250 + 1}"
        match number % 7:
            case 0:
                wire.tcp(source, 2000, "198.51.100.10", 80, 2, number, window=512, header=20)
            case 1:
                wire.udp(source, 2000, "198.51.100.10", 1 + number % 65_000)
            case 2:
                wire.ping(source, "198.51.100.10", answered=False)
            case 3:
                wire.arp(source, "198.51.100.10")
            case 4:
                wire.tcp(source, 2000, "198.51.100.10", number % 60_000, 16, number, 5, header=20)
            case 5:
                wire.put(SCTP, source, "198.51.100.10", source_port=9, destination_port=number % 60_000, payload=b"\1")
            case 6:
                wire.put(60 + number % 100, source, "198.51.100.10", cut_header=True)
        if len(wire.packets) >= 500:
            facts += len(sensor.feed(wire.packets))
            wire.packets.clear()
            assert held(sensor) < 2 * 4096 + 8 * 1024
    facts += len(sensor.finish())
    counters = sensor.counters()
    assert counters["tcp_flows_forgotten"] > 0
    assert counters["tcp_flows_judged_early"] > 0
    assert counters["udp_flows_forgotten"] > 0


def test_spoofed_flood_states_no_fact_a_source() -> None:
    wire = Wire(step_us=10)
    for number in range(20_000):
        source = f"{1 + number % 220}.{number // 220 % 250}.1.{number % 250 + 1}"
        wire.tcp(source, 2000, "198.51.100.10", 1 + number % 60_000, 2, number, window=512, header=20)
    assert len(only(facts_of(wire.packets), "tcp_probe")) == 0
