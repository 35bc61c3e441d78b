"""Events by the API: searched, paged, exported and counted, on both stores."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from siemd.events import now_us
from siemd.storage import StorageConfig
from siemd.storage.store import Store, open_store
from siemd.units import Seconds
from siemd.web.access.roles import Right
from siemd.web.config import LimitsConfig, WebConfig
from support.batches import alert, batch, connection, log, probe, probes, usage
from support.mariadb import MariaServer
from support.web import Web, serving, until, web_config

TABLES = ("logs", "connections", "security_logs", "system_logs", "application_logs", "channel_logs", "usage_data")


async def filled(store: Store) -> None:
    await store.write(
        [
            probes(1, 250),
            batch(*(log(seq, table=table) for seq, table in enumerate(TABLES[2:6], 1)), source="windows"),
            batch(connection(1), source="other-sniffer"),
            batch(usage(1), source="metrics"),
        ]
    )


async def rows_of(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every row, page by page, by the Link header alone."""
    found, answer = [], await client.get(path, params=params)
    while True:
        assert answer.status_code == 200, answer.text
        found += answer.json()["rows"]
        if "next" not in answer.links:
            assert answer.json()["next"] == ""
            return found
        answer = await client.get(answer.links["next"]["url"])


async def test_every_table_is_searched_and_its_rows_shown_one_by_one(web: Web, store: Store) -> None:
    await filled(store)
    client = await web.with_token("viewer", [Right.READ_EVENTS])
    tables = (await client.get("/api/v1/events")).json()
    assert [table["name"] for table in tables] == list(TABLES)
    for table in tables:
        rows = (await client.get(f"/api/v1/events/{table['name']}", params={"limit": 3})).json()["rows"]
        assert rows, table["name"]
        assert list(rows[0]) == [field["name"] for field in table["fields"]]
        assert rows[0][table["time"]].endswith("Z")
        one = await client.get(f"/api/v1/events/{table['name']}/{rows[0]['id']}")
        assert one.json() == rows[0]
        assert (await client.get(f"/api/v1/events/{table['name']}/999999999")).status_code == 404


async def test_pages_hold_every_row_once_whatever_comes_meanwhile(web: Web, store: Store) -> None:
    await filled(store)
    client = await web.as_role("viewer")
    answer = await client.get("/api/v1/events/logs", params={"limit": 100, "fields": "seq"})
    await store.write([probes(251, 50)])
    seen = [row["seq"] for row in answer.json()["rows"]]
    while "next" in answer.links:
        answer = await client.get(answer.links["next"]["url"])
        seen += [row["seq"] for row in answer.json()["rows"]]
    assert seen == list(range(250, 0, -1)), "newest first, none twice, and none that came after the first page"
    oldest = await rows_of(client, "/api/v1/events/logs", order="asc", limit=7, fields="seq")
    assert [row["seq"] for row in oldest] == list(range(1, 301))


async def test_filters_words_and_fields(web: Web, store: Store) -> None:
    facts = [probe(seq, source_ip=f"10.0.{seq}.1", user_name="Ada" if seq % 2 else "") for seq in range(1, 21)]
    await store.write([batch(*facts)])
    client = await web.as_role("viewer")

    async def seqs(**params: Any) -> set[int]:
        return {row["seq"] for row in await rows_of(client, "/api/v1/events/logs", **params)}

    assert await seqs(filter="source_ip:cidr:10.0.4.0/22") == {4, 5, 6, 7}
    assert await seqs(filter=["user_name:eq:ADA", "destination_port:lte:5"]) == {1, 3, 5}
    assert await seqs(filter='{"field": "destination_port", "op": "in", "value": [2, "4"]}') == {2, 4}
    assert await seqs(q='"probed 192.0.2.1" -ada') == set(range(2, 21, 2))
    assert await seqs(filter="fields.probe:eq:syn", start="-1h", end="now") == set(range(1, 21))
    assert await seqs(end="-1h") == set()
    rows = await rows_of(client, "/api/v1/events/logs", fields="source_ip,time", limit=1)
    assert list(rows[0]) == ["source_ip", "time"]


