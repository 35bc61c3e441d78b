"""The few pages that siemd serves itself: choosing a password by a one-time link, and the files that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from siemd.web.access.roles import Right
from siemd.web.problems import not_found

_STATIC = Path(__file__).resolve().parent / "static"
_FILES = {"style.css": "text/css", "setup.js": "text/javascript"}
PUBLIC: dict[str, Any] = {"right": Right.PUBLIC}


@get("/", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def start_page() -> Response[bytes]:
    """Where a person begins."""
    return _page("start.html")


@get("/setup", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def setup_page() -> Response[bytes]:
    """The page of a one-time link; the secret stands behind #, where no server and no log sees it."""
    return _page("setup.html")


@get("/static/{name:str}", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def static_file(name: FromPath[str]) -> Response[bytes]:
    """One of the files that pages need, by its exact name."""
    if name not in _FILES:
        raise not_found("file")
    return Response((_STATIC / name).read_bytes(), media_type=_FILES[name], headers={"Cache-Control": "no-cache"})


def _page(name: str) -> Response[bytes]:
    return Response((_STATIC / name).read_bytes(), media_type="text/html")


HANDLERS = [start_page, setup_page, static_file]
