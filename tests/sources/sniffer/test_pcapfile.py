"""pcap and pcapng in every variant, written here by hand or by scapy, and damaged in every way."""

from __future__ import annotations

import io
import struct
import warnings
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import TIME_MAX_US
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.pcapfile import (
    CHUNK_BYTES,
    MAX_BLOCK_BYTES,
    MAX_PACKET_BYTES,
    FileFormatError,
    is_capture,
    read_frames,
)

TIME_US = 1_700_000_000_123_456
MICROSECONDS, NANOSECONDS, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
Packets = list[tuple[int, bytes]]


def frames_of(data: bytes) -> list[Frame]:
    return list(chain.from_iterable(read_frames(io.BytesIO(data))))


def until_damage(data: bytes) -> tuple[list[Frame], FileFormatError | None]:
    """The frames before the damage, and the damage."""
    frames: list[Frame] = []
    try:
        for batch in read_frames(io.BytesIO(data)):
            assert batch
            frames += batch
    except FileFormatError as error:
        return frames, error
    return frames, None


def pcap(packets: Packets, *, order: str = "<", magic: int = MICROSECONDS, link_type: int = 1) -> bytes:
    """A classic capture; packets are (time in microseconds, bytes)."""
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)]
    factor = 1000 if magic == NANOSECONDS else 1
    for time_us, data in packets:
        seconds, fraction = divmod(time_us, 1_000_000)
        parts.append(struct.pack(f"{order}IIII", seconds, fraction * factor, len(data), len(data)))
        parts.append(b"extra8by" if magic == MODIFIED else b"")
        parts.append(data)
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<", major: int = 1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, major, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(link_type: int = 1, *, order: str = "<", snap: int = 0, options: bytes = b"") -> bytes:
    end = option(0, b"", order) if options else b""
    return block(1, struct.pack(f"{order}HHI", link_type, 0, snap) + options + end, order)


def enhanced(stamp: int, data: bytes, *, number: int = 0, order: str = "<", length: int = 0) -> bytes:
    head = struct.pack(f"{order}IIIII", number, stamp >> 32, stamp & 0xFFFFFFFF, len(data), length or len(data))
    return block(6, head + data, order)


def obsolete(stamp: int, data: bytes, *, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(f"{order}HHIIII", number, 3, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data))
    return block(2, head + data, order)


class TestPcap:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS, MODIFIED])
    def test_both_orders_and_every_magic(self, order: str, magic: int) -> None:
        data = pcap([(TIME_US, b"one"), (TIME_US + 5, b"two!")], order=order, magic=magic, link_type=113)
        assert is_capture(data[:12])
        assert frames_of(data) == [Frame(TIME_US, b"one", 3, 113), Frame(TIME_US + 5, b"two!", 4, 113)]

    def test_the_length_on_the_wire(self) -> None:
        head = pcap([])
        assert frames_of(head + struct.pack("<IIII", 1, 2, 3, 1500) + b"cut")[0].length == 1500
        assert frames_of(head + struct.pack("<IIII", 1, 2, 3, 0) + b"cut")[0].length == 3

    def test_a_frame_check_sequence_in_the_link_type(self) -> None:
        assert frames_of(pcap([(1, b"x")], link_type=0x2400_0001))[0].link_type == 1

    def test_times_are_clamped(self) -> None:
        data = pcap([]) + struct.pack("<IIII", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0)
        assert frames_of(data)[0].time_us == TIME_MAX_US

    def test_many_chunks(self) -> None:
        packets = [(TIME_US + number, bytes([number % 256]) * (number % 1500)) for number in range(6000)]
        data = pcap(packets)
        assert len(data) > 4 * CHUNK_BYTES
        assert [(frame.time_us, frame.data) for frame in frames_of(data)] == packets

    def test_a_packet_larger_than_a_chunk(self) -> None:
        large = b"x" * MAX_PACKET_BYTES
        assert [frame.data for frame in frames_of(pcap([(1, b"a"), (2, large), (3, b"b")]))] == [b"a", large, b"b"]

    def test_an_empty_capture_is_no_damage(self) -> None:
        assert frames_of(pcap([])) == []

    def test_damage_says_what_and_where(self) -> None:
        good = pcap([(1, b"one"), (2, b"two")])
        frames, error = until_damage(good + struct.pack("<IIII", 1, 1, MAX_PACKET_BYTES + 1, 9) + bytes(99))
        assert [frame.data for frame in frames] == [b"one", b"two"]
        assert error is not None
        assert error.offset == len(good)
        assert str(MAX_PACKET_BYTES + 1) in error.reason
        frames, error = until_damage(good[:-1])
        assert [frame.data for frame in frames] == [b"one"]
        assert error is not None and "middle of a packet" in str(error) and error.offset == 24 + 19

    def test_an_offset_beyond_the_first_chunk(self) -> None:
        good = pcap([(number, bytes(1000)) for number in range(1000)])
        frames, error = until_damage(good + b"rest")
        assert len(frames) == 1000
        assert error is not None and error.offset == len(good)

    def test_a_version_of_the_future(self) -> None:
        with pytest.raises(FileFormatError, match="version 3"):
            frames_of(struct.pack("<IHHiIII", MICROSECONDS, 3, 0, 0, 0, 65535, 1))


