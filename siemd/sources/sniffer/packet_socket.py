"""Linux's packet socket, read by recvmmsg: many frames a system call, with the kernel's time stamps and VLAN tags.

Nothing is mapped or compiled, so it works on every Linux. `socket.recvmsg` costs a system call, an ioctl for the
interface's name and a dozen objects a frame; one recvmmsg into memory of a fixed layout costs one unpack and a slice.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from contextlib import suppress
from struct import Struct, pack

from siemd.events import clamp_time_us
from siemd.sources.sniffer.packet import Frame

SNAP_BYTES = 4096  # what is kept of a frame: headers, banners and whole DNS answers; its length is known regardless
SLOTS = 128

# <asm-generic/socket.h>, <linux/if_packet.h>, <linux/if_ether.h>, <linux/if_arp.h>
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE, _SO_ATTACH_FILTER = 35, 33, 26
SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 1, 6, 8
_PACKET_MR_PROMISC = 1
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
_ETH_P_ALL, ETH_P_8021Q = 0x0003, 0x8100
ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
LINK_ETHERNET, LINK_RAW, LINK_UNKNOWN = 1, 101, -1
IP_PROTOCOLS = frozenset((0x0800, 0x86DD))

_CONTROL_AT, _DATA_AT = 32, 160
_STRIDE = _DATA_AT + SNAP_BYTES
_CMSGHDR_BYTES = ctypes.sizeof(ctypes.c_size_t) + 8
# of sockaddr_ll: protocol, hardware type, packet type; of the time stamp's message: timespec; of tpacket_auxdata's:
# status, length, captured length, offset of the network header, VLAN tag and its ethertype
_read_record = Struct(f"@2x2s4xHB21x {_CMSGHDR_BYTES}xll {_CMSGHDR_BYTES}xIII2xHHH").unpack_from


class _IoVector(ctypes.Structure):  # struct iovec
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):  # struct msghdr
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = [("header", _Header), ("length", ctypes.c_uint)]


class ReceiveBuffer:
    """Memory for SLOTS frames with what the kernel says about each; may serve several sockets in turn."""

    def __init__(self) -> None:
        self._memory = bytearray(SLOTS * _STRIDE)
        self._view = memoryview(self._memory)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._vectors = (_IoVector * SLOTS)()
        self._messages = (_Message * SLOTS)()
        for slot in range(SLOTS):
            at = base + slot * _STRIDE
            self._vectors[slot] = _IoVector(at + _DATA_AT, SNAP_BYTES)
            vector = ctypes.addressof(self._vectors) + slot * ctypes.sizeof(_IoVector)
            header = _Header(at, _CONTROL_AT, vector, 1, at + _CONTROL_AT, _DATA_AT - _CONTROL_AT, 0)
            self._messages[slot] = _Message(header, 0)
        self._fresh = bytes(self._messages)
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg

    def receive(self, fileno: int, frames: list[Frame]) -> int:
        """Append what waits in the socket, at most SLOTS frames; returns how many were taken from it (0: none waits).

        Fewer are appended than taken where loopback's second copies are left out. Raises OSError.
        """
        ctypes.memmove(self._messages, self._fresh, len(self._fresh))  # the kernel wrote lengths into it
        count: int = self._recvmmsg(fileno, self._messages, SLOTS, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return 0
            raise OSError(number, os.strerror(number))
        self._append(count, frames)
        return count

    def _append(self, count: int, frames: list[Frame]) -> None:
        memory, view = self._memory, self._view
        for at in range(0, count * _STRIDE, _STRIDE):
            record = _read_record(memory, at)
            protocol, hardware, kind, seconds, nanoseconds, status, length, captured, network, tag, tag_protocol = (
                record
            )
            start = at + _DATA_AT
            data = bytes(view[start : start + min(captured, SNAP_BYTES)])
            link_type = LINK_ETHERNET
            if hardware == ARPHRD_LOOPBACK:
                if kind == socket.PACKET_OUTGOING:
                    continue  # it comes again as it arrives
            elif hardware != ARPHRD_ETHER:
                if int.from_bytes(protocol, "big") in IP_PROTOCOLS:  # tunnels, PPP: whatever is before the IP header
                    link_type, data, length = LINK_RAW, data[network:], length - network
                else:
                    link_type = LINK_UNKNOWN
            if status & TP_STATUS_VLAN_VALID and link_type == LINK_ETHERNET:
                if not status & TP_STATUS_VLAN_TPID_VALID:
                    tag_protocol = ETH_P_8021Q
                data = data[:12] + pack(">HH", tag_protocol, tag) + data[12:]
                length += 4
            frames.append(Frame(clamp_time_us(seconds * 1_000_000 + nanoseconds // 1000), data, length, link_type))


class KernelDrops:
    """How many frames the kernel has dropped for a packet socket since it was made, for want of room."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._total = 0

    def total(self) -> int:
        """Raises OSError when the socket is gone."""
        _, dropped = Struct("@II").unpack(self._socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, 8))
        self._total += dropped  # asking sets the kernel's counter to 0
        return self._total


def attach(opened: socket.socket, interface: str, program: bytes, *, promiscuous: bool) -> None:
    """Let a packet socket that hears nothing yet hear an interface, or all (`any`); raises OSError.

    program: classic BPF, which frames to let through; empty for all.
    """
    if program:
        held = ctypes.create_string_buffer(program, len(program))
        filter_program = pack("@HP", len(program) // 8, ctypes.addressof(held))
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)
    if interface == "any":
        _bind_to_all(opened)
        return
    index = socket.if_nametoindex(interface)
    if promiscuous:
        with suppress(OSError):  # tunnels and some virtual devices can't
            request = pack("@iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
            opened.setsockopt(SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
    opened.bind((interface, _ETH_P_ALL))


def _bind_to_all(opened: socket.socket) -> None:
    """Python's own bind wants the name of an interface."""
    address = pack("@HHi12x", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0)  # struct sockaddr_ll
    if ctypes.CDLL(None, use_errno=True).bind(opened.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class PacketSocket:
    """A packet socket on one interface, or on all at once (`any`)."""

    def __init__(
        self, interface: str, memory: ReceiveBuffer, program: bytes = b"", *, promiscuous: bool, buffer_bytes: int
    ) -> None:
        """Raises OSError: no right, no such interface. buffer_bytes is a wish, see the attribute of that name."""
        self.interface = interface
        self._memory = memory
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing until it is bound
        try:
            self._prepare(buffer_bytes)
            attach(self._socket, interface, program, promiscuous=promiscuous)
        except BaseException:
            self._socket.close()
            raise
        self.buffer_bytes = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux doubles it
        self.drops = KernelDrops(self._socket).total

    def _prepare(self, buffer_bytes: int) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(SOL_PACKET, _PACKET_AUXDATA, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
        except OSError:  # needs CAP_NET_ADMIN; without it up to net.core.rmem_max
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def receive(self, frames: list[Frame]) -> int:
        """See ReceiveBuffer.receive."""
        return self._memory.receive(self._socket.fileno(), frames)

    def close(self) -> None:
        """Stop; the kernel ends promiscuous mode with it."""
        self._socket.close()
