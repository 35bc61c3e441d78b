"""sqlmap against the questions that people may put to MariaDB: it finds nothing, and would if there were something."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from litestar import get
from litestar.params import FromQuery

from siemd.storage import StorageConfig
from siemd.storage.store import StoreError, open_store
from siemd.web import api
from siemd.web.access.roles import Right
from siemd.web.services import TheServices
from support.batches import alert, batch, probes
from support.mariadb import MariaServer
from support.web import Web, serving, web_config

SQLMAP = Path(sys.executable).with_name("sqlmap")
MOST_S = 60  # the search ends by itself; what it has not tried by then it does not try
NOTHING = "do not appear to be injectable"
FOUND = "identified the following injection point"
QUERIES = [
    "events/logs?filter=source_ip:eq:192.0.2.7*&q=probed*",
    "events/logs?sort=time*&order=desc&fields=seq*",
    "events/logs?cursor=abc*&start=-24h*",
    "events/logs?filter=fields.probe*:eq:syn",
    "alerts?rule=port_scan_syn*&state=new*&q=probed*",
    "alerts/incident-1*",
    "statistics/logs/top?field=fields.probe*",
    "statistics/logs/timeline?by=source_ip*&filter=destination_port:gt:5*",
]


def sqlmap(web: Web, query: str, authorization: str, folder: Path) -> subprocess.Popen[str]:
    """A run of sqlmap on the places marked by a star."""
    if not SQLMAP.exists():
        pytest.skip("sqlmap is not installed")
    command = [
        str(SQLMAP), "-u", f"{web.origin}/api/v1/{query}", "-H", f"Authorization: {authorization}", "--batch",
        "--flush-session", "--dbms=mysql", "--level=1", "--risk=1", "--technique=BEU", "--threads=4",
        "--ignore-code=404,422", f"--time-limit={MOST_S}", "--disable-coloring", "--output-dir", str(folder),
        "--answers=other DBMSes=N,reduce the number=N,follow=N",
    ]  # fmt: skip
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "no_proxy": "*"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


async def said(process: subprocess.Popen[str]) -> str:
    output, _nothing = await asyncio.to_thread(process.communicate)
    return output


async def filled(config: StorageConfig, folder: Path) -> None:
    store = open_store(config, folder)
    await store.open()
    await store.write([probes(1, 20), batch(alert(1), source="detection")])
    await store.close()


@pytest.mark.timeout(400)
async def test_sqlmap_finds_nothing(mariadb: MariaServer, mysql_database: str, tmp_path: Path) -> None:
    storage = StorageConfig(url=mariadb.url(mysql_database))
    async with serving(web_config(tmp_path, storage)) as web:
        await filled(storage, tmp_path)
        client = await web.with_token("analyst", [Right.READ_EVENTS, Right.READ_ALERTS, Right.READ_STATISTICS])
        answers = []
        for number in range(0, len(QUERIES), 4):
            processes = [
                sqlmap(web, query, client.headers["Authorization"], tmp_path / f"map{number}{index}")
                for index, query in enumerate(QUERIES[number : number + 4])
            ]
            answers += [await said(process) for process in processes]
        for query, answer in zip(QUERIES, answers, strict=True):
            assert FOUND not in answer, f"{query}: {answer[-3000:]}"
            assert NOTHING in answer or "time limit" in answer, f"{query}: {answer[-3000:]}"
        assert (await client.get("/api/v1/events/logs")).status_code == 200


@pytest.mark.timeout(200)
async def test_sqlmap_would_find_something(mariadb: MariaServer, mysql_database: str, tmp_path: Path) -> None:
    """The same flags find a hole that is made on purpose, so that finding nothing means something."""

    @get("/api/v1/hole", opt={"right": Right.READ_EVENTS})
    async def hole(services: TheServices, name: FromQuery[str]) -> list[dict[str, Any]]:
        sql = f"SELECT seq, message FROM logs WHERE event_type = '{name}' LIMIT 5"
        try:
            return await services.database.fetch(sql)
        except StoreError:
            return []

    storage = StorageConfig(url=mariadb.url(mysql_database))
    async with serving(web_config(tmp_path, storage), [*api.HANDLERS, hole]) as web:
        await filled(storage, tmp_path)
        client = await web.with_token("analyst", [Right.READ_EVENTS])
        answer = await said(sqlmap(web, "hole?name=tcp_probe*", client.headers["Authorization"], tmp_path / "map"))
        assert FOUND in answer, answer[-3000:]
