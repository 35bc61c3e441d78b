"""Reloads rules on a signal or when a file changes; a mistake leaves the old set in place and says where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from siemd.beat import until_beat_s
from siemd.detection.config import DetectionConfig
from siemd.detection.loading import load_ruleset
from siemd.detection.rulefolders import watched_files
from siemd.detection.ruleset import Ruleset
from siemd.events import now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger

POLL_S = 2.0

Fingerprint = frozenset[tuple[str, int, int]]


class RuleWatcher:
    """Watches what rules are made of; `use` receives each set that is whole, `done` is called after every try."""

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
        self._loaded = loaded
        self._expired = ""
        self._warn(loaded)
        self._say(loaded)

    def request(self) -> None:
        """Reload now, changed or not (from the event loop)."""
        self._requested.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        self._seen = await asyncio.to_thread(watched_files, self._config)
        while True:
            try:
                async with asyncio.timeout(until_beat_s(POLL_S)):
                    await self._requested.wait()
            except TimeoutError:
                pass
            now = await asyncio.to_thread(watched_files, self._config)
            if now != self._seen or self._requested.is_set():
                self._requested.clear()
                self._seen = now
                await self._load()
                self._done()
            if self._expired_now() != self._expired:
                self._warn_expired()

    async def _load(self) -> None:
        log = get_logger("siemd.rules")
        ruleset = await asyncio.to_thread(load_ruleset, self._config)
        for problem in ruleset.problems:
            log.error("rules.problem", problem=str(problem))
        self._say(ruleset)
        if ruleset.problems:
            log.error("rules.kept", reason="the new rules have problems", problems=len(ruleset.problems))
            return
        self._loaded = ruleset
        self._warn(ruleset)
        self._use(ruleset)
        log.info("rules.loaded", rules=len(ruleset.rules), refused=len(ruleset.refused))

    def _warn(self, ruleset: Ruleset) -> None:
        """Log what is odd about a set and does not keep it from being used."""
        log = get_logger("siemd.rules")
        for warning in ruleset.warnings:
            log.warning("rules.warning", warning=str(warning))
        if ruleset.refused:
            log.warning("rules.refused", imported=len(ruleset.refused), hint="`siemd rules list --refused` says why")

    def _expired_now(self) -> str:
        """The suppressions that hide nothing any more, in words."""
        return "; ".join(problem.message for problem in self._loaded.suppressions.expired(now_us()))

    def _warn_expired(self) -> None:
        self._expired = self._expired_now()
        if self._expired:
            get_logger("siemd.rules").warning("suppressions.expired", suppressions=self._expired)
        if self._health.status == "ok":
            self._say(self._loaded)

    def _say(self, ruleset: Ruleset) -> None:
        if ruleset.problems:
            count = len(ruleset.problems)
            words = "one problem" if count == 1 else f"{count} problems, the first"
            self._health.error("degraded", f"{words}: {ruleset.problems[0]}")
        else:
            parts = [f"{len(ruleset.rules)} rules"]
            if ruleset.refused:
                parts.append(f"{len(ruleset.refused)} imported ones refused")
            if ruleset.warnings:
                parts.append(f"{len(ruleset.warnings)} warnings, the first: {ruleset.warnings[0]}")
            if self._expired:
                parts.append(self._expired)
            self._health.set("ok", "; ".join(parts))
