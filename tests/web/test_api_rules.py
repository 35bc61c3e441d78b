"""Rules and suppressions by the API: shown, tuned, kept as YAML beside what people wrote; a mistake is never kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from siemd.detection.config import DetectionConfig
from siemd.detection.loading import load_ruleset
from siemd.events import now_us
from siemd.storage.store import Store
from siemd.web.managed import ManagedFile
from siemd.web.trials import Trials, merged, tables_of
from support.batches import alert, batch, probe
from support.web import Web

RULE = "port_scan_syn"
SUPPRESSION: dict[str, Any] = {
    "owner": "ada", "reason": "the scanner of the lab", "expires": "2099-12-31", "rules": RULE,
    "source": "192.0.2.0/24",
}  # fmt: skip


def data_dir(web: Web) -> Path:
    return web.server.services.data_dir


async def one(client: httpx.AsyncClient, name: str = RULE) -> dict[str, Any]:
    """The first of that name: correlations may share one."""
    found: dict[str, Any] = (await client.get(f"/api/v1/rules/{name}")).json()[0]
    return found


async def test_rules_are_listed_shown_and_explained(sqlite_web: Web) -> None:
    client = await sqlite_web.as_role("viewer")
    rules = (await client.get("/api/v1/rules")).json()
    assert len(rules) > 40 and {rule["kind"] for rule in rules} == {"rule", "correlation"}
    found = (await client.get("/api/v1/rules", params={"q": "SYN scan"})).json()
    assert RULE in {rule["rule"] for rule in found}
    shown = await one(client)
    assert "title: SYN port scan" in shown["source"]
    assert any("different values of destination_port" in line for line in shown["explanation"])
    assert shown["can_fire"] and shown["tuning"] is None
    assert (await client.get(f"/api/v1/rules/{shown['info']['rule_id']}")).json()[0]["info"]["rule"] == RULE
    for nowhere in ("nothing", "..%2F..%2Fetc%2Fpasswd", "%00"):
        assert (await client.get(f"/api/v1/rules/{nowhere}")).status_code == 404
    coverage = (await client.get("/api/v1/rule-coverage")).json()
    assert coverage["rules"] == len(rules) and 0 < coverage["can_fire"] <= coverage["rules"] and coverage["attack"]
    windows = (await client.get("/api/v1/rule-coverage", params={"platform": "windows"})).json()
    assert windows["cannot_fire"] != coverage["cannot_fire"]
    assert (await client.get("/api/v1/rule-problems")).json() == {"problems": [], "refused": [], "warnings": []}


async def test_a_rule_is_tuned_switched_and_left_as_it_was(web: Web) -> None:
    client = await web.as_role("admin")
    tuned = await client.put(f"/api/v1/rules/{RULE}/tuning", json={"condition": {"gte": 99}, "timespan": "10m"})
    assert tuned.status_code == 200, tuned.text
    assert tuned.json()[0]["tuning"] == {"condition": {"gte": 99.0}, "timespan": "10m"}
    assert "gte 99 instead of" in tuned.json()[0]["info"]["tuned"][0]
    off = (await client.post(f"/api/v1/rules/{RULE}/disable")).json()[0]
    assert off["info"]["off"] and off["tuning"]["condition"] == {"gte": 99.0}, "what was tuned before stays"
    listed = (await client.get("/api/v1/rules", params={"state": "off"})).json()
    assert RULE in {rule["rule"] for rule in listed}
    on = (await client.post(f"/api/v1/rules/{RULE}/enable")).json()[0]
    assert not on["info"]["off"]
    loaded = load_ruleset(web.server.services.config.detection)
    assert not loaded.problems and loaded.notes
    assert (await client.delete(f"/api/v1/rules/{RULE}/tuning")).status_code == 204
    assert (await client.delete(f"/api/v1/rules/{RULE}/tuning")).status_code == 404
    assert not (await one(client))["info"]["tuned"]
    entries = (await client.get("/api/v1/audit", params={"action": "rule."})).json()
    assert [entry["action"] for entry in reversed(entries)] == [
        "rule.tuned", "rule.disabled", "rule.enabled", "rule.untuned",
    ]  # fmt: skip
    assert entries[-1]["detail"] == {"timespan": "10m", "condition": {"gte": 99}}


async def test_many_rules_are_switched_at_once_with_one_line_in_the_audit_log(web: Web) -> None:
    client = await web.as_role("admin")
    await client.put("/api/v1/rules/ping_sweep/tuning", json={"condition": {"gte": 50}})
    path = data_dir(web) / "overlay.yml"
    written = "# by hand\noverlay:\n- {rules: arp_sweep, level: low}\n- {rules: ping_flood, level: low}\n"
    path.write_text(written + path.read_text())
    by_id = (await one(client, "beacon"))["info"]["rule_id"]
    names = ["ping_sweep", "arp_sweep", RULE, by_id, RULE]
    answer = await client.post("/api/v1/rule-switches", json={"rules": names, "enabled": False})
    assert answer.status_code == 200, answer.text
    assert {rule["rule"] for rule in answer.json()} == {"ping_sweep", "arp_sweep", RULE, "beacon"}
    assert all(rule["off"] for rule in answer.json())
    assert path.read_text().startswith(f"{written}---\n")
    assert (await one(client, "ping_sweep"))["tuning"] == {"enabled": False, "condition": {"gte": 50.0}}
    off = {rule["rule"] for rule in (await client.get("/api/v1/rules", params={"state": "off"})).json()}
    assert off >= {"ping_sweep", "arp_sweep", RULE, "beacon"}
    answer = await client.post("/api/v1/rule-switches", json={"rules": names, "enabled": True})
    assert not any(rule["off"] for rule in answer.json())
    entries = (await client.get("/api/v1/audit", params={"action": "rule."})).json()
    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("rule.enabled", "4 rules"), ("rule.disabled", "4 rules"), ("rule.tuned", "ping_sweep"),
    ]  # fmt: skip
    assert entries[1]["detail"] == {"enabled": False, "rules": ["ping_sweep", "arp_sweep", RULE, by_id]}


async def test_when_one_of_many_rules_is_refused_none_is_switched(sqlite_web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own.yml").write_text(
        "title: Fine\nname: fine\nlogsource: {product: linux}\ndetection: {a: {message: x}, condition: a}\n"
        "---\ntitle: Broken\nname: broken\ncorrelation: {type: event_count, rules: [nowhere], group-by: [host], "
        "timespan: 5m, condition: {gte: 3}}\n"
        '---\ntitle: Wild\nname: "wild*"\nlogsource: {product: linux}\ndetection: {a: {message: y}, condition: a}\n'
    )
    detection = sqlite_web.server.services.config.detection
    detection.rules.append(str(folder))
    detection.disabled.append("broken")
    client = await sqlite_web.as_role("admin")
    before = (await client.get("/api/v1/rules")).json()

    async def refused(*names: str) -> dict[str, Any]:
        answer = await client.post("/api/v1/rule-switches", json={"rules": names, "enabled": True})
        assert answer.status_code == 422, answer.text
        problem: dict[str, Any] = answer.json()
        assert problem["type"] == "urn:siemd:problem:rules-refused" and problem["detail"].startswith("none of ")
        return {error["key"]: error["message"] for error in problem["errors"]}

    assert await refused(RULE, "no-such", "wild*", "fine") == {
        "no-such": "there is no such rule",
        "wild*": "the name 'wild*' would mean other rules too; give the rule's id",
    }
    told = await refused(RULE, "fine", "broken")
    assert list(told) == ["broken"] and "own.yml:" in told["broken"] and "nowhere" in told["broken"]
    for names in ([], [RULE] * 1001, [""]):
        body = {"rules": names, "enabled": False}
        assert (await client.post("/api/v1/rule-switches", json=body)).status_code == 422
    assert not (data_dir(sqlite_web) / "overlay.yml").exists()
    assert (await client.get("/api/v1/rules")).json() == before
    assert (await client.get("/api/v1/audit", params={"action": "rule."})).json() == []


async def test_a_thousand_rules_with_long_names_stand_in_the_audit_log_by_name(sqlite_web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    names = [f"{'a_long_name_' * 5}{number}" for number in range(1000)]
    for name in names:
        text = f"title: {name}\nname: {name}\nlogsource: {{product: linux}}\n"
        (folder / f"{name}.yml").write_text(text + "detection: {a: {message: x}, condition: a}\n")
    sqlite_web.server.services.config.detection.rules.append(str(folder))
    client = await sqlite_web.as_role("admin")
    answer = await client.post("/api/v1/rule-switches", json={"rules": names, "enabled": False})
    assert answer.status_code == 200, answer.text
    assert all(rule["off"] for rule in answer.json()) and len(answer.json()) == 1000
    (entry,) = (await client.get("/api/v1/audit", params={"action": "rule."})).json()
    assert entry["detail"]["rules"] == names


async def test_of_rules_that_share_a_name_one_is_tuned_by_its_id(sqlite_web: Web) -> None:
    client = await sqlite_web.as_role("admin")
    fast, slow, decoys = (await client.get(f"/api/v1/rules/{RULE}")).json()
    answer = await client.put(f"/api/v1/rules/{slow['info']['rule_id']}/tuning", json={"level": "critical"})
    assert [one["info"]["level"] for one in answer.json()] == ["critical"]
    again = (await client.get(f"/api/v1/rules/{RULE}")).json()
    levels = [fast["info"]["level"], "critical", decoys["info"]["level"]]
    assert [one["info"]["level"] for one in again] == levels
    assert [one["tuning"] for one in again] == [None, {"level": "critical"}, None]
    assert (await client.delete(f"/api/v1/rules/{RULE}/tuning")).status_code == 404
    assert (await client.delete(f"/api/v1/rules/{slow['info']['rule_id']}/tuning")).status_code == 204


async def test_what_people_wrote_stays_and_the_api_wins_over_it(sqlite_web: Web) -> None:
    written = "# ours, by hand\noverlay:   # all of it\n  - {rules: port_scan_syn, level: critical}\n"
    written += "  - rules: port_scan_ack\n    enabled: false # too loud\n"
    path = data_dir(sqlite_web) / "overlay.yml"
    path.write_text(written)
    client = await sqlite_web.as_role("admin")
    assert (await one(client))["info"]["level"] == "critical"
    answer = await client.put(f"/api/v1/rules/{RULE}/tuning", json={"level": "low", "note": "# no: comment\n---\n'x'"})
    assert answer.json()[0]["info"]["level"] == "low"
    assert path.read_text().startswith(written)
    await client.put("/api/v1/rules/ping_sweep/tuning", json={"condition": {"gte": 50}})
    await client.delete(f"/api/v1/rules/{RULE}/tuning")
    await client.delete("/api/v1/rules/ping_sweep/tuning")
    assert path.read_text() == written


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        ({}, "changes nothing"),
        ({"timespan": "soon"}, "expected a duration"),
        ({"condition": {"gte": 1e300}}, "expected a number"),
        ({"filter": {"source_ip": "10.0.0.1"}}, "is for rules that look at single events"),
        ({"filter": [[]]}, ""),
        ({"condition": {"around": 3}}, ""),
        ({"level": "worst"}, ""),
        ({"unknown": 1}, ""),
        ({"timespan": "400d"}, "at most"),
    ],
)
async def test_a_mistake_is_refused_with_the_loaders_words_and_not_kept(
    sqlite_web: Web, tuning: dict[str, Any], said: str
) -> None:
    client = await sqlite_web.as_role("admin")
    answer = await client.put(f"/api/v1/rules/{RULE}/tuning", json=tuning)
    assert answer.status_code == 422 and said in answer.text, answer.text
    assert not (data_dir(sqlite_web) / "overlay.yml").exists()
    assert (await client.get("/api/v1/audit", params={"action": "rule."})).json() == []


async def test_a_broken_file_is_told_and_not_built_upon(sqlite_web: Web) -> None:
    path = data_dir(sqlite_web) / "overlay.yml"
    path.write_text("overlay: [\n")
    client = await sqlite_web.as_role("admin")
    answer = await client.put(f"/api/v1/rules/{RULE}/tuning", json={"level": "low"})
    assert answer.status_code == 422 and "not valid YAML" in answer.json()["detail"]
    assert path.read_text() == "overlay: [\n"
    problems = (await client.get("/api/v1/rule-problems")).json()["problems"]
    assert problems and "overlay.yml" in problems[0]


async def test_changes_at_the_same_time_are_all_kept(web: Web) -> None:
    client = await web.as_role("admin")
    names = [rule["rule"] for rule in (await client.get("/api/v1/rules", params={"q": "attack."})).json()]
    names = sorted(set(names))[:8]
    answers = await asyncio.gather(
        *(client.put(f"/api/v1/rules/{name}/tuning", json={"note": name, "level": "low"}) for name in names)
    )
    assert [answer.status_code for answer in answers] == [200] * len(names)
    assert [(await one(client, name))["tuning"] for name in names] == [{"level": "low", "note": n} for n in names]


async def test_a_change_without_its_line_in_the_audit_log_is_taken_back(web: Web) -> None:
    client = await web.as_role("admin")
    await client.put("/api/v1/rules/ping_sweep/tuning", json={"level": "low"})
    path = data_dir(web) / "overlay.yml"
    before = path.read_text()
    await web.services.database.execute("DELETE FROM audit_head")
    assert (await client.put(f"/api/v1/rules/{RULE}/tuning", json={"level": "low"})).status_code == 500
    assert path.read_text() == before
    assert not list(path.parent.glob("*.new"))


async def test_two_processes_do_not_write_over_each_other(tmp_path: Path) -> None:
    config = DetectionConfig(managed=str(tmp_path))
    known = load_ruleset(config)
    files = [ManagedFile(config, "overlay.yml", "overlay", "rules") for _ in range(2)]

    async def write(file: ManagedFile, name: str) -> None:
        async with file.changing() as edit:
            await edit.put(lambda _present: [{"rules": name, "level": "low"}], "by ada", known)
            async with edit.kept():
                pass

    await asyncio.gather(*(write(files[number % 2], name) for number, name in enumerate(("ping_sweep", RULE) * 2)))
    assert set(await files[0].entries()) == {"ping_sweep", RULE}


async def test_suppressions_are_tried_added_changed_and_removed(web: Web, store: Store) -> None:
    alerts = [
        alert(
            number, incident_id=f"i-{number}", rule=RULE, revision=1,
            group={"source_ip": f"192.0.{2 + number % 2}.7"}, last_seen_us=now_us() - number * 3_600_000_000,
        )
        for number in range(1, 11)
    ]  # fmt: skip
    await store.write([batch(*alerts, source="detection")])
    client = await web.as_role("analyst")
    closed = {"incident_ids": ["i-2"], "action": "close", "verdict": "true_positive"}
    assert (await client.post("/api/v1/alerts/triage", json=closed)).status_code == 200
    preview = (await client.post("/api/v1/suppression-preview", json={"suppression": SUPPRESSION})).json()
    assert (preview["examined"], preview["hidden"], preview["true_positives"]) == (10, 5, 1)
    assert preview["samples"][0] == "i-2", "those that were true come first"
    added = await client.post("/api/v1/suppressions", json={"name": "lab-scanner", "suppression": SUPPRESSION})
    assert added.status_code == 201, added.text
    assert added.json()["editable"] and not added.json()["expired"]
    twice = await client.post("/api/v1/suppressions", json={"name": "lab-scanner", "suppression": SUPPRESSION})
    assert twice.status_code == 409
    changed = await client.put("/api/v1/suppressions/lab-scanner", json=SUPPRESSION | {"from": "22:00", "to": "06:00"})
    assert changed.json()["entry"]["from"] == "22:00"
    assert load_ruleset(web.server.services.config.detection).suppressions.entries[0].timed
    assert [entry["name"] for entry in (await client.get("/api/v1/suppressions")).json()] == ["lab-scanner"]
    assert (await client.delete("/api/v1/suppressions/lab-scanner")).status_code == 204
    assert (await client.get("/api/v1/suppressions/lab-scanner")).status_code == 404
    admin = await web.as_role("admin")
    entries = (await admin.get("/api/v1/audit", params={"action": "suppression."})).json()
    assert [entry["action"].partition(".")[2] for entry in reversed(entries)] == ["added", "changed", "removed"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires": "soon"}, {"owner": ""}, {"reason": ""}, {"rules": []}, {"rules": {"shape": "round"}},
        {"source": "300.1.1.1"}, {"timezone": "Europe/Nowhere"}, {"days": ["someday"]}, {"from": "25:00"},
        {"group": {}, "host": []}, {"group": {"x": []}},
    ],
)  # fmt: skip
async def test_a_suppression_with_a_mistake_is_neither_tried_nor_kept(sqlite_web: Web, wrong: dict[str, Any]) -> None:
    client = await sqlite_web.as_role("analyst")
    body = SUPPRESSION | wrong
    if wrong == {"group": {}, "host": []}:  # says nothing, which is no mistake
        return
    for path, data in (
        ("/api/v1/suppression-preview", {"suppression": body}),
        ("/api/v1/suppressions", {"name": "x", "suppression": body}),
    ):
        assert (await client.post(path, json=data)).status_code == 422, path
    assert not (data_dir(sqlite_web) / "suppressions.yml").exists()


async def test_what_a_person_wrote_is_shown_and_theirs(sqlite_web: Web) -> None:
    path = data_dir(sqlite_web) / "suppressions.yml"
    entry = "- {{name: {0}, owner: o, reason: r, expires: 2099-01-01, rules: any}}\n"
    path.write_text("suppressions:\n" + entry.format("one") + entry.format("two"))
    client = await sqlite_web.as_role("analyst")
    shown = (await client.get("/api/v1/suppressions")).json()
    assert [one["editable"] for one in shown] == [False, False]
    assert shown[0]["entry"]["expires"] == "2099-01-01"
    for answer in (
        await client.put("/api/v1/suppressions/one", json=SUPPRESSION),
        await client.delete("/api/v1/suppressions/two"),
    ):
        assert answer.status_code == 409 and "suppressions.yml:" in answer.json()["detail"]
    name = await client.post("/api/v1/suppressions", json={"name": "a b", "suppression": SUPPRESSION})
    assert name.status_code == 422 and "letters" in name.json()["detail"]


async def finished(client: httpx.AsyncClient, test_id: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = (await client.get(f"/api/v1/rule-tests/{test_id}")).json()
        if found["state"] != "running":
            return found
        await asyncio.sleep(0.02)


def probes_of(sources: int, ports: int) -> Any:
    events = [
        probe(
            source * ports + port, source_ip=f"10.0.0.{source}", destination_port=port,
            fields={"probe": "syn", "outcome": "refused", "destination_ports": [port]},
        )
        for source in range(sources) for port in range(1, ports + 1)
    ]  # fmt: skip
    return batch(*events)


async def test_a_rule_is_tried_on_the_past_as_it_is_and_as_it_might_be(web: Web, store: Store) -> None:
    await store.write([probes_of(3, 40)])
    client = await web.as_role("analyst")

    async def tried(**body: Any) -> dict[str, Any]:
        answer = await client.post("/api/v1/rule-tests", json=body)
        assert answer.status_code == 202, answer.text
        return await finished(client, answer.json()["test_id"])

    as_is = await tried(rule=RULE)
    assert as_is["state"] == "done" and as_is["events"] == 120 and as_is["findings"]["incidents"] == 3
    assert as_is["progress"] == 1.0 and as_is["findings"]["samples"][0]["reason"]
    stricter = await tried(rule=RULE, tuning={"condition": {"gte": 1000}})
    assert stricter["findings"]["incidents"] == 0
    own = "title: Port 7\nlogsource: {product: siemd, category: network}\n"
    own += "detection: {a: {destination_port: 7}, condition: a}\n"
    draft = await tried(source=own)
    assert draft["findings"]["incidents"] == 3 and draft["rule"] == "draft"
    broken = await tried(source=own.replace("condition: a", "condition: b"))
    assert broken["state"] == "failed" and "draft.yml" in broken["problem"]
    earlier = await tried(rule=RULE, start="-48h", end="-24h")
    assert earlier["events"] == 0 and earlier["findings"]["incidents"] == 0
    listed = (await client.get("/api/v1/rule-tests")).json()
    assert len(listed) == 5 and listed[0]["test_id"] == earlier["test_id"]
    assert not (data_dir(web) / "overlay.yml").exists(), "a try keeps nothing"


async def test_tries_are_one_a_person_cancelled_and_nobody_elses(web: Web, store: Store) -> None:
    for epoch in range(1, 6):
        await store.write([batch(*probes_of(4, 1000).events, epoch=epoch)])
    client, other = await web.as_role("analyst"), await web.as_role("admin")
    started = await client.post("/api/v1/rule-tests", json={"rule": RULE})
    test_id = started.json()["test_id"]
    second = await client.post("/api/v1/rule-tests", json={"rule": RULE})
    assert second.status_code == 409
    assert (await other.get(f"/api/v1/rule-tests/{test_id}")).status_code == 404
    assert (await other.delete(f"/api/v1/rule-tests/{test_id}")).status_code == 404
    assert (await other.get("/api/v1/rule-tests")).json() == []
    assert (await client.get("/api/v1/events/logs", params={"limit": 1})).status_code == 200, "others are served"
    assert (await client.delete(f"/api/v1/rule-tests/{test_id}")).status_code == 204
    assert (await finished(client, test_id))["state"] == "cancelled"
    assert (await client.post("/api/v1/rule-tests", json={"rule": RULE})).status_code == 202
    for wrong in ({}, {"rule": "a", "source": "b"}, {"rule": "nothing"}, {"rule": RULE, "start": "-900d"}):
        assert (await other.post("/api/v1/rule-tests", json=wrong)).status_code in (404, 422), wrong


async def test_events_of_several_tables_come_in_the_order_of_time(web: Web, store: Store) -> None:
    from siemd.detection.trial import Look
    from support.batches import log

    base = now_us() - 60_000_000
    facts = [probe(seq, time_us=base + seq * 10) for seq in range(1, 2501)]
    records = [log(seq, time_us=base + seq * 7) for seq in range(1, 2501)]
    await store.write([batch(*facts), batch(*records, source="windows")])
    looks = [Look("network", [], ["tcp_probe"]), Look("windows", ["security"], [4625])]
    found = []
    database = web.services.database
    async for step in merged(database, tables_of(looks), base, base + 25_001, 30.0):
        assert len(step) <= 1000
        found += [event.time_us for event in step]
    assert found == sorted(found) and len(found) == 5000
    assert isinstance(web.server.services.trials, Trials)
