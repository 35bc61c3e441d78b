"""The API beside a running siemd: what is tuned and suppressed acts there within seconds; large exports stay small."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from siemd.config import load_config
from siemd.storage import StorageConfig
from siemd.storage.database import open_database
from siemd.storage.store import open_store
from siemd.web.access.principal import Principal
from siemd.web.access.roles import SCOPES, rights_of
from siemd.web.services import Services
from support.batches import probes
from support.daemon import SIEMD, MariaRows, Siemd, SqliteRows
from support.mariadb import MariaServer, free_port
from support.waiting import wait_until
from support.web import TESTER

RULES = """
title: Every sample
name: sample
level: informational
logsource: {product: siemd, category: usage}
detection: {any: {cpu_percent|gte: 0}, condition: any}
---
title: Many samples
name: many
level: high
correlation: {type: event_count, rules: [sample], group-by: [host], timespan: 1m, condition: {gte: 1000000}}
---
title: Many samples again
name: known
level: high
correlation: {type: event_count, rules: [sample], group-by: [host], timespan: 1m, condition: {gte: 1000000}}
"""


async def make_token(path: Path) -> str:
    """An API token of a new admin with every scope that a token may have."""
    config = load_config(path)
    services = Services(config, config.data_path(), open_database(config.storage, config.data_path()))
    await services.database.open()
    user_id = await services.users.add(TESTER, "ada", "admin")
    owner = Principal(user_id, "ada", "admin", rights_of("admin"), "session")
    async with services.database.transaction() as transaction:
        token, _id = await services.tokens.make(transaction, owner, "tests", SCOPES, 3600)
    await services.close()
    return token


@pytest.fixture(params=["sqlite", "mariadb"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Siemd, httpx.Client]]:
    """`siemd run` with the API and rules of its own, and a client with a token."""
    store: Any = None
    if request.param == "mariadb":
        store = MariaRows(request.getfixturevalue("mariadb"), request.getfixturevalue("mysql_database"))
    (tmp_path / "rules.yml").write_text(RULES)
    port = free_port()
    settings = {
        "sources": {"sniffer": {"enabled": False}, "journal": {"enabled": False}, "metrics": {"interval": "100ms"}},
        "detection": {"rules": [str(tmp_path / "rules.yml")]},
        "web": {"enabled": True, "listen": f"127.0.0.1:{port}"},
    }
    siemd = Siemd(tmp_path / "siemd", settings, store or SqliteRows(tmp_path / "siemd" / "data" / "siemd.db"))
    siemd.start()
    try:
        wait_until(lambda: siemd.component("web").get("status") == "ok", "the API is there")
        headers = {"Authorization": f"Bearer {asyncio.run(make_token(siemd.config))}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60) as client:
            yield siemd, client
        assert siemd.stop() == 0
        siemd.assert_no_traceback()
    finally:
        siemd.kill()


def test_what_is_tuned_by_the_api_changes_what_a_running_siemd_detects(running: tuple[Siemd, httpx.Client]) -> None:
    siemd, client = running
    body = {"owner": "ada", "reason": "known", "expires": "2099-01-01", "rules": "known"}
    answer = client.post("/api/v1/suppressions", json={"name": "known-load", "suppression": body})
    assert answer.status_code == 201, answer.text
    wait_until(lambda: "hidden_by.known-load" in siemd.component("detection").get("extra", {}), "siemd has taken it")
    assert siemd.alerts() == []
    for rule in ("known", "many"):
        tuned = client.put(f"/api/v1/rules/{rule}/tuning", json={"condition": {"gte": 3}})
        assert tuned.status_code == 200, tuned.text
    wait_until(lambda: siemd.alerts("many"), "the rule alerts with its new threshold")

    def hidden() -> Any:
        return client.get("/api/v1/suppressions/known-load").json()["hidden"]

    wait_until(hidden, "the other one is hidden, and that is counted")
    assert siemd.alerts("known") == []
    listed = wait_until(lambda: client.get("/api/v1/alerts").json()["incidents"], "the incident is stored")
    assert {one["rule"] for one in listed} == {"many"}
    health = client.get("/api/v1/health").json()
    assert health["running"] and {"detection", "writer", "web"} <= {part["name"] for part in health["components"]}
    assert client.get("/api/v1/health/detail").json()["host"] == "lab"
    assert client.delete("/api/v1/suppressions/known-load").status_code == 204
    wait_until(lambda: siemd.alerts("known"), "without the suppression it alerts")
    off = client.post("/api/v1/rules/many/disable")
    assert off.status_code == 200
    wait_until(lambda: siemd.log("rules.loaded")[-1]["rules"] == 2, "it is out of use")


@contextmanager
def serving_alone(folder: Path, url: str) -> Iterator[tuple[psutil.Process, httpx.Client, Path]]:
    """`siemd web` as a process of its own, and a client with a token."""
    port, path = free_port(), folder / "siemd.yaml"
    config = {
        "data_dir": str(folder / "data"), "host": "lab", "storage": {"url": url},
        "web": {"listen": f"127.0.0.1:{port}"},
    }  # fmt: skip
    path.write_text(json.dumps(config))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([str(SIEMD), "web", "--config", str(path)], stdout=output, stderr=output)
    try:
        wait_until(lambda: b"/setup#" in (folder / "output").read_bytes(), "the server is ready")
        headers = {"Authorization": f"Bearer {asyncio.run(make_token(path))}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60) as client:
            yield psutil.Process(process.pid), client, path
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("store_kind", ["sqlite", "mariadb"])
def test_an_export_of_200_thousand_rows_stays_small(
    request: pytest.FixtureRequest, store_kind: str, kind: str, tmp_path: Path
) -> None:
    url = f"sqlite:{tmp_path / 'events.db'}"
    if store_kind == "mariadb":
        server: MariaServer = request.getfixturevalue("mariadb")
        url = server.url(request.getfixturevalue("mysql_database"))

    async def fill() -> None:
        store = open_store(StorageConfig(url=url), tmp_path)
        await store.open()
        for epoch in range(1, 26):
            await store.write([probes(1, 8_000, epoch=epoch)])
        await store.close()

    asyncio.run(fill())
    with serving_alone(tmp_path, url) as (process, client, _path):
        assert client.get("/api/v1/events/logs", params={"limit": 1000}).status_code == 200  # what a page needs
        before = most = process.memory_info().rss
        size = lines = 0
        with client.stream("GET", f"/api/v1/events/logs/export.{kind}") as answer:
            assert answer.status_code == 200
            for chunk in answer.iter_raw():
                size, lines = size + len(chunk), lines + chunk.count(b"\n")
                most = max(most, process.memory_info().rss)
        assert lines == 200_000 + (kind == "csv")
        assert size > 30 << 20
        assert most - before < 24 << 20, f"{(most - before) >> 20} MiB more for {size >> 20} MiB"
