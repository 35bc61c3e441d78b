"""Reloads rules on a signal or when a file changes; a broken rule leaves the old set in place and says where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from siemd.detection.config import DetectionConfig
from siemd.detection.ruleset import Ruleset, load_ruleset, rule_files, rule_folders
from siemd.health import ComponentHealth

POLL_S = 2.0

Fingerprint = frozenset[tuple[str, int, int]]


class RuleWatcher:
    """Watches the rule folders; `use` receives each new set that is whole, `done` is called after every try."""

    def __init__(
        self,
        config: DetectionConfig,
        use: Callable[[Ruleset], None],
        health: ComponentHealth,
        loaded: Ruleset,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._use = use
        self._done = done
        self._health = health
        self._requested = asyncio.Event()
        self._seen: Fingerprint | None = None
        self._say(loaded)

    def request(self) -> None:
        """Reload now, changed or not (from the event loop)."""
        self._requested.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        self._seen = await asyncio.to_thread(self._fingerprint)
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._requested.wait()
            except TimeoutError:
                pass
            now = await asyncio.to_thread(self._fingerprint)
            if now != self._seen or self._requested.is_set():
                self._requested.clear()
                self._seen = now
                await self._load()
                self._done()

    async def _load(self) -> None:
        log = structlog.get_logger("siemd.rules")
        ruleset = await asyncio.to_thread(load_ruleset, self._config)
        for problem in ruleset.problems:
            log.error("rules.problem", problem=str(problem))
        self._say(ruleset)
        if ruleset.problems:
            log.error("rules.kept", reason="the new rules have problems", problems=len(ruleset.problems))
            return
        self._use(ruleset)
        log.info("rules.loaded", rules=len(ruleset.rules))

    def _say(self, ruleset: Ruleset) -> None:
        if ruleset.problems:
            self._health.error("degraded", f"{len(ruleset.problems)} problems, the first: {ruleset.problems[0]}")
        else:
            self._health.set("ok", f"{len(ruleset.rules)} rules")

    def _fingerprint(self) -> Fingerprint:
        """Name, size and modification time of every rule file."""
        found = set()
        for folder in rule_folders(self._config):
            for path in rule_files(folder):
                try:
                    state = path.stat()
                except OSError:
                    continue
                found.add((str(path), state.st_mtime_ns, state.st_size))
        return frozenset(found)
