"""Changes of incidents with their lines in the audit log: one transaction, and never over somebody else's change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

from siemd.storage import triage
from siemd.storage.database import Database, Transaction
from siemd.storage.search import rfc3339
from siemd.storage.triage import Changed, Comment
from siemd.storage.values import clean_text
from siemd.web.access.audit import Audit
from siemd.web.access.principal import Actor
from siemd.web.problems import FieldError, Refused

Action = Literal["assign", "acknowledge", "close", "reopen"]
_LISTED = 50  # incident ids in a line of the audit log


class Within:
    """A database within a transaction of the caller's: what it does takes effect with that, or not at all."""

    def __init__(self, database: Database, work: Transaction) -> None:
        self.dialect = database.dialect
        self._work = work

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """The caller's transaction, which ends when the caller says so."""
        yield self._work


class Triage:
    """What people do with incidents."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def change(
        self,
        actor: Actor,
        action: Action,
        incident_ids: Sequence[str],
        *,
        assignee: str = "",
        verdict: Any = "",
        comment: str = "",
        state: Literal["new", "acknowledged"] = "acknowledged",
        expected: Mapping[str, str | None] | None = None,
    ) -> Changed:
        """One action on some incidents. state: what is reopened is then. expected: by incident `changed` as the caller
        saw it (None: never changed); when some have another by now nothing is done, and a Refused (409) names each, and
        who changed it.
        """
        async with self._database.transaction() as work:
            within = cast("Database", Within(self._database, work))
            await self._expect(work, expected or {})
            match action:
                case "assign":
                    done = await triage.assign(within, incident_ids, assignee, by=actor.name)
                case "acknowledge":
                    done = await triage.acknowledge(within, incident_ids, by=actor.name)
                case "close":
                    done = await triage.close(within, incident_ids, verdict, by=actor.name, comment=comment)
                case "reopen":
                    done = await triage.reopen(within, incident_ids, by=actor.name, comment=comment, state=state)
            if done.changes:
                first = done.changes[0]
                said = {name: after for name, (_before, after) in first.fields.items()}
                ids = [change.incident_id for change in done.changes]
                more = {"incidents": len(ids), "listed": ids[:_LISTED]} if len(ids) > 1 else {}
                await self._audit.append(work, actor, f"alert.{action}", ids[0], **said, **more)
        return done

    async def comment(self, actor: Actor, incident_id: str, text: str) -> Comment | None:
        """Add a comment; None when there is no such incident."""
        async with self._database.transaction() as work:
            within = cast("Database", Within(self._database, work))
            made = await triage.add_comment(within, incident_id, text, by=actor.name)
            if made is not None:
                await self._audit.append(work, actor, "alert.comment", incident_id, comment=made.id)
        return made

    async def _expect(self, work: Transaction, expected: Mapping[str, str | None]) -> None:
        if not expected:
            return
        marks = ", ".join("?" * len(expected))
        ids = [clean_text(one)[:191] for one in expected]
        lock = " FOR UPDATE" if self._database.dialect == "mysql" else ""
        # The incidents' own rows are locked first, as storage.triage does: a change that nobody made has no row.
        await work.fetch(f"SELECT incident_id FROM alerts WHERE incident_id IN ({marks}){lock}", ids)  # noqa: S608
        rows = await work.fetch(
            f"SELECT incident_id, changed, changed_by FROM alert_triage WHERE incident_id IN ({marks}){lock}",  # noqa: S608
            ids,
        )
        now = {row["incident_id"]: (rfc3339(row["changed"]), row["changed_by"]) for row in rows}
        nobody = (None, "")
        other = {
            one: now.get(one, nobody) for one, seen in expected.items() if now.get(one, nobody)[0] != (seen or None)
        }
        if other:
            who = ", ".join(sorted({name or "somebody" for _changed, name in other.values()})[:3])
            names = ", ".join(list(other)[:3])
            raise Refused(
                409,
                f"{who} changed {names} meanwhile ({len(other)} in all); look again",
                kind="changed-meanwhile",
                errors=[FieldError(f"changed by {name or 'somebody'}", one) for one, (_changed, name) in other.items()],
            )
