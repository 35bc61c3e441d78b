"""Incidents: listed, shown with all that belongs to them, and worked on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from siemd.storage.incidents import (
    Incidents,
    count_incidents,
    get_incident,
    list_incidents,
    past_incidents,
)
from siemd.storage.search import MAX_ROWS
from siemd.storage.triage import MAX_COMMENT_CHARS, MAX_INCIDENTS, MAX_NAME_CHARS, Changed, Comment, State
from siemd.web.access.roles import Right
from siemd.web.asking import OF_A_MONTH, TheAsked, comma_list, next_link
from siemd.web.notifications import Notification, notifications_of
from siemd.web.problems import Refused, not_found
from siemd.web.services import Caller, TheServices, actor

READ = {"right": Right.READ_ALERTS}
TRIAGE = {"right": Right.TRIAGE_ALERTS}
Ids = Annotated[list[str], Meta(min_length=1, max_length=MAX_INCIDENTS)]
Text = Annotated[str, Meta(max_length=MAX_COMMENT_CHARS)]
Name = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]
IncidentId = FromPath[str]


def _listed(what: str, name: str | None = None) -> Any:
    return QueryParameter(name=name, max_length=2000, description=f"{what}, with commas; empty: any.")


class Incident(msgspec.Struct):
    """An incident and what was made of it. time: of its last change by the detector; changed: by a person, or null.

    status: open or closed, by the detector; state and verdict: by people. grown: it went on after it was closed.
    """

    id: int
    incident_id: str
    revision: int
    time: str
    first_seen: str
    last_seen: str
    host: str
    status: str
    level: str
    rule: str
    rule_id: str
    title: str
    count: int
    reason: str
    group_values: Any
    tags: Any
    state: State
    assignee: str
    verdict: Literal["true_positive", "false_positive", ""]
    changed: str | None
    changed_by: str
    comments: int
    grown: bool


class IncidentPage(msgspec.Struct):
    """Incidents without their evidence. next: the cursor of the page after, empty at the end."""

    incidents: list[Incident]
    next: str


class IncidentCounts(msgspec.Struct):
    """How many incidents there are, by state and by level."""

    total: int
    states: dict[str, int]
    levels: dict[str, int]


class WholeIncident(msgspec.Struct):
    """An incident with the events behind it (up to 20), its comments, and whom it was told."""

    incident: Incident
    evidence: Any
    comments: list[Comment]
    notifications: list[Notification]


class PastIncident(msgspec.Struct):
    """An incident of the same rule. same_group: whether it is about the same group of values."""

    incident: Incident
    same_group: bool


class PastIncidents(msgspec.Struct):
    """Incidents of the same rule, those of the same group first; and how they ended: by verdict, `open` or `none`."""

    incidents: list[PastIncident]
    verdicts: dict[str, int]
    same_group: dict[str, int]


class TriageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with incidents.

    assignee: for assign, empty for nobody. verdict: for close. comment: for close and reopen. state: for reopen, what
    it is then. expected: by incident id `changed` as one saw it (null: never changed); when one has another by now,
    nothing is done (409), and `errors` has by id (`key`) who changed it.
    """

    incident_ids: Ids
    action: Literal["assign", "acknowledge", "close", "reopen"]
    assignee: Name = ""
    verdict: Literal["true_positive", "false_positive", ""] = ""
    comment: Text = ""
    state: Literal["new", "acknowledged"] = "acknowledged"
    expected: Annotated[dict[str, str | None], Meta(max_length=MAX_INCIDENTS)] = {}


