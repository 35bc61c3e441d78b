"""Waiting for something to become true instead of sleeping for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, *, deadline_s: float = 30, step_s: float = 0.05) -> T:
    """Call `condition` until it returns something true, and return that; fails after the deadline, saying `what`."""
    end_s = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end_s:
            raise AssertionError(f"waited {deadline_s:g} s in vain: {what} (last seen: {value!r})")
        time.sleep(step_s)
