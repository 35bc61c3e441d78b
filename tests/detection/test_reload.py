"""Rules are read again when a file changes or on request; a broken one leaves the old set in place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Ruleset, load_ruleset, reload
from siemd.detection.reload import RuleWatcher
from siemd.health import ComponentHealth

RULE = """
title: t
logsource: {product: siemd, category: network}
detection: {s: {event_type: probe}, condition: s}
"""


class Watched:
    """A watcher over one folder, and the sets it handed out."""

    def __init__(self, folder: Path) -> None:
        self.config = DetectionConfig(rules=[str(folder)])
        self.health = ComponentHealth(name="rules")
        self.used: list[Ruleset] = []
        self.watcher = RuleWatcher(self.config, self.used.append, self.health, load_ruleset(self.config))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(self.watcher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is awaited has no event of its own
                await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "POLL_S", 0.02)


async def test_a_request_reads_the_rules_again(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RULE)
    watched = Watched(tmp_path)
    async with watched.running():
        watched.watcher.request()
        await watched.until(lambda: watched.used)
    assert [rule.name for rule in watched.used[0].rules] == ["a"]


@pytest.mark.usefixtures("quick")
async def test_a_change_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RULE)
    watched = Watched(tmp_path)
    async with watched.running():
        await watched.until(lambda: watched.watcher._seen)
        (tmp_path / "b.yml").write_text(RULE)
        await watched.until(lambda: watched.used and len(watched.used[-1].rules) == 2)
        (tmp_path / "a.yml").unlink()
        await watched.until(lambda: len(watched.used[-1].rules) == 1)
    assert [rule.name for rule in watched.used[-1].rules] == ["b"]


async def test_a_broken_rule_keeps_the_old_set_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(RULE)
    watched = Watched(tmp_path)
    assert watched.health.status == "ok"
    async with watched.running():
        path.write_text(RULE.replace("condition: s", "condition: t"))
        os.utime(path, ns=(1, 1))
        watched.watcher.request()
        await watched.until(lambda: watched.health.errors)
        assert not watched.used
        assert f"{path}:4:" in watched.health.detail
        path.write_text(RULE)
        watched.watcher.request()
        await watched.until(lambda: watched.used)
    assert watched.health.status == "ok"
