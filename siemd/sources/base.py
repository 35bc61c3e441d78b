"""What every source shares: its interface."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import msgspec

from siemd.outlet import Outlet


class Source(Protocol):
    """A producer of events. Its file holds its `Config` (a msgspec struct with defaults and descriptions).

    `run` works until it is cancelled. It mends expected failures itself (back-off, visible in `outlet.health`) and
    raises only for bugs; on cancellation it passes on what it holds, without waiting long, and re-raises.
    """

    name: ClassVar[str]
    Config: ClassVar[type[msgspec.Struct]]

    def __init__(self, config: Any, outlet: Outlet) -> None: ...

    async def run(self) -> None:
        """Produce until cancelled."""
        ...


__all__ = ["Outlet", "Source"]
