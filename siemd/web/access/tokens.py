"""API tokens for programs: prefixed, hashed, with scopes of their owner's rights, and an end."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from siemd.errors import UserError
from siemd.events import now_us
from siemd.storage.database import Database, Transaction
from siemd.storage.reading import time_us
from siemd.storage.tables import time_text
from siemd.storage.values import clean_text
from siemd.web.access.audit import Audit
from siemd.web.access.principal import Actor, Principal
from siemd.web.access.roles import SCOPES, Right, rights_of
from siemd.web.access.secrets import hash_secret, new_id, new_token
from siemd.web.times import rfc3339

TOUCH_S = 60.0
DAY_S = 86_400
MOST_TOKENS = 100  # of one user


class TokenInfo(msgspec.Struct):
    """An API token as its owner or an admin sees it; the token itself is told once, when it is made."""

    token_id: str
    owner: str
    name: str
    scopes: list[str]
    created: str
    expires: str
    last_used: str | None
    last_address: str


class Tokens:
    """Makes, finds and revokes tokens."""

    def __init__(self, database: Database, audit: Audit, most_s: float) -> None:
        """most_s: the longest life of a token."""
        self._database = database
        self._audit = audit
        self._most_s = most_s

    async def issue(
        self, who: Actor, owner: Principal, name: str, scopes: Collection[Right], days: int
    ) -> tuple[str, str]:
        """A new token and its id, told to the audit log. UserError as from `make`, and for too many days."""
        if days * DAY_S > self._most_s:
            raise UserError(
                f"a token may live {int(self._most_s // DAY_S)} days at most",
                "web.sessions.token in siemd.yaml says so",
            )
        async with self._database.transaction() as transaction:
            made = await self.make(transaction, owner, name, scopes, days * DAY_S)
            await self._audit.append(
                transaction, who, "token.made", name,
                owner=owner.name, token_id=made[1], scopes=sorted(scopes), days=days,
            )  # fmt: skip
        return made

    async def make(
        self, transaction: Transaction, owner: Principal, name: str, scopes: Collection[Right], life_s: float
    ) -> tuple[str, str]:
        """A new token and its id. UserError for a scope that the owner's rights do not hold, or too many tokens."""
        beyond = sorted(scope for scope in set(scopes) if scope not in SCOPES or not owner.may(scope))
        if beyond:
            raise UserError(f"no token of {owner.name} may have the scope {beyond[0]}", "leave it out")
        count = await transaction.fetch("SELECT COUNT(*) AS n FROM api_tokens WHERE user_id = ?", (owner.user_id,))
        if int(count[0]["n"]) >= MOST_TOKENS:
            raise UserError(f"there are {MOST_TOKENS} tokens of {owner.name}", "revoke those that nobody needs")
        token, token_id, now = new_token(), new_id(), now_us()
        await transaction.execute(
            "INSERT INTO api_tokens (token_hash, token_id, user_id, name, scopes, created, expires, last_used, "
            "last_address) VALUES (?, ?, ?, ?, ?, ?, ?, NULL, '')",
            (
                hash_secret(token), token_id, owner.user_id, clean_text(name)[:191],
                msgspec.json.encode(sorted(set(scopes))).decode(), time_text(now), time_text(now + int(life_s * 1e6)),
            ),
        )  # fmt: skip
        return token, token_id

    async def find(self, token: str, address: str, *, touch: bool = True) -> Principal | None:
        """Who a token speaks for, and what it may: its scopes as far as its owner's role still holds them."""
        hashed = hash_secret(token)
        rows = await self._database.fetch(
            "SELECT t.token_id, t.user_id, t.scopes, t.expires, t.last_used, u.name, u.role FROM api_tokens t "
            "JOIN users u ON u.user_id = t.user_id WHERE t.token_hash = ? AND u.disabled = 0",
            (hashed,),
        )
        now = now_us()
        if not rows or time_us(rows[0]["expires"]) <= now:
            return None
        row = rows[0]
        if touch and (not row["last_used"] or now - time_us(row["last_used"]) > TOUCH_S * 1e6):
            await self._database.execute(
                "UPDATE api_tokens SET last_used = ?, last_address = ? WHERE token_hash = ?",
                (time_text(now), address[:64], hashed),
            )
        scopes = set(_scopes(row)) & SCOPES & rights_of(row["role"])
        return Principal(
            user_id=row["user_id"],
            name=row["name"],
            role=row["role"],
            rights=frozenset({*scopes, Right.SELF}),
            kind="token",
            token_id=row["token_id"],
        )

    async def listed(self, user_id: str = "") -> list[TokenInfo]:
        """The tokens of one user, or of all, newest first."""
        where, parameters = ("WHERE t.user_id = ?", (user_id,)) if user_id else ("", ())
        rows = await self._database.fetch(
            "SELECT t.token_id, u.name AS owner, t.name, t.scopes, t.created, t.expires, t.last_used, t.last_address "  # noqa: S608
            f"FROM api_tokens t JOIN users u ON u.user_id = t.user_id {where} "
            "ORDER BY t.created DESC, t.token_id LIMIT 1000",
            parameters,
        )
        times = ("created", "expires", "last_used")
        return [
            msgspec.convert(
                {**row, "scopes": [str(s) for s in _scopes(row)], **{key: rfc3339(row[key]) for key in times}},
                TokenInfo,
            )
            for row in rows
        ]

    async def revoke(self, transaction: Transaction, token_id: str, user_id: str = "") -> str | None:
        """Remove a token (of one user, if given); its name, None when there is none."""
        rows = await transaction.fetch("SELECT name, user_id FROM api_tokens WHERE token_id = ?", (token_id,))
        if not rows or (user_id and rows[0]["user_id"] != user_id):
            return None
        await transaction.execute("DELETE FROM api_tokens WHERE token_id = ?", (token_id,))
        return str(rows[0]["name"])


def _scopes(row: dict[str, Any]) -> list[Right]:
    """The scopes in a row, less those that this siemd does not know."""
    known = set(Right)
    return [Right(text) for text in msgspec.json.decode(row["scopes"]) if text in known]
