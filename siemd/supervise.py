"""Keeps a component running: a bug in it is logged and counted, and it is started again, ever more patiently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from siemd.backoff import Backoff
from siemd.health import ComponentHealth
from siemd.logger import get_logger

FIRST_DELAY_S = 1.0
MAX_DELAY_S = 60.0


async def supervise(run: Callable[[], Awaitable[None]], health: ComponentHealth) -> None:
    """Await `run()` until it returns or is cancelled; when it raises, wait and start it again."""
    backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S, spread=0)
    while True:
        try:
            await run()
            return
        except Exception as error:
            delay_s = backoff.next_s()
            # Expected failures are mended inside components, so this is a bug: its traceback belongs into the log.
            health.error("failed", f"{type(error).__name__}: {error}; next try in {delay_s:g} s")
            get_logger("siemd").exception("component.bug", component=health.name, retry_s=delay_s)
        await asyncio.sleep(delay_s)
