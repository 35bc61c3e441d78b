"""Rules are read again when a file changes or on request; a broken one leaves the old set in place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from siemd.detection import DetectionConfig, Ruleset, load_ruleset, reload, rulefolders
from siemd.detection.config import ImportedConfig
from siemd.detection.package import import_rules
from siemd.detection.reload import RuleWatcher
from siemd.health import ComponentHealth

RULE = """
title: t
logsource: {product: siemd, category: network}
detection: {s: {event_type: probe}, condition: s}
"""


class Watched:
    """A watcher over one folder, and the sets it handed out."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.config = DetectionConfig(rules=[str(folder)], **config)
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


QUIET = "{name: n, owner: o, reason: r, expires: 2090-01-01, rules: a}"


@pytest.mark.usefixtures("quick")
async def test_overlay_and_suppressions_are_watched_too(tmp_path: Path) -> None:
    rules, overlay, quiet = tmp_path / "rules", tmp_path / "o.yml", tmp_path / "s.yml"
    rules.mkdir()
    (rules / "a.yml").write_text(RULE)
    overlay.write_text("overlay: []\n")
    quiet.write_text("suppressions: []\n")
    watched = Watched(rules, overlay=[str(overlay)], suppressions=[str(quiet)])
    async with watched.running():
        await watched.until(lambda: watched.watcher._seen)
        overlay.write_text("overlay: [{rules: a, level: critical}]\n")
        await watched.until(lambda: watched.used and watched.used[-1].rules[0].level == "critical")
        quiet.write_text(f"suppressions: [{QUIET}]\n")
        await watched.until(lambda: watched.used[-1].suppressions.entries)
        overlay.write_text("overlay: [{rules: a, level: urgent}]\n")
        await watched.until(lambda: watched.health.errors)
        assert f"{overlay}:1:29: unknown level" in watched.health.detail
    assert watched.used[-1].rules[0].level == "critical", "the old set stays"


async def test_refused_imports_and_warnings_keep_nothing_back(tmp_path: Path) -> None:
    imported, overlay = tmp_path / "imported", tmp_path / "o.yml"
    imported.mkdir()
    (imported / "bad.yml").write_text("title: [\ndetection: x\n")
    (tmp_path / "a.yml").write_text(RULE)
    overlay.write_text("overlay: [{rules: b, level: high}]\n")
    watched = Watched(tmp_path / "a.yml", overlay=[str(overlay)], imported=ImportedConfig(folder=str(imported)))
    watched.config.rules.append("imported")
    async with watched.running():
        watched.watcher.request()
        await watched.until(lambda: watched.used)
    assert watched.health.status == "ok"
    assert watched.health.detail.startswith("1 rules; 1 imported ones refused; 1 warnings, the first: ")


async def test_an_expired_suppression_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RULE)
    quiet = tmp_path / "s.yml"
    quiet.write_text(f"suppressions: [{QUIET.replace('2090', '2020')}]\n")
    watched = Watched(tmp_path / "a.yml", suppressions=[str(quiet)])
    async with watched.running():
        watched.watcher.request()
        await watched.until(lambda: "the suppression n of o expired" in watched.health.detail)
    assert watched.health.status == "ok"


@pytest.mark.usefixtures("quick")
async def test_an_import_is_noticed_and_replaced_as_a_whole(tmp_path: Path) -> None:
    source, imported = tmp_path / "source", tmp_path / "imported"
    source.mkdir()
    (source / "a.yml").write_text(RULE)
    (tmp_path / "none").mkdir()
    watched = Watched(tmp_path / "none", imported=ImportedConfig(folder=str(imported)))
    watched.config.rules.append("imported")
    async with watched.running():
        await watched.until(lambda: watched.watcher._seen is not None)
        import_rules(source, imported / "x")
        await watched.until(lambda: watched.used)
        (source / "a.yml").rename(source / "b.yml")
        import_rules(source, imported / "x")
        await watched.until(lambda: [rule.name for rule in watched.used[-1].rules] == ["b"])
    assert [rule.name for rule in watched.used[0].rules] == ["a"]


@pytest.mark.usefixtures("quick")
async def test_a_folder_that_may_not_be_read_keeps_the_old_set_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yml").write_text(RULE)
    watched = Watched(tmp_path)
    scan = os.scandir

    def refuse(path: Any) -> Any:  # what root, who may read everything, cannot have otherwise
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    async with watched.running():
        watched.watcher.request()
        await watched.until(lambda: watched.health.status == "degraded" or watched.used)
    assert watched.used == []
    assert "deep: cannot be read: Permission denied" in watched.health.detail


def test_files_beyond_the_limit_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulefolders, "MAX_FILES", 2)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yml").write_text(RULE)
    ruleset = load_ruleset(DetectionConfig(rules=[str(tmp_path)]))
    assert len(ruleset.rules) == 2
    assert "more than 2 files" in str(ruleset.problems[0])
