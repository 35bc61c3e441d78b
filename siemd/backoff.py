"""Waiting before a failed thing is tried again: longer each time, and not in step with others."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double from first_s to most_s, each varied by the share `spread` either way."""

    def __init__(self, first_s: float = 0.2, most_s: float = 10.0, spread: float = 0.25) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._spread = spread
        self._next_s = first_s

    def reset(self) -> None:
        """Things work again."""
        self._next_s = self._first_s

    def next_s(self) -> float:
        """The next delay in seconds."""
        delay_s = self._next_s * random.uniform(1 - self._spread, 1 + self._spread)  # noqa: S311 - spread, not secrecy
        self._next_s = min(self._next_s * 2, self._most_s)
        return delay_s
