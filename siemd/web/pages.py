"""Pages and their files: the console, which is one page at many addresses, and the style of the API's description."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from siemd.web.access.roles import Right
from siemd.web.console import PAGES, Console, read_console
from siemd.web.problems import not_found
from siemd.web.services import TheServices

_STATIC = Path(__file__).resolve().parent / "static"
_FILES = {"style.css": "text/css"}
PUBLIC: dict[str, Any] = {"right": Right.PUBLIC}
CONSOLE_PATHS = ["/", *(path for page in PAGES for path in (f"/{page}", f"/{page}/{{rest:path}}"))]
_FOR_EVER = "public, max-age=31536000, immutable"


@get(CONSOLE_PATHS, opt=PUBLIC, include_in_schema=False)
async def console_page(request: Request[Any, Any, Any], services: TheServices) -> Response[bytes]:
    """The console: the same page at each of its addresses; what is behind # (the secret of a link) no server sees."""
    console = await _console(request, services)
    return Response(console.page, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})


@get("/assets/{name:str}", opt=PUBLIC, include_in_schema=False)
async def console_asset(request: Request[Any, Any, Any], services: TheServices, name: FromPath[str]) -> Response[bytes]:
    """A part of the console, by its exact name; the name changes with what is in it."""
    asset = (await _console(request, services)).assets.get(name)
    if asset is None:
        raise not_found("file")
    data, coding = asset.coded(request.headers.get("accept-encoding", ""))
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding", "ETag": f'"{name}.{coding or "plain"}"'}
    if coding:
        headers["Content-Encoding"] = coding
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    return Response(data, media_type=asset.media_type, headers=headers)


@get("/static/{name:str}", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def static_file(name: FromPath[str]) -> Response[bytes]:
    """One of the files that other pages need, by its exact name."""
    if name not in _FILES:
        raise not_found("file")
    return Response((_STATIC / name).read_bytes(), media_type=_FILES[name], headers={"Cache-Control": "no-cache"})


async def _console(request: Request[Any, Any, Any], services: TheServices) -> Console:
    """Read once, when it is first asked for."""
    known: Console | None = request.app.state.get("console")
    if known is None:
        known = await asyncio.to_thread(read_console, services.web.base_path)
        request.app.state["console"] = known
    return known


HANDLERS = [console_page, console_asset, static_file]
