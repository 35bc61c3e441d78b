"""What tests of the console share: a browser, a server with a store that holds something, and pages that are somebody.

    async def test_something(console: ConsoleSite) -> None:
        page = await console.page("analyst", "/alerts")
        await console.shoot(page, "alerts")

SIEMD_SCREENSHOTS names the folder for pictures; without it they are in the test's own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from siemd.storage import StorageConfig
from siemd.storage.store import open_store
from siemd.web.console import DIST
from support.batches import alert, batch, log, probes, usage
from support.browser import chromium
from support.console import ConsoleSite
from support.lifelike import week
from support.status_file import seeming_to_run
from support.web import serving, web_config


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium, of its own for each test: nothing of one is left for another."""
    async with chromium() as running:
        yield running


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder for screenshots."""
    return Path(os.environ.get("SIEMD_SCREENSHOTS") or tmp_path / "pictures")


@pytest.fixture
def console_storage(request: pytest.FixtureRequest, tmp_path: Path) -> StorageConfig:
    """Where the console's server keeps its events: SQLite, or MariaDB for the walks that are of BOTH_STORES."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
    server = request.getfixturevalue("mariadb")
    return StorageConfig(url=server.url(request.getfixturevalue("mysql_database")))


@pytest.fixture
async def bare_console(
    tmp_path: Path, browser: Browser, pictures: Path, console_storage: StorageConfig
) -> AsyncIterator[ConsoleSite]:
    """A server without an account or an event, as at the first start."""
    assert (DIST / "index.html").exists(), "the console is not built: ./dev test does it"
    async with serving(web_config(tmp_path, console_storage)) as web:
        site = ConsoleSite(web, browser, pictures, console_storage)
        yield site
        site.complaints.check()


@pytest.fixture
async def console(bare_console: ConsoleSite, tmp_path: Path) -> AsyncIterator[ConsoleSite]:
    """A server with events of every table, incidents of every level, usage, and the status of a siemd."""
    store = open_store(bare_console.storage, tmp_path)
    await store.open()
    tables = ("security_logs", "system_logs", "application_logs", "channel_logs")
    levels = ("informational", "low", "medium", "high", "critical")
    await store.write(
        [
            probes(1, 250),
            batch(*(log(seq, table=table) for seq, table in enumerate(tables, 1)), source="windows"),
            batch(usage(1), source="metrics"),
            batch(
                *(alert(seq, level=level, incident_id=f"incident-{seq}") for seq, level in enumerate(levels, 1)),
                source="detection",
            ),
        ]
    )
    await store.close()
    async with seeming_to_run(bare_console.web.services.config):
        yield bare_console


@pytest.fixture
async def busy_console(bare_console: ConsoleSite, tmp_path: Path) -> ConsoleSite:
    """A server with a lifelike week of a small network."""
    store = open_store(bare_console.storage, tmp_path)
    await store.open()
    await store.write(week())
    await store.close()
    return bare_console
