"""Slows whoever guesses: by account and by address, longer with each failure, remembered in the store.

A try is counted before the password is looked at, in one transaction, so that a thousand tries at once are a thousand
tries. A right password gives its try back. Unknown names are counted as known ones are, so they can't be told apart.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any, NamedTuple

from siemd.events import now_us
from siemd.storage.database import Database, Transaction
from siemd.storage.reading import time_us
from siemd.storage.tables import time_text

FORGET_S = 86_400  # failures older than that count no more
MOST_SUBJECTS = 20_000
NOT_BLOCKED_US = 0  # and not the time of the try, which another one at the same time may have been before


class Rule(NamedTuple):
    """free: failures without a delay; then the delay doubles with each, from first_s to most_s."""

    free: int
    first_s: float
    most_s: float

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures."""
        over = failures - self.free
        return 0.0 if over < 0 else min(self.most_s, self.first_s * 2.0 ** min(over, 30))


# Somebody else's failures must not lock a person out for long, so an account's delay ends at five minutes.
ACCOUNT = Rule(free=5, first_s=2.0, most_s=300.0)
ADDRESS = Rule(free=20, first_s=2.0, most_s=3600.0)


class Throttled(Exception):
    """Too many failures: nothing was looked at. retry_s: when the next try is taken."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"again in {retry_s} s")
        self.retry_s = retry_s


class Throttle:
    """Counts tries in the table login_attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, account: str, address: str) -> None:
        """Count a try of an address at an account as failed; raises Throttled while either has to wait."""
        now = now_us()
        async with self._database.transaction() as transaction:
            rows = []
            for subject, rule in _rules(account, address):
                row = await self._locked(transaction, subject, now)
                rows.append((subject, rule, int(row["failures"]) + 1, time_us(row["blocked_until"]) - now))
            wait_us = max(wait_us for *_others, wait_us in rows)
            if wait_us > 0:
                raise Throttled(max(1, -(-wait_us // 1_000_000)))  # and nothing is written
            for subject, rule, failures, _wait_us in rows:
                delay_s = rule.delay_s(failures)
                until = now + int(delay_s * 1e6) if delay_s else NOT_BLOCKED_US
                await transaction.execute(
                    "UPDATE login_attempts SET failures = ?, last_failed = ?, blocked_until = ? WHERE subject = ?",
                    (failures, time_text(now), time_text(until), subject),
                )

    async def succeeded(self, transaction: Transaction, account: str, address: str) -> None:
        """The try was right: the account starts anew, and the address gets this try back.

        Only this one, so that nobody washes guesses clean with an account of his own.
        """
        (account_subject, _), (address_subject, _) = _rules(account, address)
        await transaction.execute("DELETE FROM login_attempts WHERE subject = ?", (account_subject,))
        await self._give_back(transaction, address_subject)

    async def forgive(self, transaction: Transaction, account: str, address: str) -> None:
        """The try was no guess; it does not count, but those before it do."""
        for subject, _rule in _rules(account, address):
            await self._give_back(transaction, subject)

    async def _give_back(self, transaction: Transaction, subject: str) -> None:
        await transaction.execute(
            "UPDATE login_attempts SET failures = failures - 1, blocked_until = ? WHERE subject = ? AND failures > 0",
            (time_text(NOT_BLOCKED_US), subject),
        )

    async def prune(self) -> int:
        """Remove what counts no more and, beyond MOST_SUBJECTS, what failed longest ago; how many rows went."""
        removed = await self._database.execute(
            "DELETE FROM login_attempts WHERE last_failed < ?", (time_text(now_us() - FORGET_S * 1_000_000),)
        )
        rows = await self._database.fetch(
            "SELECT last_failed FROM login_attempts ORDER BY last_failed DESC LIMIT 1 OFFSET ?", (MOST_SUBJECTS,)
        )
        if rows:
            removed += await self._database.execute(
                "DELETE FROM login_attempts WHERE last_failed <= ?", (rows[0]["last_failed"],)
            )
        return removed

    async def _locked(self, transaction: Transaction, subject: str, now: int) -> dict[str, Any]:
        """A subject's row, made if there is none, and kept from others until the transaction ends."""
        again = "ON CONFLICT (subject) DO UPDATE SET failures = failures"
        if self._database.dialect == "mysql":
            again = "ON DUPLICATE KEY UPDATE failures = failures"
        await transaction.execute(
            f"INSERT INTO login_attempts (subject, failures, last_failed, blocked_until) VALUES (?, 0, ?, ?) {again}",  # noqa: S608
            (subject, time_text(now), time_text(NOT_BLOCKED_US)),
        )
        rows = await transaction.fetch(
            "SELECT failures, last_failed, blocked_until FROM login_attempts WHERE subject = ?", (subject,)
        )
        if time_us(rows[0]["last_failed"]) < now - FORGET_S * 1_000_000:
            rows[0]["failures"] = 0
        return rows[0]


def _rules(account: str, address: str) -> list[tuple[str, Rule]]:
    """The subjects of a try. The name is hashed: people type passwords where names belong."""
    name = hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return [(f"account:{name}", ACCOUNT), (f"address:{address_group(address)}", ADDRESS)]


def address_group(address: str) -> str:
    """What counts as one address: IPv4 itself, of IPv6 the /64 that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
