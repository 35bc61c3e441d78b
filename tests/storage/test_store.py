"""What every store must do: keep each event once, take any text, keep the newest alert, account for everything."""

from __future__ import annotations

import json
from pathlib import Path

import aiomysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siemd.errors import UserError
from siemd.storage import StorageConfig, Store, StoreError, open_store, queries
from siemd.storage.tables import LOG_TABLES, MESSAGE_MAX
from siemd.storage.values import FIELDS_MAX_BYTES
from support.batches import HOST, alert, batch, connection, log, probe, probes, usage
from support.mariadb import MariaServer

DAY_US = 86_400_000_000


async def test_every_kind_of_event_lies_in_its_table(store: Store) -> None:
    time_us = 1_750_000_000_123_456
    logs = [log(n, table=table, time_us=time_us) for n, table in enumerate([*LOG_TABLES, "strange"], 1)]
    written = await store.write(
        [
            batch(probe(1, time_us=time_us, source_port=None, count=7)),
            batch(*logs, source="windows"),
            batch(usage(1, time_us=time_us, load_1m=0.25), source="metrics"),
            batch(alert(1, first_seen_us=time_us), source="detection"),
            batch(connection(1, time_us=time_us), source="flows"),
        ]
    )
    assert (written.stored, written.skipped, written.rejected) == (9, 0, 0)
    counts = {count["name"]: count["rows"] for count in await queries.table_counts(store)}
    assert counts == {
        "logs": 1, "security_logs": 1, "system_logs": 1, "application_logs": 1, "channel_logs": 2,
        "connections": 1, "usage_data": 1, "alerts": 1,
    }  # fmt: skip
    (row,) = await store.query("SELECT * FROM logs")
    assert row["time"] == "2025-06-15 15:06:40.123456"
    assert row["source_port"] is None and row["count"] == 7 and row["destination_ip"] == "192.0.2.1"
    assert json.loads(row["fields"]) == {"probe": "syn", "destination_ports": [22, 80]}
    (row,) = await store.query("SELECT * FROM security_logs")
    assert (row["event_time"], row["event_id"], row["channel"]) == ("2025-06-15 15:06:40.123456", 4625, "Security")
    (row,) = await store.query("SELECT * FROM usage_data")
    assert (row["cpu_percent"], row["load_1m"]) == (12.5, 0.25)
    (row,) = await queries.newest_alerts(store)
    assert row["group_values"] == {"source_ip": "192.0.2.7"} and row["evidence"] == [{"message": "one"}]
    assert await queries.time_range(store) == ("2025-06-15 15:06:40.123456",) * 2


async def test_a_redelivery_stores_nothing_twice(store: Store) -> None:
    first = probes(1, 50, checkpoint=b"fifty")
    await store.write([first])
    again = await store.write([first, probes(41, 20, dropped=0, checkpoint=b"\x00\xff' sixty")])
    assert (again.stored, again.skipped) == (10, 60)
    rows = await store.query("SELECT seq FROM logs ORDER BY seq")
    assert [row["seq"] for row in rows] == list(range(1, 61))
    assert await store.checkpoints(HOST) == {"sniffer": b"\x00\xff' sixty"}
    assert await store.checkpoints("another") == {}


async def test_epochs_and_hosts_do_not_meet(store: Store) -> None:
    await store.write([probes(1, 5, epoch=2), probes(1, 5, epoch=1), probes(1, 5, host="sensor-2")])
    assert (await store.query("SELECT COUNT(*) AS n FROM logs"))[0]["n"] == 15


async def test_the_ledger_explains_every_number(store: Store) -> None:
    losses = batch(dropped=3, last_seq=23)
    for _redelivered in range(2):
        await store.write([probes(1, 10), probes(16, 5, dropped=5), losses])
    await store.write([probes(30, 1)])
    (row,) = await queries.ledger(store)
    assert (row["produced"], row["stored"], row["dropped"], row["missing"]) == (30, 16, 8, 6)


async def test_the_newest_revision_of_an_alert_wins(store: Store) -> None:
    await store.write([batch(alert(1), alert(2, status="closed", reason="newest"), source="detection")])
    await store.write([batch(alert(9, revision=1, reason="late"), source="detection")])
    await store.write([batch(alert(10, incident_id="other", count=1), source="detection")])
    rows = await store.query("SELECT revision, status, reason, count FROM alerts ORDER BY id")
    assert list(rows[0].values()) == [2, "closed", "newest", 2]
    assert len(rows) == 2


