"""Removes what is older than its table keeps, at the start and then every hour; then counts what no rollup counts."""

from __future__ import annotations

import asyncio

from siemd.errors import StoreError
from siemd.events import now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.storage.store import RetentionConfig, Store

EVERY_S = 3600.0
AGAIN_S = 60.0  # after a failure
ROLL_UP_PAUSE_S = 0.05  # between slices, for the writer


class Retention:
    """The hourly work of a store; its health counters are `removed_rows` and `retention_runs`."""

    def __init__(self, store: Store, config: RetentionConfig, health: ComponentHealth) -> None:
        self._store = store
        self._retention_s = config.seconds()
        self._health = health

    async def run(self) -> None:
        """Work until cancelled; a store that is away is tried again in a minute."""
        log = get_logger("siemd.retention")
        said = ""
        while True:
            try:
                removed = await self._store.keep(self._retention_s, now_us())
                while await self._store.roll_up():  # noqa: ASYNC110 - it works, it does not wait for others
                    await asyncio.sleep(ROLL_UP_PAUSE_S)
            except StoreError as error:
                if str(error) != said:  # once for each reason, not for each try
                    said = str(error)
                    log.warning("retention.failed", reason=said)
                await asyncio.sleep(AGAIN_S)
                continue
            said = ""
            self._health.add("retention_runs")
            if removed:
                self._health.add("removed_rows", removed)
                log.info("retention.removed", rows=removed)
            await asyncio.sleep(EVERY_S)
