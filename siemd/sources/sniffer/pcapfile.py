"""Capture files: pcap and pcapng, either byte order, as batches of frames, with limits and an honest end on damage."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from siemd.events import TIME_MAX_US, clamp_time_us

if TYPE_CHECKING:
    from siemd.sources.sniffer.frames import FrameBatch
    from siemd.sources.sniffer.packet import Frame

CHUNK_BYTES = 1 << 20
MAX_PACKET_BYTES = 1 << 20  # tcpdump and Wireshark stop at 256 KiB; segmentation offload makes up to 512 KiB
MAX_BLOCK_BYTES = 16 << 20
MAX_INTERFACES = 65_536

_PCAP_MAGIC = 0xA1B2C3D4
_PCAP_NANOSECONDS = 0xA1B23C4D
_PCAP_MODIFIED = 0xA1B2CD34  # Alexey Kuznetzov's libpcap: 8 more bytes in every packet header
_SECTION = b"\x0a\x0d\x0d\x0a"  # a palindrome, the same in either byte order
_ORDER_MAGIC = 0x1A2B3C4D
_INTERFACE_DESCRIPTION, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_OPTION_END, _OPTION_TSRESOL, _OPTION_TSOFFSET = 0, 9, 14


class FileFormatError(ValueError):
    """A file is not what it claims to be, or damaged. reason: in words. offset: the byte where it shows."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (at byte {offset})")
        self.reason = reason
        self.offset = offset


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with these bytes (12 or more) is a pcap or pcapng capture."""
    if head[:4] == _SECTION:
        return len(head) < 12 or _byte_order(head[8:12], _ORDER_MAGIC) is not None
    return _pcap_magic(head) is not None


def read_batches(file: BinaryIO) -> Iterator[FrameBatch]:
    """The frames of a capture from the file's position on, in batches, never an empty one.

    Raises FileFormatError when the file is no capture or damaged, after yielding the frames before the damage.
    """
    reader: _Pcap | _PcapNg | None = None
    buffer, at, base = b"", 0, 0  # base: the file offset of buffer[0]
    while True:
        chunk = file.read(max(CHUNK_BYTES, len(buffer) - at))
        base += at
        buffer, at = buffer[at:] + chunk, 0
        if chunk and len(buffer) < 4:
            continue
        damage: _DamageError | None = None
        try:
            if reader is None:
                reader = _Pcap() if _pcap_magic(buffer) is not None else _PcapNg()
            at = reader.read(buffer)
            if not chunk:
                reader.end(len(buffer) - at)
        except _DamageError as error:
            damage = error
        if reader is not None and reader.found:
            yield reader.batch(buffer)
            reader.found.clear()
        if damage is not None:
            raise FileFormatError(damage.reason, base + damage.at) from None
        if not chunk:
            return


def read_frames(file: BinaryIO) -> Iterator[list[Frame]]:
    """The same frames, each by itself."""
    for batch in read_batches(file):
        yield batch.frames()


class _DamageError(Exception):
    """A reason, and where in the buffer it shows."""

    def __init__(self, reason: str, at: int) -> None:
        self.reason = reason
        self.at = at


def _byte_order(data: bytes, *magics: int) -> str | None:
    """The struct prefix with which the data reads as one of the magic numbers."""
    if int.from_bytes(data, "little") in magics:
        return "<"
    return ">" if int.from_bytes(data, "big") in magics else None


def _pcap_magic(head: bytes) -> str | None:
    return _byte_order(head[:4], _PCAP_MAGIC, _PCAP_NANOSECONDS, _PCAP_MODIFIED)


class _Pcap:
    """The classic format: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/. found: where packets begin."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self._order = ""
        self._header_bytes = 0
        self._divisor = 1
        self._link_type = 0

    def read(self, buffer: bytes) -> int:
        """Find the packets that are whole in the buffer; returns the position behind them."""
        at = 0
        if not self._order:
            if len(buffer) < 24:
                return 0
            self._read_file_header(buffer)
            at = 24
        header_bytes, last = self._header_bytes, len(buffer)
        captured_at = Struct(f"{self._order}8xI").unpack_from
        found = self.found.append
        while at + header_bytes <= last:
            (captured,) = captured_at(buffer, at)
            end = at + header_bytes + captured
            if end > last or captured > MAX_PACKET_BYTES:
                if captured > MAX_PACKET_BYTES:
                    raise _DamageError(f"a packet of {captured} bytes, the limit is {MAX_PACKET_BYTES}", at)
                break
            found(at)
            at = end
        return at

    def batch(self, buffer: bytes) -> FrameBatch:
        """What was found in the buffer."""
        import numpy as np

        from siemd.sources.sniffer.frames import FrameBatch, gather

        memory, at = np.frombuffer(buffer, dtype=np.uint8), np.asarray(self.found, dtype=np.int64)
        headers = gather(memory, at, 16).view(f"{self._order}u4").reshape(-1, 4).astype(np.int64)
        seconds, fraction, captured, length = headers.T
        times_us = np.minimum(seconds * 1_000_000 + fraction // self._divisor, TIME_MAX_US)
        link_types = np.full(len(at), self._link_type)
        return FrameBatch(memory, at + self._header_bytes, captured, np.maximum(length, captured), times_us, link_types)

    def end(self, rest: int) -> None:
        """The file has ended with `rest` bytes unread."""
        if not self._order:
            raise _DamageError("the file ends in the middle of its header", 0)
        if rest:
            raise _DamageError("the file ends in the middle of a packet", 0)

    def _read_file_header(self, buffer: bytes) -> None:
        order = _pcap_magic(buffer) or ""
        magic, major, _, _, _, _, network = Struct(f"{order}IHHiIII").unpack_from(buffer)
        if major != 2:
            raise _DamageError(f"pcap version {major}, expected 2", 4)
        self._divisor = 1000 if magic == _PCAP_NANOSECONDS else 1
        self._link_type = network & 0xFFFF  # above: the length of frame check sequences
        self._header_bytes = 24 if magic == _PCAP_MODIFIED else 16
        self._order = order


class _Interface(NamedTuple):
    link_type: int
    snap_length: int
    units_per_s: int
    offset_us: int


class _PcapNg:
    """The block format: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/.

    found: of each packet its start, captured bytes, length, time and link type.
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int, int, int]] = []
        self._order = ""
        self._interfaces: list[_Interface] = []
        self._time_us = 0  # of the packet before, for simple packets, which have none

    def batch(self, buffer: bytes) -> FrameBatch:
        """What was found in the buffer."""
        import numpy as np

        from siemd.sources.sniffer.frames import FrameBatch

        columns = np.array(self.found, dtype=np.int64).T
        return FrameBatch(np.frombuffer(buffer, dtype=np.uint8), *columns)

    def read(self, buffer: bytes) -> int:
        """Find the packets of the blocks that are whole in the buffer; returns the position behind them."""
        at, last = 0, len(buffer)
        while at + 12 <= last:
            if buffer[at : at + 4] == _SECTION:
                order = _byte_order(buffer[at + 8 : at + 12], _ORDER_MAGIC)
                if order is None:
                    raise _DamageError("a pcapng section without a byte order", at + 8)
            elif self._order:
                order = self._order
            else:
                raise _DamageError("neither a pcap nor a pcapng file", at)
            kind, length = Struct(f"{order}II").unpack_from(buffer, at)
            if length < 12 or length % 4 or length > MAX_BLOCK_BYTES:
                raise _DamageError(f"a block of {length} bytes", at + 4)
            if at + length > last:
                break
            if Struct(f"{order}I").unpack_from(buffer, at + length - 4)[0] != length:
                raise _DamageError("a block whose two lengths differ", at + length - 4)
            self._read_block(order, kind, buffer, at + 8, at + length - 4)
            at += length
        return at

    def end(self, rest: int) -> None:
        """The file has ended with `rest` bytes unread."""
        if rest:
            raise _DamageError("the file ends in the middle of a block" if self._order else "not a capture file", 0)
        if not self._order:
            raise _DamageError("the file is empty", 0)

    def _read_block(self, order: str, kind: int, buffer: bytes, at: int, end: int) -> None:
        if kind == _ENHANCED_PACKET:
            if end - at < 20:
                raise _DamageError("a packet block that is too short", at)
            interface, high, low, captured, length = Struct(f"{order}IIIII").unpack_from(buffer, at)
            self._packet(interface, high << 32 | low, captured, length, at + 20, end)
        elif kind == _PACKET:
            if end - at < 20:
                raise _DamageError("a packet block that is too short", at)
            interface, _, high, low, captured, length = Struct(f"{order}HHIIII").unpack_from(buffer, at)
            self._packet(interface, high << 32 | low, captured, length, at + 20, end)
        elif kind == _SIMPLE_PACKET:
            if end - at < 4:
                raise _DamageError("a packet block that is too short", at)
            (length,) = Struct(f"{order}I").unpack_from(buffer, at)
            snap_length = self._interfaces[0].snap_length if self._interfaces else 0
            captured = min(length, snap_length or length, end - at - 4)
            self._packet(0, None, captured, length, at + 4, end)
        elif kind == _INTERFACE_DESCRIPTION:
            if len(self._interfaces) >= MAX_INTERFACES:
                raise _DamageError(f"more than {MAX_INTERFACES} interfaces", at)
            self._interfaces.append(_interface(order, buffer, at, end))
        elif buffer[at - 8 : at - 4] == _SECTION:
            self._read_section(order, buffer, at, end)

    def _read_section(self, order: str, buffer: bytes, at: int, end: int) -> None:
        if end - at < 16:
            raise _DamageError("a section header that is too short", at)
        (major,) = Struct(f"{order}H").unpack_from(buffer, at + 4)
        if major != 1:
            raise _DamageError(f"pcapng version {major}, expected 1", at + 4)
        self._order = order
        self._interfaces = []

    def _packet(
        self,
        interface: int,
        stamp: int | None,
        captured: int,
        length: int,
        at: int,
        end: int,
    ) -> None:
        if interface >= len(self._interfaces):
            raise _DamageError(f"a packet of interface {interface}, which is not described", at)
        if captured > end - at or captured > MAX_PACKET_BYTES:
            raise _DamageError(f"a packet of {captured} bytes in a block with room for {end - at}", at)
        link_type, _, units_per_s, offset_us = self._interfaces[interface]
        if stamp is not None:
            self._time_us = clamp_time_us(stamp * 1_000_000 // units_per_s + offset_us)
        self.found.append((at, captured, max(length, captured), self._time_us, link_type))


def _interface(order: str, buffer: bytes, at: int, end: int) -> _Interface:
    if end - at < 8:
        raise _DamageError("an interface block that is too short", at)
    link_type, snap_length = Struct(f"{order}HxxI").unpack_from(buffer, at)
    units_per_s, offset_us = 1_000_000, 0
    at += 8
    read_option = Struct(f"{order}HH").unpack_from
    while at + 4 <= end:
        code, length = read_option(buffer, at)
        value = buffer[at + 4 : min(end, at + 4 + length)]
        if code == _OPTION_END:
            break
        if code == _OPTION_TSRESOL and len(value) == 1:
            units_per_s = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _OPTION_TSOFFSET and len(value) == 8:
            offset_us = Struct(f"{order}q").unpack(value)[0] * 1_000_000
        at += 4 + (length + 3 & ~3)
    return _Interface(link_type, snap_length, units_per_s, offset_us)
