"""Frames a CPU second from a file to packets and to facts, against scapy, dpkt and tshark on the same file."""

from __future__ import annotations

import resource
import struct
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.pcapfile import read_batches, read_frames
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream
from support.needs import find

FRAMES = 200_000  # so many that tshark's start does not count
SCAPY_FRAMES = 20_000  # of them, which take it long enough
CONNECTION_FRAMES = 500
_CLIENT = struct.pack(">H", 40_000)  # its port
ROUNDS = 3  # of siemd; for the others one is long enough
READ, DECODED, OBSERVED = "frames read from a pcap", "frames read and decoded", "frames read, decoded and observed"


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
    """Each connection goes on for some hundred frames: in one without end tshark would search ever longer."""
    templates = _templates()
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(FRAMES):
            client = struct.pack(">H", 1024 + number // CONNECTION_FRAMES)
            data = templates[number % len(templates)].replace(_CLIENT, client, 1)
            file.write(struct.pack("<IIII", 1_700_000_000, number, len(data), len(data)) + data)


def _frames_a_second(work: Callable[[], int], rounds: int) -> float:
    best = 0.0
    for _ in range(rounds):
        started_s = _cpu_s()
        frames = work()
        best = max(best, frames / (_cpu_s() - started_s))
        assert frames in (FRAMES, SCAPY_FRAMES)
    return best


def _cpu_s() -> float:
    """Of this process and those that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _siemd(path: Path) -> dict[str, Callable[[], int]]:
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

    return {
        READ: read,
        DECODED: decode,
        OBSERVED: observe,
    }


def _others(path: Path) -> dict[str, Callable[[], int]]:
    import dpkt
    from scapy.sendrecv import sniff
    from scapy.utils import RawPcapReader

    def with_scapy() -> int:
        counted = [0]

        def count(_: object) -> None:
            counted[0] += 1

        sniff(offline=str(path), prn=count, store=False, count=SCAPY_FRAMES)
        return counted[0]

    def with_scapy_raw() -> int:
        with RawPcapReader(str(path)) as reader:
            return sum(1 for _ in reader)

    def with_dpkt() -> int:
        count = 0
        with path.open("rb") as file:
            for _, data in dpkt.pcap.Reader(file):
                dpkt.ethernet.Ethernet(data)
                count += 1
        return count

    def with_tshark() -> int:
        command = ("tshark", "-n", "-r", str(path))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout
            return sum(1 for _ in process.stdout)

    others = {
        "scapy's sniff": with_scapy,
        "scapy's RawPcapReader": with_scapy_raw,
        "dpkt's Ethernet": with_dpkt,
    }
    return others | ({"tshark -n -r": with_tshark} if find("tshark") else {})


def run() -> list[tuple[str, str]]:
    """What siemd does of it, what others do, and the ratios."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder, "bench.pcap")
        _write_capture(path)
        ours = {name: _frames_a_second(work, ROUNDS) for name, work in _siemd(path).items()}
        theirs = {name: _frames_a_second(work, 1) for name, work in _others(path).items()}
    figures = [(name, f"{rate / 1e3:,.1f} thousand per CPU second") for name, rate in (ours | theirs).items()]
    for name, rate in theirs.items():
        ratios = ", ".join(f"{ours[own] / rate:,.1f}" for own in (READ, DECODED, OBSERVED))
        figures.append((f"reading, decoding, observing against {name}", f"{ratios} times"))
    if not find("tshark"):
        figures.append(("tshark", "not there: apt-get install tshark"))
    return figures
