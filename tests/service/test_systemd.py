"""The notifier against real datagram sockets."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from siemd.service.systemd import Notifier

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="systemd is Linux's")


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A datagram socket as systemd's, and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@siemd-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(10)
        yield listening, name


def test_tells_a_whole_life(listener: tuple[socket.socket, str]) -> None:
    listening, name = listener
    notifier = Notifier({"NOTIFY_SOCKET": name})
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    notifier.ready()
    notifier.status("3 sources\nare well")
    notifier.status("3 sources are well")  # the same line: not sent again
    notifier.reloading()
    notifier.stopping()

    assert listening.recv(4096) == b"READY=1"
    assert listening.recv(4096) == b"STATUS=3 sources are well"
    reloading, monotonic = listening.recv(4096).decode().split("\n")
    assert reloading == "RELOADING=1"
    assert monotonic.startswith("MONOTONIC_USEC=")
    assert before_us <= int(monotonic.partition("=")[2]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert listening.recv(4096) == b"STOPPING=1"


def test_feeds_the_watchdog_no_more_than_needed(listener: tuple[socket.socket, str]) -> None:
    listening, name = listener
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3600000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_interval_s == 3600
    for _ in range(100):
        notifier.watchdog()
    notifier.stopping()
    assert [listening.recv(4096) for _ in range(2)] == [b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "nonsense"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "-1"}],
)
def test_no_watchdog_where_none_is_asked_for(environment: dict[str, str], listener: tuple[socket.socket, str]) -> None:
    listening, name = listener
    notifier = Notifier({"NOTIFY_SOCKET": name, **environment})
    assert notifier.watchdog_interval_s is None
    notifier.watchdog()
    notifier.ready()
    assert listening.recv(4096) == b"READY=1"


@pytest.mark.parametrize("name", ["", "relative/path", "/", "@", "/no/such/folder/notify", "vsock:1:2"])
def test_is_silent_without_a_listener(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})
    notifier.ready()
    notifier.status("nobody hears this")
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()


def test_a_full_socket_does_not_block(listener: tuple[socket.socket, str]) -> None:
    _, name = listener
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(5000):  # far more than any socket buffer holds, and nobody reads
        notifier.ready()
