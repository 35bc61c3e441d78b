"""The outbox: what must be told, on this host's disk (notify.db) until it is told or given up.

Every function takes a connection inside a transaction, so that a kill at any moment leaves the whole of a step or
nothing of it: the cursor into the store advances together with what it brought, a message is made together with what it
tells, and how it ended is kept together with the record that is still to be written into the store.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from siemd.notify.base import Message
from siemd.notify.source import Told
from siemd.sqlite_file import transaction

SCHEMA = """
-- Up to which number each run of detection has been dealt with.
CREATE TABLE IF NOT EXISTS cursor (epoch INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
-- Incidents seen so far; old: from before anybody was to be told.
CREATE TABLE IF NOT EXISTS incident (
    incident_id TEXT PRIMARY KEY, level TEXT NOT NULL, status TEXT NOT NULL, old INTEGER NOT NULL,
    touched_us INTEGER NOT NULL
) WITHOUT ROWID;
-- Which state of it each route has dealt with last.
CREATE TABLE IF NOT EXISTS route_state (
    incident_id TEXT NOT NULL, route TEXT NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (incident_id, route)
) WITHOUT ROWID;
-- What a route must tell; batch: the messages that tell it. held: 1 by quiet hours, 2 by too many messages.
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT, incident_id TEXT NOT NULL, revision INTEGER NOT NULL, kind TEXT NOT NULL,
    route TEXT NOT NULL, group_key TEXT NOT NULL, rank INTEGER NOT NULL, queued_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0, batch INTEGER, incident BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS notice_waiting ON notice (route, due_us) WHERE batch IS NULL;
CREATE INDEX IF NOT EXISTS notice_incident ON notice (incident_id, route) WHERE batch IS NULL;
CREATE INDEX IF NOT EXISTS notice_batch ON notice (batch);
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, route TEXT NOT NULL, made_us INTEGER NOT NULL, counted INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS batch_route ON batch (route, made_us);
-- status: queued, sent, dead or dropped.
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, batch INTEGER NOT NULL, route TEXT NOT NULL,
    target TEXT NOT NULL, subject TEXT NOT NULL, payload BLOB NOT NULL, queued_us INTEGER NOT NULL,
    next_us INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'queued',
    detail TEXT NOT NULL DEFAULT '', done_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS message_queue ON message (target, next_us) WHERE status = 'queued';
CREATE INDEX IF NOT EXISTS message_order ON message (target, id) WHERE status = 'queued';
CREATE INDEX IF NOT EXISTS message_batch ON message (batch);
CREATE INDEX IF NOT EXISTS message_done ON message (done_us) WHERE status <> 'queued';
CREATE TABLE IF NOT EXISTS escalation (
    incident_id TEXT NOT NULL, route TEXT NOT NULL, step INTEGER NOT NULL, revision INTEGER NOT NULL,
    rank INTEGER NOT NULL, due_us INTEGER NOT NULL, incident BLOB NOT NULL, PRIMARY KEY (incident_id, route, step)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS escalation_due ON escalation (due_us);
-- What is still to be recorded beside the alerts in the store.
CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY AUTOINCREMENT, told BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
FILE_NAME = "notify.db"
CLOCK_SLACK_US = 2 * 3_600_000_000  # a try that is further ahead than any delay was planned before the clock was set


class Queued(msgspec.Struct):
    """A message that waits for its target."""

    id: int
    message: Message
    queued_us: int
    next_us: int
    attempts: int


def prepare(connection: sqlite3.Connection) -> None:
    """Make what is missing."""
    with transaction(connection):
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)


def cursors(db: sqlite3.Connection) -> dict[int, int]:
    """For each run of detection the number up to which it has been dealt with."""
    return dict(db.execute("SELECT epoch, seq FROM cursor").fetchall())


def move_cursor(db: sqlite3.Connection, epoch: int, seq: int) -> None:
    """Everything of that run up to seq has been dealt with."""
    db.execute(
        "INSERT INTO cursor VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET seq = max(seq, excluded.seq)", (epoch, seq)
    )


def forget_cursors(db: sqlite3.Connection, gone: Iterable[int]) -> None:
    """Runs of detection of which the store knows nothing any more."""
    db.executemany("DELETE FROM cursor WHERE epoch = ?", [(epoch,) for epoch in gone])


def count(db: sqlite3.Connection, name: str, amount: int) -> None:
    """Add to a counter that outlives the process."""
    db.execute(
        "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, amount),
    )


def counters(db: sqlite3.Connection) -> dict[str, int]:
    """Every counter, and what waits."""
    found: dict[str, int] = dict(db.execute("SELECT name, value FROM counter").fetchall())
    waits = (
        ("waiting_incidents", "SELECT count(*) FROM notice WHERE batch IS NULL"),
        ("waiting_messages", "SELECT count(*) FROM message WHERE status = 'queued'"),
        ("waiting_escalations", "SELECT count(*) FROM escalation"),
        ("waiting_records", "SELECT count(*) FROM record"),
    )
    return found | {name: db.execute(sql).fetchone()[0] for name, sql in waits}


def hurry(db: sqlite3.Connection, now_us: int) -> None:
    """What only waits for others to be told with it is due now."""
    db.execute("UPDATE notice SET due_us = min(due_us, ?) WHERE batch IS NULL AND held = 0", (now_us,))


def make_batch(db: sqlite3.Connection, route: str, notices: Sequence[int], now_us: int, *, counted: bool) -> int:
    """A batch of notices that are told together; counted: towards the route's rate."""
    batch = db.execute(
        "INSERT INTO batch (route, made_us, counted) VALUES (?, ?, ?)", (route, now_us, counted)
    ).lastrowid
    assert batch is not None
    db.executemany("UPDATE notice SET batch = ? WHERE id = ?", [(batch, notice) for notice in notices])
    return batch


def enqueue(db: sqlite3.Connection, batch: int, target: str, message: Message, now_us: int) -> None:
    """A message for one target. Its uid is new; it is never made again."""
    db.execute(
        "INSERT INTO message (uid, batch, route, target, subject, payload, queued_us, next_us) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (message.uid, batch, message.route, target, message.subject, msgspec.json.encode(message), now_us, now_us),
    )


def new_uid() -> str:
    """What names a message for ever."""
    return secrets.token_hex(16)


def next_queued(db: sqlite3.Connection, target: str, now_us: int) -> Queued | None:
    """The message for a target that is to be tried first, due or not; of those that are due the oldest."""
    found = "SELECT id, payload, queued_us, next_us, attempts FROM message WHERE target = ? AND status = 'queued' "
    row = db.execute(
        f"{found} AND (next_us <= ? OR next_us > ?) ORDER BY id LIMIT 1", (target, now_us, now_us + CLOCK_SLACK_US)
    ).fetchone()
    if row is None:
        row = db.execute(f"{found} ORDER BY next_us, id LIMIT 1", (target,)).fetchone()
    elif row[3] > now_us:
        row = (*row[:3], now_us, row[4])
    return Queued(row[0], msgspec.json.decode(row[1], type=Message), *row[2:]) if row else None


def started(db: sqlite3.Connection, message: int) -> None:
    """It is about to be sent: if nothing is heard of that any more, it may have arrived."""
    db.execute("UPDATE message SET attempts = attempts + 1 WHERE id = ?", (message,))


def postpone(db: sqlite3.Connection, message: int, next_us: int, detail: str) -> None:
    """It was not taken; when to try again."""
    db.execute("UPDATE message SET next_us = ?, detail = ? WHERE id = ?", (next_us, detail, message))


def settle(db: sqlite3.Connection, message: int, status: str, detail: str, channel: str, now_us: int) -> int:
    """It is sent, dead or dropped: note that, and what is to be recorded of it; how many incidents it told."""
    changed = db.execute(
        "UPDATE message SET status = ?, detail = ?, done_us = ? WHERE id = ? AND status = 'queued'",
        (status, detail, now_us, message),
    ).rowcount
    if not changed:
        return 0
    batch, route, target, attempts = db.execute(
        "SELECT batch, route, target, attempts FROM message WHERE id = ?", (message,)
    ).fetchone()
    notices = db.execute("SELECT incident_id, revision, kind FROM notice WHERE batch = ?", (batch,)).fetchall()
    record(
        db,
        [
            Told(
                incident_id=incident_id, revision=revision, kind=kind, route=route, channel=channel, target=target,
                status=status, attempts=attempts, time_us=now_us, detail=detail,
            )
            for incident_id, revision, kind in notices
        ],
    )  # fmt: skip
    count(db, f"{status}_messages", 1)
    if not db.execute("SELECT 1 FROM message WHERE batch = ? AND status = 'queued' LIMIT 1", (batch,)).fetchone():
        db.execute("DELETE FROM notice WHERE batch = ?", (batch,))
    return len(notices)


def record(db: sqlite3.Connection, told: Iterable[Told]) -> None:
    """What is to be written into the store when it answers."""
    db.executemany("INSERT INTO record (told) VALUES (?)", [(msgspec.json.encode(one),) for one in told])


def records(db: sqlite3.Connection, most: int) -> tuple[int, list[Told]]:
    """The oldest of them, and the id of the last."""
    rows = db.execute("SELECT id, told FROM record ORDER BY id LIMIT ?", (most,)).fetchall()
    return (rows[-1][0] if rows else 0), [msgspec.json.decode(told, type=Told) for _id, told in rows]


def recorded(db: sqlite3.Connection, last_id: int) -> None:
    """The store has them up to this id."""
    db.execute("DELETE FROM record WHERE id <= ?", (last_id,))


def trouble(db: sqlite3.Connection, since_us: int) -> tuple[int, str]:
    """How many messages were given up since then, and why the last one was."""
    number = db.execute("SELECT count(*) FROM message WHERE status = 'dead' AND done_us >= ?", (since_us,)).fetchone()[
        0
    ]
    row = db.execute(
        "SELECT target, detail FROM message WHERE status = 'dead' AND done_us >= ? ORDER BY done_us DESC LIMIT 1",
        (since_us,),
    ).fetchone()
    return number, f"{row[0]}: {row[1]}" if row else ""


def mend_clock(db: sqlite3.Connection, now_us: int) -> None:
    """What was planned by a clock that has been set back since is due now."""
    ahead_us = now_us + CLOCK_SLACK_US
    db.execute(
        "UPDATE notice SET due_us = ?, queued_us = ? WHERE batch IS NULL AND queued_us > ?", (now_us, now_us, ahead_us)
    )
    db.execute("UPDATE message SET queued_us = ? WHERE status = 'queued' AND queued_us > ?", (now_us, ahead_us))


def tidy(db: sqlite3.Connection, before_us: int, seen_before_us: int) -> None:
    """Forget what was told before a moment, and incidents that ended before another."""
    db.execute("DELETE FROM message WHERE status <> 'queued' AND done_us < ?", (before_us,))
    db.execute(
        "DELETE FROM batch WHERE made_us < ? AND id NOT IN (SELECT batch FROM message) "
        "AND id NOT IN (SELECT batch FROM notice WHERE batch IS NOT NULL)",
        (before_us,),
    )
    db.execute("DELETE FROM incident WHERE touched_us < ?", (seen_before_us,))
    db.execute("DELETE FROM route_state WHERE incident_id NOT IN (SELECT incident_id FROM incident)")


def overview(db: sqlite3.Connection, limit: int) -> list[Mapping[str, Any]]:
    """What waits and what was told last, newest first, for people."""
    names = ("time_us", "status", "route", "target", "attempts", "subject", "detail", "uid")
    rows = db.execute(
        "SELECT CASE WHEN status = 'queued' THEN queued_us ELSE done_us END AS time_us, status, route, target, "
        "attempts, subject, detail, uid FROM message ORDER BY status = 'queued' DESC, time_us DESC LIMIT ?",
        (limit,),
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]
