"""A running server of the API, as tests attack and use it: on a store, with users, and clients that are somebody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from siemd.config import Config
from siemd.detection.config import ImportedConfig
from siemd.health import Health
from siemd.storage import StorageConfig
from siemd.web.access.principal import Actor, Principal
from siemd.web.access.roles import ROLES, Right, rights_of
from siemd.web.access.users import User
from siemd.web.api import HANDLERS
from siemd.web.config import Role, WebConfig
from siemd.web.cookies import PLAIN_NAME
from siemd.web.server import WebServer
from siemd.web.services import Services

PASSWORD = "correct horse battery"
TESTER = Actor("tester", "cli")


class Web:
    """A server in this event loop on a free port. `client()` is nobody; `as_role` and `with_token` are somebody.

    Sessions and tokens are made in the store and not by logging in, which argon2 makes slow on purpose.
    """

    def __init__(self, server: WebServer, services: Services, said: list[str]) -> None:
        self.server = server
        self.services = services
        self.said = said  # what a person at the terminal would have read
        self._clients: list[httpx.AsyncClient] = []
        self._users: dict[str, User] = {}

    @property
    def origin(self) -> str:
        """Where a browser would say that siemd's own pages are."""
        return f"http://127.0.0.1:{self.server.port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A new client that is nobody; it says the Origin of siemd's own pages."""
        headers = {"Origin": self.origin, **options.pop("headers", {})}
        opened = httpx.AsyncClient(base_url=self.origin, headers=headers, timeout=30, trust_env=False, **options)
        self._clients.append(opened)
        return opened

    async def user(self, name: str, role: Role = "viewer", password: str = "") -> User:
        """A user, made at the first call. With a password one can log in; without, only `session_of` helps."""
        if name not in self._users:
            hashed = await self.services.passwords.hash(password) if password else ""
            await self.services.users.add(TESTER, name, role, hashed)
            found = await self.services.users.by_name(name)
            assert found
            self._users[name] = found
        return self._users[name]

    async def session_of(self, user: User) -> httpx.AsyncClient:
        """A client with a new session of a user."""
        async with self.services.database.transaction() as transaction:
            token = await self.services.sessions.begin(transaction, user.user_id, "127.0.0.1", "tests")
        opened = self.client()
        opened.cookies.set(PLAIN_NAME, token, domain="127.0.0.1")
        return opened

    async def as_role(self, role: Role) -> httpx.AsyncClient:
        """A client with a new session of a user called as the role."""
        assert role in ROLES
        return await self.session_of(await self.user(f"the-{role}", role))

    async def with_token(self, role: Role, scopes: Sequence[Right]) -> httpx.AsyncClient:
        """A client with a new API token of a user with the role."""
        owner = await self.user(f"the-{role}", role)
        principal = Principal(owner.user_id, owner.name, role, rights_of(role), "session")
        async with self.services.database.transaction() as transaction:
            token, _id = await self.services.tokens.make(transaction, principal, "test", scopes, 3600)
        opened = self.client(headers={"Authorization": f"Bearer {token}"})
        del opened.headers["Origin"]
        return opened

    async def close(self) -> None:
        """Close every client."""
        for opened in self._clients:
            await opened.aclose()


async def until(condition: Callable[[], object], what: str, *, deadline_s: float = 30) -> None:
    """Let the event loop go on until `condition` is true; fails after the deadline, saying `what`."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {deadline_s:g} s in vain: {what}"
        await asyncio.sleep(0.02)


def web_config(folder: Path, storage: StorageConfig, web: WebConfig | None = None) -> Config:
    """A configuration with the server on a free port."""
    config = Config(host="lab", data_dir=str(folder / "data"), storage=storage, web=web or WebConfig())
    config.web.listen = "127.0.0.1:0"
    config.detection.imported = ImportedConfig(folder=str(folder / "rules"))
    config.data_path().mkdir(parents=True, exist_ok=True)
    return config


@asynccontextmanager
async def serving(config: Config, handlers: Sequence[Any] = tuple(HANDLERS)) -> AsyncIterator[Web]:
    """Run the server until the block ends; it must end in order."""
    said: list[str] = []
    health = Health().component("web")
    server = WebServer(config, config.data_path(), health, said.append, handlers)
    services = Services(config, config.data_path(), server.services.database)  # of its own, on the same store
    await services.database.open()
    loop = asyncio.get_running_loop()
    task, listening = loop.create_task(server.run()), loop.create_task(server.listening.wait())
    web = Web(server, services, said)
    try:
        await asyncio.wait([task, listening], timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert listening.done(), "the server does not listen"
        yield web
    finally:
        listening.cancel()
        await web.close()
        services.passwords.close()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()
