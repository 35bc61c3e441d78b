"""Incidents as people work through them: the detector's row and what was made of it, listed and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from siemd.storage.columns import BadQuery, columns_of
from siemd.storage.conditions import MAX_VALUE_CHARS, MAX_VALUES, Filter, conditions, time_range
from siemd.storage.database import QUERY_TIMEOUT_S, Database, Rows
from siemd.storage.dialects import Sql, both, either
from siemd.storage.paging import Key, Paging
from siemd.storage.search import MAX_ROWS, Page, rfc3339, shown
from siemd.storage.triage import comments
from siemd.storage.values import clean_text
from siemd.storage.words import words_condition

LEVELS = ("informational", "low", "medium", "high", "critical")
_COLUMNS = [name for name in columns_of("alerts") if name not in ("epoch", "seq", "source")]
_LISTED = [name for name in _COLUMNS if name != "evidence"]
_TRIAGE = {"state": "COALESCE(state, 'new')", "assignee": "COALESCE(assignee, '')", "verdict": "COALESCE(verdict, '')"}
_RANK = " ".join(f"WHEN '{level}' THEN {rank}" for rank, level in enumerate(LEVELS))
_SORTS = {
    "last_seen": Key("last_seen", "last_seen", "time"),
    "first_seen": Key("first_seen", "first_seen", "time"),
    "level": Key("level_rank", f"(CASE level {_RANK} ELSE 0 END)", "int"),
    "count": Key("count", "count", "int"),
    "rule": Key("rule", "rule", "text"),
}
_FROM = "FROM alerts LEFT JOIN alert_triage ON alert_triage.incident_id = alerts.incident_id"


class Incidents(msgspec.Struct, kw_only=True):
    """A question for incidents. start_us, end_us: of `last_seen`. Empty lists ask for nothing; "" in assignees: nobody.

    sort: last_seen, first_seen, level, count or rule; filters, words: as in a Search of `alerts`.
    """

    start_us: int | None = None
    end_us: int | None = None
    states: Sequence[str] = ()
    assignees: Sequence[str] = ()
    verdicts: Sequence[str] = ()
    statuses: Sequence[str] = ()
    levels: Sequence[str] = ()
    rules: Sequence[str] = ()
    hosts: Sequence[str] = ()
    tags: Sequence[str] = ()
    filters: Sequence[Filter] = ()
    words: str = ""
    sort: str = "last_seen"
    descending: bool = True
    limit: int = 100
    cursor: str = ""


class Past(msgspec.Struct):
    """Incidents like one: of its rule, those of the same group first. verdicts: how all of them ended, by verdict
    (`open` for those that are not closed, `none` for those without); same_group: likewise.
    """

    incidents: Rows
    verdicts: dict[str, int]
    same_group: dict[str, int]


async def list_incidents(database: Database, asked: Incidents, *, timeout_s: float = QUERY_TIMEOUT_S) -> Page:
    """One page: the columns of `alerts` but the evidence, with state, assignee, verdict, changed, changed_by, comments
    (how many) and grown (whether it went on after it was closed).
    """
    if not 0 < asked.limit <= MAX_ROWS:
        raise BadQuery(f"limit is 1 to {MAX_ROWS}", field="limit")
    if asked.sort not in _SORTS:
        raise BadQuery(f"incidents can't be sorted by {asked.sort[:40]!r}", f"by {', '.join(_SORTS)}", field="sort")
    keys = {key.name: key for key in (_SORTS[asked.sort], _SORTS["last_seen"], Key("id", "id", "int"))}
    paging = Paging(f"incidents {asked.sort}", [*keys.values()], descending=asked.descending)
    condition = _where(database, asked)
    if asked.cursor:
        condition = both([condition, paging.after(asked.cursor)])
    sql = f"{_select(_LISTED)} {_FROM} WHERE {condition.text} {paging.order} LIMIT ?"
    rows = await database.fetch(sql, (*condition.values, asked.limit + 1), timeout_s=timeout_s)
    page = rows[: asked.limit]
    return Page([_shown(row, _LISTED) for row in page], paging.cursor(page[-1]) if len(rows) > asked.limit else "")


async def count_incidents(
    database: Database, asked: Incidents, *, timeout_s: float = QUERY_TIMEOUT_S
) -> dict[str, Any]:
    """How many incidents there are, by state and by level, whatever page is asked for."""
    condition = _where(database, asked)
    sql = f"SELECT {_TRIAGE['state']} AS triage_state, level, COUNT(*) AS n {_FROM} WHERE {condition.text} "
    rows = await database.fetch(sql + "GROUP BY triage_state, level", condition.values, timeout_s=timeout_s)
    result: dict[str, Any] = {"total": 0, "states": {}, "levels": {}}
    for row in rows:
        result["total"] += row["n"]
        for part, name in (("states", row["triage_state"]), ("levels", row["level"])):
            result[part][name] = result[part].get(name, 0) + row["n"]
    return result


async def get_incident(database: Database, incident_id: str) -> dict[str, Any] | None:
    """One incident whole, with its evidence and its comments (a list of Comment)."""
    sql = f"{_select(_COLUMNS)} {_FROM} WHERE alerts.incident_id = ?"
    rows = await database.fetch(sql, (clean_text(incident_id)[:191],))
    if not rows or rows[0]["incident_id"] != incident_id:
        return None
    return {**_shown(rows[0], _COLUMNS), "comments": await comments(database, incident_id)}


async def past_incidents(database: Database, incident_id: str, *, limit: int = 20) -> Past | None:
    """What became of incidents of the same rule, and of the same group; None when there is no such incident."""
    if not 0 < limit <= MAX_ROWS:
        raise BadQuery(f"limit is 1 to {MAX_ROWS}", field="limit")
    same = "CAST(group_values AS CHAR)"
    rows = await database.fetch(
        f"SELECT rule, {same} AS same FROM alerts WHERE incident_id = ?",  # noqa: S608 - our own names
        (clean_text(incident_id)[:191],),
    )
    if not rows:
        return None
    rule, group = rows[0]["rule"], rows[0]["same"]
    others = f"{_FROM} WHERE rule = ? AND alerts.incident_id <> ?"
    found = await database.fetch(
        f"{_select(_LISTED)}, ({same} = ?) AS same_group {others} "
        "ORDER BY same_group DESC, last_seen DESC, id DESC LIMIT ?",
        (group, rule, incident_id, limit),
    )
    ended = await database.fetch(
        f"SELECT {_TRIAGE['state']} AS triage_state, {_TRIAGE['verdict']} AS triage_verdict, "
        f"({same} = ?) AS same_group, COUNT(*) AS n {others} GROUP BY triage_state, triage_verdict, same_group",
        (group, rule, incident_id),
    )
    result = Past([{**_shown(row, _LISTED), "same_group": bool(row["same_group"])} for row in found], {}, {})
    for row in ended:
        name = "open" if row["triage_state"] != "closed" else row["triage_verdict"] or "none"
        for counts in [result.verdicts, *([result.same_group] if row["same_group"] else [])]:
            counts[name] = counts.get(name, 0) + row["n"]
    return result


def _where(database: Database, asked: Incidents) -> Sql:
    if any(one.field == "incident_id" for one in asked.filters):
        raise BadQuery("incidents are asked for by their id one by one", field="incident_id")
    parts = [
        time_range("last_seen", asked.start_us, asked.end_us),
        conditions(database.dialect, "alerts", asked.filters),
        words_condition(database.dialect, "alerts", asked.words),
    ]
    for name, expression, values in (
        ("states", _TRIAGE["state"], asked.states),
        ("assignees", _TRIAGE["assignee"], asked.assignees),
        ("verdicts", _TRIAGE["verdict"], asked.verdicts),
        ("statuses", "status", asked.statuses),
        ("levels", "level", asked.levels),
        ("rules", "rule", asked.rules),
        ("hosts", "host", asked.hosts),
    ):
        if values:
            marks = ", ".join("?" * len(values))
            parts.append(Sql(f"{expression} IN ({marks})", tuple(_checked(name, values))))
    if asked.tags:
        tags = [Filter("tags", "eq", tag) for tag in _checked("tags", asked.tags)]
        parts.append(either([conditions(database.dialect, "alerts", [one]) for one in tags]))
    return both([part for part in parts if part.text != "1 = 1"])


def _checked(name: str, values: Sequence[str]) -> list[str]:
    if len(values) > MAX_VALUES or any(len(value) > MAX_VALUE_CHARS for value in values):
        raise BadQuery(f"{name} takes at most {MAX_VALUES} values of {MAX_VALUE_CHARS} characters", field=name)
    return [clean_text(value) for value in values]


def _select(columns: Sequence[str]) -> str:
    own = ", ".join(f"alerts.{name}" for name in columns)
    triage = ", ".join(f"{expression} AS triage_{name}" for name, expression in _TRIAGE.items())
    count = "(SELECT COUNT(*) FROM alert_comments WHERE alert_comments.incident_id = alerts.incident_id) AS comments"
    return f"SELECT {own}, {triage}, changed, changed_by, {count}, {_SORTS['level'].expression} AS level_rank"


def _shown(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    changed = row["changed"]
    return {
        **shown("alerts", columns)(row),
        **{name: row[f"triage_{name}"] for name in _TRIAGE},
        "changed": rfc3339(changed) if changed else None,
        "changed_by": row["changed_by"] or "",
        "comments": row["comments"],
        "grown": row["triage_state"] == "closed" and rfc3339(row["time"]) > rfc3339(changed),
    }
