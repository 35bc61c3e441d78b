"""The resources of the API, one file each; a new one is a line in HANDLERS."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from siemd.web import openapi, pages
from siemd.web.api import account, audit, oidc, session, setup, tokens, users

HANDLERS: list[ControllerRouterHandler] = [
    *session.HANDLERS,
    *account.HANDLERS,
    *tokens.HANDLERS,
    *users.HANDLERS,
    *audit.HANDLERS,
    *setup.HANDLERS,
    *oidc.HANDLERS,
    *openapi.HANDLERS,
    *pages.HANDLERS,
]
