"""Suppressions: what must not open incidents, with owner, reason and expiry; each can be tried on the past first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Annotated, Any

import msgspec
import yaml
from litestar import Request, delete, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from siemd.detection.entry import entries_of
from siemd.detection.rulefolders import existing, suppression_files
from siemd.detection.suppressionfile import read_suppressions
from siemd.detection.suppressions import Suppression
from siemd.errors import FileError, UserError
from siemd.events import now_us
from siemd.storage.search import rfc3339
from siemd.storage.suppression_preview import Preview, preview_suppression
from siemd.storage.tables import time_text
from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.problems import Refused, not_found
from siemd.web.rulebook import plain
from siemd.web.services import Caller, Services, TheServices, actor
from siemd.web.state import counter_sums

READ = {"right": Right.READ_SUPPRESSIONS}
WRITE = {"right": Right.WRITE_SUPPRESSIONS}
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Texts = str | Annotated[list[str], Meta(max_length=1000)]


class SuppressionBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is known and must not alert, as docs/tuning.md describes it; texts take * and ?.

    expires: a date, or RFC 3339. rules: any, names, or what rules say (name, id, tag, level, status).
    group: fields and values; source: addresses and networks; from and to: times of day, in timezone.
    """

    owner: Text
    reason: Text
    expires: Annotated[str, Meta(min_length=1, max_length=40)]
    rules: Texts | dict[str, Texts]
    group: dict[str, Texts] | None = None
    host: Texts | None = None
    source: Texts | None = None
    days: Texts | None = None
    from_: Annotated[str, Meta(max_length=5)] | None = msgspec.field(name="from", default=None)
    to: Annotated[str, Meta(max_length=5)] | None = None
    timezone: Annotated[str, Meta(max_length=64)] | None = None


class NewSuppression(msgspec.Struct, forbid_unknown_fields=True):
    """A suppression and its name."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    suppression: SuppressionBody


class PreviewRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A suppression, and on how many of the last days it is tried."""

    suppression: SuppressionBody
    days: Annotated[int, Meta(ge=1, le=366)] = 30


class SuppressionInfo(msgspec.Struct):
    """A suppression in use. hidden: matches that it hid since siemd started, null when no siemd runs here.

    editable: whether it is the API's to change; else a person wrote it into `file`. entry: as it stands there.
    """

    name: str
    owner: str
    reason: str
    expires: str
    expired: bool
    rules: str
    hidden: int | None
    editable: bool
    file: str
    line: int
    entry: dict[str, Any]


@get("/api/v1/suppressions", opt=READ, tags=["suppressions"])
async def list_suppressions(services: TheServices) -> list[SuppressionInfo]:
    """Every suppression that is in use."""
    ruleset = await services.rulebook.rules()
    return await _infos(services, ruleset.suppressions.entries)


