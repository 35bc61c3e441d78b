"""One-time links: the first admin's, and those by which users choose a password."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from msgspec import Meta

from siemd.web.access.passwords import check_password
from siemd.web.access.roles import Right
from siemd.web.access.users import Link, clean_name
from siemd.web.api.session import Password, refusals
from siemd.web.problems import Refused
from siemd.web.services import Services, TheServices, actor

Secret = Annotated[str, Meta(min_length=1, max_length=100, description="What stands after # in the link.")]


class LinkCheck(msgspec.Struct, forbid_unknown_fields=True):
    """Which link."""

    link: Secret


class LinkState(msgspec.Struct):
    """What the link is for: `admin`, the first account, whose name is chosen; or `password` of the named user."""

    purpose: Literal["admin", "password"]
    name: str
    password_length: int


class LinkUse(msgspec.Struct, forbid_unknown_fields=True):
    """The link, the password, and for the first admin a name."""

    link: Secret
    password: Password
    name: Annotated[str, Meta(max_length=64)] = ""


class LinkUsed(msgspec.Struct):
    """Who can log in now."""

    name: str


@post("/api/v1/setup/check", opt={"right": Right.PUBLIC}, status_code=200, tags=["setup"])
async def check_link(data: JSONBody[LinkCheck], services: TheServices) -> LinkState:
    """What a link is good for."""
    link = await _link(services, data.link)
    purpose: Literal["admin", "password"] = "password" if link.user else "admin"
    return LinkState(purpose, link.user.name if link.user else "", services.web.sessions.password_length)


@post("/api/v1/setup", opt={"right": Right.PUBLIC}, tags=["setup"])
async def use_link(data: JSONBody[LinkUse], request: Request[Any, Any, Any], services: TheServices) -> LinkUsed:
    """Choose a password, and for the first admin a name; the link is used up."""
    link = await _link(services, data.link)  # before any work is done for whoever has none
    name = link.user.name if link.user else clean_name(data.name)
    check_password(data.password, name, services.web.sessions.password_length)
    async with refusals():
        hashed = await services.passwords.hash(data.password)
    who = actor(request, name=name)
    if await services.users.use_link(who, data.link, link, name, hashed) is None:
        raise _void()
    return LinkUsed(name)


async def _link(services: Services, secret: str) -> Link:
    link = await services.users.link(secret)
    if link is None:
        raise _void()
    return link


def _void() -> Refused:
    return Refused(410, "this link was used, or is too old; `siemd user passwd` makes another")


HANDLERS = [check_link, use_link]
