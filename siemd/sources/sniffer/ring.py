"""Linux's packet ring: the kernel writes frames into memory that is mapped here, and numpy reads it where it lies.

TPACKET_V2 (Documentation/networking/packet_mmap.rst): slots of a fixed size, each with a header whose status says
whose it is. No system call a frame, no object a frame: what a batch of frames costs is a few vector operations.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from struct import pack
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from siemd.sources.sniffer.frames import FrameBatch, Mask, Memory, Numbers, merged
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.packet_socket import (
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ETH_P_8021Q,
    IP_PROTOCOLS,
    LINK_ETHERNET,
    LINK_RAW,
    LINK_UNKNOWN,
    SOL_PACKET,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    KernelDrops,
    attach,
)

SLOT_BYTES = 2048  # a full Ethernet frame and the header before it
MAX_FRAMES = 1024  # in one batch, of each interface: small, since the ring is emptied between two batches
_BLOCK_BYTES = 64 << 10  # what the kernel allocates at a time

_PACKET_RX_RING, _PACKET_VERSION, _TPACKET_V2 = 5, 10, 1
_TP_STATUS_KERNEL, _TP_STATUS_USER = 0, 1
_MAP_SHARED, _MAP_FIXED, _PROT_READ_WRITE = 0x01, 0x10, 0x3
_TAG_BYTES, _MACS_BYTES = 4, 12

Slots: TypeAlias = npt.NDArray[np.void]

# struct tpacket2_hdr, and behind it struct sockaddr_ll
_SLOT = np.dtype(
    {
        "names": [
            "status",
            "length",
            "captured",
            "mac",
            "network",
            "seconds",
            "nanoseconds",
            "tag",
            "tag_protocol",
            "protocol",
            "hardware",
            "kind",
        ],
        "formats": ["u4", "u4", "u4", "u2", "u2", "u4", "u4", "u2", "u2", ">u2", "u2", "u1"],
        "offsets": [0, 4, 8, 12, 14, 16, 20, 24, 26, 34, 40, 42],
        "itemsize": SLOT_BYTES,
    }
)


class RingUnavailable(Exception):
    """This kernel or container does not give a ring, or not one so large; says why."""


class Ring:
    """The ring of one socket: a part of the memory that all rings share."""

    def __init__(
        self, interface: str, memory: Memory, at: int, size: int, program: bytes, *, promiscuous: bool
    ) -> None:
        """Raises OSError (no right, no such interface) or RingUnavailable."""
        self.interface = interface
        self._memory = memory
        self._at = at
        self._slots = memory[at : at + size].view(_SLOT)
        self._next = 0
        self._taken = slice(0, 0)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing until it is bound
        try:
            self._prepare(size)
            attach(self.socket, interface, program, promiscuous=promiscuous)
        except BaseException:
            self.socket.close()
            raise
        self.drops = KernelDrops(self.socket).total

    def _prepare(self, size: int) -> None:
        request = pack("@IIII", _BLOCK_BYTES, size // _BLOCK_BYTES, SLOT_BYTES, size // SLOT_BYTES)
        try:
            self.socket.setsockopt(SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
            self.socket.setsockopt(SOL_PACKET, _PACKET_RX_RING, request)
            _map(self._memory[self._at : self._at + size], self.socket.fileno())
        except OSError as error:
            raise RingUnavailable(f"{size >> 20} MiB for {self.interface}: {error.strerror}") from None

    def release(self) -> None:
        """Give back what was taken."""
        self._slots["status"][self._taken] = _TP_STATUS_KERNEL
        self._taken = slice(0, 0)

    def take(self) -> FrameBatch | None:
        """What waits, at most MAX_FRAMES, without loopback's second copies; the rest of the memory comes next time."""
        first = self._next
        status = self._slots["status"][first : first + MAX_FRAMES]
        ready = (status & _TP_STATUS_USER) != 0
        count = len(ready) if ready.all() else int(ready.argmin())
        if not count:
            return None
        self._taken = slice(first, first + count)
        self._next = (first + count) % len(self._slots)
        return self._batch(first, count)

    def _batch(self, first: int, count: int) -> FrameBatch:
        slots = self._slots[first : first + count]
        begin = self._at + SLOT_BYTES * np.arange(first, first + count, dtype=np.int64)
        batch = FrameBatch(
            self._memory,
            begin + slots["mac"],
            slots["captured"].astype(np.int64),
            slots["length"].astype(np.int64),
            slots["seconds"].astype(np.int64) * 1_000_000 + slots["nanoseconds"] // 1000,
            np.full(count, LINK_ETHERNET, dtype=np.int64),
        )
        hardware = slots["hardware"]
        ethernet = hardware == ARPHRD_ETHER
        if not ethernet.all():
            ethernet |= hardware == ARPHRD_LOOPBACK
            _other_links(batch, slots, begin, ethernet)
        tagged = ((slots["status"] & TP_STATUS_VLAN_VALID) != 0) & ethernet
        if tagged.any():
            _put_back_tags(batch, slots, tagged)
        again = (hardware == ARPHRD_LOOPBACK) & (slots["kind"] == socket.PACKET_OUTGOING)
        return batch.only(~again) if again.any() else batch  # they come again as they arrive

    def check(self) -> None:
        """Raises OSError, once, when the interface has gone down or is gone."""
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))

    def fileno(self) -> int:
        """For poll."""
        return self.socket.fileno()

    def close(self) -> None:
        """Stop; the kernel ends promiscuous mode with it."""
        self.socket.close()


