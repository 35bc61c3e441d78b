"""Settings of all people, which the console keeps: JSON documents by name."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, put
from litestar.params import JSONBody, PathParameter

from siemd.web.access.roles import Right
from siemd.web.documents import Setting
from siemd.web.problems import not_found
from siemd.web.services import Caller, TheServices, actor

READ = {"right": Right.READ_SETTINGS}
WRITE = {"right": Right.WRITE_SETTINGS}
Name = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class SettingBody(msgspec.Struct, forbid_unknown_fields=True):
    """A setting's value, at most 64 KiB of JSON."""

    value: Any


@get("/api/v1/settings", opt=READ, tags=["settings"])
async def list_settings(services: TheServices) -> list[Setting]:
    """Every setting."""
    return await services.settings.all()


@put("/api/v1/settings/{name:str}", opt=WRITE, tags=["settings"])
async def change_setting(
    name: Name, data: JSONBody[SettingBody], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> Setting:
    """Set one."""
    return await services.settings.put(actor(request, principal), name, data.value)


@delete("/api/v1/settings/{name:str}", opt=WRITE, status_code=204, tags=["settings"])
async def remove_setting(name: Name, request: Request[Any, Any, Any], principal: Caller, services: TheServices) -> None:
    """Remove one."""
    if not await services.settings.remove(actor(request, principal), name):
        raise not_found("setting")


HANDLERS = [list_settings, change_setting, remove_setting]
