"""What a test needs of the machine, and the skip that says what is missing."""

from __future__ import annotations

import os
import shutil

import pytest


def is_root() -> bool:
    """Whether this process may do everything (never on Windows)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def find(binary: str) -> str | None:
    """The path of a program, looked for in the administrator's folders too."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"])
    return shutil.which(binary, path=path)


def need(*binaries: str) -> None:
    """Skip the test, naming them, when programs it needs are missing."""
    missing = [binary for binary in binaries if not find(binary)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (./dev test as root installs what the tests need)")
