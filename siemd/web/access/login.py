"""Logging in: throttled first, then the password, then the second factor, and one answer for every way to fail."""

from __future__ import annotations

from siemd.events import now_us
from siemd.storage.database import Database
from siemd.storage.tables import time_text
from siemd.web.access.audit import Audit
from siemd.web.access.factors import Factors
from siemd.web.access.passwords import Passwords
from siemd.web.access.principal import Actor, Principal
from siemd.web.access.sessions import Sessions
from siemd.web.access.throttle import Throttle
from siemd.web.access.users import User, Users


class Denied(Exception):
    """Name, password or code is wrong; it is not said which."""


class CodeWanted(Exception):
    """The password is right, and the account has a second factor."""


class Login:
    """Checks who somebody says to be. Raises Throttled, Denied, CodeWanted and TooBusy."""

    def __init__(
        self, database: Database, users: Users, sessions: Sessions, factors: Factors, passwords: Passwords, audit: Audit
    ) -> None:
        self._database = database
        self._users = users
        self._sessions = sessions
        self._factors = factors
        self._passwords = passwords
        self._audit = audit
        self.throttle = Throttle(database)

    async def login(self, actor: Actor, name: str, password: str, code: str, user_agent: str) -> tuple[str, User]:
        """A new session's token and the user; whatever session the client had before is not continued."""
        account = name.strip().lower()
        await self.throttle.begin(account, actor.address)
        user = await self._users.by_name(account)
        await self._check(actor, account, user, password, code)
        assert user is not None
        renewed = await self._passwords.hash(password) if self._passwords.is_outdated(user.password_hash) else ""
        async with self._database.transaction() as transaction:
            await self.throttle.succeeded(transaction, account, actor.address)
            token = await self._sessions.begin(transaction, user.user_id, actor.address, user_agent)
            await transaction.execute(
                "UPDATE users SET last_login = ? WHERE user_id = ?", (time_text(now_us()), user.user_id)
            )
            if renewed:
                await transaction.execute(
                    "UPDATE users SET password_hash = ? WHERE user_id = ? AND password_hash = ?",
                    (renewed, user.user_id, user.password_hash),
                )
            await self._audit.append(transaction, actor, "login.succeeded", user.name)
        return token, user

    async def vouched(self, actor: Actor, user: User, user_agent: str) -> str:
        """A new session's token for whom an identity provider vouches for."""
        async with self._database.transaction() as transaction:
            token = await self._sessions.begin(transaction, user.user_id, actor.address, user_agent)
            await transaction.execute(
                "UPDATE users SET last_login = ? WHERE user_id = ?", (time_text(now_us()), user.user_id)
            )
            await self._audit.append(transaction, actor, "login.succeeded", user.name, by="oidc")
        return token

    async def step_up(self, actor: Actor, principal: Principal, password: str, code: str) -> None:
        """Check the password (and code) of somebody who is logged in, and note it in the session."""
        await self.throttle.begin(principal.name, actor.address)
        user = await self._users.by_id(principal.user_id)
        await self._check(actor, principal.name, user, password, code)
        async with self._database.transaction() as transaction:
            await self.throttle.succeeded(transaction, principal.name, actor.address)
            await self._sessions.step_up(transaction, principal.session_id)
            await self._audit.append(transaction, actor, "login.step_up", principal.name)

    async def _check(self, actor: Actor, account: str, user: User | None, password: str, code: str) -> None:
        usable = user is not None and not user.disabled
        right = await self._passwords.verify(user.password_hash if user is not None and usable else "", password)
        if not right or user is None:
            await self._audit.record(actor, "login.failed", account)
            raise Denied
        if not user.totp_secret:
            return
        if not code:
            async with self._database.transaction() as transaction:  # to ask for the code is no failure
                await self.throttle.forgive(transaction, account, actor.address)
            raise CodeWanted
        if not await self._factors.check(actor, user, code):
            await self._audit.record(actor, "login.failed", account, factor="code")
            raise Denied
