"""WebSockets: no other site's page opens one, nobody without a right, and whoever loses it can be told to go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar import WebSocket, websocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from siemd.storage import StorageConfig
from siemd.web.access.roles import Right
from siemd.web.api import HANDLERS
from siemd.web.application import is_still_allowed
from siemd.web.services import TheServices
from support.web import TESTER, Web, serving, until, web_config


@websocket("/api/v1/test-live", opt={"right": Right.READ_ALERTS})
async def live(socket: WebSocket[Any, Any, Any], services: TheServices) -> None:
    """Says for each message whether the client may still be here."""
    await socket.accept()
    while True:
        await socket.receive_text()
        await socket.send_text(str(await is_still_allowed(services, socket, Right.READ_ALERTS)))


@pytest.fixture
async def sockets(tmp_path: Path) -> AsyncIterator[Web]:
    config = web_config(tmp_path, StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}"))
    async with serving(config, [*HANDLERS, live]) as running:
        yield running


async def opened(web: Web, **headers: str) -> bool:
    """Whether a WebSocket with these headers is accepted."""
    address = f"ws://127.0.0.1:{web.server.port}/api/v1/test-live"
    try:
        async with connect(address, additional_headers=headers, proxy=None):
            return True
    except InvalidStatus:
        return False


async def test_only_siemds_own_pages_and_programs_with_tokens_open_a_socket(sockets: Web) -> None:
    client = await sockets.as_role("viewer")
    cookie = f"siemd_session={client.cookies['siemd_session']}"
    assert await opened(sockets, Cookie=cookie, Origin=sockets.origin)
    own = sockets.origin
    for origin in ("https://evil.example", "null", f"{own}.evil.example", own.replace("http", "ws")):
        assert not await opened(sockets, Cookie=cookie, Origin=origin), origin
    assert not await opened(sockets, Cookie=cookie), "a browser always says its Origin"
    assert not await opened(sockets, Origin=sockets.origin), "nobody"
    assert not await opened(sockets, Cookie=cookie, Origin=sockets.origin, Host="evil.example")
    good = await sockets.with_token("viewer", [Right.READ_ALERTS])
    narrow = await sockets.with_token("viewer", [Right.READ_EVENTS])
    assert await opened(sockets, Authorization=good.headers["Authorization"])
    assert not await opened(sockets, Authorization=narrow.headers["Authorization"])
    assert not await opened(sockets, Authorization="Bearer x", Cookie=cookie, Origin=sockets.origin)


async def test_whoever_loses_the_right_is_known_at_once(sockets: Web) -> None:
    user = await sockets.user("bob")
    client = await sockets.session_of(user)
    headers = {"Cookie": f"siemd_session={client.cookies['siemd_session']}", "Origin": sockets.origin}
    address = f"ws://127.0.0.1:{sockets.server.port}/api/v1/test-live"
    async with connect(address, additional_headers=headers, proxy=None) as socket:
        await socket.send("?")
        assert await socket.recv() == "True"
        await sockets.services.users.change(TESTER, user, disabled=True)
        await socket.send("?")
        assert await socket.recv() == "False"


async def test_sockets_count_as_connections_until_they_end(sockets: Web) -> None:
    client = await sockets.with_token("viewer", [Right.READ_ALERTS])
    address = f"ws://127.0.0.1:{sockets.server.port}/api/v1/test-live"
    headers = {"Authorization": client.headers["Authorization"]}
    before = sockets.server.gate.open
    async with connect(address, additional_headers=headers, proxy=None) as socket:
        assert sockets.server.gate.open == before + 1
        await socket.send("x" * 100_000)
        with pytest.raises(Exception, match="1009"):
            await socket.recv()
    await until(lambda: sockets.server.gate.open == before, "it is counted out")
