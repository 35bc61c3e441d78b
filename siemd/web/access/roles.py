"""What may be done, and which role may do it; every route names one of these rights."""

from __future__ import annotations

from enum import StrEnum
from typing import get_args

from siemd.web.config import Role


class Right(StrEnum):
    """One thing that somebody may do. PUBLIC: anybody, even without a login; SELF: whoever is somebody."""

    PUBLIC = "public"
    SELF = "self"
    OWN_ACCOUNT = "account:own"
    OWN_VIEWS = "views:own"
    READ_EVENTS = "events:read"
    READ_ALERTS = "alerts:read"
    READ_STATISTICS = "statistics:read"
    READ_HOSTS = "hosts:read"
    READ_RULES = "rules:read"
    READ_SUPPRESSIONS = "suppressions:read"
    READ_HEALTH = "health:read"
    TRIAGE_ALERTS = "alerts:triage"
    WRITE_SUPPRESSIONS = "suppressions:write"
    SHARE_VIEWS = "views:share"
    TEST_RULES = "rules:test"
    WRITE_RULES = "rules:write"
    READ_HEALTH_DETAIL = "health:detail"
    READ_SETTINGS = "settings:read"
    WRITE_SETTINGS = "settings:write"
    READ_AUDIT = "audit:read"
    MANAGE_USERS = "users:manage"
    MANAGE_TOKENS = "tokens:manage"


_VIEWER = {
    Right.SELF,
    Right.OWN_ACCOUNT,
    Right.OWN_VIEWS,
    Right.READ_EVENTS,
    Right.READ_ALERTS,
    Right.READ_STATISTICS,
    Right.READ_HOSTS,
    Right.READ_RULES,
    Right.READ_SUPPRESSIONS,
    Right.READ_HEALTH,
}
_ANALYST = _VIEWER | {Right.TRIAGE_ALERTS, Right.WRITE_SUPPRESSIONS, Right.SHARE_VIEWS, Right.TEST_RULES}
_ADMIN = frozenset(Right) - {Right.PUBLIC}

ROLES: tuple[Role, ...] = get_args(Role)
RIGHTS: dict[Role, frozenset[Right]] = {
    "viewer": frozenset(_VIEWER),
    "analyst": frozenset(_ANALYST),
    "admin": _ADMIN,
}
# A token that somebody stole must not be able to make itself at home: these want a person's session.
ONLY_PEOPLE = frozenset({Right.OWN_ACCOUNT, Right.MANAGE_USERS, Right.MANAGE_TOKENS})
SCOPES = frozenset(Right) - ONLY_PEOPLE - {Right.PUBLIC, Right.SELF}


def rights_of(role: str) -> frozenset[Right]:
    """What a role may do; nothing when there is no such role."""
    return next((rights for name, rights in RIGHTS.items() if name == role), frozenset())
