"""Incidents by the API: found, worked on by several people at once, and every change in the audit log."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from siemd.events import now_us
from siemd.storage.store import Store
from siemd.web.access.roles import Right
from support.batches import alert, batch
from support.web import Web


async def filled(store: Store, count: int = 4) -> list[str]:
    levels = ["low", "medium", "high", "critical"]
    ids = [f"incident-{number}" for number in range(count)]
    alerts = [
        alert(number + 1, incident_id=name, level=levels[number % 4], rule=f"rule_{number % 2}", revision=1)
        for number, name in enumerate(ids)
    ]
    await store.write([batch(*alerts, source="detection")])
    return ids


async def act(client: httpx.AsyncClient, action: str, *ids: str, **more: Any) -> httpx.Response:
    return await client.post("/api/v1/alerts/triage", json={"incident_ids": list(ids), "action": action, **more})


async def audited(web: Web, action: str) -> list[dict[str, Any]]:
    admin = await web.as_role("admin")
    found: list[dict[str, Any]] = (await admin.get("/api/v1/audit", params={"action": action})).json()
    return found


async def test_incidents_are_listed_and_counted_as_asked(web: Web, store: Store) -> None:
    ids = await filled(store, 6)
    client = await web.with_token("analyst", [Right.READ_ALERTS, Right.TRIAGE_ALERTS])
    assert (await act(client, "close", ids[0], verdict="false_positive")).status_code == 200
    await web.user("ada", "analyst")
    assert (await act(client, "assign", ids[1], assignee="Ada")).status_code == 200
    assert (await client.get("/api/v1/assignees")).json() == ["ada", "the-analyst"]

    async def listed(**params: str) -> set[str]:
        page = (await client.get("/api/v1/alerts", params=params)).json()
        counts = (await client.get("/api/v1/alerts/counts", params=params)).json()
        assert counts["total"] == len(page["incidents"])
        return {one["incident_id"] for one in page["incidents"]}

    assert await listed() == set(ids)
    assert await listed(state="closed") == await listed(verdict="false_positive") == {ids[0]}
    assert await listed(assignee="ada") == {ids[1]}
    assert await listed(assignee="-", state="new") == set(ids[2:])
    assert await listed(level="high,critical") == {ids[2], ids[3]}
    assert await listed(rule="rule_1", q="probed many") == {ids[1], ids[3], ids[5]}
    assert await listed(filter="group_values.source_ip:eq:192.0.2.7", tag="attack.t1046", status="open") == set(ids)
    assert await listed(host="elsewhere") == await listed(end="-1h") == set()
    answer = await client.get("/api/v1/alerts", params={"sort": "level", "limit": 4})
    found = [one["level"] for one in answer.json()["incidents"]]
    found += [one["level"] for one in (await client.get(answer.links["next"]["url"])).json()["incidents"]]
    assert found == ["critical", "high", "medium", "medium", "low", "low"]


async def test_an_incident_is_shown_with_all_that_belongs_to_it(web: Web, store: Store) -> None:
    ids = await filled(store)
    analyst = await web.as_role("analyst")
    made = await analyst.post(f"/api/v1/alerts/{ids[0]}/comments", json={"text": "<b>looks</b> odd"})
    assert made.status_code == 201 and made.json()["author"] == "the-analyst"
    await act(analyst, "close", ids[2], verdict="true_positive", comment="it was Eve")
    made_by_the_notifier = (
        "CREATE TABLE IF NOT EXISTS alert_notifications (id INTEGER PRIMARY KEY, time VARCHAR(30), incident_id "
        "VARCHAR(191), revision INTEGER, kind VARCHAR(16), route VARCHAR(64), channel VARCHAR(16), "
        "target VARCHAR(64), status VARCHAR(16), attempts INTEGER, detail VARCHAR(1000))"
    )
    await web.services.database.execute(made_by_the_notifier)
    await web.services.database.execute(
        "INSERT INTO alert_notifications (id, time, incident_id, revision, kind, route, channel, target, status, "
        "attempts, detail) VALUES (1, '2026-01-02 03:04:05.000000', ?, 1, 'open', 'a', 'email', 'ops', 'sent', 1, '')",
        (ids[0],),
    )
    viewer = await web.as_role("viewer")
    whole = (await viewer.get(f"/api/v1/alerts/{ids[0]}")).json()
    assert whole["incident"]["rule"] == "rule_0" and whole["incident"]["comments"] == 1
    assert whole["evidence"] == [{"message": "one"}]
    assert [one["text"] for one in whole["comments"]] == ["<b>looks</b> odd"]
    assert [(one["target"], one["time"]) for one in whole["notifications"]] == [("ops", "2026-01-02T03:04:05.000000Z")]
    past = (await viewer.get(f"/api/v1/alerts/{ids[0]}/past")).json()
    assert [one["incident"]["incident_id"] for one in past["incidents"]] == [ids[2]]
    assert past["verdicts"] == past["same_group"] == {"true_positive": 1}
    for nowhere in ("/api/v1/alerts/nothing", "/api/v1/alerts/nothing/past", "/api/v1/alerts/%00"):
        assert (await viewer.get(nowhere)).status_code == 404


async def test_the_way_of_an_incident_is_in_the_audit_log(web: Web, store: Store) -> None:
    (one, *_rest) = await filled(store)
    client = await web.as_role("analyst")
    steps: list[tuple[str, dict[str, Any]]] = [
        ("assign", {"assignee": "the-analyst"}), ("acknowledge", {}), ("close", {"verdict": "true_positive"}),
        ("close", {"verdict": "false_positive", "comment": "it was not"}), ("reopen", {"comment": "it was"}),
    ]  # fmt: skip
    for action, more in steps:
        answer = await act(client, action, one, **more)
        assert answer.status_code == 200 and len(answer.json()["changes"]) == 1, answer.text
    shown = (await client.get(f"/api/v1/alerts/{one}")).json()
    assert shown["incident"]["state"] == "acknowledged" and shown["incident"]["verdict"] == ""
    assert shown["incident"]["assignee"] == shown["incident"]["changed_by"] == "the-analyst"
    assert len(shown["comments"]) == 2
    entries = await audited(web, "alert.")
    assert [entry["action"].removeprefix("alert.") for entry in reversed(entries)] == [step for step, _more in steps]
    assert all(entry["target"] == one and entry["actor"] == "the-analyst" for entry in entries)
    again = (await act(client, "acknowledge", one)).json()
    assert again == {"changes": [], "unchanged": [one], "missing": []}
    assert len(await audited(web, "alert.")) == len(steps), "what changed nothing is not told as a change"


async def test_many_at_once_and_what_is_missing(web: Web, store: Store) -> None:
    ids = await filled(store, 60)
    client = await web.as_role("analyst")
    done = (await act(client, "close", *ids, "nothing", verdict="false_positive")).json()
    assert len(done["changes"]) == 60 and done["missing"] == ["nothing"]
    (entry,) = await audited(web, "alert.close")
    assert entry["detail"]["incidents"] == 60 and len(entry["detail"]["listed"]) == 50
    for wrong in (
        {"incident_ids": [], "action": "close", "verdict": "true_positive"},
        {"incident_ids": ["x"] * 501, "action": "acknowledge"},
        {"incident_ids": ids[:1], "action": "close"},
        {"incident_ids": ids[:1], "action": "delete"},
        {"incident_ids": ids[:1], "action": "reopen", "state": "closed"},
        {"incident_ids": ids[:1], "action": "assign", "assignee": "nobody-here"},
        {"incident_ids": ids[:1], "action": "close", "verdict": "maybe"},
        {"incident_ids": ids[:1], "action": "acknowledge", "by": "somebody-else"},
    ):
        assert (await client.post("/api/v1/alerts/triage", json=wrong)).status_code == 422, wrong


async def test_nobody_overwrites_what_somebody_else_did(web: Web, store: Store) -> None:
    one, two, *_rest = await filled(store)
    client = await web.as_role("analyst")
    assert (await act(client, "acknowledge", one, expected={one: None})).status_code == 200
    late = await act(client, "close", one, two, verdict="true_positive", expected={one: None, two: None})
    assert late.status_code == 409 and late.json()["type"] == "urn:siemd:problem:changed-meanwhile"
    assert late.json()["errors"] == [{"message": "changed by the-analyst", "key": one}]
    assert late.json()["detail"] == f"the-analyst changed {one} meanwhile (1 in all); look again"
    states = {name: (await client.get(f"/api/v1/alerts/{name}")).json()["incident"] for name in (one, two)}
    assert (states[one]["state"], states[two]["state"]) == ("acknowledged", "new"), "all or nothing"
    seen = {one: states[one]["changed"]}
    closed = await act(client, "close", one, verdict="true_positive", expected=seen)
    assert closed.status_code == 200
    seen = {one: closed.json()["changes"][0]["changed"]}
    assert (await act(client, "reopen", one, state="new", expected=seen)).status_code == 200, "the answer says when"
    assert (await client.get(f"/api/v1/alerts/{one}")).json()["incident"]["state"] == "new"
    both = await asyncio.gather(
        *(act(client, "assign", two, assignee=f"the-{role}", expected={two: None}) for role in ("analyst", "analyst")),
        act(client, "close", two, verdict="false_positive", expected={two: None}),
    )
    assert sorted(answer.status_code for answer in both)[:2] == [200, 409], "of those at the same time one wins"


async def test_the_detectors_row_stays_its_own(web: Web, store: Store) -> None:
    one, *_rest = await filled(store)
    client = await web.as_role("analyst")
    await act(client, "close", one, verdict="false_positive")
    later = now_us() + 5_000_000
    await store.write(
        [batch(alert(9, incident_id=one, revision=9, time_us=later, last_seen_us=later), source="detection")]
    )
    shown = (await client.get(f"/api/v1/alerts/{one}")).json()["incident"]
    assert shown["state"] == "closed" and shown["grown"] and shown["revision"] == 9


async def test_comments_are_their_authors_and_of_what_is_there(web: Web, store: Store) -> None:
    one, *_rest = await filled(store)
    client = await web.as_role("analyst")
    path = f"/api/v1/alerts/{one}/comments"
    assert (await client.post(path, json={"text": "x", "author": "the-admin"})).status_code == 422
    assert (await client.post("/api/v1/alerts/nothing/comments", json={"text": "x"})).status_code == 404
    for text in ("", " \n", "x" * 10_001):
        assert (await client.post(path, json={"text": text})).status_code == 422
    viewer = await web.as_role("viewer")
    assert (await viewer.post(path, json={"text": "x"})).status_code == 403
    assert (await client.get(f"/api/v1/alerts/{one}")).json()["comments"] == []


async def test_a_change_that_cannot_be_audited_is_not_made(web: Web, store: Store) -> None:
    one, *_rest = await filled(store)
    client = await web.as_role("analyst")
    await web.services.database.execute("DELETE FROM audit_head")
    assert (await act(client, "acknowledge", one)).status_code == 500
    assert (await client.post(f"/api/v1/alerts/{one}/comments", json={"text": "x"})).status_code == 500
    shown = (await client.get(f"/api/v1/alerts/{one}")).json()
    assert shown["incident"]["state"] == "new" and shown["comments"] == []
