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
from siemd.web.origin import Client

if TYPE_CHECKING:
    from siemd.web.access.oidc import Provider

Connection = ASGIConnection[Any, Any, Any, Any]


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
        self.tokens = Tokens(database)
        self.users = Users(database, self.sessions, self.audit)
        self.factors = Factors(database, self.sessions, self.audit)
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

    async def identify(self, connection: Connection) -> Principal | None:
        """Who is behind a request; a token goes before a cookie, and a wrong token is nobody."""
        header = connection.headers.get("authorization")
        if header is not None:
            token = bearer_token(header)
            return await self.tokens.find(token, client(connection).address) if token else None
        name = cookie_name(client(connection).scheme)
        cookie = read_cookie(connection.headers.get("cookie", ""), name)
        return await self.sessions.find(cookie) if cookie else None


TheServices = NamedDependency[Services]  # as handlers name them: `services: TheServices`
Caller = NamedDependency[Principal]  # and `principal: Caller`


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
