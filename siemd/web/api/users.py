"""Accounts of others, for an admin; passwords are chosen by their owners, through one-time links."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.access.users import NEW_PASSWORD, User, UserInfo
from siemd.web.config import Role
from siemd.web.problems import not_found
from siemd.web.services import Caller, Services, TheServices, actor

MANAGE = {"right": Right.MANAGE_USERS}
SENSITIVE = MANAGE | {"step_up": True}


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """Who is to have an account, and what they may do."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Role


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be otherwise; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None


class UserLink(msgspec.Struct):
    """An account, and the path of the one-time link by which its owner chooses a password; shown once."""

    user: UserInfo
    link: str


@get("/api/v1/users", opt=MANAGE, tags=["users"])
async def list_users(services: TheServices) -> list[UserInfo]:
    """Every account."""
    return await services.users.all()


@post("/api/v1/users", opt=SENSITIVE, tags=["users"])
async def add_user(
    data: JSONBody[NewUser], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> UserLink:
    """A new account, without a password: hand the link to its owner."""
    user_id = await services.users.add(actor(request, principal), data.name, data.role)
    return await _with_link(request, principal, services, user_id)


@get("/api/v1/users/{user_id:str}", opt=MANAGE, tags=["users"])
async def show_user(user_id: FromPath[str], services: TheServices) -> UserInfo:
    """One account."""
    return await _info(services, user_id)


@patch("/api/v1/users/{user_id:str}", opt=SENSITIVE, tags=["users"])
async def change_user(
    user_id: FromPath[str],
    data: JSONBody[UserChange],
    request: Request[Any, Any, Any],
    principal: Caller,
    services: TheServices,
) -> UserInfo:
    """Another role, or switched off or on; the user's sessions end."""
    user = await _user(services, user_id)
    await services.users.change(actor(request, principal), user, role=data.role, disabled=data.disabled)
    return await _info(services, user_id)


@post("/api/v1/users/{user_id:str}/password-link", opt=SENSITIVE, tags=["users"])
async def make_password_link(
    user_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> UserLink:
    """A one-time link by which a user chooses a new password."""
    return await _with_link(request, principal, services, user_id)


@delete("/api/v1/users/{user_id:str}/sessions", opt=MANAGE, status_code=204, tags=["users"])
async def end_user_sessions(
    user_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """End every session of a user."""
    user = await _user(services, user_id)
    async with services.database.transaction() as transaction:
        ended = await services.sessions.end_all(transaction, user.user_id)
        await services.audit.append(transaction, actor(request, principal), "session.ended", user.name, sessions=ended)


@delete("/api/v1/users/{user_id:str}/totp", opt=SENSITIVE, status_code=204, tags=["users"])
async def remove_user_totp(
    user_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Take a user's second factor away, when the device and the recovery codes are lost."""
    await services.factors.remove(actor(request, principal), await _user(services, user_id))


async def _user(services: Services, user_id: str) -> User:
    user = await services.users.by_id(user_id)
    if user is None:
        raise not_found("user")
    return user


async def _info(services: Services, user_id: str) -> UserInfo:
    info = await services.users.info(user_id)
    if info is None:
        raise not_found("user")
    return info


async def _with_link(
    request: Request[Any, Any, Any], principal: Principal, services: Services, user_id: str
) -> UserLink:
    user = await _user(services, user_id)
    life_s = services.web.sessions.setup_link_s
    secret = await services.users.make_link(actor(request, principal), NEW_PASSWORD, life_s, user)
    return UserLink(await _info(services, user_id), f"{services.web.base_path}/setup#{secret}")


HANDLERS = [
    list_users,
    add_user,
    show_user,
    change_user,
    make_password_link,
    end_user_sessions,
    remove_user_totp,
]