class TestPcapNg:
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_every_packet_block(self, order: str) -> None:
        simple = block(3, struct.pack(f"{order}I", 9) + b"simp", order)
        data = b"".join(
            (
                section(order),
                interface(1, order=order, snap=4),
                enhanced(TIME_US, b"enhanced", order=order, length=70),
                obsolete(TIME_US + 1, b"old", order=order),
                simple,
            )
        )
        assert is_capture(data[:12])
        assert frames_of(data) == [
            Frame(TIME_US, b"enhanced", 70, 1),
            Frame(TIME_US + 1, b"old", 3, 1),
            Frame(TIME_US + 1, b"simp", 9, 1),  # it has no time of its own
        ]

    @pytest.mark.parametrize(
        ("resolution", "units_per_s"),
        [(6, 10**6), (9, 10**9), (3, 10**3), (0, 1), (0x80 | 20, 1 << 20), (0x80 | 32, 1 << 32)],
    )
    def test_time_resolutions(self, resolution: int, units_per_s: int) -> None:
        data = section() + interface(options=option(2, b"eth0") + option(9, bytes([resolution])))
        stamp = TIME_US * units_per_s // 1_000_000
        [frame] = frames_of(data + enhanced(stamp, b"x"))
        assert frame.time_us == stamp * 1_000_000 // units_per_s

    def test_time_offset(self) -> None:
        options = option(14, struct.pack("<q", 1_600_000_000))
        [frame] = frames_of(section() + interface(options=options) + enhanced(5, b"x"))
        assert frame.time_us == 1_600_000_000_000_005

    def test_each_interface_has_its_own_link_type_and_resolution(self) -> None:
        data = section() + interface(1) + interface(276, options=option(9, b"\x09"))
        data += enhanced(TIME_US, b"a", number=0) + enhanced(TIME_US * 1000, b"b", number=1)
        assert [(f.link_type, f.time_us) for f in frames_of(data)] == [(1, TIME_US), (276, TIME_US)]

    def test_sections_of_different_byte_order(self) -> None:
        data = section("<") + interface(1) + enhanced(1, b"little")
        data += section(">") + interface(101, order=">") + enhanced(2, b"big", order=">")
        assert frames_of(data) == [Frame(1, b"little", 6, 1), Frame(2, b"big", 3, 101)]

    def test_other_blocks_are_passed_over(self) -> None:
        others = [block(kind, bytes(range(40))) for kind in (4, 5, 7, 10, 0xBAD, 0x80000001)]
        assert len(frames_of(section() + others[0] + interface() + b"".join(others) + enhanced(1, b"x"))) == 1

    def test_a_large_foreign_block(self) -> None:
        data = section() + interface() + block(0xBAD, bytes(3 << 20)) + enhanced(1, b"x")
        assert len(frames_of(data)) == 1

    def test_interfaces_end_with_their_section(self) -> None:
        frames, error = until_damage(section() + interface() + enhanced(1, b"x") + section() + enhanced(2, b"y"))
        assert len(frames) == 1
        assert error is not None and "interface 0" in error.reason

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (block(6, bytes(8)), "too short"),
            (block(2, bytes(8)), "too short"),
            (block(3, b""), "too short"),
            (block(1, b""), "too short"),
            (struct.pack("<II", 6, 11) + bytes(40), "block of 11 bytes"),
            (struct.pack("<II", 6, 34) + bytes(40), "block of 34 bytes"),
            (struct.pack("<II", 6, MAX_BLOCK_BYTES + 4) + bytes(40), "block of"),
            (struct.pack("<II", 5, 16) + bytes(40), "two lengths differ"),
            (enhanced(1, b"x", number=7), "interface 7"),
            (block(6, struct.pack("<IIIII", 0, 0, 0, 400, 400) + b"short"), "400 bytes"),
            (section(major=2), "version 2"),
            (b"\x0a\x0d\x0d\x0a" + struct.pack("<II", 28, 7) + bytes(16), "byte order"),
            (enhanced(1, b"cut in the middle")[:-9], "middle of a block"),
        ],
    )
    def test_damage_says_what_and_where(self, damage: bytes, reason: str) -> None:
        good = section() + interface() + enhanced(1, b"good")
        frames, error = until_damage(good + damage)
        assert [frame.data for frame in frames] == [b"good"]
        assert error is not None
        assert reason in error.reason
        assert len(good) <= error.offset < len(good) + len(damage) + 4


