"""Every route by every kind of somebody: made from the routes themselves, so that none can be forgotten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from litestar import WebSocket, get, websocket

from siemd.config import Config
from siemd.storage.database import open_database
from siemd.web.access.roles import ONLY_PEOPLE, RIGHTS, ROLES, SCOPES, Right
from siemd.web.api import HANDLERS
from siemd.web.application import create_app, right_of, routes
from siemd.web.pages import CONSOLE_PATHS
from siemd.web.services import Services
from support.web import Web

# Which role is the least that has a right. A new right needs a line here: whoever adds one decides.
LEAST: dict[Right, str] = {
    Right.PUBLIC: "nobody",
    Right.SELF: "viewer",
    Right.OWN_ACCOUNT: "viewer",
    Right.OWN_VIEWS: "viewer",
    Right.READ_EVENTS: "viewer",
    Right.READ_ALERTS: "viewer",
    Right.READ_STATISTICS: "viewer",
    Right.READ_HOSTS: "viewer",
    Right.READ_RULES: "viewer",
    Right.READ_SUPPRESSIONS: "viewer",
    Right.READ_HEALTH: "viewer",
    Right.TRIAGE_ALERTS: "analyst",
    Right.WRITE_SUPPRESSIONS: "analyst",
    Right.SHARE_VIEWS: "analyst",
    Right.TEST_RULES: "analyst",
    Right.WRITE_RULES: "admin",
    Right.READ_HEALTH_DETAIL: "admin",
    Right.READ_SETTINGS: "admin",
    Right.WRITE_SETTINGS: "admin",
    Right.READ_AUDIT: "admin",
    Right.MANAGE_USERS: "admin",
    Right.MANAGE_TOKENS: "admin",
}
# Routes without a login, by name: one more is a decision that this list must tell.
OPEN = {
    "GET /",
    *(f"GET {path.replace(':path', '')}" for path in CONSOLE_PATHS),
    "GET /assets/{name}",
    "GET /static/{name}",
    "GET /api/v1/docs",
    "GET /api/v1/openapi.json",
    "GET /api/v1/oidc",
    "GET /api/v1/oidc/login",
    "GET /api/v1/oidc/callback",
    "POST /api/v1/session",
    "POST /api/v1/setup",
    "POST /api/v1/setup/check",
}


def services(folder: Path) -> Services:
    config = Config()
    return Services(config, folder, open_database(config.storage, folder))


def test_every_right_is_decided() -> None:
    assert set(LEAST) == set(Right)
    order = ["nobody", *ROLES]
    for right, least in LEAST.items():
        for role in ROLES:
            expected = right is not Right.PUBLIC and order.index(role) >= order.index(least)
            assert (right in RIGHTS[role]) == expected, f"{role} and {right}"
    assert not SCOPES & ONLY_PEOPLE and Right.PUBLIC not in SCOPES


def test_what_is_open_is_known(tmp_path: Path) -> None:
    app = create_app(services(tmp_path), HANDLERS)
    found = {f"{method} {path}" for path, method, handler in routes(app) if right_of(handler) is Right.PUBLIC}
    assert found == OPEN


def test_a_route_without_a_right_keeps_the_server_from_starting(tmp_path: Path) -> None:
    @get("/api/v1/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "secret"

    @websocket("/api/v1/forgotten-too")
    async def forgotten_too(socket: WebSocket) -> None: ...

    for handler, name in ((forgotten, "GET /api/v1/forgotten"), (forgotten_too, "WEBSOCKET /api/v1/forgotten-too")):
        with pytest.raises(ValueError, match=re.escape(name)):
            create_app(services(tmp_path), [*HANDLERS, handler])


async def ask(client: httpx.AsyncClient, method: str, path: str) -> int:
    """The status of a request that names things that do not exist, and has no body: nothing is changed by it."""
    path = re.sub(r"{[^}]*}", "0000000000000000", path)
    async with client:
        return (await client.request(method, path)).status_code


async def test_every_route_by_everybody(web: Web) -> None:
    app = create_app(web.services, HANDLERS)
    wanted = [(path, method, right_of(handler)) for path, method, handler in routes(app)]
    assert len(wanted) > 25
    for path, method, right in wanted:
        if method == "WEBSOCKET":
            continue  # test_live.py opens them
        where = f"{method} {path} ({right})"
        nobody = await ask(web.client(), method, path)
        assert (nobody == 401) == (right is not Right.PUBLIC), f"{where}: nobody gets {nobody}"
        for role in ROLES:
            status = await ask(await web.as_role(role), method, path)
            if right is Right.PUBLIC:
                assert status not in (401, 403), f"{where}: {role} gets {status}"
            elif right in RIGHTS[role]:
                assert status not in (401, 403, 405) and status < 500, f"{where}: {role} gets {status}"
            else:
                assert status == 403, f"{where}: {role} gets {status}"


async def test_every_route_by_tokens(web: Web) -> None:
    app = create_app(web.services, HANDLERS)
    made: dict[tuple[Right, ...], httpx.Headers] = {}  # a user may have only so many

    async def asked(scopes: Sequence[Right], method: str, path: str) -> int:
        key = tuple(scopes)
        if key not in made:
            made[key] = (await web.with_token("admin", scopes)).headers
        client = web.client(headers={"Authorization": made[key]["Authorization"]})
        del client.headers["Origin"]
        return await ask(client, method, path)

    for path, method, handler in routes(app):
        right = right_of(handler)
        if right is Right.PUBLIC or method == "WEBSOCKET":
            continue
        where = f"{method} {path} ({right})"
        other = sorted(SCOPES - {right})
        without = await asked(other, method, path)
        assert without == 403 or right is Right.SELF, f"{where}: a token without the scope gets {without}"
        if right in SCOPES:
            status = await asked([right], method, path)
            assert status not in (401, 403) and status < 500, f"{where}: a token with the scope gets {status}"
