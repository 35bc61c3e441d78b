"""The detector as a stage of the pipeline: off the event loop, alerts before the events that raised them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from siemd.beat import until_beat_s
from siemd.channel import Channel
from siemd.detection.detector import Detector
from siemd.detection.ruleset import Ruleset
from siemd.events import Alert, Batch, Event, now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.outlet import Outlet

MAX_EVENTS_A_STEP = 1024
IDLE_STEP_S = 1.0


class DetectionStage:
    """Passes every batch on and adds the alerts it raised as batches of the source "detection".

    announce: called in the loop with new states of incidents, before they are stored, so that a person hears of them
    even when the store is down.
    """

    def __init__(
        self,
        detector: Detector,
        incoming: Channel,
        outlet: Outlet,
        announce: Callable[[Sequence[Alert]], None],
        health: ComponentHealth,
    ) -> None:
        self._detector = detector
        self._incoming = incoming
        self._outlet = outlet
        self._announce = announce
        self._health = health
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="detection")
        self._step_events = MAX_EVENTS_A_STEP * (1 if detector.processes == 1 else 4 * detector.processes)
        self._reload: Ruleset | None = None
        self._resumed: list[Alert] = []
        self._untold: list[Alert] = []

    @property
    def epoch(self) -> int:
        """Names this run in the alerts that it stores."""
        return self._outlet.epoch

    async def rebuild(self, incidents: Sequence[Alert], past: Iterable[Sequence[Event]]) -> None:
        """Before `run`: go on where a former run ended, without saying or storing again what it said (see Detector)."""
        loop = asyncio.get_running_loop()
        try:
            self._untold = await loop.run_in_executor(self._executor, self._detector.rebuild, incidents, past, now_us())
        except Exception as error:  # as in _detect: a bug must not keep siemd from starting
            self._health.error("degraded", f"the past was not taken up: {type(error).__name__}: {error}")
            get_logger("siemd.detection").exception("detection.bug")

    def take_up(self, incidents: Sequence[Alert]) -> None:
        """Go on with open incidents of a former run from the next batch on."""
        self._resumed += incidents

    def reload(self, ruleset: Ruleset) -> None:
        """Use other rules from the next batch on; windows of rules that stay are kept."""
        self._reload = ruleset

    async def run(self) -> None:
        """Work until the incoming channel ends; closing the outgoing one is the caller's."""
        self._health.set("ok", f"{len(self._detector.ruleset.rules)} rules")
        self._health.extra.update(self._detector.counters())
        self._outlet.health.set("ok", "no alert yet")
        try:
            while (batches := await self._next_batches()) is not None:
                await self._use_rules()
                alerts = await self._detect(batches)
                if alerts:
                    self._announce(alerts)
                    await self._outlet.send(alerts)
                    self._outlet.health.set("ok", f"the newest: {alerts[-1].rule}")
                for batch in batches:
                    self._health.sent += len(batch.events)
                    await self._outlet.channel.put(batch)
        finally:
            self._executor.submit(self._detector.close)
            self._executor.shutdown(wait=False)

    async def _use_rules(self) -> None:
        """Change to the rules that wait, if there are any; compiling them takes a while."""
        ruleset, self._reload = self._reload, None
        if ruleset is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._detector.reload, ruleset)
        except Exception as error:
            # A bug that one set of rules brings to light must not stop detection with the set before.
            self._health.error("degraded", f"the new rules are not in use: {type(error).__name__}: {error}")
            get_logger("siemd.detection").exception("detection.bug", rules=len(ruleset.rules))
            return
        self._health.set("ok", f"{len(ruleset.rules)} rules")

    async def _next_batches(self) -> list[Batch] | None:
        """All that is ready, up to a bound; an empty list when nothing comes but there is work; None at the end."""
        while True:
            try:
                async with asyncio.timeout(until_beat_s(IDLE_STEP_S)):
                    first = await self._incoming.get()
                break
            except TimeoutError:
                if self._reload or self._resumed or self._untold or self._detector.is_due(now_us()):
                    return []
        if first is None:
            return None
        batches, events = [first], len(first.events)
        while events < self._step_events and (batch := self._incoming.get_ready()) is not None:
            batches.append(batch)
            events += len(batch.events)
        return batches

    async def _detect(self, batches: list[Batch]) -> list[Alert]:
        events = [event for batch in batches for event in batch.events]
        self._health.received += len(events)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, self._step, events)
        except Exception as error:
            # A bug in detection must not stop storing; it is counted, logged with its traceback, and seen in health.
            self._health.error("degraded", f"a batch was not checked: {type(error).__name__}: {error}")
            get_logger("siemd.detection").exception("detection.bug", events=len(events))
        else:
            self._health.extra.update(self._detector.counters())
        alerts, self._untold = self._untold, []
        return alerts

    def _step(self, events: list[Event]) -> None:
        """Add to what is to be told, bit by bit, so that a bug costs nothing of what was found before it."""
        if self._resumed:
            resumed, self._resumed = self._resumed, []
            self._untold += self._detector.take_up(resumed, now_us())
        # The time is told before every batch, so that no event from the future moves the detector's clock.
        self._untold += self._detector.advance(now_us())
        self._detector.process(events, self._untold)
