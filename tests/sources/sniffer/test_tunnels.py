"""What tunnels and serial lines carry is decoded as if it came alone, and nobody hides or grows by wrapping."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import msgspec
import pytest

from siemd.sources.sniffer.decode import MAX_TUNNELS, Decoder
from siemd.sources.sniffer.packet import ICMP, UDP, Frame, Packet
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream
from support.conversation import played, raised_by
from support.fuzzed import ETHER
from support.traffic import START_US, batch_of, frame_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy import all as scapy
    from scapy.contrib.geneve import GENEVE
    from scapy.contrib.mpls import MPLS

INNER4 = scapy.IP(src="10.0.0.1", dst="10.0.0.2", ttl=9) / scapy.TCP(sport=1025, dport=22, flags="S")
INNER6 = scapy.IPv6(src="2001:db8::1", dst="2001:db8::2") / scapy.UDP(sport=1025, dport=53) / b"question"
BRIDGED = scapy.Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / scapy.Dot1Q(vlan=9) / INNER4
OUTER4 = ETHER / scapy.IP(src="192.0.2.1", dst="192.0.2.2")
OUTER6 = ETHER / scapy.IPv6(src="2001:db8:9::1", dst="2001:db8:9::2")
CONTROL_WORD = scapy.Raw(bytes(4))


def only(frame: Any, link_type: int = 1) -> Packet:
    data = bytes(frame)
    decoder = Decoder()
    [packet] = decoder.decode([Frame(7, data, len(data), link_type)])
    assert (decoder.malformed, decoder.truncated) == (0, 0)
    return packet


def alike(packet: Packet, inner: Any) -> bool:
    """Whether a packet is the one within, its length on the wire apart."""
    link_type = 1 if isinstance(inner, scapy.Ether) else 101
    return msgspec.structs.replace(packet, length=0) == msgspec.structs.replace(only(inner, link_type), length=0)


@pytest.mark.parametrize("outer", [OUTER4, OUTER6])
@pytest.mark.parametrize(
    ("wrapping", "inner"),
    [
        (scapy.Raw(), INNER4),
        (scapy.GRE(proto=0x0800), INNER4),
        (scapy.GRE(proto=0x86DD, key_present=1, key=7, seqnum_present=1, sequence_number=5), INNER6),
        (scapy.GRE(proto=0x0800, chksum_present=1), INNER4),
        (scapy.GRE(proto=0x6558), BRIDGED),
        (scapy.GRE(proto=0x88BE) / scapy.Raw(), BRIDGED),
        (scapy.GRE(proto=0x88BE, seqnum_present=1) / (b"\x10\x09" + bytes(6)), BRIDGED),
        (scapy.GRE(proto=0x22EB, seqnum_present=1) / (b"\x20\x09" + bytes(10)), BRIDGED),
        (scapy.GRE(proto=0x22EB, seqnum_present=1) / (b"\x20\x09" + bytes(9) + b"\x01" + bytes(8)), BRIDGED),
        (scapy.UDP(sport=50000, dport=4789) / scapy.VXLAN(vni=42), BRIDGED),
        (scapy.UDP(sport=50000, dport=8472) / scapy.VXLAN(vni=42), BRIDGED),
        (scapy.UDP(sport=50000, dport=6081) / GENEVE(vni=42), BRIDGED),
        (scapy.UDP(sport=50000, dport=6081) / GENEVE(proto=0x86DD), INNER6),
    ],
)
def test_what_a_tunnel_carries(outer: Any, wrapping: Any, inner: Any) -> None:
    frame = outer / wrapping / inner
    if isinstance(wrapping, scapy.Raw):
        frame[scapy.IP if outer is OUTER4 else scapy.IPv6].setfieldval("proto" if outer is OUTER4 else "nh", 4)
    assert alike(only(frame), inner)


@pytest.mark.parametrize("inner", [INNER4, INNER6])
def test_what_links_carry(inner: Any) -> None:
    mpls = b"\x88\x47" if isinstance(inner, scapy.IP) else b"\x88\x48"
    macs, labels = bytes(ETHER)[:12], bytes(MPLS(label=16, s=0) / MPLS(label=17, s=1))
    ppp = b"\x00\x21" if isinstance(inner, scapy.IP) else b"\x00\x57"
    ethertype = b"\x08\x00" if isinstance(inner, scapy.IP) else b"\x86\xdd"
    session = b"\x11\x00\x00\x05" + struct.pack(">H", len(inner) + 2) + ppp + bytes(inner)
    for data, link_type in (
        (macs + mpls + labels + bytes(inner), 1),
        (macs + b"\x88\x64" + session + bytes(8), 1),
        (session, 51),
        (ppp + bytes(inner), 9),
        (b"\xff\x03" + ppp + bytes(inner), 9),
        (b"\xff\x03" + ppp[1:] + bytes(inner), 50),
        (b"\x0f\x00" + ethertype + bytes(inner), 104),
        (b"\x8f\x00" + ethertype + bytes(inner), 50),
    ):
        packet = only(data, link_type)
        packet.source_mac = packet.destination_mac = packet.ethernet_source = b""
        assert alike(packet, inner), link_type


def test_ethernet_over_mpls() -> None:
    macs = bytes(ETHER)[:12] + b"\x88\x47"
    assert alike(only(macs + bytes(MPLS(label=16, s=1) / CONTROL_WORD) + bytes(BRIDGED)), BRIDGED)
    assert alike(only(macs + bytes(MPLS(label=16, s=1)) + bytes(BRIDGED)), BRIDGED)


@pytest.mark.parametrize(
    ("frame", "protocol"),
    [
        (OUTER4 / scapy.GRE(proto=0x0800), 47),
        (OUTER4 / scapy.GRE(proto=0x0800) / b"\x45", 47),
        (OUTER4 / scapy.GRE(proto=0x9999) / INNER4, 47),
        (OUTER4 / scapy.GRE(version=1, proto=0x880B) / bytes(40), 47),
        (OUTER4 / scapy.UDP(dport=4789) / (b"\x08" + bytes(7)) / b"no frame", UDP),
        (OUTER4 / scapy.UDP(dport=4789) / bytes(INNER4), UDP),
        (OUTER4 / scapy.UDP(dport=4789), UDP),
        (OUTER4 / scapy.UDP(dport=6081) / b"\xff\xff", UDP),
        (OUTER4 / scapy.UDP(dport=6081) / (b"\xff" * 8), UDP),
    ],
)
def test_what_carries_nothing_is_what_it_is_outside(frame: Any, protocol: int) -> None:
    data = bytes(frame)
    [packet] = Decoder().decode([Frame(7, data, len(data))])
    assert (packet.protocol, packet.source_ip) == (protocol, bytes((192, 0, 2, 1)))
    assert packet.payload_length == len(packet.payload)


def test_an_empty_probe_of_a_tunnels_protocol_stays_one() -> None:
    for protocol in (4, 41, 47):
        data = bytes(ETHER / scapy.IP(dst="192.0.2.2", proto=protocol))
        [packet] = Decoder().decode([Frame(7, data, len(data))])
        assert (packet.protocol, packet.payload_length) == (protocol, 0)


def test_tunnels_within_tunnels_end() -> None:
    frame = INNER4
    for _ in range(MAX_TUNNELS):
        frame = scapy.IP(src="192.0.2.1", dst="192.0.2.2") / scapy.GRE(proto=0x0800) / frame
    assert only(ETHER / frame).destination_port == 22
    frame = scapy.IP(src="192.0.2.1", dst="192.0.2.2") / scapy.GRE(proto=0x0800) / frame
    assert only(ETHER / frame).protocol == 47
    data = bytes(ETHER)[:12] + b"\x08\x00" + bytes(scapy.IP(proto=4, len=0)) * 3000
    [packet] = Decoder().decode([Frame(7, data, len(data))])
    assert packet.protocol == 4


def test_an_error_about_a_tunnels_packet_is_about_the_tunnel() -> None:
    lost = OUTER4[scapy.IP] / scapy.UDP(sport=50000, dport=4789) / scapy.VXLAN() / BRIDGED
    packet = only(ETHER / scapy.IP(src="192.0.2.2", dst="192.0.2.1") / scapy.ICMP(type=3, code=3) / bytes(lost))
    assert packet.protocol == ICMP
    assert packet.quoted is not None and packet.quoted.destination_port == 4789


@pytest.mark.parametrize("columns", [True, False])
def test_a_scan_in_a_mirror_of_another_switch(*, columns: bool) -> None:
    """As frames one by one and in columns, which pass over streams of UDP."""
    packets = played(lambda wire: wire.syn_scan(range(1, 200), open_ports=(22, 80)))
    wrapping = OUTER4 / scapy.UDP(sport=50000, dport=4789) / scapy.VXLAN()
    frames = [
        Frame(START_US + number * 1000, bytes(wrapping / frame_of(packet).data), 200)
        for number, packet in enumerate(packets)
    ]
    stream = Stream(Sensor(SensorConfig()))
    facts = []
    for at in range(0, len(frames), 100):
        facts += stream.feed(batch_of(frames[at : at + 100]) if columns else frames[at : at + 100])
    raised = raised_by(facts + stream.sensor.finish())
    assert [alert.rule for alert in raised] == ["port_scan_syn"]
