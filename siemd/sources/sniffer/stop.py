"""A request to stop that ends a wait for frames as well, so that on a silent wire this may take as long as it likes."""

from __future__ import annotations

import os
import sys
import weakref
from threading import Event


class Stop:
    """Set from any thread; seen by `is_set`, by `wait`, and by a poll of `fileno` (-1 where there is no poll)."""

    def __init__(self) -> None:
        self._event = Event()
        self._fileno = -1
        if sys.platform == "linux":
            self._fileno = os.eventfd(0)
            weakref.finalize(self, os.close, self._fileno)  # by nobody earlier: the number would soon be another's

    def set(self) -> None:
        """Ask for it."""
        self._event.set()
        if sys.platform == "linux":
            os.eventfd_write(self._fileno, 1)

    def is_set(self) -> bool:
        """Whether it was asked for."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for it; whether it was asked for."""
        return self._event.wait(timeout_s)

    def fileno(self) -> int:
        """Readable once it was asked for."""
        return self._fileno
