"""The second factor of an account: enrolled, confirmed, checked once a code, and taken away."""

from __future__ import annotations

from siemd.storage.database import Database, Transaction
from siemd.web.access.audit import Audit
from siemd.web.access.principal import Actor
from siemd.web.access.secrets import hash_secret
from siemd.web.access.sessions import Sessions
from siemd.web.access.totp import matching_step, new_recovery_codes, new_totp_secret, plain_recovery_code
from siemd.web.access.users import User


class Factors:
    """TOTP and recovery codes in the store."""

    def __init__(self, database: Database, sessions: Sessions, audit: Audit) -> None:
        self._database = database
        self._sessions = sessions
        self._audit = audit

    async def enrol(self, user: User) -> str:
        """A new secret that waits to be confirmed; what is in use stays in use until then."""
        secret = new_totp_secret()
        await self._database.execute("UPDATE users SET totp_pending = ? WHERE user_id = ?", (secret, user.user_id))
        return secret

    async def confirm(self, actor: Actor, user: User, code: str, keep_session: str) -> list[str] | None:
        """Take the secret into use if the code shows that the device has it; the recovery codes, None if it is wrong.

        The user's other sessions end: they were begun without the second factor.
        """
        step = matching_step(user.totp_pending, code) if user.totp_pending else None
        if step is None:
            return None
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "UPDATE users SET totp_secret = totp_pending, totp_pending = '', totp_step = ? "
                "WHERE user_id = ? AND totp_pending = ?",
                (step, user.user_id, user.totp_pending),
            )
            if not changed:
                return None
            codes = await self._new_codes(transaction, user.user_id)
            await self._sessions.end_all(transaction, user.user_id, keep_session)
            await self._audit.append(transaction, actor, "totp.confirmed", user.name)
        return codes

    async def check(self, actor: Actor, user: User, code: str) -> bool:
        """Whether a code is right, which uses it up: neither it nor a code before it is taken again."""
        step = matching_step(user.totp_secret, code)
        if step is not None:
            sql = "UPDATE users SET totp_step = ? WHERE user_id = ? AND totp_step < ?"
            return bool(await self._database.execute(sql, (step, user.user_id, step)))
        plain = plain_recovery_code(code)
        if plain is None:
            return False
        async with self._database.transaction() as transaction:
            sql = "DELETE FROM recovery_codes WHERE code_hash = ? AND user_id = ?"
            if not await transaction.execute(sql, (hash_secret(plain), user.user_id)):
                return False
            await self._audit.append(transaction, actor, "totp.recovery_code_used", user.name)
        return True

    async def renew_codes(self, actor: Actor, user: User) -> list[str]:
        """New recovery codes; those before are void."""
        async with self._database.transaction() as transaction:
            codes = await self._new_codes(transaction, user.user_id)
            await self._audit.append(transaction, actor, "totp.recovery_codes_renewed", user.name)
        return codes

    async def remove(self, actor: Actor, user: User, keep_session: str = "") -> None:
        """Take the second factor away; the user's other sessions end."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE users SET totp_secret = '', totp_pending = '', totp_step = 0 WHERE user_id = ?", (user.user_id,)
            )
            await transaction.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user.user_id,))
            await self._sessions.end_all(transaction, user.user_id, keep_session)
            await self._audit.append(transaction, actor, "totp.removed", user.name)

    async def codes_left(self, user_id: str) -> int:
        """How many recovery codes are left."""
        rows = await self._database.fetch("SELECT COUNT(*) AS n FROM recovery_codes WHERE user_id = ?", (user_id,))
        return int(rows[0]["n"])

    async def _new_codes(self, transaction: Transaction, user_id: str) -> list[str]:
        await transaction.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user_id,))
        codes = new_recovery_codes()
        for code in codes:
            await transaction.execute(
                "INSERT INTO recovery_codes (code_hash, user_id) VALUES (?, ?)",
                (hash_secret(code.replace("-", "")), user_id),
            )
        return codes
