"""Capture through Npcap (or any libpcap) by scapy's listening socket; Windows has no packet sockets of its own.

Tried on Linux with libpcap only: no Windows was at hand. Scapy is imported when a capture opens, never before.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any

from siemd.events import clamp_time_us
from siemd.sources.sniffer.capture import CaptureError
from siemd.sources.sniffer.packet import Frame

MAX_FRAMES = 128
_HINT = "install Npcap from https://npcap.com and start siemd as administrator"


class PcapSocket:
    """One interface through libpcap, never waiting."""

    def __init__(self, interface: str, expression: str = "", *, promiscuous: bool, buffer_bytes: int) -> None:
        """expression: a filter, empty for none. Raises CaptureError.

        Npcap's own buffer is used: scapy can't set its size before it opens.
        """
        conf = _scapy()
        from scapy.arch.libpcap import L2pcapListenSocket

        self.interface = interface
        self.buffer_bytes = buffer_bytes
        try:
            self._socket = L2pcapListenSocket(iface=interface, promisc=promiscuous, filter=expression or None)
        except (OSError, ValueError) as error:
            raise CaptureError(f"cannot capture on {interface}: {error}", _HINT) from None
        self._socket.pcap_fd.setnonblock(True)
        self._link_type = self._socket.pcap_fd.datalink()
        self._conf = conf

    def fileno(self) -> int:
        """Not for poll on Windows."""
        return int(self._socket.fileno())

    def receive(self, frames: list[Frame]) -> int:
        """Append what waits, at most MAX_FRAMES; returns how many."""
        wrapper = self._socket.pcap_fd
        for taken in range(MAX_FRAMES):
            time_s, data = wrapper.next()
            if data is None or time_s is None:
                return taken
            length = wrapper.header.contents.len
            frames.append(Frame(clamp_time_us(int(time_s * 1_000_000)), data, length, self._link_type))
        return MAX_FRAMES

    def drops(self) -> int:
        """Frames that the driver has dropped since this socket was made."""
        from scapy.libs.winpcapy import pcap_stat, pcap_stats

        statistics = pcap_stat()
        if pcap_stats(self._socket.pcap_fd.pcap, ctypes.byref(statistics)) != 0:
            return 0
        return int(statistics.ps_drop)

    def close(self) -> None:
        """Stop capturing."""
        self._socket.close()


def interfaces(choice: str) -> list[str]:
    """As capture.interfaces; a name may be Npcap's or the one that Windows shows."""
    conf = _scapy()
    known = {item.name: item for item in conf.ifaces.values()}
    if choice == "any":
        return sorted(known)
    if choice == "auto":
        preferred = {conf.loopback_name, getattr(conf.iface, "name", "")}
        return sorted(preferred & set(known)) or sorted(known)
    if choice not in known:
        raise CaptureError(f"there is no network interface {choice!r}", f"choose one of auto, any, {', '.join(known)}")
    return [choice]


def _scapy() -> Any:
    """Scapy's configuration, once libpcap is found; raises CaptureError."""
    from scapy.config import conf

    conf.use_pcap = True
    import_module("scapy.arch")  # sets use_pcap back when libpcap isn't there
    if not conf.use_pcap:
        raise CaptureError("Npcap is not installed", _HINT)
    return conf
