"""Random secrets that are handed out once, and the hashes by which the store knows them again."""

from __future__ import annotations

import hashlib
import re
import secrets

TOKEN_PREFIX = "siemd_"  # noqa: S105 - so that scanners of leaked secrets know what they found
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}")
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]{1,200})")


def new_id() -> str:
    """A name for a row that tells nothing and cannot be guessed: 16 hex digits."""
    return secrets.token_hex(8)


def new_secret() -> str:
    """256 random bits that fit into an address and a cookie: 43 characters."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """A secret for programs, which shows what it is."""
    return TOKEN_PREFIX + new_secret()


def hash_secret(secret: str) -> str:
    """What the store keeps of a random secret. It needs no salt and no slow hash: there is nothing to guess from."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def bearer_token(header: str) -> str | None:
    """The API token in an Authorization header; None when there is none that could be one."""
    match = _BEARER.fullmatch(header.strip())
    return match[1] if match and _TOKEN.fullmatch(match[1]) else None