@post("/api/v1/suppressions", opt=WRITE, tags=["suppressions"])
async def add_suppression(
    data: JSONBody[NewSuppression], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> SuppressionInfo:
    """Add one; a running siemd takes it within seconds."""
    ruleset = await services.rulebook.rules()
    if any(one.name == data.name for one in ruleset.suppressions.entries):
        raise Refused(409, f"there is a suppression {data.name} already")
    return await _put(request, principal, services, data.name, data.suppression, "suppression.added")


@post("/api/v1/suppression-preview", opt=WRITE, tags=["suppressions"], status_code=200)
async def preview(data: JSONBody[PreviewRequest], services: TheServices) -> Preview:
    """What it would have hidden: incidents of the last days, and how people had closed them."""
    text = yaml.safe_dump({"suppressions": [entry_of("preview", data.suppression)]}, sort_keys=False)
    entries, problems = await asyncio.to_thread(read_suppressions, "suppression", text)
    if problems:
        raise problems[0]
    ruleset = await services.rulebook.rules()
    timeout_s = services.web.limits.query_time_s
    return await preview_suppression(services.database, entries[0], ruleset.rules, days=data.days, timeout_s=timeout_s)


@get("/api/v1/suppressions/{name:str}", opt=READ, tags=["suppressions"])
async def show_suppression(name: FromPath[str], services: TheServices) -> SuppressionInfo:
    """One suppression."""
    ruleset = await services.rulebook.rules()
    return await _info(services, ruleset.suppressions.entries, name)


@put("/api/v1/suppressions/{name:str}", opt=WRITE, tags=["suppressions"])
async def change_suppression(
    name: FromPath[str],
    data: JSONBody[SuppressionBody],
    request: Request[Any, Any, Any],
    principal: Caller,
    services: TheServices,
) -> SuppressionInfo:
    """Replace one that the API wrote."""
    await _editable(services, name)
    return await _put(request, principal, services, name, data, "suppression.changed")


@delete("/api/v1/suppressions/{name:str}", opt=WRITE, status_code=204, tags=["suppressions"])
async def remove_suppression(
    name: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Remove one that the API wrote; its alerts show again."""
    await _editable(services, name)
    book = services.rulebook
    await book.remove(book.suppressions, actor(request, principal), "suppression.removed", name)


def entry_of(name: str, body: SuppressionBody) -> dict[str, Any]:
    """The entry of the file."""
    return {"name": name, **plain(body)}


async def _put(
    request: Request[Any, Any, Any],
    principal: Principal,
    services: Services,
    name: str,
    body: SuppressionBody,
    action: str,
) -> SuppressionInfo:
    book, entry = services.rulebook, entry_of(name, body)
    said = {key: value for key, value in entry.items() if key != "name"}
    by = actor(request, principal)
    loaded = await book.put(book.suppressions, by, action, lambda _present: [entry], name, **said)
    return await _info(services, loaded.suppressions.entries, name)


async def _editable(services: Services, name: str) -> None:
    if name in await services.rulebook.suppressions.entries():
        return
    for one in (await services.rulebook.rules()).suppressions.entries:
        if one.name == name:
            raise Refused(409, f"a person wrote {name} into {one.place.path}:{one.place.line}; change it there")
    raise not_found("suppression")


async def _info(services: Services, entries: list[Suppression], name: str) -> SuppressionInfo:
    for info in await _infos(services, [one for one in entries if one.name == name]):
        return info
    raise not_found("suppression")


async def _infos(services: Services, entries: list[Suppression]) -> list[SuppressionInfo]:
    own = await services.rulebook.suppressions.entries()
    own_path = str(services.rulebook.suppressions.path)
    hidden = await asyncio.to_thread(counter_sums, services.data_dir, "hidden_by.")
    raw = await asyncio.to_thread(_raw, services)
    now = now_us()
    return [
        SuppressionInfo(
            name=one.name,
            owner=one.owner,
            reason=one.reason,
            expires=rfc3339(time_text(one.expires_us)),
            expired=one.expires_us <= now,
            rules=one.selector.written,
            hidden=None if hidden is None else hidden.get(one.name, 0),
            editable=one.place.path == own_path and one.name in own,
            file=one.place.path,
            line=one.place.line,
            entry=_json(raw.get((one.place.path, one.name), {})),
        )
        for one in entries
    ]


def _raw(services: Services) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Every entry as it stands in its file."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    files, _missing = existing(suppression_files(services.config.detection), "suppressions")
    for path in files:
        with suppress(FileError, UserError):
            for _document, _keys, item in entries_of(path, "suppressions"):
                if isinstance(item, dict):
                    found[str(path), str(item.get("name"))] = item
    return found


def _json(value: Any) -> Any:
    """YAML's values as JSON has them."""
    if isinstance(value, dict):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


HANDLERS = [
    list_suppressions,
    add_suppression,
    preview,
    show_suppression,
    change_suppression,
    remove_suppression,
]
