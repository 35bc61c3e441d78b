"""Waits that end together: what waits for the beats of one clock wakes the processor once, not once each."""

from __future__ import annotations

import time

_AFTER_S = 0.05  # the sniffer's thread works at the full second itself, and two threads would wait for each other


def until_beat_s(step_s: float) -> float:
    """The time until the next beat: a moment after a whole number of steps on the wall's clock. At most a step."""
    return step_s - (time.time() - _AFTER_S) % step_s
