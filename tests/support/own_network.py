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

_CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> None:
    """Run `ip`, which must succeed."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


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
