"""THE page: builds the stages from the configuration, runs them, drains them.

    sources --events--> detection --storing--> writer

A stop is the end of the stream: only the sources are cancelled; each stage drains, then closes what it feeds. A second
signal, or `shutdown_grace`, ends every stage and says how many events that cost.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from siemd import __version__
from siemd.channel import Channel
from siemd.config import Config
from siemd.detection import DetectionStage, Detector, Ruleset, load_ruleset
from siemd.detection.reload import RuleWatcher
from siemd.events import Alert, alert_json
from siemd.health import Health
from siemd.logger import get_logger
from siemd.notify.alert_file import AlertFile
from siemd.outlet import Outlet
from siemd.restart import Restart
from siemd.service.systemd import Notifier
from siemd.sources import SOURCES, Source
from siemd.status import StatusReporter
from siemd.storage import Writer
from siemd.supervise import supervise
from siemd.telling import Telling

STOP_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
RELOAD_SIGNALS = [getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name)]
DETECTION = "detection"


class App:
    """One run of the daemon; make it and await `run` in the main thread, which receives the signals."""

    def __init__(self, config: Config, data_dir: Path) -> None:
        self._config = config
        self._data_dir = data_dir
        self._health = Health()
        self._log = get_logger("siemd")
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._reload: Callable[[], None] = lambda: None  # before the rules are loaded there is nothing to load again

    async def run(self) -> int:
        """Run until told to stop; returns how many accepted events were lost (0 but for a forced stop).

        Raises UserError for what a person must mend before siemd can start.
        """
        with self._signals():  # from the first moment: a signal during start-up must not kill
            return await self._run()

    async def _run(self) -> int:
        config, health, host = self._config, self._health, self._config.host_name()
        events = Channel("events", config.pipeline.queue_events)
        storing = Channel("storing", config.pipeline.queue_events)
        writer = Writer(config=config.storage, channel=storing, data_dir=self._data_dir, health=health, host=host)
        checkpoints = await writer.checkpoints()
        sources = list(self._sources(events, checkpoints))
        ruleset = await asyncio.to_thread(load_ruleset, config.detection)
        self._report(ruleset)
        alert_file = self._alert_file()
        detection = DetectionStage(
            await asyncio.to_thread(self._detector, ruleset),
            events,
            self._outlet(DETECTION, storing, "alerting"),
            lambda alerts: self._announce(alerts, alert_file),
            health.component(DETECTION),
        )
        notifier = Notifier()
        rules_health = health.component("rules")
        watcher = RuleWatcher(config.detection, detection.reload, rules_health, ruleset, done=notifier.ready)
        reporter = StatusReporter(config, self._data_dir, health, [events, storing], notifier)

        def reload() -> None:
            notifier.reloading()
            watcher.request()

        self._reload = reload
        telling = Telling(config, self._data_dir, health, detection.epoch)
        await telling.open(writer)
        restart = Restart(writer, detection, config.detection, health.component("history"))
        await restart.rebuild(ruleset)
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(supervise(reporter.run, health.component("status")), name="status"),
                group.create_task(supervise(watcher.run, rules_health), name="rules"),
                group.create_task(supervise(restart.run, health.component("history")), name="history"),
            ]
            if config.web.enabled:
                beside.append(group.create_task(supervise(self._serve, health.component("web")), name="web"))
            told = group.create_task(telling.run(), name="notify")
            flow = [
                group.create_task(_stage(*sources, closes=events), name="sources"),
                group.create_task(_stage(detection.run(), closes=storing), name=DETECTION),
                group.create_task(writer.run(), name="writer"),
            ]
            beside.append(group.create_task(self._drain(flow, notifier), name="drain"))
            self._log.info(
                "siemd.started",
                version=__version__,
                store=writer.description,
                log=str(config.log_path()),
                alerts=str(config.alerts_path()),
                rules=len(ruleset.rules),
            )
            await reporter.write(running=True)  # before anyone is told to look
            notifier.ready()
            await asyncio.wait(flow)
            telling.finish()
            await asyncio.wait([told])
            for task in beside:
                task.cancel()
        await telling.close()
        alert_file.close()
        lost = events.events + storing.events + writer.unaccepted_events
        await reporter.write(running=False)
        self._log.log(40 if lost else 20, "siemd.stopped", lost_events=lost)
        return lost

    async def _serve(self) -> None:
        """The API beside the stages; whatever becomes of it, they go on."""
        # Its libraries are heavy, and not everybody wants them; the loop goes on while they load.
        module = await asyncio.to_thread(import_module, "siemd.web.server")
        await module.WebServer(self._config, self._data_dir, self._health.component("web"), _tell).run()

    def _alert_file(self) -> AlertFile:
        log, health = self._config.log, self._health.component("alerts")
        path = self._config.alerts_path()
        return AlertFile(path, max_bytes=log.max_bytes, keep_files=log.keep_files, health=health)

    def _detector(self, ruleset: Ruleset) -> Detector:
        config, pool = self._config.detection, None
        if config.workers > 1:
            from siemd.detection.pool import WorkerPool  # costs nothing where it is not wanted

            pool = WorkerPool(config.workers)
        return Detector(ruleset, config, self._config.host_name(), pool)

    def _sources(self, events: Channel, checkpoints: dict[str, bytes]) -> Iterator[Coroutine[Any, Any, None]]:
        """Every source that is not switched off, ready to run."""
        for name, source_type in SOURCES.items():
            health = self._health.component(name)
            source_config = getattr(self._config.sources, name)
            if source_config.enabled is False:
                health.set("stopped", "switched off in siemd.yaml")
                continue
            outlet = self._outlet(name, events, name, checkpoints.get(name))
            yield self._source(source_type(source_config, outlet), outlet)

    def _outlet(self, source: str, channel: Channel, component: str, checkpoint: bytes | None = None) -> Outlet:
        return Outlet(
            host=self._config.host_name(),
            source=source,
            channel=channel,
            health=self._health.component(component),
            data_dir=self._data_dir,
            checkpoint=checkpoint,
        )

    async def _source(self, source: Source, outlet: Outlet) -> None:
        """One source until it is cancelled or has nothing to do here; then what it lost is told to the store."""
        try:
            await supervise(source.run, outlet.health)
        finally:
            await outlet.report_losses()

    async def _drain(self, flow: Sequence[asyncio.Task[None]], notifier: Notifier) -> None:
        """Wait for a stop; end the sources; end everything when that takes too long or a second signal comes."""
        await self._stop.wait()
        notifier.stopping()
        self._log.info("siemd.stopping", grace_s=float(self._config.pipeline.shutdown_grace_s))
        flow[0].cancel()
        try:
            async with asyncio.timeout(self._config.pipeline.shutdown_grace_s):
                await self._force.wait()
        except TimeoutError:
            self._log.warning("siemd.forced", reason="shutdown_grace is over")
        for task in flow:
            task.cancel()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop and reload on signals; signal.signal because Windows has no add_signal_handler."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            (self._force if self._stop.is_set() else self._stop).set()

        def reload() -> None:
            self._reload()

        wanted: list[tuple[Any, Callable[[], None]]] = [(number, stop) for number in STOP_SIGNALS]
        wanted += [(number, reload) for number in RELOAD_SIGNALS]
        before: list[tuple[Any, Any]] = []
        for number, action in wanted:
            handler = lambda _number, _frame, action=action: loop.call_soon_threadsafe(action)  # noqa: E731
            before.append((number, signal.signal(number, handler)))
        try:
            yield
        finally:
            for number, former in before:
                signal.signal(number, former)

    def _announce(self, alerts: Sequence[Alert], alert_file: AlertFile) -> None:
        """Say new states of incidents in the log and in alerts.jsonl."""
        alert_file.write(alerts)
        for alert in alerts:
            said = alert_json(alert)
            shown = {key: said.pop(key) for key in ("level", "rule", "reason")}  # first what a person reads first
            shown |= {key: value for key, value in said.items() if key not in ("host", "tags")}
            level = 20 if alert.level == "informational" or alert.status == "closed" else 30
            state = "closed" if alert.status == "closed" else "opened" if alert.revision == 1 else "grew"
            self._log.log(level, f"alert.{state}", severity=shown.pop("level"), **shown)

    def _report(self, ruleset: Ruleset) -> None:
        for problem in ruleset.problems:
            self._log.error("rules.problem", problem=str(problem))


def _tell(text: str) -> None:
    """Say something to the person at the terminal that no log may hold."""
    if sys.stderr is not None:  # a Windows service has none
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


async def _stage(*runs: Awaitable[None], closes: Channel) -> None:
    """Run a stage's parts together and, when all have ended, close what they feed."""
    try:
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(_await(run))
    finally:
        closes.close()


async def _await(run: Awaitable[None]) -> None:
    await run
