"""The audit log, to read and to check."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from siemd.web.access.audit import AuditEntry, Verdict
from siemd.web.access.roles import Right
from siemd.web.services import TheServices
from siemd.web.times import stored_time

READ = {"right": Right.READ_AUDIT}


@get("/api/v1/audit", opt=READ, tags=["audit"])
async def list_audit(
    services: TheServices,
    before: Annotated[int, QueryParameter(ge=0, le=2**62, description="Rows before this number; 0: the newest.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    actor: Annotated[str, QueryParameter(max_length=191)] = "",
    action: Annotated[str, QueryParameter(max_length=64, description="Or how it begins, such as `user.`.")] = "",
    since: Annotated[datetime | None, QueryParameter(description="Not before this time.")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Before this time.")] = None,
) -> list[AuditEntry]:
    """What was done by whom, newest first."""
    return await services.audit.entries(
        before=before,
        limit=limit,
        actor=actor,
        action=action,
        since=stored_time(since) if since else "",
        until=stored_time(until) if until else "",
    )


@get("/api/v1/audit/verify", opt=READ, tags=["audit"])
async def verify_audit(services: TheServices) -> Verdict:
    """Read the whole chain; `broken` is the number of the first row that is wrong, 0 when all is right."""
    return await services.audit.verify(await services.witness.read())


HANDLERS = [list_audit, verify_audit]