class NewComment(msgspec.Struct, forbid_unknown_fields=True):
    """Words about an incident."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_COMMENT_CHARS)]


def _wanted(
    asked: TheAsked,
    states: Annotated[str, _listed("new, acknowledged, closed", "state")] = "",
    assignee: Annotated[str, _listed("Names; - for nobody")] = "",
    verdict: Annotated[str, _listed("true_positive, false_positive")] = "",
    status: Annotated[str, _listed("open, closed")] = "",
    level: Annotated[str, _listed("Levels")] = "",
    rule: Annotated[str, _listed("Names of rules")] = "",
    host: Annotated[str, _listed("Hosts")] = "",
    tag: Annotated[str, _listed("Tags such as attack.t1046")] = "",
) -> Incidents:
    """The incidents that a query asks for."""
    return Incidents(
        start_us=asked.start_us,
        end_us=asked.end_us,
        filters=asked.filters,
        words=asked.words,
        states=comma_list(states),
        assignees=["" if name == "-" else name for name in comma_list(assignee)],
        verdicts=comma_list(verdict),
        statuses=comma_list(status),
        levels=comma_list(level),
        rules=comma_list(rule),
        hosts=comma_list(host),
        tags=comma_list(tag),
    )


Wanted = NamedDependency[Incidents]
WANTED: Any = {**OF_A_MONTH, "wanted": Provide(_wanted, sync_to_thread=False)}


@get("/api/v1/alerts", opt=READ, tags=["alerts"], dependencies=WANTED)
async def list_alerts(
    wanted: Wanted,
    request: Request[Any, Any, Any],
    services: TheServices,
    sort: FromQuery[Literal["last_seen", "first_seen", "level", "count", "rule"]] = "last_seen",
    order: FromQuery[Literal["desc", "asc"]] = "desc",
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_ROWS)] = 100,
    cursor: Annotated[str, QueryParameter(max_length=2000)] = "",
) -> Response[IncidentPage]:
    """One page of incidents that were last seen in the time range (the last 30 days when none is given)."""
    wanted.sort, wanted.descending, wanted.limit, wanted.cursor = sort, order == "desc", limit, cursor
    page = await list_incidents(services.database, wanted, timeout_s=services.web.limits.query_time_s)
    made = IncidentPage([_incident(row) for row in page.rows], page.next)
    return Response(made, headers=next_link(request, services.web.base_path, page.next))


@get("/api/v1/alerts/counts", opt=READ, tags=["alerts"], dependencies=WANTED)
async def count_alerts(wanted: Wanted, services: TheServices) -> IncidentCounts:
    """How many incidents the same question finds."""
    found = await count_incidents(services.database, wanted, timeout_s=services.web.limits.query_time_s)
    return msgspec.convert(found, IncidentCounts)


@get("/api/v1/assignees", opt=TRIAGE, tags=["alerts"])
async def list_assignees(services: TheServices) -> list[str]:
    """The names of the accounts that an incident may be assigned to."""
    return sorted(user.name for user in await services.users.all() if not user.disabled and user.role != "viewer")


@get("/api/v1/alerts/{incident_id:str}", opt=READ, tags=["alerts"])
async def show_alert(incident_id: IncidentId, services: TheServices) -> WholeIncident:
    """One incident with its evidence, its comments, and whom it was told."""
    found = await get_incident(services.database, incident_id)
    if found is None:
        raise not_found("alert")
    comments = found["comments"]
    found["comments"] = len(comments)
    told = await notifications_of(services.database, incident_id)
    return WholeIncident(_incident(found), found["evidence"], comments, told)


@get("/api/v1/alerts/{incident_id:str}/past", opt=READ, tags=["alerts"])
async def show_past(
    incident_id: IncidentId, services: TheServices, limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20
) -> PastIncidents:
    """Earlier incidents like this one, and what became of them."""
    found = await past_incidents(services.database, incident_id, limit=limit)
    if found is None:
        raise not_found("alert")
    listed = [PastIncident(_incident(row), row["same_group"]) for row in found.incidents]
    return PastIncidents(listed, found.verdicts, found.same_group)


@post("/api/v1/alerts/triage", opt=TRIAGE, tags=["alerts"], status_code=200)
async def triage_alerts(
    data: JSONBody[TriageRequest], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> Changed:
    """Assign, acknowledge, close or reopen one incident or many, all at once."""
    if data.action == "close" and not data.verdict:
        raise Refused(422, "closing wants a verdict: true_positive or false_positive")
    if data.action == "assign" and data.assignee and await services.users.by_name(data.assignee) is None:
        raise Refused(422, f"there is no user {data.assignee[:64]}")
    return await services.triage.change(
        actor(request, principal),
        data.action,
        data.incident_ids,
        assignee=data.assignee.strip().lower(),
        verdict=data.verdict,
        comment=data.comment,
        state=data.state,
        expected=data.expected,
    )


@post("/api/v1/alerts/{incident_id:str}/comments", opt=TRIAGE, tags=["alerts"])
async def comment_alert(
    incident_id: IncidentId,
    data: JSONBody[NewComment],
    request: Request[Any, Any, Any],
    principal: Caller,
    services: TheServices,
) -> Comment:
    """Add a comment; its author is whoever asks."""
    made = await services.triage.comment(actor(request, principal), incident_id, data.text)
    if made is None:
        raise not_found("alert")
    return made


def _incident(row: dict[str, Any]) -> Incident:
    return msgspec.convert(row, Incident)


HANDLERS = [list_alerts, count_alerts, list_assignees, show_alert, show_past, triage_alerts, comment_alert]
