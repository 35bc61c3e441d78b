"""Saved views: everybody's own, and those that are shared with all."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.documents import View
from siemd.web.problems import Refused, not_found
from siemd.web.services import Caller, Services, TheServices, actor

OWN = {"right": Right.OWN_VIEWS}


class ViewBody(msgspec.Struct, forbid_unknown_fields=True):
    """A view: its page in the console and what that needs to show it again. shared wants the right views:share."""

    name: Annotated[str, Meta(min_length=1, max_length=191)]
    page: Annotated[str, Meta(min_length=1, max_length=64)]
    definition: dict[str, Any]
    shared: bool = False


@get("/api/v1/views", opt=OWN, tags=["views"])
async def list_views(principal: Caller, services: TheServices) -> list[View]:
    """One's own views, and those that are shared."""
    return await services.views.seen_by(principal.user_id)


@post("/api/v1/views", opt=OWN, tags=["views"])
async def add_view(
    data: JSONBody[ViewBody], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> View:
    """Save a view."""
    _may_share(principal, data)
    view_id = await services.views.add(
        actor(request, principal), principal.user_id, data.name, data.page, data.definition, shared=data.shared
    )
    return await _view(services, principal, view_id)


@get("/api/v1/views/{view_id:str}", opt=OWN, tags=["views"])
async def show_view(view_id: FromPath[str], principal: Caller, services: TheServices) -> View:
    """One view."""
    return await _view(services, principal, view_id)


@put("/api/v1/views/{view_id:str}", opt=OWN, tags=["views"])
async def change_view(
    view_id: FromPath[str],
    data: JSONBody[ViewBody],
    request: Request[Any, Any, Any],
    principal: Caller,
    services: TheServices,
) -> View:
    """Replace one of one's own."""
    _may_share(principal, data)
    who = actor(request, principal)
    if not await services.views.change(
        who, principal.user_id, view_id, data.name, data.page, data.definition, shared=data.shared
    ):
        raise not_found("view")
    return await _view(services, principal, view_id)


@delete("/api/v1/views/{view_id:str}", opt=OWN, status_code=204, tags=["views"])
async def remove_view(
    view_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Remove one of one's own."""
    if not await services.views.remove(actor(request, principal), principal.user_id, view_id):
        raise not_found("view")


def _may_share(principal: Principal, data: ViewBody) -> None:
    if data.shared and not principal.may(Right.SHARE_VIEWS):
        raise Refused(403, f"sharing a view wants the right {Right.SHARE_VIEWS}")


async def _view(services: Services, principal: Principal, view_id: str) -> View:
    view = await services.views.get(principal.user_id, view_id)
    if view is None:
        raise not_found("view")
    return view


HANDLERS = [list_views, add_view, show_view, change_view, remove_view]
