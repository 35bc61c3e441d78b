"""The session's cookie: its name, how it is set, and how it is found among what a client sends."""

from __future__ import annotations

import re

from litestar.datastructures import Cookie

TLS_NAME = "__Host-siemd"  # a browser takes it only over TLS, for this host alone
PLAIN_NAME = "siemd_session"  # over plain HTTP, which only the loopback may use
OIDC_NAMES = {"https": "__Host-siemd-oidc", "http": "siemd_oidc"}  # of a login at an identity provider, under way
OIDC_S = 600
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")


def cookie_name(scheme: str) -> str:
    """The name of the session's cookie over `http` or `https`."""
    return TLS_NAME if scheme == "https" else PLAIN_NAME


def read_cookie(header: str, name: str) -> str | None:
    """The value of a cookie; None when it is missing, stands twice with different values, or can't be one of ours."""
    found: set[str] = set()
    for part in header.split(";"):
        key, separator, value = part.strip(" \t").partition("=")
        if separator and key == name:
            found.add(value)
    if len(found) != 1:
        return None
    value = found.pop()
    return value if _VALUE.fullmatch(value) else None


def set_cookie(scheme: str, value: str, max_age_s: int) -> str:
    """A Set-Cookie header. It is sent back to this host only, never from another site, and no script can read it."""
    secure = "; Secure" if scheme == "https" else ""
    return f"{cookie_name(scheme)}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}"


def clear_cookie(scheme: str) -> str:
    """A Set-Cookie header that removes it."""
    return set_cookie(scheme, "", 0)


def oidc_cookie(scheme: str, value: str) -> Cookie:
    """The cookie of a login at an identity provider, or what removes it (empty); it must come from another site."""
    return Cookie(
        key=OIDC_NAMES[scheme],
        value=value,
        path="/",
        max_age=OIDC_S if value else 0,
        secure=scheme == "https",
        httponly=True,
        samesite="lax",
    )
