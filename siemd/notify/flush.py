"""From what waits to messages: grouped, within the rate, not in quiet hours, and to others when nobody acknowledges."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from siemd.notify import outbox
from siemd.notify.config import NotifyConfig, RouteConfig
from siemd.notify.intake import channel_of
from siemd.notify.render import Item, Writer
from siemd.notify.routing import Router, rank
from siemd.notify.source import Told

QUIET_STEP_US = 30_000_000  # how often it is seen whether quiet hours are over
QUIET, LIMITED = 1, 2
NO_ROUTE = "its route is no longer configured"
DEALT_WITH = ("acknowledged", "closed")


class Flusher:
    """Makes messages of what is due. Every method works within the caller's transaction."""

    def __init__(self, config: NotifyConfig, router: Router, writer: Writer) -> None:
        self._config = config
        self._router = router
        self._writer = writer
        self.lost = 0  # incidents that were dropped; whoever says so sets it back

    def flush(self, db: sqlite3.Connection, now_us: int) -> int:
        """Make messages of every notice that is due and may be told now; how many were made."""
        made = 0
        routes = db.execute(
            "SELECT DISTINCT route FROM notice WHERE batch IS NULL AND due_us <= ?", (now_us,)
        ).fetchall()
        for (name,) in routes:
            route = self._config.route(name)
            if route is None:
                self._drop_orphans(db, name, now_us)
            else:
                made += self._flush_route(db, route, now_us)
        return made

    def next_due_us(self, db: sqlite3.Connection) -> int | None:
        """When there will be something to do, None when nothing waits."""
        row = db.execute(
            "SELECT min(due_us) FROM (SELECT min(due_us) AS due_us FROM notice WHERE batch IS NULL "
            "UNION ALL SELECT min(due_us) FROM escalation)"
        ).fetchone()
        return row[0] if row else None

    def due_escalations(self, db: sqlite3.Connection, now_us: int) -> list[str]:
        """Incidents about which others must hear unless somebody has acknowledged them."""
        rows = db.execute(
            "SELECT DISTINCT incident_id FROM escalation WHERE due_us <= ? LIMIT 5000", (now_us,)
        ).fetchall()
        return [incident_id for (incident_id,) in rows]

    def escalate(self, db: sqlite3.Connection, states: Mapping[str, str], asked: Sequence[str], now_us: int) -> int:
        """Tell the next targets of those among the asked that nobody has dealt with; how many messages were made."""
        groups: dict[tuple[str, int], list[tuple[str, int, int, bytes]]] = {}
        for incident_id in asked:
            if states.get(incident_id) in DEALT_WITH:
                db.execute("DELETE FROM escalation WHERE incident_id = ?", (incident_id,))
                continue
            rows = db.execute(
                "SELECT route, step, revision, rank, incident FROM escalation WHERE incident_id = ? AND due_us <= ?",
                (incident_id, now_us),
            ).fetchall()
            for route, step, revision, grade, incident in rows:
                groups.setdefault((route, step), []).append((incident_id, revision, grade, incident))
                db.execute(
                    "DELETE FROM escalation WHERE incident_id = ? AND route = ? AND step = ?",
                    (incident_id, route, step),
                )
        made = 0
        for (name, step), incidents in groups.items():
            route_config = self._config.route(name)
            if route_config is None or step >= len(route_config.escalate):
                continue  # whoever changed the configuration does not want it any more
            ids = [_insert(db, name, one, now_us) for one in incidents]
            items = [Item("escalation", msgspec.json.decode(incident)) for *_rest, incident in incidents]
            targets = route_config.escalate[step].targets
            made += self._messages(
                db, name, targets, ids, items, now_us, f"Nobody has acknowledged this; told by {name}", False
            )
        return made

    def _flush_route(self, db: sqlite3.Connection, route: RouteConfig, now_us: int) -> int:
        self._hold_quiet(db, route, now_us)
        made = 0
        while True:
            held = db.execute(
                "SELECT max(held), group_key FROM notice WHERE route = ? AND batch IS NULL AND due_us <= ? "
                "GROUP BY group_key ORDER BY min(id)",
                (route.name, now_us),
            ).fetchall()
            if not held:
                return made
            free_us = self._room_us(db, route, now_us)
            if free_us > now_us:
                db.execute(
                    "UPDATE notice SET held = max(held, ?), due_us = ? "
                    "WHERE route = ? AND batch IS NULL AND due_us <= ?",
                    (LIMITED, free_us, route.name, now_us),
                )
                return made
            if any(reason for reason, _key in held):  # what was held back comes in one message
                made += self._flush_group(db, route, None, max(reason for reason, _key in held), now_us)
            else:
                made += self._flush_group(db, route, held[0][1], 0, now_us)

    def _hold_quiet(self, db: sqlite3.Connection, route: RouteConfig, now_us: int) -> None:
        """In quiet hours keep back what may not pass."""
        if route.quiet is None or not route.quiet.contains(now_us, self._router.zone):
            return
        passing = 99 if route.quiet.but == "nothing" else rank(route.quiet.but)
        db.execute(
            "UPDATE notice SET held = ?, due_us = ? WHERE route = ? AND batch IS NULL AND due_us <= ? AND rank < ?",
            (QUIET, now_us + QUIET_STEP_US, route.name, now_us, passing),
        )

    def _room_us(self, db: sqlite3.Connection, route: RouteConfig, now_us: int) -> int:
        """When the route may send its next message."""
        per_us = int(float(route.rate.per_s) * 1e6)
        row = db.execute(
            "SELECT made_us FROM batch WHERE route = ? AND counted AND made_us > ? AND made_us <= ? "
            "ORDER BY made_us DESC LIMIT 1 OFFSET ?",
            (route.name, now_us - per_us, now_us, route.rate.messages - 1),
        ).fetchone()
        return now_us if row is None else row[0] + per_us

    def _flush_group(self, db: sqlite3.Connection, route: RouteConfig, key: str | None, held: int, now_us: int) -> int:
        where, parameters = "route = ? AND batch IS NULL AND due_us <= ?", [route.name, now_us]
        if key is not None:
            where, parameters = f"{where} AND group_key = ?", [*parameters, key]
        rows = db.execute(
            f"SELECT id, kind, incident, incident_id, revision, rank FROM notice WHERE {where} ORDER BY id",  # noqa: S608
            parameters,
        ).fetchall()
        items = [Item(row[1], msgspec.json.decode(row[2])) for row in rows]
        why = ""
        if held == QUIET and route.quiet is not None:
            why = f"Held back during quiet hours ({route.quiet.words()})"
        elif held:
            per = route.rate.per_s
            why = f"Held back: {route.name} sends {route.rate.messages} messages in {per} at most"
        made = self._messages(db, route.name, route.targets, [row[0] for row in rows], items, now_us, why, True)
        for _id, kind, incident, incident_id, revision, grade in rows:
            for step, escalation in enumerate(route.escalate if kind == "open" else ()):
                db.execute(
                    "INSERT OR IGNORE INTO escalation VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        incident_id,
                        route.name,
                        step,
                        revision,
                        grade,
                        now_us + int(float(escalation.after_s) * 1e6),
                        incident,
                    ),
                )
        return made

    def _messages(
        self, db: sqlite3.Connection, route: str, targets: Sequence[str], notices: Sequence[int], items: Sequence[Item],
        now_us: int, why: str, counted: bool,
    ) -> int:  # fmt: skip
        """One message for each target; those that find the outbox full are dropped, counted and recorded."""
        batch = outbox.make_batch(db, route, notices, now_us, counted=counted)
        for target in targets:
            message = self._writer.message(outbox.new_uid(), route, items, now_us, why)
            outbox.enqueue(db, batch, target, message, now_us)
        self._drop_oldest(db, targets, now_us)
        return len(targets)

    def _drop_oldest(self, db: sqlite3.Connection, targets: Sequence[str], now_us: int) -> None:
        """Keep the outbox within its bounds: of a target that takes nothing, the oldest messages go."""
        for target in targets:
            rows = db.execute(
                "SELECT id FROM message WHERE target = ? AND status = 'queued' ORDER BY id DESC LIMIT -1 OFFSET ?",
                (target, self._config.max_waiting),
            ).fetchall()
            for (message,) in rows:
                detail = "the outbox is full (notify.max_waiting)"
                lost = outbox.settle(db, message, "dropped", detail, channel_of(self._config, target), now_us)
                outbox.count(db, "lost_incidents", lost)
                self.lost += lost

    def _drop_orphans(self, db: sqlite3.Connection, route: str, now_us: int) -> None:
        rows = db.execute(
            "SELECT incident_id, revision, kind FROM notice WHERE route = ? AND batch IS NULL", (route,)
        ).fetchall()
        outbox.record(
            db,
            [
                Told(
                    incident_id=incident_id, revision=revision, kind=kind, route=route, channel="", target="",
                    status="dropped", attempts=0, time_us=now_us, detail=NO_ROUTE,
                )
                for incident_id, revision, kind in rows
            ],
        )  # fmt: skip
        outbox.count(db, "lost_incidents", len(rows))
        self.lost += len(rows)
        db.execute("DELETE FROM notice WHERE route = ? AND batch IS NULL", (route,))


def _insert(db: sqlite3.Connection, route: str, one: tuple[str, int, int, bytes], now_us: int) -> int:
    incident_id, revision, grade, incident = one
    notice = db.execute(
        "INSERT INTO notice (incident_id, revision, kind, route, group_key, rank, queued_us, due_us, incident) "
        "VALUES (?, ?, 'escalation', ?, '', ?, ?, ?, ?)",
        (incident_id, revision, route, grade, now_us, now_us, incident),
    ).lastrowid
    assert notice is not None
    return notice
