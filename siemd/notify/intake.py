"""From states of incidents to what each route must tell of them: each state once a route, however often it is seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from siemd.events import Alert
from siemd.notify import outbox
from siemd.notify.config import NotifyConfig, RouteConfig
from siemd.notify.render import brief
from siemd.notify.routing import Router, rank
from siemd.notify.source import Kind, Told

DROPPED = "there was no room in the outbox (notify.max_waiting)"


def take(
    db: sqlite3.Connection,
    config: NotifyConfig,
    router: Router,
    epoch: int,
    alerts: Sequence[Alert],
    seq: int,
    now_us: int,
) -> int:
    """Queue what these states call for and advance the cursor of their run to seq; how many were dropped."""
    waiting = db.execute("SELECT count(*) FROM notice WHERE batch IS NULL").fetchone()[0]
    dropped = 0
    for alert in alerts:
        row = db.execute("SELECT level, old FROM incident WHERE incident_id = ?", (alert.incident_id,)).fetchone()
        raised = row is not None and rank(alert.level) > rank(row[0])
        old = bool(row and row[1]) and not raised
        for route in router.routes(alert, now_us):
            kind = _kind(db, alert, route, known=row is not None and not raised, old=old)
            if kind is None:
                continue
            if _merge(db, alert, route, kind):
                continue
            if waiting >= config.max_waiting:
                _drop(db, config, alert, route, kind, now_us)
                dropped += 1
                continue
            _add(db, alert, route, kind, now_us)
            waiting += 1
        db.execute(
            "INSERT OR REPLACE INTO incident (incident_id, level, status, old, touched_us) VALUES (?, ?, ?, ?, ?)",
            (alert.incident_id, alert.level, alert.status, old, now_us),
        )
        db.execute(  # what an escalation tells is the newest state
            "UPDATE escalation SET incident = ?, revision = ? WHERE incident_id = ?",
            (msgspec.json.encode(brief(alert)), alert.revision, alert.incident_id),
        )
    outbox.move_cursor(db, epoch, seq)
    return dropped


def adopt(db: sqlite3.Connection, heads: dict[int, int], opened: Sequence[tuple[str, str]], now_us: int) -> None:
    """Runs of detection from before anybody was to be told: nothing of them is new. opened: ids and levels."""
    for incident_id, level in opened:
        db.execute(
            "INSERT OR IGNORE INTO incident (incident_id, level, status, old, touched_us) VALUES (?, ?, 'open', 1, ?)",
            (incident_id, level, now_us),
        )
    for epoch, seq in heads.items():
        outbox.move_cursor(db, epoch, seq)


def _kind(db: sqlite3.Connection, alert: Alert, route: RouteConfig, *, known: bool, old: bool) -> Kind | None:
    """What this state is to the route, None when it is not to be told. The route has dealt with it afterwards."""
    row = db.execute(
        "SELECT revision FROM route_state WHERE incident_id = ? AND route = ?", (alert.incident_id, route.name)
    ).fetchone()
    closed = alert.status == "closed"
    kind: Kind
    if row is not None:
        if alert.revision <= row[0]:
            return None
        kind = "close" if closed else "grow"
    elif old:
        kind = "close" if closed else "grow"
    elif known and closed:  # its end is no news to whom nobody told of it
        return None
    else:
        kind = "open"
    db.execute("INSERT OR REPLACE INTO route_state VALUES (?, ?, ?)", (alert.incident_id, route.name, alert.revision))
    if kind == "open" and closed and "open" not in route.on:
        kind = "close"  # opened and closed before anybody looked
    return kind if kind in route.on else None


def _merge(db: sqlite3.Connection, alert: Alert, route: RouteConfig, kind: Kind) -> bool:
    """Bring a notice of the same incident that still waits up to date, so that a group shows it once."""
    return bool(
        db.execute(
            "UPDATE notice SET revision = ?, incident = ?, rank = ?, "
            "kind = CASE WHEN kind = 'open' THEN kind ELSE ? END WHERE incident_id = ? AND route = ? AND batch IS NULL",
            (alert.revision, _encoded(alert), rank(alert.level), kind, alert.incident_id, route.name),
        ).rowcount
    )


def _add(db: sqlite3.Connection, alert: Alert, route: RouteConfig, kind: Kind, now_us: int) -> None:
    """A notice, due with the first of its group."""
    key = "\x1f".join(str(getattr(alert, name)) for name in route.group_by)
    first = db.execute(
        "SELECT min(due_us) FROM notice WHERE route = ? AND group_key = ? AND batch IS NULL AND held = 0",
        (route.name, key),
    ).fetchone()[0]
    due_us = now_us + int(float(route.group_s) * 1e6)
    db.execute(
        "INSERT INTO notice (incident_id, revision, kind, route, group_key, rank, queued_us, due_us, incident) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            alert.incident_id, alert.revision, kind, route.name, key, rank(alert.level), now_us,
            due_us if first is None else min(due_us, first), _encoded(alert),
        ),
    )  # fmt: skip


def _drop(
    db: sqlite3.Connection, config: NotifyConfig, alert: Alert, route: RouteConfig, kind: Kind, now_us: int
) -> None:
    outbox.count(db, "lost_incidents", 1)
    outbox.record(
        db,
        [
            Told(
                incident_id=alert.incident_id, revision=alert.revision, kind=kind, route=route.name,
                channel=channel_of(config, target), target=target, status="dropped", attempts=0, time_us=now_us,
                detail=DROPPED,
            )
            for target in route.targets
        ],
    )  # fmt: skip


def channel_of(config: NotifyConfig, target: str) -> str:
    """The channel of a target, empty when there is no such target any more."""
    settings = config.targets.get(target)
    return str(settings.__struct_config__.tag) if settings is not None else ""


def _encoded(alert: Alert) -> bytes:
    return msgspec.json.encode(brief(alert))
