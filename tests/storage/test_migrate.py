"""Migrations: idempotent, checked, one at a time, and errors that say what to do."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from siemd.errors import UserError
from siemd.resources import resource
from siemd.storage import StorageConfig, Store, open_store
from siemd.storage.migrate import scripts


@pytest.fixture(params=["sqlite", "mariadb"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> StorageConfig:
    if request.param == "sqlite":
        return StorageConfig(url=f"sqlite:{tmp_path / 'events.db'}")
    found: StorageConfig = request.getfixturevalue("mysql_config")
    return found


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped SQL files that a test may change."""
    folder = tmp_path / "sql"
    shutil.copytree(resource("sql"), folder)
    monkeypatch.setattr("siemd.storage.migrate.resource", lambda name: tmp_path / name)
    return folder


async def opened(config: StorageConfig) -> Store:
    store = open_store(config, Path())
    await store.open()
    await store.close()
    return open_store(config, Path())


def every(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(f"*/{pattern}"))


async def test_applied_once_and_recorded(config: StorageConfig) -> None:
    store = await opened(config)
    first = await store.schema()
    assert [migration.number for migration in first] == list(range(1, len(first) + 1)) and len(first) >= 5
    assert all(migration.applied for migration in first)
    assert await (await opened(config)).schema() == first


async def test_many_start_at_the_same_time(config: StorageConfig) -> None:
    stores = await asyncio.gather(*(opened(config) for _ in range(8)))
    assert all(migration.applied for migration in await stores[0].schema())


async def test_a_step_that_was_interrupted_is_run_again(config: StorageConfig, sql: Path) -> None:
    """MySQL commits each statement by itself, so a step may be half done."""
    for path in every(sql, "0002_*.sql"):
        path.write_text(path.read_text() + "CREATE TABLE logs_of_nothing broken;\n")
    with pytest.raises(UserError, match=r"broken|syntax"):
        await opened(config)
    for path in every(sql, "0002_*.sql"):
        path.write_text(path.read_text().replace("CREATE TABLE logs_of_nothing broken;\n", ""))
    assert all(migration.applied for migration in await (await opened(config)).schema())


async def test_a_changed_file_is_refused_with_what_to_do(config: StorageConfig, sql: Path) -> None:
    await opened(config)
    for path in every(sql, "0003_*.sql"):
        path.write_text(path.read_text() + "-- changed\n")
    with pytest.raises(UserError, match=r"0003_usage_data .* applied from a different file; .*siemd db reset"):
        await opened(config)
    store = open_store(config, Path())
    await store.reset()  # what the message advises works
    assert all(migration.applied for migration in await store.schema())
    await store.close()


async def test_a_newer_schema_is_refused_with_what_to_do(config: StorageConfig, sql: Path) -> None:
    known = len(scripts("sqlite"))
    for folder in (sql / "sqlite", sql / "mysql"):
        (folder / f"{known + 1:04d}_future.sql").write_text("CREATE TABLE IF NOT EXISTS future (id INT);\n")
    store = await opened(config)
    for path in every(sql, "*_future.sql"):
        path.unlink()
    assert [migration.name for migration in await store.schema()][-1] == "future"
    with pytest.raises(UserError, match=f"at step {known + 1}, this siemd knows {known}; a newer siemd made it"):
        await opened(config)


def test_line_endings_of_a_checkout_do_not_count(sql: Path) -> None:
    before = [script.checksum for script in scripts("sqlite")]
    for path in every(sql, "*.sql"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    after = scripts("sqlite")
    assert [script.checksum for script in after] == before
    assert len(after[0].statements) == 5


def test_gaps_in_the_numbers_are_refused(sql: Path) -> None:
    (sql / "mysql" / "0002_event_logs.sql").unlink()
    with pytest.raises(UserError, match="not numbered"):
        scripts("mysql")


def test_both_databases_have_the_same_steps() -> None:
    assert [(s.number, s.name) for s in scripts("sqlite")] == [(s.number, s.name) for s in scripts("mysql")]
