"""Who acts: the somebody behind a request, and how the audit log names whoever did something."""

from __future__ import annotations

from typing import Literal

import msgspec

from siemd.web.access.roles import Right


class Actor(msgspec.Struct, frozen=True):
    """Who did something, for the audit log. kind: a session, a token, the command line, siemd, nobody yet."""

    name: str
    kind: Literal["session", "token", "cli", "siemd", "nobody"]
    address: str = ""
    request_id: str = ""


class Principal(msgspec.Struct, frozen=True):
    """Somebody who is logged in. step_up: when the password was last given; session_id or token_id is set."""

    user_id: str
    name: str
    role: str
    rights: frozenset[Right]
    kind: Literal["session", "token"]
    session_id: str = ""
    token_id: str = ""
    step_up: str = ""

    def may(self, right: Right) -> bool:
        """Whether a right is theirs."""
        return right in self.rights
