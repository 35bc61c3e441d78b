"""The stores that the tests of storage run on: SQLite, MariaDB, and MariaDB as if it had no JSON_TABLE."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from siemd.storage import StorageConfig, Store, open_store
from siemd.units import Seconds
from support.mariadb import MariaServer


@pytest.fixture(params=["sqlite", "mariadb", "mariadb-executemany"])
def store_config(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StorageConfig]:
    """The configuration of a fresh, empty store."""
    if request.param == "sqlite":
        yield StorageConfig(url=f"sqlite:{tmp_path / 'events.db'}", batch_delay_s=Seconds(0.02))
        return
    if request.param == "mariadb-executemany":
        monkeypatch.setattr("siemd.storage.mysql.has_json_table", lambda _version: False)
    server: MariaServer = request.getfixturevalue("mariadb")
    database: str = request.getfixturevalue("mysql_database")
    yield StorageConfig(url=server.url(database), batch_delay_s=Seconds(0.02))


@pytest.fixture
async def store(store_config: StorageConfig, tmp_path: Path) -> AsyncIterator[Store]:
    """A fresh store, migrated."""
    opened = open_store(store_config, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def mysql_config(mariadb: MariaServer, mysql_database: str) -> StorageConfig:
    """The configuration of a fresh database on MariaDB."""
    return StorageConfig(url=mariadb.url(mysql_database), batch_delay_s=Seconds(0.02))
