"""The decoder against scapy's dissection, against damage of every kind, and against the traps of real captures."""

from __future__ import annotations

import random
import struct
import warnings
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.sources.sniffer.decode import LINK_TYPES, Decoder
from siemd.sources.sniffer.fragments import MAX_HELD
from siemd.sources.sniffer.packet import ARP, ICMP, ICMPV6, SCTP, SYN, TCP, UDP, Frame, Packet
from siemd.sources.sniffer.pcapfile import read_frames
from siemd.sources.sniffer.plain import decode_plain
from support.fuzzed import ETHER, seeds, shapes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy import all as scapy

FUZZED_SEEDS = 2_000  # frames that scapy's fuzz() makes, about a millisecond each
FUZZED_FRAMES = 200_000  # malformed frames made from them
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8::2"


def decode(data: bytes, *, link_type: int = 1, length: int = 0, decoder: Decoder | None = None) -> list[Packet]:
    return (decoder or Decoder()).decode([Frame(7, data, length or len(data), link_type)])


def only(frame: Any, **options: Any) -> Packet:
    [packet] = decode(bytes(frame), **options)
    return packet


def outcome(data: bytes, **options: Any) -> dict[str, int]:
    """The counters that one frame moves."""
    decoder = Decoder()
    decode(data, decoder=decoder, **options)
    names = ("malformed", "truncated", "unknown", "duplicates", "fragments")
    return {name: getattr(decoder, name) for name in names if getattr(decoder, name)}


def ip(text: str) -> bytes:
    return ip_address(text).packed


