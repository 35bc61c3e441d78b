"""Every query in sql/queries runs on MariaDB as a panel would run it, and finds what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from siemd.events import now_us
from siemd.resources import resource
from siemd.storage import StorageConfig, open_store
from support.batches import alert, batch, log, probe, usage
from support.mariadb import MariaServer

QUERIES = sorted(resource("sql/queries").glob("*.sql"))


def test_there_are_queries() -> None:
    assert {path.stem for path in QUERIES} >= {"events_per_hour", "top_sources", "open_incidents"}


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
async def test_a_panel_query_answers(
    path: Path, mariadb: MariaServer, mysql_config: StorageConfig, mysql_database: str, tmp_path: Path
) -> None:
    store = open_store(mysql_config, tmp_path)
    await store.open()
    await store.write([batch(probe(1), probe(2)), batch(log(1), source="windows"), batch(usage(1), source="metrics")])
    await store.write([batch(alert(1), source="detection")])
    await store.close()
    text = path.read_text(encoding="utf-8")  # noqa: ASYNC240
    assert text.startswith("-- Panel: ") and text.endswith(";\n")
    now_s = now_us() // 1_000_000
    for macro, value in (("$__unixEpochFrom()", now_s - 7200), ("$__unixEpochTo()", now_s + 60)):
        text = text.replace(macro, str(value))
    assert "$" not in text
    rows = mariadb.execute(text.rstrip(";\n"), database=mysql_database)
    assert rows, "a panel without rows"
