"""Sessions of people: opaque tokens, hashed in the store, with an idle and an absolute end."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.events import now_us
from siemd.storage.database import Database, Transaction
from siemd.storage.reading import time_us
from siemd.storage.tables import time_text
from siemd.storage.values import clean_text
from siemd.web.access.principal import Principal
from siemd.web.access.roles import rights_of
from siemd.web.access.secrets import hash_secret, new_id, new_secret
from siemd.web.config import SessionConfig
from siemd.web.times import rfc3339

TOUCH_S = 30.0  # the time of last use is noted no more often
MOST_SESSIONS = 20  # of one user; the oldest ends when there is one more


class Session(msgspec.Struct):
    """One login of somebody, as they may see it."""

    session_id: str
    created: str
    last_used: str
    expires: str
    address: str
    user_agent: str


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, database: Database, config: SessionConfig) -> None:
        self._database = database
        self._config = config

    async def begin(self, transaction: Transaction, user_id: str, address: str, user_agent: str) -> str:
        """A new session; its token, which is told once and kept nowhere."""
        rows = await transaction.fetch(
            "SELECT session_id FROM sessions WHERE user_id = ? ORDER BY last_used DESC LIMIT 1000", (user_id,)
        )
        for row in rows[MOST_SESSIONS - 1 :]:
            await transaction.execute("DELETE FROM sessions WHERE session_id = ?", (row["session_id"],))
        token, now = new_secret(), now_us()
        expires = now + int(self._config.absolute_s * 1e6)
        await transaction.execute(
            "INSERT INTO sessions (token_hash, session_id, user_id, created, last_used, expires, step_up, address, "
            "user_agent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                hash_secret(token), new_id(), user_id, time_text(now), time_text(now), time_text(expires),
                time_text(now), address[:64], clean_text(user_agent)[:255],
            ),
        )  # fmt: skip
        return token

    async def find(self, token: str, *, touch: bool = True) -> Principal | None:
        """Whose session a token is; None when it is nobody's, has ended, or its user may not log in any more.

        touch: whether this is a use of it, which puts off its idle end.
        """
        hashed = hash_secret(token)
        rows = await self._database.fetch(
            "SELECT s.session_id, s.user_id, s.last_used, s.expires, s.step_up, u.name, u.role FROM sessions s "
            "JOIN users u ON u.user_id = s.user_id WHERE s.token_hash = ? AND u.disabled = 0",
            (hashed,),
        )
        if not rows:
            return None
        row, now = rows[0], now_us()
        unused_us = now - time_us(row["last_used"])
        if time_us(row["expires"]) <= now or unused_us > self._config.idle_s * 1e6:
            await self._database.execute("DELETE FROM sessions WHERE token_hash = ?", (hashed,))
            return None
        if touch and unused_us > min(TOUCH_S, self._config.idle_s / 10) * 1e6:
            await self._database.execute(
                "UPDATE sessions SET last_used = ? WHERE token_hash = ?", (time_text(now), hashed)
            )
        return _principal(row)

    def is_fresh(self, principal: Principal) -> bool:
        """Whether the password was given a short while ago."""
        return bool(principal.step_up) and now_us() - time_us(principal.step_up) <= self._config.step_up_s * 1e6

    async def step_up(self, transaction: Transaction, session_id: str) -> None:
        """Note that the password was given now."""
        await transaction.execute(
            "UPDATE sessions SET step_up = ? WHERE session_id = ?", (time_text(now_us()), session_id)
        )

    async def of_user(self, user_id: str) -> list[Session]:
        """A user's sessions that have not ended, the one used last first."""
        now = now_us()
        rows = await self._database.fetch(
            "SELECT session_id, created, last_used, expires, address, user_agent FROM sessions "
            "WHERE user_id = ? AND expires > ? AND last_used > ? ORDER BY last_used DESC LIMIT 100",
            (user_id, time_text(now), time_text(now - int(self._config.idle_s * 1e6))),
        )
        times = ("created", "last_used", "expires")
        return [msgspec.convert({**row, **{key: rfc3339(row[key]) for key in times}}, Session) for row in rows]

    async def end(self, transaction: Transaction, user_id: str, session_id: str) -> bool:
        """End one session of a user; whether there was one."""
        sql = "DELETE FROM sessions WHERE user_id = ? AND session_id = ?"
        return bool(await transaction.execute(sql, (user_id, session_id)))

    async def end_all(self, transaction: Transaction, user_id: str, keep: str = "") -> int:
        """End every session of a user but `keep`; how many."""
        return await transaction.execute("DELETE FROM sessions WHERE user_id = ? AND session_id <> ?", (user_id, keep))

    async def prune(self) -> int:
        """Remove sessions that have ended; how many."""
        now = now_us()
        return await self._database.execute(
            "DELETE FROM sessions WHERE expires <= ? OR last_used <= ?",
            (time_text(now), time_text(now - int(self._config.idle_s * 1e6))),
        )


def _principal(row: dict[str, Any]) -> Principal:
    return Principal(
        user_id=row["user_id"],
        name=row["name"],
        role=row["role"],
        rights=rights_of(row["role"]),
        kind="session",
        session_id=row["session_id"],
        step_up=row["step_up"],
    )
