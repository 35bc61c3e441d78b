"""Saved views and settings by the API, hosts and health; and what is whose."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from siemd.config import load_config
from siemd.storage.store import Store
from siemd.storage.tables import TABLES
from siemd.web.access.roles import Right
from support.batches import alert, batch, probe, probes, usage
from support.web import Web, serving

VIEW: dict[str, Any] = {"name": "Scans", "page": "search", "definition": {"table": "logs", "q": "probe"}}


async def test_views_are_their_owners_and_shared_ones_are_read_by_all(web: Web) -> None:
    ada = await web.session_of(await web.user("ada", "analyst"))
    eve = await web.session_of(await web.user("eve", "analyst"))
    admin = await web.as_role("admin")
    own = (await ada.post("/api/v1/views", json=VIEW)).json()
    shared = (await ada.post("/api/v1/views", json=VIEW | {"name": "All", "shared": True})).json()
    assert own["own"] and own["owner"] == "ada" and own["definition"] == VIEW["definition"]
    for stranger in (eve, admin):
        assert (await stranger.get(f"/api/v1/views/{own['view_id']}")).status_code == 404
        assert [view["view_id"] for view in (await stranger.get("/api/v1/views")).json()] == [shared["view_id"]]
        assert (await stranger.get(f"/api/v1/views/{shared['view_id']}")).json()["own"] is False
        for view in (own, shared):
            path = f"/api/v1/views/{view['view_id']}"
            assert (await stranger.put(path, json=VIEW | {"name": "stolen"})).status_code == 404
            assert (await stranger.delete(path)).status_code == 404
    changed = await ada.put(f"/api/v1/views/{own['view_id']}", json=VIEW | {"name": "Mine"})
    assert changed.json()["name"] == "Mine"
    assert (await ada.delete(f"/api/v1/views/{shared['view_id']}")).status_code == 204
    assert [view["name"] for view in (await ada.get("/api/v1/views")).json()] == ["Mine"]


async def test_a_viewer_keeps_views_and_shares_none(web: Web) -> None:
    client = await web.as_role("viewer")
    own = await client.post("/api/v1/views", json=VIEW)
    assert own.status_code == 201
    assert (await client.post("/api/v1/views", json=VIEW | {"shared": True})).status_code == 403
    path = f"/api/v1/views/{own.json()['view_id']}"
    assert (await client.put(path, json=VIEW | {"shared": True})).status_code == 403
    assert (await client.get(path)).json()["shared"] is False


async def test_documents_are_bounded(sqlite_web: Web) -> None:
    client = await sqlite_web.as_role("admin")
    large = {"value": "x" * 70_000}
    assert (await client.put("/api/v1/settings/large", json=large)).status_code == 422
    assert (await client.post("/api/v1/views", json=VIEW | {"definition": large})).status_code == 422
    for number in range(200):
        assert (await client.post("/api/v1/views", json=VIEW | {"name": str(number)})).status_code == 201
    full = await client.post("/api/v1/views", json=VIEW)
    assert full.status_code == 422 and "200 views" in full.json()["detail"]


async def test_settings(web: Web) -> None:
    client = await web.as_role("admin")
    odd = {"a": [1, None, {"é\u0000\ud83d\ude00": "<script>"}]}
    made = await client.put("/api/v1/settings/console.charts", content=json.dumps({"value": odd}),
                            headers={"Content-Type": "application/json"})  # fmt: skip
    assert made.status_code == 200 and made.json()["changed_by"] == "the-admin"
    (shown,) = (await client.get("/api/v1/settings")).json()
    assert json.dumps(shown["value"]).replace("\\u2400", "\\u0000") == json.dumps(odd)
    await client.put("/api/v1/settings/console.charts", json={"value": 2})
    assert [one["value"] for one in (await client.get("/api/v1/settings")).json()] == [2]
    assert (await client.delete("/api/v1/settings/console.charts")).status_code == 204
    assert (await client.delete("/api/v1/settings/console.charts")).status_code == 404
    for name in ("a b", "-", "x" * 101):
        assert (await client.put(f"/api/v1/settings/{name}", json={"value": 1})).status_code == 422


async def test_what_the_store_holds_and_keeps(web: Web, store: Store) -> None:
    old, new = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
    times_us = [int(datetime.fromisoformat(one).timestamp() * 1e6) for one in (new, old)]
    facts = [probe(seq, time_us=time_us) for seq, time_us in enumerate(times_us, 1)]
    await store.write([batch(*facts), batch(alert(1, incident_id="i-1"), source="detection")])
    client = await web.as_role("admin")
    shown = (await client.get("/api/v1/storage")).json()
    assert shown["description"] and shown["bytes"] > 10_000
    tables = {one.pop("table"): one for one in shown["tables"]}
    assert tables["logs"] == {"kept_s": 30 * 86400, "rows": 2, "oldest": old}
    assert tables["alerts"]["rows"] == 1 and tables["alerts"]["kept_s"] == 365 * 86400
    assert tables["usage_data"] == {"kept_s": 30 * 86400, "rows": 0, "oldest": None}
    assert set(tables) == set(TABLES)


async def test_what_siemd_yaml_says_is_shown_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    path = tmp_path / "siemd.yaml"
    path.write_text(
        f"data_dir: {tmp_path / 'data'}\n"
        "storage: {url: 'mysql://siemd:${A_SECRET}@db.example/siemd', retention: {logs: 10d}}\n"
        "notify: {targets: {h: {channel: webhook, url: 'http://127.0.0.1/${A_SECRET}', secret: '${A_SECRET}'}}}\n"
        "web: {oidc: {issuer: 'https://id.example', client_id: x, client_secret: '${A_SECRET}', roles: {a: viewer}}}\n"
    )
    config = load_config(path)
    config.storage.url = f"sqlite:{tmp_path / 'web.db'}"
    config.web.listen = "127.0.0.1:0"
    config.settle()
    config.data_path().mkdir()
    async with serving(config) as web:
        client = await web.as_role("admin")
        answer = await client.get("/api/v1/configuration")
        assert answer.status_code == 200 and "hunter2" not in answer.text and "web.db" not in answer.text
        shown = answer.json()
        assert shown["file"] == str(path) and shown["data_dir"] == str(tmp_path / "data")
        keys = {one.pop("key"): one for one in shown["keys"]}
        assert keys["storage.retention.logs"] == {"value": "10d", "default": "30d"}
        assert keys["pipeline.queue_events"] == {"value": "50000", "default": "50000"}
        changed = [key for key, one in keys.items() if one["value"] != one["default"]]
        assert changed == ["storage.retention.logs", "web.listen"]
        assert (await (await web.as_role("analyst")).get("/api/v1/configuration")).status_code == 403


async def test_hosts_and_the_ledger(web: Web, store: Store) -> None:
    await store.write([probes(1, 20), batch(usage(1), source="metrics"), batch(usage(9), source="metrics", epoch=2)])
    client = await web.with_token("viewer", [Right.READ_HOSTS])
    (host,) = (await client.get("/api/v1/hosts")).json()
    assert host["host"] == "sensor-1" and host["usage"]["cpu_percent"] == 12.5 and host["events"]["logs"] == 20
    ledger = (await client.get("/api/v1/ledger")).json()
    missing = {(one["source"], one["epoch"]): one["missing"] for one in ledger}
    assert missing == {("sniffer", 1): 0, ("metrics", 1): 0, ("metrics", 2): 8}


async def test_usage_over_time(web: Web, store: Store) -> None:
    await store.write([batch(usage(1), usage(2, cpu_percent=87.5), source="metrics")])
    client = await web.as_role("viewer")
    told = (await client.get("/api/v1/usage", params={"start": "-24h", "buckets": 50})).json()
    (series,) = told["hosts"]
    assert series["host"] == "sensor-1" and told["width_s"] == 1800 and len(told["times"]) == 1
    assert series["measurements"]["cpu_percent"] == [50.0]
    assert (await client.get("/api/v1/usage", params={"host": "nobody"})).json()["hosts"] == []
    for wrong in ({"buckets": 0}, {"start": "1970-01-01T00:00:00Z"}, {"host": "x" * 300}):
        assert (await client.get("/api/v1/usage", params=wrong)).status_code == 422, wrong


async def test_what_is_known_of_addresses(sqlite_web: Web) -> None:
    client = await sqlite_web.as_role("viewer")
    asked = "192.168.0.1,8.8.8.8,2001:4860:4860::8888,127.0.0.1,fe80::1,224.0.0.1,<b>x,0.0.0.0"
    told = (await client.get("/api/v1/addresses", params={"address": asked})).json()
    assert [one["address"] for one in told] == asked.split(",")
    assert [one["country"] for one in told] == ["", "US", "US", *[""] * 5]
    kinds = ["private", "global", "global", "loopback", "link_local", "multicast", "", "unspecified"]
    assert [one["kind"] for one in told] == kinds
    assert (await client.get("/api/v1/addresses", params={"address": ",".join(["::1"] * 501)})).status_code == 422
    assert (await client.get("/api/v1/addresses")).status_code == 422


@pytest.mark.parametrize("role", ["viewer", "admin"])
async def test_health_where_no_siemd_runs(sqlite_web: Web, role: Any) -> None:
    client = await sqlite_web.as_role(role)
    assert (await client.get("/api/v1/health")).json() == {"running": False, "components": []}
    detail = await client.get("/api/v1/health/detail")
    assert detail.status_code == (200 if role == "admin" else 403)
    about = (await client.get("/api/v1/about")).json()
    assert about["name"] == "siemd" and about["store"] == "sqlite" and about["version"]
