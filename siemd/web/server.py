"""The server: uvicorn's protocols on a socket of ours, within somebody else's event loop, and what goes on beside it.

What can fail for a while (the port is taken, the database is away, a certificate can't be read) is told in health and
tried again; it never ends the daemon that the server is a part of.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import uvicorn
from litestar.types import ControllerRouterHandler
from uvicorn.server import ServerState

from siemd.backoff import Backoff
from siemd.beat import until_beat_s
from siemd.config import Config
from siemd.errors import StoreError, UserError
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.storage.database import open_database
from siemd.supervise import supervise
from siemd.web.access.principal import Actor
from siemd.web.access.users import FIRST_ADMIN
from siemd.web.api import HANDLERS
from siemd.web.application import create_asgi
from siemd.web.protocol import Gate, Protocol
from siemd.web.services import Services
from siemd.web.shell import Shell
from siemd.web.tls import Certificate

BACKLOG = 512
HANDSHAKE_S = 10.0
GRACE_S = 3.0  # what answers that are under way get when the server stops
STEP_S = 1.0
TIDY_EVERY_S = 60.0
SOCKET_BYTES = 1 << 16  # the largest message of a WebSocket's client


class WebServer:
    """Serves until cancelled.

    say: tells a person at the terminal, used for the one-time link, which no log may hold.
    """

    def __init__(
        self,
        config: Config,
        data_dir: Path,
        health: ComponentHealth,
        say: Callable[[str], None] = lambda _text: None,
        handlers: Sequence[ControllerRouterHandler] = tuple(HANDLERS),
    ) -> None:
        self._config = config
        self._web = config.web
        self.health = health
        self._say = say
        self._handlers = handlers
        self._log = get_logger("siemd.web")
        self.services = Services(config, data_dir, open_database(config.storage, data_dir))
        self.gate = Gate(config.web.limits, config.web.proxies())
        self._certificate: Certificate | None = None
        self._problems: dict[str, str] = {}  # by what has them; together they are the component's health
        self.port = 0  # that is listened on, once it is
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled; failures that may pass are tried again."""
        app = create_asgi(self.services, self._handlers)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_serving(app), name="web")
                group.create_task(supervise(self._first_start, self.health), name="web set-up")
                group.create_task(supervise(self._tidy, self.health), name="web tidy")
                group.create_task(supervise(self.services.live.run, self.health), name="live")
                group.create_task(supervise(self.services.trials.run, self.health), name="rule tests")
        finally:
            await self.services.close()
            self.health.set("stopped")

    async def _keep_serving(self, app: Shell) -> None:
        backoff = Backoff(first_s=0.5, most_s=30.0)
        while True:
            try:
                await self._serve(app, backoff.reset)
            except (OSError, UserError) as error:
                self._trouble("server", f"{self._web.listen}: {error}")
            await asyncio.sleep(backoff.next_s())

    async def _serve(self, app: Shell, listening: Callable[[], None]) -> None:
        """Listen and serve until cancelled; raises OSError or UserError when that can't be done."""
        self._certificate = Certificate(self._web.tls) if self._web.has_tls else None
        config = self._uvicorn(app)
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Protocol(config, state, self.gate, loop),
            sock=_listening_socket(*self._web.address()),
            backlog=BACKLOG,
            ssl=self._certificate.context if self._certificate else None,
            ssl_handshake_timeout=HANDSHAKE_S if self._certificate else None,
        )
        try:
            listening()
            self.port = server.sockets[0].getsockname()[1]
            self.listening.set()
            self._trouble("server", "")
            self._log.info("web.listening", url=self.url())
            while True:
                state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
                self._watch_certificate()
                await asyncio.sleep(until_beat_s(STEP_S))
        finally:
            await _stop(server, state)

    def _uvicorn(self, app: Any) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="websockets-sansio",
            ws_max_size=SOCKET_BYTES,
            ws_per_message_deflate=False,  # what an attacker chose and a secret are not to be squeezed together
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # shell.py does it, for the proxies that are named
            server_header=False,
            date_header=False,
            timeout_keep_alive=10,
            h11_max_incomplete_event_size=int(self._web.limits.header_bytes),
        )
        config.load()
        return config

    def url(self) -> str:
        """The address under which a person reaches the server from this machine, or through its proxy."""
        listen = self._web.address()
        named = self._web.hosts[0] if self._web.hosts else ""
        if self._web.behind_tls_proxy:
            return f"https://{named or socket.getfqdn()}{self._web.base_path}"
        host = listen.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = named or socket.getfqdn()
        elif named and not listen.is_loopback:
            host = named
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self._web.has_tls else 'http'}://{host}:{self.port or listen.port}{self._web.base_path}"

    async def _first_start(self) -> None:
        """Bring the schema up to date; while there is no account, make a one-time link for the first and tell it."""
        backoff = Backoff(first_s=0.5, most_s=30.0)
        while True:
            try:
                await self.services.database.open()
                if not await self.services.users.count():
                    life_s = self._web.sessions.setup_link_s
                    siemd = Actor("siemd", "siemd")
                    secret = await self.services.users.make_link(siemd, FIRST_ADMIN, life_s)
                    await self.listening.wait()
                    self._say(f"siemd: make the first account within {life_s}: {self.url()}/setup#{secret}")
                else:
                    await self.listening.wait()
                    self._say(f"siemd: {self.url()}/")
                self._trouble("store", "")
                return
            except UserError as error:
                self._trouble("store", str(error))
            await asyncio.sleep(backoff.next_s())

    async def _tidy(self) -> None:
        """Now and then remove what has ended, and note where the audit log's chain ends."""
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            with suppress(StoreError):  # the requests tell of it
                await self.services.sessions.prune()
                await self.services.login.throttle.prune()
                await self.note_audit()
            if self.gate.refused:
                self.health.extra["refused_connections"] = self.gate.refused

    async def note_audit(self) -> None:
        """Note where the audit log's chain ends; say when a part of it is missing."""
        verdict = await self.services.witness.advance()
        if verdict.broken:
            self._log.error("audit.broken", row=verdict.broken, reason=verdict.reason)
        said = f"the audit log is broken at row {verdict.broken}: {verdict.reason}; run `siemd audit verify`"
        self._trouble("audit", said if verdict.broken else "")

    def _watch_certificate(self) -> None:
        if self._certificate is None:
            return
        try:
            if self._certificate.reload():
                self._log.info("web.certificate", file=self._web.tls.certificate)
            self._trouble("certificate", "")
        except (UserError, ssl.SSLError) as error:
            self._trouble("certificate", str(error))

    def _trouble(self, what: str, words: str) -> None:
        """Note a problem, or that it has passed; the component's status is what all of them say."""
        before = dict(self._problems)
        if words:
            self._problems[what] = words
            self.health.errors += before.get(what) != words
        else:
            self._problems.pop(what, None)
        if "server" in self._problems:
            self.health.set("failed", self._problems["server"])
        elif self._problems:
            self.health.set("degraded", "; ".join(self._problems.values()))
        elif self.port:
            self.health.set("ok", self.url())


def _listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; raises OSError when the port is taken."""
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named asyncio switches Nagle's algorithm off; with it each answer takes 40 ms.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows: nobody may take the port beside us
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


async def _stop(server: asyncio.Server, state: ServerState) -> None:
    """Take no more connections, let answers under way end for a moment, then cut what is left."""
    server.close()
    for connection in list(state.connections):
        connection.shutdown()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            while state.tasks:
                await asyncio.wait(list(state.tasks))
    for connection in list(state.connections):
        connection.transport.abort()
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=1.0)
