"""Accounts: made, listed, changed, switched off; whatever changes who may do what ends the sessions it concerns."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from siemd.errors import UserError
from siemd.events import now_us
from siemd.storage.database import Database, Transaction
from siemd.storage.reading import time_us
from siemd.storage.tables import time_text
from siemd.web.access.audit import Audit
from siemd.web.access.principal import Actor
from siemd.web.access.secrets import hash_secret, new_id, new_secret
from siemd.web.access.sessions import Sessions
from siemd.web.config import Role
from siemd.web.times import rfc3339

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
FIRST_ADMIN, NEW_PASSWORD = "admin", "password"  # what a one-time link is for


class UserInfo(msgspec.Struct):
    """An account as an admin sees it."""

    user_id: str
    name: str
    role: str
    disabled: bool
    has_password: bool
    has_totp: bool
    from_oidc: bool
    created: str
    last_login: str | None


class User(msgspec.Struct):
    """An account with its secrets, as login needs it; never shown."""

    user_id: str
    name: str
    role: str
    disabled: bool
    password_hash: str
    totp_secret: str
    totp_pending: str
    totp_step: int


class Link(msgspec.Struct):
    """A one-time link that is good now. user: whose password it sets; None for the first admin, who chooses a name."""

    purpose: str
    user: User | None


def clean_name(name: str) -> str:
    """A user's name as it is stored: lower case. UserError when it can't be one."""
    plain = name.strip().lower()
    if not NAME.fullmatch(plain):
        raise UserError(f"`{name[:64]}` is no name for a user", "take letters, digits and . _ @ -, at most 64")
    return plain


class Users:
    """The accounts in the store; every change is written with its line in the audit log."""

    def __init__(self, database: Database, sessions: Sessions, audit: Audit) -> None:
        self._database = database
        self._sessions = sessions
        self._audit = audit
        self._lock = " FOR UPDATE" if database.dialect == "mysql" else ""

    async def all(self) -> list[UserInfo]:
        """Every account, by name."""
        rows = await self._database.fetch("SELECT * FROM users ORDER BY name LIMIT 10000")
        return [_info(row) for row in rows]

    async def info(self, user_id: str) -> UserInfo | None:
        """One account as an admin sees it."""
        rows = await self._database.fetch("SELECT * FROM users WHERE user_id = ?", (user_id,))
        return _info(rows[0]) if rows else None

    async def by_name(self, name: str) -> User | None:
        """One account by its name, however that is written."""
        rows = await self._database.fetch("SELECT * FROM users WHERE name = ?", (name.strip().lower()[:191],))
        return _user(rows[0]) if rows else None

    async def by_id(self, user_id: str) -> User | None:
        """One account."""
        rows = await self._database.fetch("SELECT * FROM users WHERE user_id = ?", (user_id,))
        return _user(rows[0]) if rows else None

    async def count(self) -> int:
        """How many accounts there are."""
        return int((await self._database.fetch("SELECT COUNT(*) AS n FROM users"))[0]["n"])

    async def add(self, actor: Actor, name: str, role: Role, password_hash: str = "") -> str:
        """A new account, its id; without a password it is entered by a link. UserError when the name is taken."""
        async with self._database.transaction() as transaction:
            user_id = await self._insert(transaction, clean_name(name), role, password_hash)
            await self._audit.append(transaction, actor, "user.added", clean_name(name), role=role)
        return user_id

    async def from_provider(self, actor: Actor, subject: str, name: str, role: Role) -> User:
        """The account of whom an identity provider vouches for, made at the first login; its role is what that says.

        UserError when the name belongs to an account that somebody else made: names are no proof of who one is.
        """
        rows = await self._database.fetch("SELECT * FROM users WHERE oidc_subject = ?", (subject,))
        if not rows:
            plain = clean_name(name)
            async with self._database.transaction() as transaction:
                user_id = await self._insert(transaction, plain, role, "", subject)
                await self._audit.append(transaction, actor, "user.added", plain, role=role, by="oidc")
        else:
            user_id = rows[0]["user_id"]
            await self.change(actor, _user(rows[0]), role=role)
        user = await self.by_id(user_id)
        assert user is not None
        return user

    async def set_password(self, actor: Actor, user: User, password_hash: str, *, keep_session: str = "") -> None:
        """Another password; every session of the user ends, but `keep_session`, and so does every link."""
        async with self._database.transaction() as transaction:
            await self._set_password(transaction, user.user_id, password_hash, keep_session)
            await self._audit.append(transaction, actor, "user.password", user.name)

    async def change(self, actor: Actor, user: User, *, role: Role | None = None, disabled: bool | None = None) -> None:
        """Another role, or switched off or on; the user's sessions end. UserError when no admin would be left."""
        changes: dict[str, Any] = {}
        if role is not None and role != user.role:
            changes["role"] = role
        if disabled is not None and disabled != user.disabled:
            changes["disabled"] = int(disabled)
        if not changes:
            return
        async with self._database.transaction() as transaction:
            admins = await transaction.fetch(
                f"SELECT user_id FROM users WHERE role = 'admin' AND disabled = 0{self._lock}"  # noqa: S608
            )
            stays = changes.get("role", user.role) == "admin" and not changes.get("disabled", user.disabled)
            if not stays and [row["user_id"] for row in admins] == [user.user_id]:
                raise UserError(f"{user.name} is the only admin", "make another one first")
            sets = ", ".join(f"{name} = ?" for name in changes)
            await transaction.execute(
                f"UPDATE users SET {sets}, changed = ? WHERE user_id = ?",  # noqa: S608 - our own names
                (*changes.values(), time_text(now_us()), user.user_id),
            )
            await self._sessions.end_all(transaction, user.user_id)
            await self._audit.append(transaction, actor, "user.changed", user.name, **changes)

    async def make_link(self, actor: Actor, purpose: str, life_s: float, user: User | None = None) -> str:
        """A secret for a one-time link, kept as a hash; those before it for the same user are void."""
        secret, now = new_secret(), now_us()
        async with self._database.transaction() as transaction:
            await transaction.execute("DELETE FROM setup_links WHERE expires <= ?", (time_text(now),))
            if user is not None:
                await transaction.execute("DELETE FROM setup_links WHERE user_id = ?", (user.user_id,))
            await transaction.execute(
                "INSERT INTO setup_links (link_hash, purpose, user_id, created, expires) VALUES (?, ?, ?, ?, ?)",
                (
                    hash_secret(secret), purpose, user.user_id if user else "",
                    time_text(now), time_text(now + int(life_s * 1e6)),
                ),
            )  # fmt: skip
            await self._audit.append(transaction, actor, "link.made", user.name if user else "", purpose=purpose)
        return secret

    async def link(self, secret: str) -> Link | None:
        """What a link is good for now; None when it was used, is too old, or never was."""
        rows = await self._database.fetch(
            "SELECT purpose, user_id, expires FROM setup_links WHERE link_hash = ?", (hash_secret(secret),)
        )
        if not rows or time_us(rows[0]["expires"]) <= now_us():
            return None
        if rows[0]["purpose"] == FIRST_ADMIN:
            return Link(FIRST_ADMIN, None) if not await self.count() else None
        user = await self.by_id(rows[0]["user_id"])
        return Link(NEW_PASSWORD, user) if user is not None and not user.disabled else None

    async def use_link(self, actor: Actor, secret: str, link: Link, name: str, password_hash: str) -> str | None:
        """Use a link up: make the first admin, or set a password; the user's id, None when somebody was faster."""
        async with self._database.transaction() as transaction:
            used = await transaction.execute("DELETE FROM setup_links WHERE link_hash = ?", (hash_secret(secret),))
            if not used:
                return None
            if link.user is not None:
                await self._set_password(transaction, link.user.user_id, password_hash, "")
                await self._audit.append(transaction, actor, "user.password", link.user.name, by="link")
                return link.user.user_id
            if (await transaction.fetch(f"SELECT COUNT(*) AS n FROM users{self._lock}"))[0]["n"]:  # noqa: S608
                return None
            await transaction.execute("DELETE FROM setup_links WHERE purpose = ?", (FIRST_ADMIN,))
            user_id = await self._insert(transaction, clean_name(name), "admin", password_hash)
            await self._audit.append(transaction, actor, "user.added", clean_name(name), role="admin", by="link")
            return user_id

    async def _insert(
        self, transaction: Transaction, name: str, role: Role, password_hash: str, subject: str = ""
    ) -> str:
        if await transaction.fetch("SELECT 1 AS found FROM users WHERE name = ?", (name,)):
            raise UserError(f"there is a user {name} already", "take another name")
        user_id, now = new_id(), time_text(now_us())
        await transaction.execute(
            "INSERT INTO users (user_id, name, role, disabled, password_hash, oidc_subject, totp_secret, totp_pending, "
            "totp_step, created, changed) VALUES (?, ?, ?, 0, ?, ?, '', '', 0, ?, ?)",
            (user_id, name, role, password_hash, subject, now, now),
        )
        return user_id

    async def _set_password(self, transaction: Transaction, user_id: str, password_hash: str, keep: str) -> None:
        await transaction.execute(
            "UPDATE users SET password_hash = ?, changed = ? WHERE user_id = ?",
            (password_hash, time_text(now_us()), user_id),
        )
        await transaction.execute("DELETE FROM setup_links WHERE user_id = ?", (user_id,))
        await self._sessions.end_all(transaction, user_id, keep)


def _user(row: dict[str, Any]) -> User:
    return User(
        user_id=row["user_id"],
        name=row["name"],
        role=row["role"],
        disabled=bool(row["disabled"]),
        password_hash=row["password_hash"],
        totp_secret=row["totp_secret"],
        totp_pending=row["totp_pending"],
        totp_step=int(row["totp_step"]),
    )


def _info(row: dict[str, Any]) -> UserInfo:
    return UserInfo(
        user_id=row["user_id"],
        name=row["name"],
        role=row["role"],
        disabled=bool(row["disabled"]),
        has_password=bool(row["password_hash"]),
        has_totp=bool(row["totp_secret"]),
        from_oidc=bool(row["oidc_subject"]),
        created=rfc3339(row["created"]),
        last_login=rfc3339(row["last_login"]),
    )
