"""What every handler may use: the store, the configuration, and who may do what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.di import NamedDependency

from siemd.config import Config
from siemd.storage.database import Database
from siemd.web.access.audit import Audit, Witness
from siemd.web.access.factors import Factors
from siemd.web.access.login import Login
from siemd.web.access.passwords import Passwords
from siemd.web.access.principal import Actor, Principal
from siemd.web.access.secrets import bearer_token
from siemd.web.access.sessions import Sessions
from siemd.web.access.tokens import Tokens
from siemd.web.access.users import Users
from siemd.web.cookies import cookie_name, read_cookie
from siemd.web.documents import Settings, Views
from siemd.web.live import Live
from siemd.web.origin import Client
from siemd.web.rulebook import RuleBook
from siemd.web.triage import Triage
from siemd.web.trials import Trials

if TYPE_CHECKING:
    from siemd.web.access.oidc import Provider

Connection = ASGIConnection[Any, Any, Any, Any]
SUBPROTOCOL = "siemd.v1"  # of WebSockets
TOKEN_PROTOCOL = "siemd.token."  # noqa: S105 - what stands before a token among the subprotocols; never said back


class Services:
    """Made once for a server (or a command); handlers name it as a parameter `services` and get it."""

    def __init__(self, config: Config, data_dir: Path, database: Database) -> None:
        self.config = config
        self.web = config.web
        self.data_dir = data_dir
        self.database = database
        self.audit = Audit(database)
        self.witness = Witness(self.audit, database.description, data_dir)
        self.sessions = Sessions(database, config.web.sessions)
        self.tokens = Tokens(database, self.audit, self.web.sessions.token_s)
        self.users = Users(database, self.sessions, self.audit)
        self.factors = Factors(database, self.sessions, self.audit)
        self.triage = Triage(database, self.audit)
        self.views = Views(database, self.audit)
        self.settings = Settings(database, self.audit)
        if config.detection.managed == "auto":
            config.detection.managed = str(data_dir)
        self.rulebook = RuleBook(config.detection, database, self.audit)
        self.live = Live(database)
        self.trials = Trials(config.detection, database, config.web.limits.query_time_s)
        self.passwords = Passwords()
        self.provider: Provider | None = None
        if config.web.oidc.issuer:
            from siemd.web.access.oidc import Provider  # needs an extra

            self.provider = Provider(config.web.oidc)
        self.login = Login(database, self.users, self.sessions, self.factors, self.passwords, self.audit)

    async def close(self) -> None:
        """Let go of the database and the threads."""
        self.passwords.close()
        await self.database.close()

    async def identify(self, connection: Connection, *, touch: bool = True) -> Principal | None:
        """Who is behind a request; a token goes before a cookie, and a wrong token is nobody.

        touch: whether that is a use of the session or token, which keeps it from ending for want of use.
        """
        header = token_header(connection)
        if header is not None:
            token = bearer_token(header)
            return await self.tokens.find(token, client(connection).address, touch=touch) if token else None
        name = cookie_name(client(connection).scheme)
        cookie = read_cookie(connection.headers.get("cookie", ""), name)
        return await self.sessions.find(cookie, touch=touch) if cookie else None


TheServices = NamedDependency[Services]  # as handlers name them: `services: TheServices`
Caller = NamedDependency[Principal]  # and `principal: Caller`


def offered_protocols(connection: Connection) -> list[str]:
    """The subprotocols that a WebSocket's client offers."""
    offered = connection.headers.get("sec-websocket-protocol", "")
    return [part.strip() for part in offered.split(",")]


def token_header(connection: Connection) -> str | None:
    """What a client says in Authorization; a WebSocket of a browser, which can't, says it among its subprotocols."""
    header = connection.headers.get("authorization")
    scope: Any = connection.scope
    if header is None and scope["type"] == "websocket":
        tokens = [one for one in offered_protocols(connection) if one.startswith(TOKEN_PROTOCOL)]
        if tokens:
            return f"Bearer {tokens[0].removeprefix(TOKEN_PROTOCOL)}" if len(tokens) == 1 else ""
    return header


def client(connection: Connection) -> Client:
    """Who asks, as the outermost layer found out."""
    found: Client = connection.scope["siemd_client"]  # type: ignore[typeddict-item]
    return found


def actor(connection: Connection, principal: Principal | None = None, name: str = "") -> Actor:
    """Whoever acts in a request, for the audit log."""
    return Actor(
        name=principal.name if principal else name,
        kind=principal.kind if principal else "nobody",
        address=client(connection).address,
        request_id=str(connection.scope.get("siemd_request_id", "")),
    )
