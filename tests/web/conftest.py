"""The servers that the tests of the API use, on SQLite and on MariaDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from siemd.storage import StorageConfig
from siemd.storage.database import Database, open_database
from siemd.storage.store import Store, open_store
from support.mariadb import MariaServer
from support.web import Web, serving, web_config


@pytest.fixture(params=["sqlite", "mariadb"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageConfig]:
    """The configuration of a fresh store."""
    if request.param == "sqlite":
        yield StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
        return
    server: MariaServer = request.getfixturevalue("mariadb")
    yield StorageConfig(url=server.url(request.getfixturevalue("mysql_database")))


@pytest.fixture
async def database(storage: StorageConfig, tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh store, migrated."""
    opened = open_database(storage, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def web(storage: StorageConfig, tmp_path: Path) -> AsyncIterator[Web]:
    """A running server with an empty store."""
    async with serving(web_config(tmp_path, storage)) as running:
        yield running


@pytest.fixture
async def sqlite_web(tmp_path: Path) -> AsyncIterator[Web]:
    """A running server on SQLite, for what no store has a say in."""
    async with serving(web_config(tmp_path, StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}"))) as running:
        yield running


@pytest.fixture
async def store(web: Web, storage: StorageConfig, tmp_path: Path) -> AsyncIterator[Store]:
    """The store behind `web`, as the daemon writes it."""
    opened = open_store(storage, tmp_path)
    await opened.open()
    yield opened
    await opened.close()
