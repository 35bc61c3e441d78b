"""Frames taken from the kernel per CPU second: siemd's ring and recvmmsg against scapy's recv_raw; needs root."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Callable
from functools import partial

from siemd.sources.sniffer.capture import Backend, Capture
from support.needs import is_root
from support.own_network import connect, fresh_network

FRAMES = 20_000  # fit into the kernel's buffer, so that only the reading is measured
BUFFER_BYTES = 64 << 20
_FRAME = bytes.fromhex("020000000002020000000001 0800 4500002c000100004006 0000 0a000001 0a000002") + bytes(30)


def _measured(prepare: Callable[[], Callable[[], int]]) -> float:
    """Frames per CPU second of reading what waits."""
    best = 0.0
    for _ in range(3):
        read = prepare()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind(("near", 0))
            for _ in range(FRAMES):
                sender.send(_FRAME)
        started_s = time.process_time()
        frames = read()
        best = max(best, frames / (time.process_time() - started_s))
        assert frames >= FRAMES
    return best


def _siemd(backend: Backend) -> Callable[[], int]:
    capture = Capture("far", backend, buffer_bytes=BUFFER_BYTES)
    capture.open()

    def read() -> int:
        count = 0
        while frames := capture.read(0):
            count += len(frames)
        capture.close()
        return count

    return read


def _scapy() -> Callable[[], int]:
    from scapy.arch.linux import L2ListenSocket

    listener = L2ListenSocket(iface="far", promisc=True)
    listener.ins.setsockopt(socket.SOL_SOCKET, 33, BUFFER_BYTES)  # SO_RCVBUFFORCE
    listener.ins.setblocking(False)

    def read() -> int:
        count = 0
        try:
            while True:
                listener.recv_raw()
                count += 1
        except BlockingIOError:
            listener.close()
            return count

    return read


def run() -> list[tuple[str, str]]:
    """Both, and the ratio."""
    if not is_root():
        return [("frames from a packet socket", "needs root")]
    with warnings.catch_warnings(), fresh_network():
        warnings.simplefilter("ignore")
        connect("near", "far")
        ring_s, siemd_s = (_measured(partial(_siemd, backend)) for backend in ("ring", "raw"))
        scapy_s = _measured(_scapy)
    return [
        ("frames from a packet ring, siemd", f"{ring_s / 1e3:,.0f} thousand per CPU second"),
        ("frames from a packet socket, siemd (recvmmsg)", f"{siemd_s / 1e3:,.0f} thousand per CPU second"),
        (
            "frames from a packet socket, scapy (recv_raw, no dissection)",
            f"{scapy_s / 1e3:,.0f} thousand per CPU second",
        ),
        ("capturing against scapy", f"{siemd_s / scapy_s:.1f} times"),
    ]
