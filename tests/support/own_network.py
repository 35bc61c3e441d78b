"""A network namespace for the calling thread: a test in it may send and break whatever it likes."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.needs import is_root, need
from support.waiting import wait_until

_CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> str:
    """Run `ip`, which must succeed; its output."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def connect(near: str = "near", far: str = "far") -> None:
    """Make two interfaces joined by a cable, and wait until frames pass; they say nothing of their own."""
    ip("link", "add", near, "type", "veth", "peer", "name", far)
    for name in (near, far):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        ip("link", "set", name, "up")
    for name in (near, far):  # until then the kernel drops what is sent, without a word
        wait_until(lambda name=name: "state UP" in ip("link", "show", name), f"{name} has a carrier")


@contextmanager
def fresh_network() -> Iterator[None]:
    """This thread, and what it starts, sees only a fresh network with its loopback up; skips without root."""
    if not is_root():
        pytest.skip("needs root for a network namespace")
    need("ip")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"network namespaces can't be made here: {os.strerror(ctypes.get_errno())}")
        ip("link", "set", "lo", "up")
        yield
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
