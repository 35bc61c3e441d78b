"""What people do with incidents: assign, acknowledge, comment, close with a verdict, reopen; one or many at a time.

Each call is one transaction and says what it changed, for the audit log. The detector's row is only ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from siemd.events import now_us
from siemd.storage.columns import BadQuery
from siemd.storage.database import Database, Transaction
from siemd.storage.search import rfc3339
from siemd.storage.tables import time_text
from siemd.storage.values import clean_text

State = Literal["new", "acknowledged", "closed"]
Verdict = Literal["true_positive", "false_positive", ""]
STATES = ("new", "acknowledged", "closed")
VERDICTS = ("true_positive", "false_positive", "")
MAX_INCIDENTS = 500  # in one call
MAX_COMMENT_CHARS = 10_000
MAX_NAME_CHARS = 255
_NEW = {"assignee": "", "state": "new", "verdict": ""}


class Change(msgspec.Struct):
    """What changed of an incident: field -> (before, after). changed: when, RFC 3339."""

    incident_id: str
    changed: str
    fields: dict[str, tuple[str, str]]


class Changed(msgspec.Struct):
    """What a call did. unchanged: incidents that were so already; missing: of which the store knows nothing."""

    changes: list[Change]
    unchanged: list[str]
    missing: list[str]


class Comment(msgspec.Struct):
    """A comment on an incident; time: RFC 3339."""

    id: int
    incident_id: str
    time: str
    author: str
    text: str


async def assign(database: Database, incident_ids: Sequence[str], assignee: str, *, by: str) -> Changed:
    """Make somebody responsible; nobody, when assignee is empty."""
    return await _change(database, incident_ids, {"assignee": _name(assignee, "assignee")}, by)


async def acknowledge(database: Database, incident_ids: Sequence[str], *, by: str) -> Changed:
    """Say that somebody has seen it; what is closed stays closed."""
    return await _change(database, incident_ids, {"state": "acknowledged"}, by, only_from=("new",))


async def close(
    database: Database, incident_ids: Sequence[str], verdict: Verdict, *, by: str, comment: str = ""
) -> Changed:
    """Close with a verdict; closing again corrects the verdict. comment: added to each that changed."""
    if verdict not in VERDICTS:
        raise BadQuery(f"there is no verdict {str(verdict)[:40]!r}", "true_positive or false_positive", field="verdict")
    text = _text(comment) if comment else ""
    return await _change(database, incident_ids, {"state": "closed", "verdict": verdict}, by, comment=text)


async def reopen(
    database: Database,
    incident_ids: Sequence[str],
    *,
    by: str,
    comment: str = "",
    state: Literal["new", "acknowledged"] = "acknowledged",
) -> Changed:
    """Take a closing back; the verdict with it. state: what it is then, for an undo what it was before."""
    if state not in ("new", "acknowledged"):
        raise BadQuery(f"nothing is reopened as {str(state)[:40]!r}", "new or acknowledged", field="state")
    fields = {"state": state, "verdict": ""}
    text = _text(comment) if comment else ""
    return await _change(database, incident_ids, fields, by, only_from=("closed",), comment=text)


async def add_comment(database: Database, incident_id: str, text: str, *, by: str) -> Comment | None:
    """Add a comment; None when there is no such incident."""
    text, author = _text(text), _name(by, "by")
    async with database.transaction() as work:
        if not await _existing(database, work, [incident_id]):
            return None
        time = await _insert_comment(work, incident_id, text, author)
        rows = await work.fetch("SELECT MAX(id) AS id FROM alert_comments WHERE incident_id = ?", (incident_id,))
    return Comment(rows[0]["id"], incident_id, rfc3339(time), author, text)


async def comments(database: Database, incident_id: str) -> list[Comment]:
    """The comments on an incident, oldest first."""
    rows = await database.fetch(
        "SELECT id, incident_id, time, author, text FROM alert_comments WHERE incident_id = ? ORDER BY id LIMIT 1000",
        (clean_text(incident_id),),
    )
    return [Comment(**{**row, "time": rfc3339(row["time"])}) for row in rows]


async def _change(
    database: Database,
    incident_ids: Sequence[str],
    fields: dict[str, str],
    by: str,
    *,
    only_from: Sequence[str] = STATES,
    comment: str = "",
) -> Changed:
    wanted = list(dict.fromkeys(incident_ids))
    author = _name(by, "by")
    if not 0 < len(wanted) <= MAX_INCIDENTS:
        raise BadQuery(f"1 to {MAX_INCIDENTS} incidents at a time", field="incident_ids")
    result = Changed([], [], [])
    async with database.transaction() as work:
        existing = await _existing(database, work, wanted)
        marks = ", ".join("?" * len(wanted))
        rows = await work.fetch(
            f"SELECT incident_id, assignee, state, verdict FROM alert_triage WHERE incident_id IN ({marks})",  # noqa: S608
            [clean_text(one) for one in wanted],
        )
        known = {row["incident_id"]: row for row in rows}
        for incident_id in wanted:
            if incident_id not in existing:
                result.missing.append(incident_id)
                continue
            before = {name: known.get(incident_id, _NEW)[name] for name in _NEW}
            after = {**before, **fields} if before["state"] in only_from else before
            changed = {name: (before[name], after[name]) for name in _NEW if before[name] != after[name]}
            if not changed:
                result.unchanged.append(incident_id)
                continue
            time = time_text(now_us())
            await work.execute(
                "REPLACE INTO alert_triage (incident_id, assignee, state, verdict, changed, changed_by) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (incident_id, after["assignee"], after["state"], after["verdict"], time, author),
            )
            if comment:
                await _insert_comment(work, incident_id, comment, author)
            result.changes.append(Change(incident_id, rfc3339(time), changed))
    return result


async def _existing(database: Database, work: Transaction, incident_ids: Sequence[str]) -> set[str]:
    """Those that the store knows; on a server their rows are locked, so that of two people one comes second."""
    marks = ", ".join("?" * len(incident_ids))
    lock = " FOR UPDATE" if database.dialect == "mysql" else ""
    rows = await work.fetch(
        f"SELECT incident_id FROM alerts WHERE incident_id IN ({marks}) ORDER BY incident_id{lock}",  # noqa: S608
        [clean_text(one) for one in incident_ids],
    )
    return {row["incident_id"] for row in rows}


async def _insert_comment(work: Transaction, incident_id: str, text: str, author: str) -> str:
    time = time_text(now_us())
    await work.execute(
        "INSERT INTO alert_comments (incident_id, time, author, text) VALUES (?, ?, ?, ?)",
        (incident_id, time, author, text),
    )
    return time


def _text(text: Any) -> str:
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_COMMENT_CHARS:
        raise BadQuery(f"a comment has 1 to {MAX_COMMENT_CHARS} characters", field="comment")
    return clean_text(text)


def _name(name: Any, field: str) -> str:
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
        raise BadQuery(f"{field} is a name of at most {MAX_NAME_CHARS} characters", field=field)
    return clean_text(name)