@pytest.mark.parametrize("data", [b"", b"GIF89a is no capture", b"\x0a\x0d", b"{}", bytes(100)])
def test_what_is_no_capture(data: bytes) -> None:
    assert not is_capture(data)
    with pytest.raises(FileFormatError):
        frames_of(data)


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_what_scapy_writes(tmp_path: Path, suffix: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scapy.layers.inet import IP, UDP
        from scapy.layers.l2 import Ether
        from scapy.utils import wrpcap, wrpcapng
    packets: list[Any] = [
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=number)
        for number in range(50)
    ]
    for number, packet in enumerate(packets):
        packet.time = 1_700_000_000 + number
    path = tmp_path / f"scapy.{suffix}"
    (wrpcap if suffix == "pcap" else wrpcapng)(str(path), packets)
    with path.open("rb") as file:
        frames = list(chain.from_iterable(read_frames(file)))
    assert [frame.data for frame in frames] == [bytes(packet) for packet in packets]
    assert [frame.time_us for frame in frames] == [(1_700_000_000 + number) * 1_000_000 for number in range(50)]


good_files = st.sampled_from(
    [
        pcap([(TIME_US + number, bytes(number)) for number in range(9)]),
        pcap([(TIME_US + number, bytes(number)) for number in range(9)], order=">", magic=NANOSECONDS),
        section() + interface() + b"".join(enhanced(number, bytes(number)) for number in range(5)) + block(5, bytes(8)),
        section(">") + interface(order=">") + obsolete(4, b"x", order=">") + enhanced(4, b"xyz", order=">"),
    ]
)


@settings(max_examples=1000, deadline=None)
@given(good_files, st.data())
def test_damage_anywhere_ends_in_an_error_or_in_frames(good: bytes, data: st.DataObject) -> None:
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    frames, error = until_damage(bytes(damaged))
    assert all(0 <= frame.time_us <= TIME_MAX_US and len(frame.data) <= frame.length for frame in frames)
    assert error is None or 0 <= error.offset <= len(damaged)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", pcap([]), section(), section() + interface()]))
def test_any_bytes(tail: bytes, head: bytes) -> None:
    until_damage(head + tail)
    is_capture(tail)


def test_every_prefix_yields_what_was_whole() -> None:
    packets = [(TIME_US + number, bytes([number]) * number) for number in range(20)]
    for whole in (pcap(packets), section() + interface() + b"".join(enhanced(*packet) for packet in packets)):
        for end in range(len(whole)):
            frames, _ = until_damage(whole[:end])
            assert [(frame.time_us, frame.data) for frame in frames] == packets[: len(frames)]
        assert len(frames_of(whole)) == 20


@pytest.mark.parametrize("step", [1, 7])
def test_a_file_that_gives_a_few_bytes_at_a_time(step: int) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or step, step))

    packets = [(TIME_US + number, bytes([number]) * number) for number in range(20)]
    frames = list(chain.from_iterable(read_frames(Trickle(pcap(packets)))))
    assert [(frame.time_us, frame.data) for frame in frames] == packets


def test_every_capture_of_the_corpus_is_readable(corpus: Path) -> None:
    for path in sorted((corpus / "pcap").glob("*.pcap*")):
        with path.open("rb") as file:
            assert is_capture(file.read(12))
            file.seek(0)
            assert sum(map(len, read_frames(file))) > 0
