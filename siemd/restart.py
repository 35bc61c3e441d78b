"""Goes on where a former run ended: rebuilds detection from what is stored, and says what could not be."""

from __future__ import annotations

import asyncio
import time

from siemd.backoff import Backoff
from siemd.detection import DetectionStage, Ruleset
from siemd.detection.config import DetectionConfig
from siemd.detection.needs import needs_of
from siemd.errors import UserError
from siemd.events import iso_time, now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.storage.history import History, Limits
from siemd.storage.writer import Writer


class Restart:
    """`rebuild` once before the sources run; `run` beside them, for a database that was away at the start."""

    def __init__(
        self, writer: Writer, detection: DetectionStage, config: DetectionConfig, health: ComponentHealth
    ) -> None:
        self._late_us = late_us = int(config.late_s * 1_000_000)
        self._reader = writer.history(
            Limits(
                events=config.rebuild_events,
                incidents=config.max_incidents,
                time_s=float(config.rebuild_time_s),
                until_us=now_us() + late_us,
                epoch=detection.epoch,
            )
        )
        self._detection = detection
        self._health = health
        self._missed = False

    async def rebuild(self, ruleset: Ruleset) -> None:
        """Fill windows and take up open incidents, within the limits of the configuration."""
        began_s = time.monotonic()
        history = await self._reader.read(lambda incidents: needs_of(ruleset, incidents, self._late_us))
        await self._detection.rebuild(history.incidents, history.steps())
        self._missed = history.unanswered
        self._say(history, time.monotonic() - began_s)

    async def run(self) -> None:
        """Until the database has told which incidents were open; they go on, or are closed as idle."""
        backoff = Backoff(first_s=1.0)
        while self._missed:
            await asyncio.sleep(backoff.next_s())
            try:
                incidents = await self._reader.open_incidents()
            except UserError:
                continue
            self._detection.take_up(incidents)
            self._missed = False
            self._health.set("ok", f"{len(incidents)} open incidents taken up late; windows began empty")
            get_logger("siemd.history").info("history.taken_up", incidents=len(incidents))

    def _say(self, history: History, elapsed_s: float) -> None:
        log = get_logger("siemd.history")
        figures = {"events": history.events, "incidents": len(history.incidents)}
        self._health.extra.update(figures)
        done = f"{history.events} events read again, {len(history.incidents)} open incidents taken up"
        if history.cut:
            since = iso_time(history.cut_us)
            self._health.extra["cut_before"] = since
            done += f"; none before {since}: {history.cut}"
            log.warning("history.cut", reason=history.cut, nothing_before=since)
        if history.problem:
            log.error("history.unavailable", reason=history.problem, **figures)
            self._health.error("degraded", f"{history.problem}; windows lack what is stored there ({done})")
            return
        log.info("history.rebuilt", elapsed_s=round(elapsed_s, 3), **figures)
        self._health.set("ok", done)
