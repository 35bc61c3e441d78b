"""API tokens: one's own, and those of all for an admin."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.access.tokens import TokenInfo
from siemd.web.problems import not_found
from siemd.web.services import Caller, Services, TheServices, actor

OWN = {"right": Right.OWN_ACCOUNT}
ALL = {"right": Right.MANAGE_TOKENS}


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """What a token is for, what it may do, and how long it lives."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[list[Right], Meta(min_length=1, max_length=len(Right), description="Rights of one's own.")]
    days: Annotated[int, Meta(ge=1, le=3650, description="The token's life; web.sessions.token is the most.")] = 90


class MadeToken(msgspec.Struct):
    """The token itself; shown once."""

    token_id: str
    token: str


@get("/api/v1/account/tokens", opt=OWN, tags=["tokens"])
async def list_own_tokens(principal: Caller, services: TheServices) -> list[TokenInfo]:
    """One's API tokens, newest first."""
    return await services.tokens.listed(principal.user_id)


@post("/api/v1/account/tokens", opt=OWN | {"step_up": True}, tags=["tokens"])
async def make_token(
    data: JSONBody[NewToken], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> MadeToken:
    """A new API token with a part of one's rights; what manages accounts no token may have."""
    token, token_id = await services.tokens.issue(
        actor(request, principal), principal, data.name, data.scopes, data.days
    )
    return MadeToken(token_id, token)


@delete("/api/v1/account/tokens/{token_id:str}", opt=OWN, status_code=204, tags=["tokens"])
async def revoke_own_token(
    token_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Revoke one of one's API tokens."""
    await _revoke(request, principal, services, token_id, principal.user_id)


@get("/api/v1/tokens", opt=ALL, tags=["tokens"])
async def list_tokens(services: TheServices) -> list[TokenInfo]:
    """Every user's API tokens, newest first."""
    return await services.tokens.listed()


@delete("/api/v1/tokens/{token_id:str}", opt=ALL, status_code=204, tags=["tokens"])
async def revoke_token(
    token_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Revoke anybody's API token."""
    await _revoke(request, principal, services, token_id, "")


async def _revoke(
    request: Request[Any, Any, Any], principal: Principal, services: Services, token_id: str, owner: str
) -> None:
    async with services.database.transaction() as transaction:
        name = await services.tokens.revoke(transaction, token_id, owner)
        if name is None:
            raise not_found("token")
        await services.audit.append(transaction, actor(request, principal), "token.revoked", name, token_id=token_id)


HANDLERS = [list_own_tokens, make_token, revoke_own_token, list_tokens, revoke_token]
