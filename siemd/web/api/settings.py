"""Settings: those of all people that the console keeps, JSON documents by name; and what siemd.yaml says, to read."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, put
from litestar.params import JSONBody, PathParameter

from siemd.config_docs import Key, keys_in_force
from siemd.resources import default_path
from siemd.storage.contents import contents
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


class Configuration(msgspec.Struct):
    """What siemd.yaml says. file: where it is; empty when there is none, so that every key has its default.

    default_file: where siemd looks for it unless it is told otherwise. keys: those that can't hold a secret.
    """

    file: str
    default_file: str
    data_dir: str
    keys: list[Key]


class KeptTable(msgspec.Struct):
    """A table. kept_s: how long it keeps a row, 0 for ever. oldest: the time of its first row, null without one."""

    table: str
    kept_s: float
    rows: int
    oldest: str | None


class Storage(msgspec.Struct):
    """The store. bytes: of all that is in it, with its indexes; on MySQL an estimate."""

    description: str
    bytes: int
    tables: list[KeptTable]


@get("/api/v1/configuration", opt=READ, tags=["settings"])
async def show_configuration(services: TheServices) -> Configuration:
    """What is set in siemd.yaml, without secrets; it is changed there, on the host, and read when siemd starts."""
    config = services.config
    keys = await asyncio.to_thread(keys_in_force, config)
    return Configuration(str(config.file or ""), str(default_path()), str(services.data_dir), keys)


@get("/api/v1/storage", opt=READ, tags=["settings"])
async def show_storage(services: TheServices) -> Storage:
    """What the store holds and how long it keeps it, by table."""
    kept_s = services.config.storage.retention.seconds()
    held = await contents(services.database)
    tables = [KeptTable(one.table, kept_s[one.table], one.rows, one.oldest) for one in held.tables]
    return Storage(services.database.description, held.bytes, tables)


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


HANDLERS = [show_configuration, show_storage, list_settings, change_setting, remove_setting]
