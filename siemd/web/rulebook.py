"""The rules as the API knows them: loaded when asked for and again when a file has changed, and what tunes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from siemd.detection.config import DetectionConfig
from siemd.detection.loading import load_ruleset
from siemd.detection.rulefolders import MANAGED_OVERLAY, MANAGED_SUPPRESSIONS, watched_files
from siemd.detection.ruleset import Ruleset
from siemd.events import now_us
from siemd.storage.database import Database
from siemd.storage.search import rfc3339
from siemd.storage.tables import time_text
from siemd.web.access.audit import Audit
from siemd.web.access.principal import Actor
from siemd.web.managed import Edit, Making, ManagedFile

WHOLE = 2.0**53  # numbers below are exact
LOOK_EVERY_S = 1.0  # whether a file has changed


class RuleBook:
    """The rules, and the two files in which the API keeps what people make of them."""

    def __init__(self, config: DetectionConfig, database: Database, audit: Audit) -> None:
        self._config = config
        self._database = database
        self._audit = audit
        self._loading = asyncio.Lock()
        self._loaded: Ruleset | None = None
        self._seen: object = None
        self._looked_s = 0.0
        self.overlay = ManagedFile(config, MANAGED_OVERLAY, "overlay", "rules")
        self.suppressions = ManagedFile(config, MANAGED_SUPPRESSIONS, "suppressions", "name")

    async def rules(self) -> Ruleset:
        """The rules as their files are now (within a second)."""
        async with self._loading:
            now_s = time.monotonic()
            if self._loaded is None or now_s - self._looked_s > LOOK_EVERY_S:
                seen = await asyncio.to_thread(watched_files, self._config)
                if self._loaded is None or seen != self._seen:
                    self._loaded = await asyncio.to_thread(load_ruleset, self._config)
                    self._seen = seen
                self._looked_s = now_s
            return self._loaded

    async def put(
        self, file: ManagedFile, actor: Actor, action: str, made: Making, target: str, **detail: Any
    ) -> Ruleset:
        """Add or replace entries of a managed file, all or none, with one line in the audit log."""

        async def change(edit: Edit, known: Ruleset) -> Ruleset:
            comment = f"by {actor.name} through the API, {rfc3339(time_text(now_us()))[:19]}Z"
            return await edit.put(made, comment, known)

        return await self._change(file, actor, action, target, detail, change)

    async def remove(self, file: ManagedFile, actor: Actor, action: str, name: str) -> Ruleset:
        """Remove an entry, likewise."""

        async def change(edit: Edit, known: Ruleset) -> Ruleset:
            return await edit.remove(name, known)

        return await self._change(file, actor, action, name, {}, change)

    async def _change(
        self,
        file: ManagedFile,
        actor: Actor,
        action: str,
        target: str,
        detail: dict[str, Any],
        change: Callable[[Edit, Ruleset], Any],
    ) -> Ruleset:
        known = await self.rules()
        async with file.changing() as edit:
            loaded: Ruleset = await change(edit, known)
            async with edit.kept(), self._database.transaction() as work:
                await self._audit.append(work, actor, action, target, **detail)
            async with self._loading:
                self._loaded, self._looked_s = loaded, 0.0
                self._seen = await asyncio.to_thread(watched_files, self._config)
        return loaded


def plain(value: Any) -> dict[str, Any]:
    """A struct as YAML holds it: without what is not set, whole numbers without a fraction."""
    built = msgspec.to_builtins(value)
    return {key: _plain(one) for key, one in built.items() if one not in (None, "", [], {})}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and abs(value) < WHOLE and value.is_integer() else value