class TestLinks:
    def test_ethernet(self) -> None:
        packet = only(ETHER / scapy.IP(src=CLIENT, dst=SERVER, ttl=9) / scapy.TCP(sport=1025, dport=22, flags="S"))
        assert packet.source_mac == packet.ethernet_source == bytes.fromhex("020000000001")
        assert packet.destination_mac == bytes.fromhex("020000000002")
        assert (packet.source_ip, packet.destination_ip, packet.ttl) == (ip(CLIENT), ip(SERVER), 9)
        assert (packet.protocol, packet.source_port, packet.destination_port) == (TCP, 1025, 22)
        assert (packet.flags, packet.header_length, packet.vlan) == (SYN, 20, 0)
        assert packet.time_us == 7

    @pytest.mark.parametrize("tag", [scapy.Dot1Q, scapy.Dot1AD])
    def test_vlan_and_qinq_keep_the_innermost_id(self, tag: Any) -> None:
        inner = scapy.IP(src=CLIENT, dst=SERVER) / scapy.UDP(sport=1, dport=2) / b"x"
        assert only(ETHER / tag(vlan=5, prio=3) / inner).vlan == 5
        packet = only(ETHER / tag(vlan=5) / scapy.Dot1Q(vlan=4095, prio=7) / inner)
        assert (packet.vlan, packet.protocol, packet.payload) == (4095, UDP, b"x")

    def test_a_tower_of_tags_is_malformed(self) -> None:
        tower = bytes(12) + b"\x81\x00\x00\x01" * 400 + b"\x08\x00"
        assert outcome(tower) == {"malformed": 1}

    def test_snap(self) -> None:
        network = bytes(scapy.IP(src=CLIENT, dst=SERVER) / scapy.UDP(sport=1, dport=2))
        snap = b"\xaa\xaa\x03\0\0\0\x08\0" + network
        frame = bytes(12) + struct.pack(">H", len(snap)) + snap + bytes(10)
        assert only(frame).destination_port == 2
        tagged = bytes(12) + b"\x81\0\0\x09" + struct.pack(">H", len(snap)) + snap
        assert only(tagged).vlan == 9

    def test_spanning_tree_is_unknown(self) -> None:
        assert outcome(bytes(scapy.Dot3(src=ETHER.src, dst=ETHER.dst) / scapy.LLC() / scapy.STP())) == {"unknown": 1}
        assert outcome(bytes(12) + b"\x88\xcclldp") == {"unknown": 1}

    @pytest.mark.parametrize("link_type", [12, 14, 101, 228, 229])
    def test_raw_ip(self, link_type: int) -> None:
        assert only(scapy.IP(src=CLIENT, dst=SERVER) / scapy.UDP(dport=9), link_type=link_type).destination_port == 9
        assert only(scapy.IPv6(src=CLIENT6, dst=SERVER6) / scapy.UDP(dport=9), link_type=link_type).source_ip == ip(
            CLIENT6
        )

    @pytest.mark.parametrize(("family", "version"), [(2, 4), (10, 6), (23, 6), (24, 6), (28, 6), (30, 6)])
    def test_loopback_of_every_system(self, family: int, version: int) -> None:
        inner = scapy.IP() / scapy.UDP(dport=9) if version == 4 else scapy.IPv6() / scapy.UDP(dport=9)
        for order in "<>":
            for link_type in (0, 108):
                assert only(struct.pack(f"{order}I", family) + bytes(inner), link_type=link_type).destination_port == 9
        assert outcome(struct.pack("<I", 99) + bytes(inner), link_type=0) == {"unknown": 1}

    def test_linux_cooked(self) -> None:
        inner = scapy.IP(src=CLIENT, dst=SERVER) / scapy.UDP(dport=9)
        packet = only(scapy.CookedLinux(src=b"\x02\0\0\0\0\x01\0\0", lladdrlen=6, proto=0x800) / inner, link_type=113)
        assert (packet.destination_port, packet.source_mac) == (9, b"\x02\0\0\0\0\x01")
        frame = struct.pack(">HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, b"\x02\0\0\0\0\x01") + bytes(inner)
        packet = only(frame, link_type=276)
        assert (packet.destination_port, packet.source_mac) == (9, b"\x02\0\0\0\0\x01")

    def test_linux_cooked_with_a_tag(self) -> None:
        inner = bytes(scapy.Dot1Q(vlan=7) / scapy.IP(src=CLIENT, dst=SERVER) / scapy.UDP(dport=9))
        assert only(struct.pack(">HHH8sH", 0, 1, 6, b"", 0x8100) + inner, link_type=113).vlan == 7

    def test_loopback_in_a_cooked_capture_counts_once(self) -> None:
        inner = bytes(scapy.IP(src="127.0.0.1", dst="127.0.0.1") / scapy.UDP(dport=9))
        assert outcome(struct.pack(">HHH8sH", 4, 772, 6, b"", 0x0800) + inner, link_type=113) == {"duplicates": 1}
        assert outcome(struct.pack(">HHH8sH", 0, 772, 6, b"", 0x0800) + inner, link_type=113) == {}
        assert outcome(struct.pack(">HHH8sH", 4, 1, 6, b"", 0x0800) + inner, link_type=113) == {}

    def test_an_unknown_link_type_is_counted(self) -> None:
        assert outcome(b"whatever", link_type=147) == {"unknown": 1}


class TestNetwork:
    def test_ethernet_padding_is_no_payload(self) -> None:
        packet = only(bytes(ETHER / scapy.IP(src=CLIENT, dst=SERVER) / scapy.TCP(flags="S")) + bytes(6))
        assert (packet.payload, packet.payload_length) == (b"", 0)
        packet = only(bytes(ETHER / scapy.IPv6(src=CLIENT6, dst=SERVER6) / scapy.UDP() / b"ab") + bytes(6))
        assert (packet.payload, packet.payload_length) == (b"ab", 2)

    def test_total_length_zero_of_segmentation_offload(self) -> None:
        packet = only(ETHER / scapy.IP(src=CLIENT, dst=SERVER, len=0) / scapy.TCP() / (b"x" * 3000))
        assert packet.payload_length == 3000
        packet = only(ETHER / scapy.IPv6(src=CLIENT6, dst=SERVER6, plen=0) / scapy.TCP() / (b"x" * 3000))
        assert packet.payload_length == 3000

    def test_ipv4_options(self) -> None:
        options = [scapy.IPOption_Router_Alert(), scapy.IPOption_RR(routers=["1.2.3.4"])]
        assert (
            only(ETHER / scapy.IP(src=CLIENT, dst=SERVER, options=options) / scapy.UDP(dport=9)).destination_port == 9
        )

    def test_fragments(self) -> None:
        whole = scapy.IP(src=CLIENT, dst=SERVER) / scapy.UDP(sport=1, dport=2) / (b"x" * 3000)
        decoder = Decoder()
        frames = [bytes(ETHER / part) for part in scapy.fragment(whole, fragsize=1000)]
        packets = [packet for frame in frames for packet in decode(frame, decoder=decoder)]
        assert [packet.fragment for packet in packets] == [False, True, True, True]
        assert packets[0].destination_port == 2
        assert all(packet.protocol == UDP and packet.source_port == 0 for packet in packets[1:])
        assert sum(packet.payload_length for packet in packets) == 3000
        assert decoder.fragments == 4
        assert decoder.truncated == decoder.malformed == 0

    def test_a_first_fragment_with_a_cut_header_keeps_the_ports(self) -> None:
        whole = scapy.IP(src=CLIENT, dst=SERVER) / scapy.TCP(sport=1, dport=2, seq=77, flags="S")
        first = scapy.fragment(whole, fragsize=8)[0]
        packet = only(ETHER / first)
        assert (packet.source_port, packet.destination_port, packet.seq, packet.header_length) == (1, 2, 77, 0)
        assert outcome(bytes(ETHER / first)) == {"truncated": 1, "fragments": 1}

    @pytest.mark.parametrize("size", [8, 16, 24])
    @pytest.mark.parametrize("version", [4, 6])
    def test_a_header_cut_by_fragmentation_is_told_when_it_is_whole(self, size: int, version: int) -> None:
        tcp = scapy.TCP(sport=1, dport=2, seq=77, flags="FPU", options=[("MSS", 1460), ("NOP", None)] * 2)
        if version == 4:
            parts = scapy.fragment(scapy.IP(src=CLIENT, dst=SERVER) / tcp / b"some data", fragsize=size)
        else:
            segment = bytes(tcp / b"some data")
            parts = [
                scapy.IPv6(src=CLIENT6, dst=SERVER6)
                / scapy.IPv6ExtHdrFragment(nh=6, id=9, offset=at // 8, m=int(at + size < len(segment)))
                / segment[at : at + size]
                for at in range(0, len(segment), size)
            ]
        decoder = Decoder()
        packets = [packet for part in parts for packet in decode(bytes(ETHER / part), decoder=decoder)]
        assert len(packets) == len(parts) == decoder.fragments
        first = packets[0]
        told = (0x29, len(bytes(tcp))) if size == 16 else (0, 0)  # 24: a header that ends behind its packet
        assert (first.destination_port, first.options, first.flags, first.header_length) == (2, b"", *told)
        [whole] = [packet for packet in packets if packet.options == bytes(tcp)[20:]]
        assert (whole.source_port, whole.destination_port, whole.seq, whole.flags) == (1, 2, 77, 0x29)
        assert whole.options == bytes(tcp)[20:]
        assert not whole.fragment
        assert all(packet.fragment for packet in packets[1:] if packet is not whole)

    def test_cut_headers_are_held_within_a_limit(self) -> None:
        decoder = Decoder()
        tcp = scapy.TCP(flags="S")
        parts = [scapy.fragment(scapy.IP(src=CLIENT, dst=SERVER, id=number) / tcp, fragsize=8) for number in (1, 2)]
        decode(bytes(ETHER / parts[0][0]), decoder=decoder)
        first = bytearray(bytes(parts[1][0]))
        for number in range(MAX_HELD):
            first[4:6] = struct.pack(">H", number + 1000)
            decode(bytes(first), decoder=decoder, link_type=101)
        assert decoder.cut_headers.evicted == 1
        later = [packet for part in parts[0][1:] for packet in decode(bytes(ETHER / part), decoder=decoder)]
        assert all(packet.fragment for packet in later)  # its beginning is forgotten

    @pytest.mark.parametrize(("size", "cut"), [(8, True), (16, True), (24, False), (576, False)])
    @pytest.mark.parametrize("layer", [scapy.TCP, scapy.UDP, scapy.ICMP])
    def test_first_fragments_too_small_for_any_link_are_marked(self, size: int, cut: bool, layer: type) -> None:
        parts = scapy.fragment(scapy.IP(src=CLIENT, dst=SERVER) / layer() / bytes(1000), fragsize=size)
        decoder = Decoder()
        packets = [decoder.decode([Frame(0, bytes(ETHER / part), len(ETHER / part))])[0] for part in parts]
        assert [packet.cut_header for packet in packets] == [cut] + [False] * (len(parts) - 1)

    def test_a_first_fragment_cut_by_the_capture_cuts_no_header(self) -> None:
        ping6 = scapy.IPv6() / scapy.IPv6ExtHdrFragment() / scapy.ICMPv6EchoRequest(data=bytes(3000))
        ping = scapy.IP(src=CLIENT, dst=SERVER) / scapy.ICMP() / bytes(3000)
        for parts in (scapy.fragment(ping, fragsize=1480), scapy.fragment6(ping6, 1280)):
            assert not only(bytes(ETHER / parts[0])[:68]).cut_header

    def test_overlapping_fragments_complete_nothing(self) -> None:
        decoder = Decoder()
        tcp = bytes(scapy.TCP(sport=1, dport=2, flags="S"))
        base = scapy.IP(src=CLIENT, dst=SERVER, proto=6, id=5)
        frames = [(scapy.IP(bytes(base)), 0, tcp[:16]), (scapy.IP(bytes(base)), 1, tcp[8:])]
        for header, offset, part in frames:
            header.frag, header.flags, header.len, header.chksum = offset, 1 - offset, None, None
            packets = decode(bytes(ETHER / header / part), decoder=decoder)
        assert packets[0].fragment and not packets[0].flags

    def test_ipv6_extension_headers(self) -> None:
        headers = (
            scapy.IPv6(src=CLIENT6, dst=SERVER6, hlim=3)
            / scapy.IPv6ExtHdrHopByHop()
            / scapy.IPv6ExtHdrDestOpt()
            / scapy.IPv6ExtHdrRouting(addresses=["::1"])
        )
        packet = only(ETHER / headers / scapy.TCP(dport=22, flags="S"))
        assert (packet.protocol, packet.destination_port, packet.ttl, packet.flags) == (TCP, 22, 3, SYN)

    def test_ipv6_authentication_header(self) -> None:
        header = scapy.AH(nh=17, payloadlen=4, icv=b"x" * 12)
        assert only(ETHER / scapy.IPv6(src=CLIENT6, dst=SERVER6) / header / scapy.UDP(dport=9)).destination_port == 9

    def test_too_many_extension_headers_are_malformed(self) -> None:
        chain = b"\x3c\0" + bytes(6)
        data = struct.pack(">IHBB16s16s", 6 << 28, 8 * 40, 60, 64, ip(CLIENT6), ip(SERVER6)) + chain * 40
        assert outcome(data, link_type=101) == {"malformed": 1}

    def test_ipv6_fragments(self) -> None:
        base = ETHER / scapy.IPv6(src=CLIENT6, dst=SERVER6)
        udp = bytes(scapy.UDP(sport=1, dport=2, len=2000, chksum=1)) + b"x" * 992
        first = base / scapy.IPv6ExtHdrFragment(nh=17, m=1, id=5) / udp
        last = base / scapy.IPv6ExtHdrFragment(nh=17, m=0, offset=125, id=5) / (b"x" * 1000)
        atomic = base / scapy.IPv6ExtHdrFragment(nh=17, m=0, id=6) / scapy.UDP(sport=1, dport=2)
        assert (only(first).fragment, only(first).destination_port, only(first).payload_length) == (False, 2, 992)
        assert (only(last).fragment, only(last).protocol, only(last).payload_length) == (True, UDP, 1000)
        assert (only(atomic).fragment, only(atomic).destination_port) == (False, 2)
        assert [outcome(bytes(frame)) for frame in (first, last, atomic)] == [{"fragments": 1}, {"fragments": 1}, {}]

    @pytest.mark.parametrize("protocol", [2, 4, 47, 50, 51, 89, 99, 112, 255, 0])
    def test_other_protocols_are_packets_too(self, protocol: int) -> None:
        packet = only(ETHER / scapy.IP(src=CLIENT, dst=SERVER, proto=protocol) / b"payload")
        assert (packet.protocol, packet.payload, packet.payload_length) == (protocol, b"payload", 7)

    def test_arp(self) -> None:
        claim = scapy.ARP(op=2, hwsrc="02:00:00:00:00:99", psrc=CLIENT, hwdst="02:00:00:00:00:02", pdst=SERVER)
        packet = only(bytes(ETHER / claim) + bytes(18))
        assert (packet.protocol, packet.arp_operation) == (ARP, 2)
        assert (packet.source_ip, packet.destination_ip) == (ip(CLIENT), ip(SERVER))
        assert packet.source_mac == bytes.fromhex("020000000099")
        assert packet.ethernet_source == bytes.fromhex("020000000001")
        assert packet.destination_mac == bytes.fromhex("020000000002")
        assert outcome(bytes(ETHER / scapy.ARP(ptype=0x86DD))) == {"unknown": 1}
        assert outcome(bytes(ETHER / scapy.ARP(hwlen=5)) + bytes(18)) == {"malformed": 1}

    @pytest.mark.parametrize(
        "header",
        [
            scapy.IP(version=5),
            scapy.IP(ihl=4),
            scapy.IP(ihl=15, len=40),
            scapy.IP(len=19),
        ],
    )
    def test_headers_that_contradict_themselves(self, header: Any) -> None:
        frame = bytes(ETHER / header / scapy.UDP()) + bytes(40)
        assert decode(frame) == []
        assert outcome(frame) == {"malformed": 1}

    def test_a_packet_shorter_than_it_claims_is_decoded_and_counted(self) -> None:
        frame = bytes(ETHER / scapy.IP(src=CLIENT, dst=SERVER, len=500) / scapy.UDP(dport=9, len=480) / b"short")
        assert (only(frame).destination_port, only(frame).payload, only(frame).payload_length) == (9, b"short", 5)
        assert outcome(frame) == {"truncated": 1}

    def test_the_snap_length_cuts_the_payload_and_not_its_length(self) -> None:
        frame = bytes(ETHER / scapy.IP(src=CLIENT, dst=SERVER) / scapy.TCP(dport=9) / (b"x" * 1000))
        packet = only(frame[:96], length=len(frame))
        assert (packet.payload_length, len(packet.payload), packet.length) == (1000, 42, len(frame))
        assert outcome(frame[:96], length=len(frame)) == {}


class TestTransport:
    def test_tcp_fields_and_options(self) -> None:
        options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]
        tcp = scapy.TCP(sport=1, dport=2, seq=3, ack=4, window=5, flags="FSRPAUEC", options=options)
        packet = only(ETHER / scapy.IP(src=CLIENT, dst=SERVER) / tcp / b"data")
        assert (packet.seq, packet.ack, packet.window, packet.flags, packet.header_length) == (3, 4, 5, 0xFF, 40)
        assert packet.options == bytes(tcp)[20:]
        assert packet.payload == b"data"

    @pytest.mark.parametrize("offset", [0, 4, 15])
    def test_a_tcp_header_length_that_cannot_be(self, offset: int) -> None:
        frame = bytes(ETHER / scapy.IP(src=CLIENT, dst=SERVER) / scapy.TCP(dport=2, dataofs=offset, flags="S"))
        assert (only(frame).destination_port, only(frame).header_length, only(frame).flags) == (2, 0, 0)
        assert outcome(frame) == {"malformed": 1}

    def test_udp_lengths(self) -> None:
        base = ETHER / scapy.IP(src=CLIENT, dst=SERVER)
        assert only(base / scapy.UDP(len=10) / b"ab" / b"trailer").payload == b"ab"
        assert only(base / scapy.UDP(len=0) / b"ab").payload == b"ab"
        assert outcome(bytes(base / scapy.UDP(len=7) / b"ab")) == {"malformed": 1}

    def test_sctp(self) -> None:
        packet = only(ETHER / scapy.IP(src=CLIENT, dst=SERVER) / scapy.SCTP(sport=1, dport=2) / scapy.SCTPChunkInit())
        assert (packet.protocol, packet.source_port, packet.destination_port) == (SCTP, 1, 2)
        assert packet.payload[0] == 1  # INIT

    def test_echo(self) -> None:
        base = scapy.IP(src=CLIENT, dst=SERVER)
        packet = only(ETHER / base / scapy.ICMP(type=8, id=77, seq=5) / b"ping")
        assert (packet.protocol, packet.icmp_type, packet.icmp_code) == (ICMP, 8, 0)
        assert (packet.ident, packet.seq, packet.payload) == (77, 5, b"ping")
        packet = only(ETHER / scapy.IPv6(src=CLIENT6, dst=SERVER6) / scapy.ICMPv6EchoReply(id=77, seq=5, data=b"pong"))
        assert (packet.protocol, packet.icmp_type, packet.ident, packet.payload) == (ICMPV6, 129, 77, b"pong")

    def test_an_icmp_error_quotes_a_packet(self) -> None:
        probe = scapy.IP(src=CLIENT, dst=SERVER, ttl=3) / scapy.UDP(sport=40000, dport=53) / (b"x" * 100)
        error = scapy.IP(src=SERVER, dst=CLIENT) / scapy.ICMP(type=3, code=3) / bytes(probe)[:28]
        packet = only(ETHER / error)
        quoted = packet.quoted
        assert quoted is not None
        assert (packet.icmp_type, packet.icmp_code) == (3, 3)
        assert (quoted.protocol, quoted.source_ip, quoted.destination_ip) == (UDP, ip(CLIENT), ip(SERVER))
        assert (quoted.source_port, quoted.destination_port, quoted.ttl) == (40000, 53, 3)
        assert outcome(bytes(ETHER / error)) == {}  # a quote is always cut: that is no fault

    def test_a_quoted_tcp_header_is_cut_at_8_bytes(self) -> None:
        probe = scapy.IP(src=CLIENT, dst=SERVER) / scapy.TCP(sport=40000, dport=22, seq=9, flags="S")
        quoted = only(ETHER / scapy.IP() / scapy.ICMP(type=3, code=13) / bytes(probe)[:28]).quoted
        assert quoted is not None
        assert (quoted.protocol, quoted.source_port, quoted.destination_port, quoted.seq) == (TCP, 40000, 22, 9)
        assert (quoted.header_length, quoted.flags) == (0, 0)

    def test_an_icmpv6_error_quotes_a_packet(self) -> None:
        probe = scapy.IPv6(src=CLIENT6, dst=SERVER6) / scapy.UDP(sport=40000, dport=53)
        quoted = only(ETHER / scapy.IPv6() / scapy.ICMPv6DestUnreach(code=4) / bytes(probe)).quoted
        assert quoted is not None
        assert (quoted.destination_ip, quoted.destination_port) == (ip(SERVER6), 53)

    def test_quotes_of_quotes_end(self) -> None:
        packet = scapy.IP() / scapy.UDP()
        for _ in range(20):
            packet = scapy.IP() / scapy.ICMP(type=3) / bytes(packet)
        quoted = only(ETHER / packet).quoted
        assert quoted is not None
        assert quoted.quoted is None

    def test_a_cut_icmp_header_is_no_echo_reply(self) -> None:
        packet = only(ETHER / scapy.IP(proto=1) / b"\x08\0")
        assert (packet.protocol, packet.icmp_type) == (ICMP, -1)


ports = st.integers(0, 65535)
ipv4_addresses = st.binary(min_size=4, max_size=4).map(lambda raw: str(ip_address(raw)))
ipv6_addresses = st.binary(min_size=16, max_size=16).map(lambda raw: str(ip_address(raw)))
tcp_options = st.lists(
    st.one_of(
        st.just(("NOP", None)),
        st.tuples(st.just("MSS"), ports),
        st.tuples(st.just("WScale"), st.integers(0, 14)),
        st.tuples(st.just("Timestamp"), st.tuples(ports, ports)),
    ),
    max_size=3,
)
transports = st.one_of(
    st.builds(
        scapy.TCP, sport=ports, dport=ports, seq=ports, ack=ports, flags=st.integers(0, 255), options=tcp_options
    ),
    st.builds(scapy.UDP, sport=ports, dport=ports),
    st.builds(scapy.ICMP, type=st.sampled_from([0, 8]), id=ports, seq=ports),
    st.builds(scapy.SCTP, sport=ports, dport=ports),
    st.builds(scapy.GRE),
)
extensions = st.lists(
    st.sampled_from([scapy.IPv6ExtHdrHopByHop, scapy.IPv6ExtHdrDestOpt, scapy.IPv6ExtHdrRouting]), max_size=3
)
tags = st.lists(st.builds(scapy.Dot1Q, vlan=st.integers(0, 4095)), max_size=3)


@st.composite
def valid_frames(draw: Any) -> Any:
    """A frame whose parts fit, as scapy's layers."""
    frame = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for tag in draw(tags):
        frame = frame / tag
    if draw(st.booleans()):
        options = [scapy.IPOption_Router_Alert()] if draw(st.booleans()) else []
        frame = frame / scapy.IP(src=draw(ipv4_addresses), dst=draw(ipv4_addresses), ttl=draw(st.integers(0, 255)))
        frame.lastlayer().options = options
        frame = frame / draw(transports)
    else:
        frame = frame / scapy.IPv6(src=draw(ipv6_addresses), dst=draw(ipv6_addresses), hlim=draw(st.integers(0, 255)))
        for extension in draw(extensions):
            frame = frame / extension()
        frame = frame / draw(transports.filter(lambda layer: not isinstance(layer, scapy.ICMP)))
    return frame / draw(st.binary(max_size=40))


@settings(max_examples=300, deadline=None)
@given(valid_frames(), st.integers(0, 20))
def test_agrees_with_scapy(layers: Any, padding: int) -> None:
    data = bytes(layers)
    packet = only(data + bytes(padding))
    check_plain(packet, Frame(7, data + bytes(padding), len(data) + padding))
    seen = scapy.Ether(data)
    network = seen[scapy.IP] if scapy.IP in seen else seen[scapy.IPv6]
    assert (packet.source_ip, packet.destination_ip) == (ip(network.src), ip(network.dst))
    assert packet.ttl == (network.ttl if scapy.IP in seen else network.hlim)
    if scapy.Dot1Q in seen:
        innermost = seen[scapy.Dot1Q]
        while isinstance(innermost.payload, scapy.Dot1Q):
            innermost = innermost.payload
        assert packet.vlan == innermost.vlan
    if packet.protocol == TCP:
        tcp = seen[scapy.TCP]
        expected = (tcp.sport, tcp.dport, tcp.seq, tcp.ack, int(tcp.flags) & 0xFF, tcp.window, tcp.dataofs * 4)
        got = (packet.source_port, packet.destination_port, packet.seq, packet.ack, packet.flags, packet.window)
        assert (*got, packet.header_length) == expected
        assert packet.payload == bytes(tcp.payload)
    elif packet.protocol == UDP:
        assert (packet.source_port, packet.destination_port) == (seen[scapy.UDP].sport, seen[scapy.UDP].dport)
        assert packet.payload == bytes(seen[scapy.UDP].payload)
    elif packet.protocol == ICMP:
        icmp = seen[scapy.ICMP]
        assert (packet.icmp_type, packet.ident, packet.seq) == (icmp.type, icmp.id, icmp.seq)
        assert packet.payload == bytes(icmp.payload)
    elif packet.protocol == SCTP:
        assert (packet.source_port, packet.destination_port) == (seen[scapy.SCTP].sport, seen[scapy.SCTP].dport)
    else:
        assert packet.protocol == 47
    assert packet.payload_length == len(packet.payload)


def check(packet: Packet, frame: Frame) -> None:
    """What holds of every packet, whatever bytes it was made from."""
    assert packet.protocol == ARP or 0 <= packet.protocol <= 255
    assert len(packet.source_ip) == len(packet.destination_ip) and len(packet.source_ip) in (4, 16)
    assert len(packet.source_mac) in (0, 6) and len(packet.destination_mac) in (0, 6)
    assert 0 <= packet.vlan <= 4095
    assert 0 <= packet.source_port <= 65535 and 0 <= packet.destination_port <= 65535
    assert packet.header_length in (0, *range(20, 61, 4))
    assert len(packet.options) <= 40
    assert len(packet.payload) <= packet.payload_length <= max(frame.length, len(frame.data))
    assert packet.protocol == TCP or not packet.flags
    if packet.quoted is not None:
        assert packet.quoted.quoted is None
        check(packet.quoted, frame)


def check_plain(packet: Packet, frame: Frame) -> None:
    """The short way, if it was taken, gave what the layers give, and passed over no fault."""
    if frame.link_type == 1 and decode_plain(frame) is not None:
        layers = Decoder()
        assert layers.decode_layers(frame) == packet
        assert (layers.malformed, layers.truncated, layers.unknown, layers.fragments) == (0, 0, 0, 0)


def check_all(frames: list[Frame]) -> None:
    decoder = Decoder()
    for frame in frames:
        packets = decoder.decode([frame])
        assert len(packets) <= 1
        if packets:
            check(packets[0], frame)
            check_plain(packets[0], frame)
    missing = len(frames) - len(Decoder().decode(frames))
    assert decoder.malformed + decoder.truncated + decoder.unknown + decoder.duplicates >= missing


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*LINK_TYPES, 147]), st.integers(-5, 300))
def test_no_bytes_make_it_raise(data: bytes, link_type: int, length: int) -> None:
    check_all([Frame(0, data, length, link_type)])


