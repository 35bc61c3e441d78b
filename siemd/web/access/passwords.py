"""Passwords: what may be one, and argon2id off the event loop, a bounded number at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TypeVar

import argon2
import argon2.exceptions

from siemd.errors import UserError

T = TypeVar("T")

# RFC 9106 and OWASP: 19 MiB and two passes. Two at once keep a flood of logins within 40 MiB and off the other core.
MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
AT_ONCE, MOST_WAITING = 2, 32
MOST_CHARACTERS = 256
_COMMON = frozenset(
    """
    123456789012 1234567890123 12345678901234 123456789123 012345678901 111111111111 000000000000 passwordpassword
    password1234 password12345 password123456 password123! p@ssw0rd1234 passw0rd1234 adminadminadmin administrator
    administrator1 administrator123 admin1234567 admin12345678 admin123456789 qwertyuiop123 qwertyuiopas qwerty123456
    qwertyqwerty qwertyuiop[] 1q2w3e4r5t6y 1qaz2wsx3edc 1qazxsw23edc zaq12wsxcde3 iloveyou1234 letmeinletmein
    letmein12345 welcome12345 welcome123456 changeme1234 changemechangeme changeme12345 correcthorsebatterystaple
    abcdefghijkl abcdefghijklm abcd12345678 abc123abc123 asdfghjkl123 asdfasdfasdf trustno1trustno1 footballfootball
    monkeymonkey dragondragon superman1234 sunshine1234 princess1234 baseball1234 whatever1234 test12345678 secret123456
    secretsecret rootrootroot toortoortoor siemdsiemdsiemd siemdadmin123 securityadmin defaultpassword temporarypassword
    """.split()  # noqa: SIM905 - one a line would be pages
)


class PasswordRefused(UserError):
    """A password that nobody should have."""


class TooBusy(Exception):
    """More passwords wait to be checked than is sane; come again."""


def check_password(password: str, name: str, least_characters: int) -> None:
    """Raise PasswordRefused for a password that is too short, too long or too easy; length is what counts."""
    plain = password.casefold()
    if len(password) < least_characters:
        raise PasswordRefused(
            f"the password has {len(password)} characters", f"take at least {least_characters}; four words are easy"
        )
    if len(password) > MOST_CHARACTERS:
        raise PasswordRefused("the password is too long", f"take at most {MOST_CHARACTERS} characters")
    if any(character < " " or character == "\x7f" for character in password):
        raise PasswordRefused("the password holds a control character", "take what a keyboard writes")
    if len(set(plain)) < 5 or plain in _COMMON or _is_run(plain):
        raise PasswordRefused("the password is among the first that are tried", "take another; four words are easy")
    if len(name) >= 3 and name.casefold() in plain and len(plain) < len(name) + least_characters:
        raise PasswordRefused("the password holds the user's name", "take one that does not")


def _is_run(text: str) -> bool:
    """Whether each character follows the one before by the same step, as in abcdef or 97531."""
    steps = {ord(second) - ord(first) for first, second in pairwise(text)}
    return len(steps) == 1


class Passwords:
    """Makes and checks hashes in threads of its own."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0
        self._dummy = ""

    async def hash(self, password: str) -> str:
        """The hash to store. Raises TooBusy."""
        return await self._run(partial(self._hasher.hash, password))

    async def verify(self, stored: str, password: str) -> bool:
        """Whether a password is the stored one. An empty `stored` (nobody) takes as long and is False."""
        return await self._run(partial(self._verify, stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with less effort than is now usual."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: partial[T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise TooBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _verify(self, stored: str, password: str) -> bool:
        if not stored and not self._dummy:
            self._dummy = self._hasher.hash("nobody has this password")
        try:
            self._hasher.verify(stored or self._dummy, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
        return bool(stored)
