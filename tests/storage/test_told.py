"""What the notifier asks of every store: incidents in the order of their storing, and the record of who was told."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from siemd.events import Batch
from siemd.notify.source import Told
from siemd.storage import Store
from siemd.storage.sqlite import SqliteStore
from siemd.storage.told import ToldStore
from support.incidents import HOST, incident
from support.mariadb import MariaServer


async def put(store: Store, epoch: int, *numbered: tuple[int, str, int]) -> None:
    """Store states as (number, incident, revision)."""
    alerts = []
    for seq, name, revision in numbered:
        alert = incident(name, revision=revision)
        alert.host, alert.source, alert.seq = HOST, "detection", seq
        alerts.append(alert)
    last = numbered[-1][0]
    await store.write([Batch(host=HOST, source="detection", epoch=epoch, events=list(alerts), last_seq=last)])


async def test_a_run_is_read_in_its_order(store: Store) -> None:
    told = ToldStore(store, HOST)
    assert await told.heads() == {}
    await put(store, 5, (1, "a", 1), (2, "b", 1), (3, "c", 1))
    await put(store, 5, (4, "a", 2))
    await put(store, 4, (1, "d", 1))
    assert await told.heads() == {5: 4, 4: 1}
    assert [(one.incident_id, one.seq, one.revision) for one in await told.after(5, 0, 10)] == [
        ("b", 2, 1), ("c", 3, 1), ("a", 4, 2),
    ]  # fmt: skip
    assert [one.incident_id for one in await told.after(5, 0, 2)] == ["b", "c"]
    assert [one.incident_id for one in await told.after(5, 3, 10)] == ["a"]
    assert await told.after(5, 4, 10) == []
    assert await told.open_of([4]) == [("d", "medium")]
    assert await ToldStore(store, "another host").heads() == {}


def record(**changes: object) -> Told:
    values: dict[str, object] = {
        "incident_id": "a", "revision": 1, "kind": "open", "route": "r", "channel": "email", "target": "t",
        "status": "sent", "attempts": 2, "time_us": 1_795_000_000_000_001, "detail": "taken",
    }  # fmt: skip
    return Told(**(values | changes))  # type: ignore[arg-type]


async def test_what_was_told_is_recorded_once(store: Store) -> None:
    told = ToldStore(store, HOST)
    await told.record([record(), record(target="u", detail="x" * 5000 + "\0\ud800"), record(kind="escalation")])
    await told.record([record(), record(status="dead", attempts=9)])  # told twice, as when an answer was lost
    rows = await store.query("SELECT * FROM alert_notifications ORDER BY kind, target")
    assert [(row["kind"], row["target"], row["status"], row["attempts"]) for row in rows] == [
        ("escalation", "t", "sent", 2), ("open", "t", "dead", 9), ("open", "u", "sent", 2),
    ]  # fmt: skip
    assert len(rows[2]["detail"]) == 1000
    assert str(rows[0]["time"]).startswith("2026-11-18 11:06:40")


async def test_records_go_with_their_alerts(store: Store) -> None:
    await ToldStore(store, HOST).record([record(), record(target="new", time_us=1_895_000_000_000_000)])
    removed = await store.keep({"alerts": 86400.0}, 1_895_000_000_000_000)
    assert removed == 1
    rows = await store.query("SELECT target FROM alert_notifications")
    assert [row["target"] for row in rows] == ["new"]
    await store.reset()
    assert await store.query("SELECT * FROM alert_notifications") == []


async def test_who_acknowledged(store: Store) -> None:
    told = ToldStore(store, HOST)
    assert await told.triage([]) == {}
    assert await told.triage(["a", "b"]) == {}, "nobody has, whether there is a table for it or not"


async def test_who_acknowledged_is_read_from_the_triage(store: Store, request: pytest.FixtureRequest) -> None:
    table = "CREATE TABLE IF NOT EXISTS alert_triage (incident_id VARCHAR(191) PRIMARY KEY, assignee VARCHAR(255), "
    table += "state VARCHAR(16), verdict VARCHAR(16), changed VARCHAR(32), changed_by VARCHAR(255))"
    rows = "INSERT INTO alert_triage VALUES ('i7', 'a', 'acknowledged', '', '2026-01-01', 'a'), "
    rows += "('i300', '', 'closed', 'false_positive', '2026-01-01', 'a')"
    if isinstance(store, SqliteStore):
        with closing(sqlite3.connect(store.path)) as db, db:
            db.execute(table)
            db.execute(rows)
    else:
        server: MariaServer = request.getfixturevalue("mariadb")
        with closing(server.connect(request.getfixturevalue("mysql_database"))) as connection:
            with connection.cursor() as cursor:
                cursor.execute(table)
                cursor.execute(rows)
            connection.commit()
    many = [f"i{number}" for number in range(450)]
    assert await ToldStore(store, HOST).triage(many) == {"i7": "acknowledged", "i300": "closed"}