@pytest.fixture(scope="module")
def fuzzed() -> list[bytes]:
    random.seed(20)
    return seeds(FUZZED_SEEDS)


def test_fuzzed_frames_by_the_hundred_thousand(fuzzed: list[bytes]) -> None:
    chance = random.Random(21)
    link_types = list(LINK_TYPES)
    done = 0
    while done < FUZZED_FRAMES:
        frames = []
        for seed in fuzzed:
            damaged = bytearray(seed)
            for _ in range(chance.randrange(4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            kind = chance.randrange(4)
            if kind == 0:
                del damaged[chance.randrange(len(damaged)) :]
            elif kind == 1:
                damaged += chance.choice(fuzzed)[: chance.randrange(80)]
            link_type = 1 if kind else chance.choice(link_types)
            frames.append(Frame(0, bytes(damaged), len(damaged) + chance.choice((0, 0, 40)), link_type))
        check_all(frames)
        done += len(frames)


@pytest.mark.parametrize(
    ("frame", "is_plain"),
    [
        (ETHER / scapy.IP() / scapy.TCP(), True),
        (ETHER / scapy.IP() / scapy.TCP(options=[("MSS", 1460)]) / b"data", True),
        (ETHER / scapy.IP() / scapy.UDP() / b"a datagram of some length", True),
        (ETHER / scapy.IP(flags="DF") / scapy.TCP(), True),
        (ETHER / scapy.IP(flags="MF") / scapy.TCP(), False),
        (ETHER / scapy.IP(frag=1) / scapy.TCP(), False),
        (ETHER / scapy.IP(len=0) / scapy.TCP(), False),
        (ETHER / scapy.IP(len=400) / scapy.TCP(), False),
        (ETHER / scapy.IP() / scapy.TCP(dataofs=15), False),
        (ETHER / scapy.IP() / scapy.TCP(dataofs=4), False),
        (ETHER / scapy.IP() / scapy.UDP(len=7) / bytes(20), False),
        (ETHER / scapy.IP() / scapy.UDP(len=0) / bytes(20), False),
        (ETHER / scapy.Dot1Q(vlan=1) / scapy.IP() / scapy.TCP(), False),
        (ETHER / scapy.IP(options=[scapy.IPOption_NOP()]) / scapy.TCP(), False),
        (ETHER / scapy.IPv6() / scapy.TCP(), False),
        (ETHER / scapy.IP() / scapy.ICMP() / bytes(40), False),
    ],
)
def test_only_plain_frames_go_the_short_way(frame: Any, is_plain: bool) -> None:
    data = bytes(frame)
    assert (decode_plain(Frame(0, data, len(data))) is not None) == is_plain
    check_all([Frame(0, data, len(data))])


def test_every_prefix_of_many_frames(fuzzed: list[bytes]) -> None:
    for shape in shapes():
        data = bytes(ETHER / scapy.Dot1Q(vlan=3) / shape / b"payload")
        [whole] = decode(data)
        for end in range(len(data)):
            for length in (end, len(data)):
                for packet in decode(data[:end], length=length):
                    check(packet, Frame(0, data[:end], length))
                    assert (packet.source_ip, packet.destination_ip) == (whole.source_ip, whole.destination_ip)
                    assert packet.source_port in (0, whole.source_port)
                    assert packet.flags in (0, whole.flags)
    for data in fuzzed[:300]:
        check_all([Frame(0, data[:end], len(data)) for end in range(len(data))])


def test_every_capture_of_the_corpus_is_decoded_whole(corpus: Path) -> None:
    paths = sorted((corpus / "pcap").glob("*.pcap*"))
    assert paths
    for path in paths:
        decoder = Decoder()
        with path.open("rb") as file:
            for frames in read_frames(file):
                packets = decoder.decode(frames)
                for packet, frame in zip(packets, frames, strict=True):
                    check(packet, frame)
                    check_plain(packet, frame)
        assert decoder.malformed == decoder.truncated == decoder.unknown == 0, path