HOSTILE = [
    "'; DROP TABLE logs; --", '"\\\'`%s %(x)s ?', "\\", "\\u0000", "%", "%%s", "😀 𝔘𝔫𝔦 \U0010ffff", "e\u0301 é ß İ ﷺ",
    "\u202egnp.exe", "line\r\nline\ttab\x1b[31m\x7f\x01", "\ufffe\uffff\ufeff", " trailing  ", "null", "{}", "\\ud800",
]  # fmt: skip


async def test_hostile_text_comes_back_as_it_was(store: Store) -> None:
    events = [
        probe(n, message=text, user_name=text, event_type=text, fields={text or "k": [text, {"a": text}]})
        for n, text in enumerate(HOSTILE, 1)
    ]
    written = await store.write([batch(*events)])
    assert (written.stored, written.changed_values, written.rejected) == (len(HOSTILE), 0, 0)
    rows = await store.query("SELECT * FROM logs ORDER BY seq")
    for text, row in zip(HOSTILE, rows, strict=True):
        assert (row["message"], row["user_name"], row["event_type"]) == (text, text, text)
        assert json.loads(row["fields"]) == {text: [text, {"a": text}]}


async def test_what_no_column_holds_is_changed_and_counted(store: Store) -> None:
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    events = [
        probe(1, message="a\0b\ud800c\ud83d\ude00", source_ip="x" * 500),
        probe(2, message="m" * 1_000_000, fields={"blob": "€" * 1_000_000, "kept": 1}),
        probe(3, count=1 << 200, destination_port=-5, fields={"n": 1 << 90, "f": float("inf"), "s": "\udfff\0"}),
        probe(4, fields={"deep": deep, "odd": {1, 2}, "bytes": b"\xff", 5: "int key"}),
        probe(5, fields={f"k{n}": "v" * 100 for n in range(50_000)}),
        probe(6, message=None, user_name=7, time_us=-(1 << 80)),
        probe(7, time_us=1 << 80, event_type="\0"),
    ]
    written = await store.write([batch(*events)])
    assert (written.stored, written.rejected) == (7, 0)
    assert written.changed_values >= 11
    rows = await store.query("SELECT * FROM logs ORDER BY seq")
    assert rows[0]["message"] == "a\u2400b\ufffdc😀" and rows[0]["source_ip"] == "x" * 64
    assert len(rows[1]["message"]) == MESSAGE_MAX
    assert json.loads(rows[1]["fields"])["kept"] == 1 and json.loads(rows[1]["fields"])["_cut"] is True
    assert (rows[2]["count"], rows[2]["destination_port"]) == ((1 << 63) - 1, 0)
    assert json.loads(rows[3]["fields"])["bytes"] == "ff"
    assert len(rows[4]["fields"].encode()) <= FIELDS_MAX_BYTES and json.loads(rows[4]["fields"])["k0"] == "v" * 100
    assert (rows[5]["message"], rows[5]["user_name"], rows[5]["time"][:4]) == ("", "7", "1970")
    assert rows[6]["time"] == "2100-01-01 00:00:00.000000"


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
)
_seq = iter(range(1, 1 << 40))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec=None)),
    number=st.integers() | st.none() | st.text() | st.floats(),
    fields=st.dictionaries(st.text(st.characters(codec=None)), _values),
)
async def test_any_value_is_stored(store: Store, text: str, number: object, fields: dict[str, object]) -> None:
    seq = next(_seq)
    written = await store.write(
        [
            batch(
                probe(seq, message=text, protocol=text, count=number, fields=fields),
                log(seq, event_id=number, message=text, computer=text, fields=fields),
                usage(seq, cpu_percent=number),
                alert(seq, incident_id=f"{seq}{text}", group=fields, evidence=[fields], reason=text),
            )
        ]
    )
    assert (written.stored, written.rejected) == (4, 0)
    (row,) = await store.query("SELECT message, fields FROM logs WHERE seq = ?", (seq,))
    json.loads(row["fields"])
    if "\0" not in text and text.isprintable():
        assert row["message"] == text