def _other_links(batch: FrameBatch, slots: Slots, begin: Numbers, ethernet: Mask) -> None:
    """Tunnels, PPP: whatever is before the IP header is left out."""
    ip = ~ethernet & np.isin(slots["protocol"], list(IP_PROTOCOLS))
    batch.link_types[~ethernet] = LINK_UNKNOWN
    batch.link_types[ip] = LINK_RAW
    skipped = (slots["network"].astype(np.int64) - slots["mac"])[ip]
    batch.starts[ip] = (begin + slots["network"])[ip]
    batch.lengths[ip] -= skipped
    batch.captured[ip] = np.maximum(batch.captured[ip] - skipped, 0)


def _put_back_tags(batch: FrameBatch, slots: Slots, tagged: Mask) -> None:
    """Into the slots themselves: before the frame there is room (as libpcap does)."""
    memory = batch.memory
    starts = batch.starts[tagged]
    status, tags, protocols = (slots[name][tagged] for name in ("status", "tag", "tag_protocol"))
    protocols = np.where(status & TP_STATUS_VLAN_TPID_VALID, protocols, ETH_P_8021Q)
    macs = memory[starts[:, None] + np.arange(_MACS_BYTES)]
    starts -= _TAG_BYTES
    memory[starts[:, None] + np.arange(_MACS_BYTES)] = macs
    for at, value in enumerate((protocols >> 8, protocols & 0xFF, tags >> 8, tags & 0xFF)):
        memory[starts + _MACS_BYTES + at] = value
    batch.starts[tagged] = starts
    batch.captured[tagged] += _TAG_BYTES
    batch.lengths[tagged] += _TAG_BYTES


class Rings:
    """Rings on several interfaces (one of them may be `any`), side by side in one memory, so that they merge."""

    def __init__(
        self, interfaces: Sequence[str], programs: Sequence[bytes], *, promiscuous: bool, buffer_bytes: int
    ) -> None:
        """programs: the filter of each (see packet_socket.attach). buffer_bytes: of each.

        Raises RingUnavailable, or OSError, whose `filename` is the interface.
        """
        size = max(1, buffer_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
        # Reserved, not used: each ring is mapped over its part. Lives as long as a batch refers to it.
        try:
            memory = np.frombuffer(mmap.mmap(-1, size * len(interfaces) + SLOT_BYTES), dtype=np.uint8)
        except (OSError, OverflowError) as error:
            raise RingUnavailable(f"{size >> 20} MiB for each interface: {error}") from None
        self._rings: list[Ring] = []
        self._size = size
        self._copied: deque[FrameBatch] = deque()
        self._copied_bytes = 0
        for number, (interface, program) in enumerate(zip(interfaces, programs, strict=True)):
            try:
                self._rings.append(Ring(interface, memory, number * size, size, program, promiscuous=promiscuous))
            except BaseException as error:
                self.close()
                if isinstance(error, OSError):
                    error.filename = interface
                raise

    def __iter__(self) -> Iterator[Ring]:
        return iter(self._rings)

    def release(self) -> None:
        """Give back to the kernel what was taken."""
        for ring in self._rings:
            ring.release()

    def take(self) -> list[Frame] | FrameBatch:
        """What waits in all of them, in the order of time; `release` what was taken before.

        When much waits, it is copied out of the rings at once, up to the size of one, so that a burst of small frames,
        each of which fills a slot, costs none of them.
        """
        if not self._copied:
            batch = self._take()
            if batch is None:
                return []
            if len(batch) < MAX_FRAMES:
                return batch
            self._copy(batch)
        while self._copied_bytes < self._size:
            self.release()
            batch = self._take()
            if batch is None:
                break
            self._copy(batch)
        self.release()
        oldest = self._copied.popleft()
        self._copied_bytes -= len(oldest.memory)
        return oldest

    def _take(self) -> FrameBatch | None:
        batches = [batch for ring in self._rings if (batch := ring.take()) is not None]
        return merged(batches) if batches else None

    def _copy(self, batch: FrameBatch) -> None:
        copied = batch.copied()
        self._copied.append(copied)
        self._copied_bytes += len(copied.memory)

    def close(self) -> None:
        """Stop capturing."""
        for ring in self._rings:
            ring.close()
        self._rings.clear()
        self._copied.clear()


def _map(memory: Memory, fileno: int) -> None:
    """Map a socket's ring over memory that was reserved for it; raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    wanted = memory.ctypes.data
    flags = _MAP_SHARED | _MAP_FIXED
    if library.mmap(wanted, memory.nbytes, _PROT_READ_WRITE, flags, fileno, 0) != wanted:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
