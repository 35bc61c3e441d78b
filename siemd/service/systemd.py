"""Tells systemd how siemd is doing: readiness, status, reload, stop and the watchdog (the protocol of sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from siemd.logger import get_logger


class Notifier:
    """Sends datagrams to the socket that systemd names in NOTIFY_SOCKET; does nothing where there is none.

    watchdog_interval_s: how often systemd expects a sign of life at the latest; None when it expects none.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """environment: in place of os.environ."""
        environment = os.environ if environment is None else environment
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval_s = _watchdog_interval_s(environment) if self._address else None
        self._fed_s = float("-inf")
        self._status = ""

    @property
    def is_heard(self) -> bool:
        """Whether systemd listens."""
        return self._address is not None

    def ready(self) -> None:
        """siemd works (at the start, or again after reloading)."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; sent when it changes."""
        line = " ".join(text.split())[:500]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def reloading(self) -> None:
        """siemd reads its rules anew; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """siemd drains and ends."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """A sign of life from the event loop; call it as often as you like, it sends what systemd needs."""
        if self.watchdog_interval_s is None:
            return
        now_s = time.monotonic()
        if now_s - self._fed_s >= self.watchdog_interval_s / 4:
            self._fed_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError as error:  # nobody listens: siemd itself is none the worse
            get_logger("siemd.service").debug("notify.failed", error=str(error))


def _address(name: str) -> str | None:
    """NOTIFY_SOCKET as an address: a path, or with a leading @ a name in Linux's abstract namespace."""
    if not hasattr(socket, "AF_UNIX") or name[:1] not in ("/", "@") or len(name) < 2:
        return None
    return "\0" + name[1:] if name.startswith("@") else name


def _watchdog_interval_s(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC, if it is meant for this process."""
    try:
        interval_us = int(environment.get("WATCHDOG_USEC", "0"))
        owner = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return interval_us / 1e6 if interval_us > 0 and owner == os.getpid() else None