async def test_a_poison_event_goes_to_the_dead_letters(
    store: Store, store_config: StorageConfig, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A server may refuse what we can't foresee, for example by a constraint that somebody added."""
    if store_config.url.startswith("sqlite"):
        import sqlite3

        connection = sqlite3.connect(tmp_path / "events.db")
        connection.execute(
            "CREATE TRIGGER no_poison BEFORE INSERT ON logs WHEN NEW.message = 'poison' "
            "BEGIN SELECT RAISE(ABORT, 'no poison here'); END"
        )
        connection.close()
    else:
        server, database = request.getfixturevalue("mariadb"), request.getfixturevalue("mysql_database")
        server.execute("ALTER TABLE logs ADD CONSTRAINT no_poison CHECK (message <> 'poison')", database=database)
    poisoned = {17, 18, 400}
    events = [probe(n, message="poison" if n in poisoned else "fine") for n in range(1, 501)]
    written = await store.write([batch(*events, checkpoint=b"after")])
    assert (written.stored, written.rejected) == (497, 3)
    rows = await store.query("SELECT seq FROM logs ORDER BY seq")
    assert {row["seq"] for row in rows} == set(range(1, 501)) - poisoned
    dead = await store.query("SELECT seq, table_name, reason, payload FROM dead_letters ORDER BY seq")
    assert {row["seq"] for row in dead} == poisoned
    assert "poison" in dead[0]["reason"] and dead[0]["table_name"] == "logs"
    assert json.loads(bytes(dead[0]["payload"]))["message"] == "poison"
    (row,) = await queries.ledger(store)
    assert (row["produced"], row["stored"], row["rejected"], row["missing"]) == (500, 497, 3, 0)
    assert await store.checkpoints(HOST) == {"sniffer": b"after"}


async def test_retention_removes_what_is_too_old_and_nothing_else(store: Store) -> None:
    now = 1_795_000_000_000_000
    for days in (0, 1, 5, 29, 31, 40, 4000):
        await store.write([probes(1, 3, epoch=days + 1)])
    await store.keep({"logs": 0.0, "alerts": 0.0}, now)  # partitions are there before the events come
    await store.reset()
    start = now - 60 * DAY_US
    for day in range(61):  # sixty days of life, an hourly retention among them
        today = start + day * DAY_US
        await store.keep({"logs": 30 * 86400.0, "alerts": 86400.0}, today)
        await store.write([batch(probe(day + 1, time_us=today))])
        await store.write([batch(alert(day + 1, incident_id=str(day), time_us=today), source="detection")])
    await store.keep({"logs": 30 * 86400.0, "alerts": 86400.0}, now)
    days = [row["seq"] for row in await store.query("SELECT seq FROM logs ORDER BY seq")]
    assert days[0] in (30, 31, 32) and days == list(range(days[0], 62))
    assert len(await queries.newest_alerts(store, 100)) in (1, 2)


async def test_reset_clears_everything(store: Store) -> None:
    await store.write([probes(1, 5, checkpoint=b"x"), batch(alert(1), source="detection")])
    await store.reset()
    assert all(count["rows"] == 0 for count in await queries.table_counts(store))
    assert await queries.ledger(store) == [] and await store.checkpoints(HOST) == {}
    assert (await store.write([probes(1, 5)])).stored == 5
    assert all(migration.applied for migration in await store.schema())


async def test_a_store_without_tables_says_what_to_do(store_config: StorageConfig, tmp_path: Path) -> None:
    store = open_store(store_config, tmp_path)
    assert {migration.applied for migration in await store.schema()} == {None}
    with pytest.raises(StoreError, match="siemd db migrate"):
        await queries.newest_alerts(store)
    await store.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://x/y", "no store"),
        ("mysql://host", "not complete"),
        ("mysql://u:sesame@host:99999/db", "no port 99999"),
        ("mysql://u:sesame@host/db?tls=1", "unknown option `tls`"),
        ("mysql://u:sesame@host/db?ssl_ca=/none.pem", "TLS files"),
    ],
)
def test_a_wrong_url_is_a_sentence_without_the_password(url: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        open_store(StorageConfig(url=url), tmp_path)
    assert "sesame" not in str(caught.value)


EVERY_BYTE = bytes(range(256)) + b"_binary'\\0\\'"


async def test_a_checkpoint_is_bytes_of_any_kind(store: Store) -> None:
    await store.write([batch(checkpoint=EVERY_BYTE)])
    assert await store.checkpoints(HOST) == {"sniffer": EVERY_BYTE}


async def test_bytes_pass_through_aiomysql_unharmed(mariadb: MariaServer) -> None:
    """aiomysql 0.3.2 breaks bytes parameters with PyMySQL 1.2.1 and later; this is why that is pinned."""
    connection = await aiomysql.connect(unix_socket=str(mariadb.socket), user="root", charset="utf8mb4")
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT %s", (EVERY_BYTE,))
        assert await cursor.fetchone() == (EVERY_BYTE,)
    connection.close()
