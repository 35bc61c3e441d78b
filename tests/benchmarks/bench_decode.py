"""Frames a CPU second from a file to packets and to facts, against scapy's sniff(offline=…, prn=…) on the same file."""

from __future__ import annotations

import struct
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.pcapfile import read_batches, read_frames
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream

FRAMES = 20_000
ROUNDS = 5  # of siemd; scapy takes long enough for one


def _templates() -> list[bytes]:
    """Twenty frames in the mixture of an office: web, names, pings, ARP, some IPv6 and VLAN."""
    from scapy.layers.dns import DNS, DNSQR
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Dot1Q, Ether

    link = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    options = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
    stacks = [
        *[link / ip / TCP(sport=40000, dport=443, flags="A", options=options)] * 5,
        *[link / ip / TCP(sport=443, dport=40000, flags="PA", options=options) / bytes(1200)] * 5,
        *[link / ip / TCP(sport=40000, dport=22, flags="S", options=[("MSS", 1460)])] * 2,
        *[link / ip / UDP(sport=40000, dport=53) / DNS(qd=DNSQR(qname="www.example.org"))] * 3,
        link / ip / ICMP(type=8, id=7) / bytes(56),
        link / ARP(psrc="10.0.0.1", pdst="10.0.0.2"),
        link / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=40000, dport=443, flags="A"),
        link / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=40000, dport=443) / bytes(1200),
        link / Dot1Q(vlan=7) / ip / TCP(sport=40000, dport=443, flags="A"),
    ]
    return [bytes(stack) for stack in stacks]


def _write_capture(path: Path) -> None:
    templates = _templates()
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(FRAMES):
            data = templates[number % len(templates)]
            file.write(struct.pack("<IIII", 1_700_000_000, number, len(data), len(data)) + data)


def _frames_a_second(work: Callable[[], int], rounds: int) -> float:
    best = 0.0
    for _ in range(rounds):
        started_s = time.process_time()
        frames = work()
        best = max(best, frames / (time.process_time() - started_s))
        assert frames == FRAMES
    return best


def run() -> list[tuple[str, str]]:
    """Reading alone, decoding, observing, scapy, and the ratios."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        from scapy.sendrecv import sniff

        path = Path(folder, "bench.pcap")
        _write_capture(path)

        def read() -> int:
            with path.open("rb") as file:
                return sum(map(len, read_frames(file)))

        def decode() -> int:
            decoder = Decoder()
            with path.open("rb") as file:
                return sum(len(decoder.decode(frames)) for frames in read_frames(file))

        def observe() -> int:
            stream = Stream(Sensor(SensorConfig()))
            with path.open("rb") as file:
                for frames in read_batches(file):
                    stream.feed(frames)
            stream.sensor.finish()
            return stream.packets

        def with_dpkt() -> int:
            import dpkt

            count = 0
            with path.open("rb") as file:
                for _, data in dpkt.pcap.Reader(file):
                    dpkt.ethernet.Ethernet(data)
                    count += 1
            return count

        def scapy() -> int:
            counted = [0]

            def count(_: object) -> None:
                counted[0] += 1

            sniff(offline=str(path), prn=count, store=False)
            return counted[0]

        read_s, decode_s, observe_s = (_frames_a_second(work, ROUNDS) for work in (read, decode, observe))
        scapy_s = _frames_a_second(scapy, 1)
        dpkt_s = _frames_a_second(with_dpkt, 1)
    return [
        ("frames read from a pcap", f"{read_s / 1e3:,.0f} thousand per CPU second"),
        ("frames read and decoded", f"{decode_s / 1e3:,.0f} thousand per CPU second"),
        ("frames read, decoded and observed", f"{observe_s / 1e3:,.0f} thousand per CPU second"),
        ("scapy: sniff(offline=…, prn=…)", f"{scapy_s / 1e3:,.1f} thousand per CPU second"),
        ("dpkt: Ethernet(…), no facts", f"{dpkt_s / 1e3:,.1f} thousand per CPU second"),
        ("decoding against scapy", f"{decode_s / scapy_s:,.0f} times"),
        ("decoding and observing against scapy", f"{observe_s / scapy_s:,.0f} times"),
        ("decoding and observing against dpkt", f"{observe_s / dpkt_s:,.0f} times"),
    ]
