"""The resources of the API, one file each; a new one is a line in HANDLERS."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from siemd.web import openapi, pages
from siemd.web.api import (
    account,
    addresses,
    alerts,
    audit,
    events,
    health,
    hosts,
    live,
    oidc,
    rule_switches,
    rule_tests,
    rules,
    session,
    settings,
    setup,
    statistics,
    suppressions,
    tokens,
    users,
    views,
)

HANDLERS: list[ControllerRouterHandler] = [
    *session.HANDLERS,
    *account.HANDLERS,
    *tokens.HANDLERS,
    *users.HANDLERS,
    *audit.HANDLERS,
    *setup.HANDLERS,
    *oidc.HANDLERS,
    *events.HANDLERS,
    *statistics.HANDLERS,
    *alerts.HANDLERS,
    *rules.HANDLERS,
    *rule_switches.HANDLERS,
    *rule_tests.HANDLERS,
    *suppressions.HANDLERS,
    *hosts.HANDLERS,
    *addresses.HANDLERS,
    *health.HANDLERS,
    *views.HANDLERS,
    *settings.HANDLERS,
    *live.HANDLERS,
    *openapi.HANDLERS,
    *pages.HANDLERS,
]
