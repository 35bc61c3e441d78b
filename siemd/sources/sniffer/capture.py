"""Live capture: frames from one interface or several, in batches, and errors that say what to do."""

from __future__ import annotations

import errno
import select
import shlex
import socket
import struct
import sys
import time
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from siemd.errors import UserError
from siemd.sources.sniffer.packet import Frame

if TYPE_CHECKING:
    from siemd.sources.sniffer.frames import FrameBatch
    from siemd.sources.sniffer.packet_socket import ReceiveBuffer
    from siemd.sources.sniffer.ring import Rings
    from siemd.sources.sniffer.stop import Stop

Backend: TypeAlias = Literal["auto", "ring", "raw"]
Frames: TypeAlias = "list[Frame] | FrameBatch"

MAX_FRAMES = 2048  # in one batch of packet sockets
BUFFER_BYTES = 16 << 20  # for each interface; a ring is resident from the start
_GATHER_S = 0.002  # on a busy wire one wake-up then serves dozens of frames
_time = attrgetter("time_us")
_IFF_UP, _IFF_LOOPBACK, _SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x1, 0x8, 0x8913, 0x8927
_ETHERNET_KINDS = (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK


class CaptureError(UserError):
    """Frames can't be captured, or not any more; says why, and what to do."""


class _Socket(Protocol):
    interface: str
    buffer_bytes: int
    drops: Callable[[], int]

    def receive(self, frames: list[Frame]) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Capture:
    """Frames of the chosen interfaces through rings or packet sockets (Linux) or Npcap; used from one thread."""

    def __init__(
        self,
        choice: str = "auto",
        backend: Backend = "auto",
        *,
        promiscuous: bool = True,
        buffer_bytes: int = BUFFER_BYTES,
        expression: str = "",
    ) -> None:
        """choice: an interface's name, `any` or `auto` (see `interfaces`). buffer_bytes: the kernel's, an interface.

        backend: `ring` (Linux), `raw`, or `auto`: the ring if it can be had. expression: libpcap's, which frames to
        see; empty for all.
        """
        self.choice = choice
        self.promiscuous = promiscuous
        self.buffer_bytes = buffer_bytes
        self.interfaces: list[str] = []
        self.wanted_bytes = buffer_bytes
        self.backend = ""  # what is used
        self.no_ring = ""  # why `auto` could not have a ring
        self._wanted = backend
        self._expression = expression
        self._memory: ReceiveBuffer | None = None
        self._failure: CaptureError | None = None
        self._sockets: list[_Socket] = []
        self._rings: Rings | None = None
        self._poll = select.poll() if sys.platform != "win32" else None
        self._polled: list[int] = []
        self._stop_fileno = -1
        self._more = False

    def open(self, stop: Stop | None = None) -> None:
        """Begin to capture; raises CaptureError. Sets `interfaces`, `backend`, and `buffer_bytes` to what was granted.

        Linux grants `raw` more than net.core.rmem_max only with CAP_NET_ADMIN; a ring needs no such right.
        stop: ends a `read` that waits.
        """
        self.interfaces = interfaces(self.choice)
        self.buffer_bytes = self.wanted_bytes
        self.no_ring = ""
        if not self._open_rings():
            self.backend = "raw"
            for interface in self.interfaces:
                try:
                    opened = self._open(interface)
                except OSError as error:
                    self.close()
                    raise _explained(error, interface) from None
                self._sockets.append(opened)
                self.buffer_bytes = min(self.buffer_bytes, opened.buffer_bytes)
        if self._poll is not None:
            self._polled = [opened.fileno() for opened in self._rings or self._sockets]
            if stop is not None:
                self._stop_fileno = stop.fileno()
                self._polled.append(self._stop_fileno)
            for fileno in self._polled:
                self._poll.register(fileno, select.POLLIN)

    def read(self, timeout_s: float) -> Frames:
        """The frames that have come, some thousands at most; none after timeout_s of silence. Raises CaptureError.

        Those of a ring must be used before the next call.
        """
        if self._rings is not None:
            self._rings.release()
        if not self._more and self._failure is None:
            if not self._wait(timeout_s):
                return []
            time.sleep(_GATHER_S)
        if self._failure is not None and not self._more:
            raise self._failure
        frames = self._take_rings(self._rings) if self._rings is not None else self._take()
        if self._failure is not None and not frames:
            raise self._failure
        return frames

    def drops(self) -> int:
        """Frames that the kernel has dropped since `open`, for want of room."""
        return sum(opened.drops() for opened in self._rings or self._sockets)

    def close(self) -> None:
        """Stop capturing; may be opened again."""
        if self._poll is not None:
            for fileno in self._polled:
                self._poll.unregister(fileno)
        self._polled = []
        self._stop_fileno = -1
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()
        if self._rings is not None:
            self._rings.close()
            self._rings = None
        self._failure = None
        self._more = False

    def _take_rings(self, rings: Rings) -> Frames:
        frames = rings.take()
        self._more = len(frames) > 0
        if not self._more:  # what a ring says of its end comes behind its frames
            for ring in rings:
                try:
                    ring.check()
                except OSError as error:
                    self._failure = _explained(error, ring.interface)
        return frames

    def _take(self) -> list[Frame]:
        frames: list[Frame] = []
        self._more = False
        for opened in self._sockets:
            self._drain(opened, frames)
        if len(self._sockets) > 1:
            frames.sort(key=_time)
        return frames

    def _drain(self, opened: _Socket, frames: list[Frame]) -> None:
        """Append what waits in one socket; what it says of its end is kept until its frames are read."""
        while len(frames) < MAX_FRAMES:
            try:
                if not opened.receive(frames):
                    return
            except OSError as error:  # said once, and before the frames that came earlier
                if self._failure is not None:
                    return
                self._failure = _explained(error, opened.interface)
        self._more = True

    def _open_rings(self) -> bool:
        """Whether the capture goes through rings; raises CaptureError."""
        if self._wanted == "raw":
            return False
        if sys.platform != "linux":
            if self._wanted == "ring":
                raise CaptureError("`ring` is a way of Linux", "set `backend: auto`")
            return False
        from siemd.sources.sniffer.ring import Rings, RingUnavailable

        programs = [self._program(interface) for interface in self.interfaces]
        try:
            self._rings = Rings(self.interfaces, programs, promiscuous=self.promiscuous, buffer_bytes=self.wanted_bytes)
        except RingUnavailable as error:
            if self._wanted == "ring":
                raise CaptureError(f"no packet ring: {error}", "set a smaller `buffer`, or `backend: raw`") from None
            self.no_ring = str(error)
            return False
        except OSError as error:
            raise _explained(error, str(error.filename)) from None
        self.backend = "ring"
        return True

    def _open(self, interface: str) -> _Socket:
        if sys.platform == "win32":
            from siemd.sources.sniffer.npcap import PcapSocket

            return PcapSocket(interface, self._expression, promiscuous=self.promiscuous, buffer_bytes=self.wanted_bytes)
        from siemd.sources.sniffer.packet_socket import PacketSocket, ReceiveBuffer

        self._memory = self._memory or ReceiveBuffer()
        return PacketSocket(
            interface,
            self._memory,
            self._program(interface),
            promiscuous=self.promiscuous,
            buffer_bytes=self.wanted_bytes,
        )

    def _program(self, interface: str) -> bytes:
        """The filter as the kernel reads it on this interface."""
        if not self._expression:
            return b""
        from siemd.sources.sniffer import bpf

        try:
            if interface == "any":
                return bpf.ethernet_only(bpf.compile_filter(self._expression))
            return bpf.compile_filter(self._expression, bpf.ETHERNET if _has_ethernet(interface) else bpf.RAW_IP)
        except bpf.FilterError as error:
            raise CaptureError(error.message, error.hint) from None

    def _wait(self, timeout_s: float) -> bool:
        """Whether there may be something to read."""
        if self._poll is not None:
            return any(fileno != self._stop_fileno for fileno, _ in self._poll.poll(timeout_s * 1000))
        time.sleep(min(timeout_s, 0.01))
        return True


def interfaces(choice: str) -> list[str]:
    """The names of the interfaces that a choice means, sorted; raises CaptureError when there is none.

    A name means itself. `any` means all, now and later, at once. `auto` means loopback, and the interfaces of the
    default routes, or all that are up if there is no default route.
    """
    if sys.platform == "win32":
        from siemd.sources.sniffer import npcap

        return npcap.interfaces(choice)
    if choice == "any":
        return ["any"]
    flags = _flags()
    if choice != "auto":
        if choice not in flags:
            raise CaptureError(
                f"there is no network interface {choice!r}", f"choose one of auto, any, {', '.join(sorted(flags))}"
            )
        return [choice]
    up = {name for name, value in flags.items() if value & _IFF_UP}
    loopback = {name for name in up if flags[name] & _IFF_LOOPBACK}
    outside = up - loopback  # (Linux routes what it refuses to "lo" by default)
    chosen = (outside & _default_routes() or outside) | loopback
    if not chosen:
        raise CaptureError("no network interface is up", "see `ip link`")
    return sorted(chosen)


def _flags() -> dict[str, int]:
    """The IFF_ flags of every interface by its name."""
    asked = {name: _ask(name, _SIOCGIFFLAGS) for _, name in socket.if_nameindex()}
    return {name: flags for name, flags in asked.items() if flags is not None}


def _has_ethernet(interface: str) -> bool:
    """Whether frames of this interface begin with an Ethernet header."""
    return _ask(interface, _SIOCGIFHWADDR) in _ETHERNET_KINDS


def _ask(interface: str, question: int) -> int | None:
    """The number that the kernel answers a question about an interface, None when it is gone."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, question, struct.pack("16s16x", interface.encode()))
        except OSError:
            return None
    number: int = struct.unpack_from("H", answer, 16)[0]
    return number


def _default_routes() -> set[str]:
    """The interfaces of the default routes of this network namespace."""
    result: set[str] = set()
    for path, destination, prefix, name in (
        ("/proc/self/net/route", (1, "00000000"), (7, "00000000"), 0),
        ("/proc/self/net/ipv6_route", (0, "0" * 32), (1, "00"), 9),
    ):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 7 and words[destination[0]] == destination[1] and words[prefix[0]] == prefix[1]:
                result.add(words[name])
    return result


def _explained(error: OSError, interface: str) -> CaptureError:
    """What a failed system call means, and what to do."""
    if isinstance(error, PermissionError):
        python = shlex.quote(str(Path(sys.executable).resolve()))
        return CaptureError(
            "no right to capture packets",
            f"run `sudo setcap cap_net_raw+eip {python}`, or start siemd with `sudo siemd run`",
        )
    if error.errno == errno.ENETDOWN:
        return CaptureError(f"the network interface {interface} is down", f"run `sudo ip link set {interface} up`")
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return CaptureError(f"the network interface {interface} is gone", "see `ip link`")
    return CaptureError(f"cannot capture on {interface}: {error.strerror or error}", "see `ip link`")
