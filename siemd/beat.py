"""Waits that end together: what waits for the beats of one clock wakes the processor once, not once each."""

from __future__ import annotations

import time


def until_beat_s(step_s: float) -> float:
    """The time until the next beat: the clock on the wall at a whole number of steps. Never longer than a step."""
    return step_s - time.time() % step_s