@pytest.mark.parametrize(
    "query",
    [
        "filter=nothing:eq:1", "filter=source_ip:like:1", "filter=source_ip", "filter={", "sort=message", "sort=;--",
        "fields=secret", "fields=id,(SELECT 1)", "start=soon", "start=-900d", "start=1970-01-01", "end=-25h",
        "limit=0", "limit=1001", "limit=x", "order=up", "cursor=x", "q=" + "a " * 11, "q=" + "a" * 1001,
        "&".join(["filter=host:eq:a"] * 21), "filter=fields.a%22b:eq:1", "filter=destination_port:eq:1e400",
        "filter=host:in:" + ",".join("a" * 101), "filter=time:gt:x", "filter=fields:eq:1",
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused_in_words(sqlite_web: Web, query: str) -> None:
    client = await sqlite_web.as_role("viewer")
    for path in ("/api/v1/events/logs", "/api/v1/events/logs/export.csv", "/api/v1/events/logs/export.jsonl"):
        if "export" in path and query.startswith(("limit=10", "cursor")):
            continue
        answer = await client.get(f"{path}?{query}")
        assert answer.status_code == 422, f"{path}?{query}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"], "it is told which part is wrong"


async def test_cursors_that_somebody_made_are_refused_or_harmless(web: Web, store: Store) -> None:
    await filled(store)
    client = await web.as_role("viewer")
    cursor = (await client.get("/api/v1/events/logs", params={"limit": 10})).json()["next"]
    mark, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))

    def made(*parts: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")

    for wrong in (
        made(mark, *values, 1), made(mark), made("x", *values), made(mark, "' OR 1=1 --", values[1]), made(mark, 1, 2),
        made(mark, values[0], "1"), made(mark, values[0], 2**70), made(mark, values[0], None), cursor[:-3], "=" * 10,
        "\x00", "AAAA", cursor + "AAAA", "W" * 1999, made([mark], *values), made(mark, "9999-99-99 00:00:00", 1),
    ):  # fmt: skip
        answer = await client.get("/api/v1/events/logs", params={"limit": 10, "cursor": wrong})
        assert answer.status_code == 422, f"{wrong}: {answer.text}"
    for path in ("/api/v1/events/security_logs", "/api/v1/alerts"):
        assert (await client.get(path, params={"cursor": cursor})).status_code == 422, "it is none of that question"
    assert (await client.get("/api/v1/events/logs", params={"cursor": cursor, "order": "asc"})).status_code == 422


async def test_deep_filters_and_long_queries_end_early(sqlite_web: Web) -> None:
    client = await sqlite_web.as_role("viewer")
    nested = '{"field":"host","op":"in","value":' + "[" * 500 + "]" * 500 + "}"
    assert (await client.get("/api/v1/events/logs", params={"filter": nested})).status_code == 422
    many = [f"fields.{'x' * 90}{number}:contains:{'y' * 200}" for number in range(20)]
    assert (await client.get("/api/v1/events/logs", params={"filter": many})).status_code == 200
    assert (await client.get("/api/v1/events/logs", params={"q": "a" * 9000})).status_code == 414


async def test_a_formula_in_an_event_is_text_in_the_export(web: Web, store: Store) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", '=HYPERLINK("http://x";"y")', "a,b\"c'\nd"]
    await store.write([batch(*(probe(seq, message=text, user_name=text) for seq, text in enumerate(evil, 1)))])
    client = await web.as_role("viewer")
    answer = await client.get("/api/v1/events/logs/export.csv", params={"order": "asc", "fields": "seq,message"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'attachment; filename="logs.csv"' in answer.headers["content-disposition"]
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert header == ["seq", "message"] and len(rows) == len(evil)
    for (_seq, shown), text in zip(rows, evil, strict=True):
        assert not shown.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert shown.removeprefix("'") == text
    lines = (await client.get("/api/v1/events/logs/export.jsonl", params={"order": "asc"})).text.splitlines()
    assert [json.loads(line)["message"] for line in lines] == evil, "JSON is for programs: nothing is changed"


async def test_an_export_holds_all_that_is_asked_for(web: Web, store: Store) -> None:
    for epoch in range(1, 6):
        await store.write([probes(1, 1000, epoch=epoch)])
    client = await web.with_token("viewer", [Right.READ_EVENTS])
    lines = (await client.get("/api/v1/events/logs/export.jsonl")).text.splitlines()
    assert len({(row["epoch"], row["seq"]) for row in map(json.loads, lines)}) == len(lines) == 5000
    some = await client.get("/api/v1/events/logs/export.jsonl", params={"limit": 2500, "filter": "seq:gt:10"})
    assert len(some.text.splitlines()) == 2500
    empty = await client.get("/api/v1/events/usage_data/export.csv")
    assert empty.text.startswith("id,time,host") and empty.text.count("\n") == 1


async def test_an_export_ends_when_its_client_goes_away(web: Web, store: Store) -> None:
    for epoch in range(1, 11):
        await store.write([probes(1, 2000, epoch=epoch)])
    client = await web.as_role("viewer")
    async with client.stream("GET", "/api/v1/events/logs/export.jsonl") as answer:
        await anext(answer.aiter_bytes())
    await until(lambda: web.server.gate.open <= 1, "the connection is gone")
    assert (await client.get("/api/v1/statistics/logs/total")).json() == {"total": 20_000}


@pytest.fixture
async def impatient(storage: StorageConfig, tmp_path: Path) -> AsyncIterator[Web]:
    """A server that cuts who takes nothing."""
    web = WebConfig(limits=LimitsConfig(stall_time_s=Seconds(0.5), requests=3))
    async with serving(web_config(tmp_path, storage, web)) as running:
        yield running


async def test_who_takes_an_export_too_slowly_is_cut_and_holds_nobody_up(
    impatient: Web, storage: StorageConfig, tmp_path: Path
) -> None:
    store = open_store(storage, tmp_path)
    await store.open()
    for epoch in range(1, 21):
        await store.write([batch(*(probe(seq, message="m" * 2000) for seq in range(1, 1001)), epoch=epoch)])
    await store.close()
    client = await impatient.as_role("viewer")
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    request = f"GET /api/v1/events/logs/export.jsonl HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
    writers = []
    for _ in range(2):
        _reader, writer = await asyncio.open_connection("127.0.0.1", impatient.server.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request)
        writers.append(writer)
    await until(lambda: impatient.server.gate.open >= 2, "both are open")
    assert (await client.get("/api/v1/events/logs", params={"limit": 1})).status_code == 200, "others are served"
    await until(lambda: impatient.server.gate.open <= 1, "both are cut")
    for writer in writers:
        writer.close()
    assert (await client.get("/api/v1/events/logs/export.jsonl", params={"limit": 10})).status_code == 200


async def test_a_question_ends_with_whoever_asked_it(mariadb: MariaServer, mysql_database: str, tmp_path: Path) -> None:
    """The table is locked, so the query hangs until somebody ends it."""
    storage = StorageConfig(url=mariadb.url(mysql_database))
    async with serving(web_config(tmp_path, storage)) as web:
        client = await web.as_role("viewer")
        assert (await client.get("/api/v1/events/logs")).status_code == 200
        locking, watching = mariadb.connect(mysql_database), mariadb.connect(mysql_database)

        def hanging() -> int:
            with watching.cursor() as cursor:
                cursor.execute(
                    "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%FROM logs WHERE%' "
                    "AND info NOT LIKE '%processlist%'"
                )
                return int(cursor.fetchone()[0])

        with locking.cursor() as cursor:
            cursor.execute("LOCK TABLES logs WRITE")
        for path in ("/api/v1/events/logs", "/api/v1/events/logs/export.csv", "/api/v1/statistics/logs/total?q=a"):
            task = asyncio.get_running_loop().create_task(client.get(path))
            await until(hanging, f"{path} hangs")
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: not hanging(), f"{path} has ended")
        with locking.cursor() as cursor:
            cursor.execute("UNLOCK TABLES")
        locking.close()
        watching.close()
        assert (await client.get("/api/v1/events/logs")).status_code == 200


async def test_counts(web: Web, store: Store) -> None:
    await filled(store)
    await store.write([batch(alert(1), source="detection")])
    client = await web.as_role("viewer")
    top = (await client.get("/api/v1/statistics/logs/top", params={"field": "source_ip"})).json()
    assert top == {"values": [{"value": "192.0.2.7", "count": 250}], "total": 250, "others": 0}
    ports = (await client.get("/api/v1/statistics/logs/top", params={"field": "destination_port", "limit": 2})).json()
    assert ports["total"] == 250 and ports["others"] == 248
    native = (await client.get("/api/v1/statistics/logs/top", params={"field": "fields.probe"})).json()
    assert native["values"] == [{"value": "syn", "count": 250}]
    line = (await client.get("/api/v1/statistics/logs/timeline", params={"by": "event_type", "start": "-30d"})).json()
    assert line["total"] == 250 and sum(line["series"][0]["counts"]) == 250
    assert len(line["times"]) == len(line["series"][0]["counts"]) <= 201
    assert (await client.get("/api/v1/statistics/alerts/total")).json() == {"total": 1}
    (pair,) = (await client.get("/api/v1/statistics/logs/pairs")).json()
    assert (pair["source"], pair["target"], pair["count"]) == ("192.0.2.7", "192.0.2.1", 250)
    assert pair["last_seen"].endswith("Z")
    await store.write([batch(*(connection(seq, source_ip=f"10.0.0.{1 + seq // 3}") for seq in (1, 2, 3, 4)), epoch=2)])
    most = connection(5, source_ip="10.0.0.9", fields={"source_bytes": (1 << 63) - 1, "destination_bytes": 7})
    await store.write([batch(most, connection(6, source_ip="10.0.0.9", fields=most.fields), epoch=3)])
    by_bytes = {"order": "bytes", "filter": "source_ip:prefix:10."}
    talked = (await client.get("/api/v1/statistics/connections/pairs", params=by_bytes)).json()
    assert [(pair["source"], pair["count"]) for pair in talked] == [("10.0.0.9", 2), ("10.0.0.1", 2), ("10.0.0.2", 2)]
    assert (talked[1]["sent"], talked[1]["received"], talked[0]["sent"]) == (1400, 2 << 40, (1 << 63) - 1)
    by_kind = {"source": "event_type", "target": "protocol", "filter": "source_ip:eq:10.9.9.9"}
    assert (await client.get("/api/v1/statistics/logs/pairs", params=by_kind)).json() == []
    for wrong in ("top?field=nothing", "top", "timeline?width=7", "timeline?by=message", "timeline?width=1&start=-9d",
                  "pairs?source=count", "pairs?target=fields", "pairs?source=x'--", "pairs?limit=501",
                  "pairs?order=bytes"):  # fmt: skip
        assert (await client.get(f"/api/v1/statistics/logs/{wrong}")).status_code == 422, wrong
    only = await web.with_token("viewer", [Right.READ_STATISTICS])
    assert (await only.get("/api/v1/statistics/logs/total")).status_code == 200
    assert (await only.get("/api/v1/statistics/alerts/total")).status_code == 403, "alerts want their right too"


async def test_a_store_that_is_away_is_told_and_comes_back(
    mariadb: MariaServer, mysql_database: str, tmp_path: Path
) -> None:
    storage = StorageConfig(url=mariadb.url(mysql_database))
    async with serving(web_config(tmp_path, storage)) as web:
        client = await web.as_role("viewer")
        await asyncio.to_thread(mariadb.kill)
        try:
            answer = await client.get("/api/v1/events/logs")
            assert answer.status_code == 503 and answer.json()["type"] == "urn:siemd:problem:store"
        finally:
            mariadb.start()  # in this thread, with which it ends
        statuses: list[int] = []
        while not statuses or statuses[-1] != 200:
            statuses.append((await client.get("/api/v1/events/logs")).status_code)
            assert statuses[-1] in (200, 503) and len(statuses) < 1000


def test_rows_in_the_future_of_a_wrong_clock_are_still_found() -> None:
    """Nothing of a question without an end is cut at the present."""
    from siemd.web.asking import time_range

    start_us, end_us = time_range("-1h", "", 1e9)
    assert end_us is None and start_us < now_us()
    assert msgspec.json.encode(start_us)
