"""What people make of incidents, listed and compared; what a suppression would have hidden; the hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from siemd.detection import DetectionConfig, load_ruleset
from siemd.detection.suppressionfile import read_suppressions
from siemd.events import Alert, event_json, iso_time, now_us
from siemd.storage import StorageConfig, triage
from siemd.storage.columns import BadQuery
from siemd.storage.conditions import Filter
from siemd.storage.database import Database, open_database
from siemd.storage.hosts import hosts_overview, ledger, usage_over_time
from siemd.storage.incidents import Incidents, count_incidents, get_incident, list_incidents, past_incidents
from siemd.storage.store import Store
from siemd.storage.suppression_preview import preview_suppression
from support.batches import alert, batch, probe, probes, usage

DAY_US = 86_400_000_000
AT_US = now_us() - DAY_US


@pytest.fixture
async def database(store: Store, store_config: StorageConfig, tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(store_config, tmp_path)
    yield opened
    await opened.close()


def incident(number: int, **values: Any) -> Alert:
    """An incident of its own, a minute after the one before."""
    time_us = AT_US + number * 60_000_000
    given = dict.fromkeys(("time_us", "first_seen_us", "last_seen_us"), time_us)
    return alert(values.pop("seq", number), **{"incident_id": f"i{number}", "count": 1, **given, **values})


WITHIN = Filter("group_values.source_ip", "cidr", "192.0.2.0/24")


async def ids(database: Database, **asked: Any) -> list[str]:
    page = await list_incidents(database, Incidents(**asked))
    return [row["incident_id"] for row in page.rows]


async def test_an_incident_goes_its_way(store: Store, database: Database) -> None:
    await store.write([batch(incident(1), incident(2))])
    assert (await get_incident(database, "i1"))["state"] == "new"  # type: ignore[index]
    done = await triage.assign(database, ["i1", "i1", "nobody"], "anna", by="bob")
    assert [(one.incident_id, one.fields) for one in done.changes] == [("i1", {"assignee": ("", "anna")})]
    assert done.missing == ["nobody"] and not done.unchanged
    assert (await triage.assign(database, ["i1"], "anna", by="bob")).unchanged == ["i1"]
    done = await triage.acknowledge(database, ["i1"], by="anna")
    assert done.changes[0].fields == {"state": ("new", "acknowledged")}
    written = await triage.add_comment(database, "i1", "looks like the scanner <b>", by="anna")
    assert written is not None and written.author == "anna"
    assert await triage.add_comment(database, "nobody", "x", by="anna") is None
    done = await triage.close(database, ["i1", "i2"], "false_positive", by="anna", comment="the scanner")
    assert [one.fields for one in done.changes] == [
        {"state": ("acknowledged", "closed"), "verdict": ("", "false_positive")},
        {"state": ("new", "closed"), "verdict": ("", "false_positive")},
    ]
    assert (await triage.acknowledge(database, ["i1"], by="anna")).unchanged == ["i1"]
    whole = await get_incident(database, "i1")
    assert whole is not None
    assert (whole["state"], whole["verdict"], whole["assignee"], whole["changed_by"]) == (
        "closed", "false_positive", "anna", "anna",
    )  # fmt: skip
    assert [one.text for one in whole["comments"]] == ["looks like the scanner <b>", "the scanner"]
    assert whole["evidence"] == [{"message": "one"}] and whole["group_values"] == {"source_ip": "192.0.2.7"}
    done = await triage.reopen(database, ["i1", "i2"], by="bob")
    assert done.changes[0].fields == {"state": ("closed", "acknowledged"), "verdict": ("false_positive", "")}
    assert (await triage.reopen(database, ["i1"], by="bob")).unchanged == ["i1"]
    await triage.close(database, ["i2"], "false_positive", by="anna")
    done = await triage.reopen(database, ["i2"], by="anna", state="new")
    assert done.changes[0].fields == {"state": ("closed", "new"), "verdict": ("false_positive", "")}
    assert (await get_incident(database, "i2"))["changed"] == done.changes[0].changed  # type: ignore[index]
    assert await get_incident(database, "nobody") is None


async def test_the_detector_goes_on_beside(store: Store, database: Database) -> None:
    await store.write([batch(incident(1))])
    await triage.close(database, ["i1"], "true_positive", by="anna")
    assert not (await list_incidents(database, Incidents())).rows[0]["grown"]
    await store.write([batch(incident(1, seq=2, revision=2, count=100, time_us=now_us() + 60_000_000))])
    (row,) = (await list_incidents(database, Incidents())).rows
    assert (row["count"], row["state"], row["verdict"], row["grown"]) == (100, "closed", "true_positive", True)


async def test_two_people_at_the_same_time_are_one_after_the_other(store: Store, database: Database) -> None:
    await store.write([batch(*(incident(number) for number in range(1, 31)))])
    everything = [f"i{number}" for number in range(1, 31)]
    done = await asyncio.gather(
        *(triage.close(database, everything[::step], "true_positive", by=f"p{step}") for step in (1, -1, 1, -1))
    )
    assert sorted(len(one.changes) for one in done) == [0, 0, 0, 30]


@pytest.mark.parametrize(
    "call",
    [
        lambda database: triage.assign(database, [], "anna", by="bob"),
        lambda database: triage.assign(database, ["x"] * 1 + [str(n) for n in range(500)], "anna", by="bob"),
        lambda database: triage.assign(database, ["i1"], "a" * 256, by="bob"),
        lambda database: triage.close(database, ["i1"], "maybe", by="bob"),
        lambda database: triage.reopen(database, ["i1"], by="bob", state="closed"),  # type: ignore[arg-type]
        lambda database: triage.add_comment(database, "i1", "  ", by="bob"),
        lambda database: triage.add_comment(database, "i1", "x" * 20_000, by="bob"),
        lambda database: list_incidents(database, Incidents(sort="evidence")),
        lambda database: list_incidents(database, Incidents(limit=0)),
        lambda database: list_incidents(database, Incidents(cursor="x")),
        lambda database: list_incidents(database, Incidents(hosts=["x"] * 101)),
        lambda database: list_incidents(database, Incidents(filters=[Filter("incident_id", "eq", "x")])),
        lambda database: past_incidents(database, "x", limit=0),
    ],
)
async def test_what_cannot_be_done_is_said(database: Database, call: Any) -> None:
    with pytest.raises(BadQuery) as caught:
        await call(database)
    assert caught.value.field


async def test_lists_are_filtered_sorted_and_paged(store: Store, database: Database) -> None:
    levels = ["low", "critical", "medium", "high", "informational", "high"]
    for n, level in enumerate(levels, 1):
        one = incident(n, level=level, rule=f"r{n % 2}", tags=[f"t{n % 2}"], count=9 - n, title=f"Number {n}")
        await store.write([batch(one, source="detection", host=f"h{n % 3}", epoch=n)])
    await triage.assign(database, ["i1", "i2"], "anna", by="x")
    await triage.close(database, ["i2", "i3"], "true_positive", by="x")
    assert await ids(database) == ["i6", "i5", "i4", "i3", "i2", "i1"]
    assert await ids(database, states=["new", "acknowledged"]) == ["i6", "i5", "i4", "i1"]
    assert await ids(database, assignees=["anna"]) == ["i2", "i1"]
    assert await ids(database, assignees=[""], states=["closed"]) == ["i3"]
    assert await ids(database, verdicts=["true_positive"]) == ["i3", "i2"]
    assert await ids(database, levels=["high", "critical"]) == ["i6", "i4", "i2"]
    assert await ids(database, rules=["r1"], tags=["t1", "zzz"]) == ["i5", "i3", "i1"]
    assert await ids(database, hosts=["h0"]) == ["i6", "i3"]
    assert await ids(database, words="number -6", statuses=["open"], levels=["high"]) == ["i4"]
    assert await ids(database, filters=[WITHIN], hosts=["h1"]) == [
        "i4",
        "i1",
    ]
    assert await ids(database, start_us=AT_US + 120_000_000, end_us=AT_US + 240_000_000) == ["i3", "i2"]
    assert await ids(database, sort="level") == ["i2", "i6", "i4", "i3", "i1", "i5"]
    assert await ids(database, sort="count", descending=False) == ["i6", "i5", "i4", "i3", "i2", "i1"]
    for sort in ("level", "rule", "last_seen", "first_seen", "count"):
        found, asked = [], Incidents(sort=sort, limit=1)
        while True:
            page = await list_incidents(database, asked)
            found += [row["incident_id"] for row in page.rows]
            if not page.next:
                break
            asked.cursor = page.next
        assert found == await ids(database, sort=sort)
    assert await count_incidents(database, Incidents(rules=["r0"])) == {
        "total": 3, "states": {"new": 2, "closed": 1}, "levels": {"critical": 1, "high": 2},
    }  # fmt: skip


async def test_what_became_of_incidents_like_it(store: Store, database: Database) -> None:
    other = {"source_ip": "10.9.9.9"}
    await store.write(
        [batch(incident(1), incident(2), incident(3, group=other), incident(4, rule="ping"), incident(5), incident(6))]
    )
    await triage.close(database, ["i1", "i3"], "false_positive", by="x")
    await triage.close(database, ["i2"], "true_positive", by="x")
    past = await past_incidents(database, "i6")
    assert past is not None
    assert [(row["incident_id"], row["same_group"]) for row in past.incidents] == [
        ("i5", True), ("i2", True), ("i1", True), ("i3", False),
    ]  # fmt: skip
    assert past.verdicts == {"false_positive": 2, "true_positive": 1, "open": 1}
    assert past.same_group == {"false_positive": 1, "true_positive": 1, "open": 1}
    assert await past_incidents(database, "nobody") is None


async def test_what_was_made_of_an_incident_goes_with_it(store: Store, database: Database) -> None:
    await store.write([batch(incident(1), incident(2, time_us=now_us()))])
    for name in ("i1", "i2"):
        await triage.close(database, [name], "true_positive", by="x", comment="done")
    await store.keep({"alerts": 3600.0}, now_us())
    for table in ("alerts", "alert_triage", "alert_comments"):
        rows = await database.fetch(f"SELECT incident_id FROM {table}")
        assert [row["incident_id"] for row in rows] == ["i2"], table


RULES = """
title: Ping
name: ping
level: medium
logsource: {product: siemd, category: network}
detection: {s: {event_type: ping}, condition: s}
siemd: {alert: true}
"""
HEAD = "name: scan, owner: anna@example.org, reason: the nightly scan, expires: 2020-01-31, rules: ping"


@pytest.mark.parametrize(
    ("entry", "hidden", "true_positives", "samples"),
    [
        (HEAD, 4, 1, ["i3", "i4", "i2", "i1"]),
        (f"{HEAD}, source: [10.0.0.0/24]", 2, 0, ["i2", "i1"]),
        (f"{HEAD}, group: {{destination_ip: 10.1.*}}", 2, 1, ["i3", "i1"]),
        (f"{HEAD}, group: {{event_type: ping}}, host: other", 1, 0, ["i4"]),
        (f"{HEAD}, host: nowhere", 0, 0, []),
    ],
)
async def test_what_a_suppression_would_have_hidden(
    store: Store, database: Database, tmp_path: Path, entry: str, hidden: int, true_positives: int, samples: list[str]
) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    rules = load_ruleset(DetectionConfig(rules=[str(tmp_path / "rules.yml")])).rules
    (suppression,), problems = read_suppressions("quiet.yml", f"suppressions:\n  - {{{entry}}}\n")
    assert not problems

    def ping(source: str, target: str, host: str = "sensor-1") -> list[dict[str, Any]]:
        return [event_json(probe(1, event_type="ping", source_ip=source, destination_ip=target, host=host))]

    await store.write(
        [
            batch(
                incident(1, rule="ping", group={"source_ip": "10.0.0.1"}, evidence=ping("10.0.0.1", "10.1.0.1")),
                incident(2, rule="ping", group={"source_ip": "10.0.0.2"}, evidence=ping("10.0.0.2", "10.2.0.1")),
                incident(3, rule="ping", group={"source_ip": "10.3.0.2"}, evidence=ping("10.3.0.2", "10.1.0.9")),
                incident(4, rule="ping", group={}, evidence=ping("10.4.0.2", "10.4.0.9", "other")),
                incident(5, rule="gone", group={"source_ip": "10.0.0.1"}),
                incident(6, rule="ping", group={"source_ip": "10.0.0.1"}, last_seen_us=AT_US - 40 * DAY_US),
            )
        ]
    )
    await triage.close(database, ["i3"], "true_positive", by="x")
    await triage.close(database, ["i2"], "false_positive", by="x")
    found = await preview_suppression(database, suppression, rules)
    assert (found.examined, found.unknown_rules) == (5, 1)
    assert (found.hidden, found.true_positives, found.samples) == (hidden, true_positives, samples)
    assert found.false_positives == ("i2" in samples)


async def test_hosts_say_how_they_fare(store: Store, database: Database) -> None:
    await store.write([probes(1, 5), batch(usage(1, cpu_percent=1.0), usage(2, cpu_percent=77.5), source="metrics")])
    await store.write([batch(probe(1), probe(2), host="sensor-2", dropped=3, last_seq=6)])
    await store.write([batch(incident(1), source="detection")])
    await store.write([batch(incident(2), source="detection", host="sensor-2")])
    await triage.close(database, ["i2"], "true_positive", by="x")
    hosts = {host.host: host for host in await hosts_overview(database)}
    assert set(hosts) == {"sensor-1", "sensor-2"}
    first, second = hosts["sensor-1"], hosts["sensor-2"]
    assert first.usage is not None and first.usage["cpu_percent"] == 77.5 and second.usage is None
    assert first.events == {"logs": 5, "usage_data": 2} and second.events == {"logs": 2}
    assert first.open_alerts == {"high": 1} and second.open_alerts == {}
    (source,) = [one for one in second.sources if one.source == "sniffer"]
    assert (source.stored, source.dropped, source.rejected, source.missing) == (2, 3, 0, 1)
    assert second.last_seen >= source.last_seen > "2026"
    rows = await ledger(database)
    assert {row["host"] for row in rows} == set(hosts) and rows[0]["updated"].endswith("Z")
    assert msgspec.json.encode([*hosts.values(), rows])
    assert await hosts_overview(database, at_us=now_us() + 3 * DAY_US)


async def test_usage_is_averaged_by_host_and_bucket(store: Store, database: Database) -> None:
    hour_us = 3_600_000_000
    start_us = AT_US // (6 * hour_us) * 6 * hour_us
    samples = [(0, 10.0), (1, 20.0), (2 * hour_us, 60.0), (7 * hour_us, 5.0)]
    await store.write(
        [batch(*(usage(n, time_us=start_us + at, cpu_percent=cpu) for n, (at, cpu) in enumerate(samples, 1)))]
    )
    await store.write([batch(usage(1, time_us=start_us, cpu_percent=99.0), host="sensor-2")])
    asked = {"start_us": start_us, "end_us": start_us + 12 * hour_us, "width_s": 6 * 3600}
    rows = await usage_over_time(database, **asked)
    assert [(row["host"], row["cpu_percent"]) for row in rows] == [
        ("sensor-1", 30.0),
        ("sensor-2", 99.0),
        ("sensor-1", 5.0),
    ]
    assert rows[0]["time"] == iso_time(start_us)
    assert [row["host"] for row in await usage_over_time(database, host="sensor-2", **asked)] == ["sensor-2"]
    for wrong in ({"width_s": 7}, {"width_s": 1}, {"end_us": start_us - 1}):
        with pytest.raises(BadQuery):
            await usage_over_time(database, **{**asked, **wrong})
