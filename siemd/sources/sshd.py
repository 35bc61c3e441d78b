"""Reads sshd's log lines about logins: who, from where, how, how often, and whether it worked.

A user name is whatever a client sends, so it may imitate the rest of the line (`root from 1.2.3.4 port 22 ssh2`).
sshd writes the address after the name, so every pattern binds address and port to the *end* of the line and lets
the name take all that stands before. PAM writes the name last, so there the pattern binds to the beginning.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import msgspec

MAX_LINE_CHARS = 4_096
MAX_REPEATS = 100_000


class Login(msgspec.Struct, kw_only=True, frozen=True):
    """What one line says about a login.

    outcome: `failure` or `success` of `attempts` tries; `none` (0 attempts) for a line that names a user and an
    address but is no try of its own, so that each try counts once: sshd writes `Invalid user` and `Connection closed`
    beside `Failed`. method: password, publickey, keyboard-interactive/pam ... source_ip: "" when it is ambiguous.
    """

    outcome: str
    user_name: str
    source_ip: str
    source_port: int | None = None
    method: str = ""
    attempts: int = 0
    invalid_user: bool = False

    def fields(self) -> dict[str, Any]:
        """The names that rules use, the same as those of the wire's `ssh_auth` fact."""
        fields: dict[str, Any] = {"event_type": "ssh_auth", "outcome": self.outcome, "attempts": self.attempts}
        fields["user_name"] = self.user_name
        if self.source_ip:
            fields["source_ip"] = self.source_ip
        if self.source_port is not None:
            fields["source_port"] = self.source_port
        if self.method:
            fields["method"] = self.method
        if self.invalid_user:
            fields["invalid_user"] = "true"
        return fields


_ADDRESS = r"(?P<ip>[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z._-]{1,16})?)"
_PORT = r" port (?P<port>\d{1,5})"
_KEY = r"[A-Z0-9-]{2,40} (?:SHA256:[0-9A-Za-z+/=]{40,44}|(?:MD5:)?[0-9a-f:]{47})"
_CERTIFICATE = rf"{_KEY} ID .*\(serial \d{{1,20}}\) CA {_KEY}"
_TRIED = re.compile(
    r"(?P<word>Failed|Accepted) (?P<method>[a-z-]{1,32}(?:/[a-z0-9-]{1,32})?) for (?P<invalid>invalid user )?"
    rf"(?P<user>.*) from {_ADDRESS}{_PORT} ssh[12](?:: (?P<key>{_KEY}|{_CERTIFICATE}))?",
    re.DOTALL,
)
_TRIED_FIRST = re.compile(_TRIED.pattern.replace("(?P<user>.*)", "(?P<user>.*?)"), re.DOTALL)
_PAM_FAILURE = r"(?:pam_[a-z0-9_]{1,32}\([a-z-]{1,32}:auth\): authentication|PAM \d+ more authentication) failures?"
_PAM_DETAILS = rf"; logname=\S* uid=\d* euid=\d* tty=\S* ruser=\S* rhost={_ADDRESS}(?: +user=(?P<user>.*))?"
_WHO = r"(?:authenticating|(?P<invalid>invalid)) user (?P<user>.*)"
_EXCEEDED = r"maximum authentication attempts exceeded for (?P<invalid>invalid user )?(?P<user>.*)"
_PAM_ERROR = r"PAM: [A-Z][A-Za-z' ]{1,80} for (?P<invalid>illegal user )?(?P<user>.*)"
_NAMED = tuple(
    re.compile(pattern + r"(?: \[preauth\])?", re.DOTALL)
    for pattern in (
        rf"(?P<invalid>Invalid user )(?P<user>.*) from {_ADDRESS}(?:{_PORT})?",
        rf"(?:Connection (?:closed|reset) by|Disconnected from) {_WHO} {_ADDRESS}{_PORT}",
        rf"Disconnecting {_WHO} {_ADDRESS}{_PORT}: Too many authentication failures",
        rf"{_EXCEEDED} from {_ADDRESS}{_PORT} ssh[12]",
        rf"{_PAM_ERROR} from {_ADDRESS}(?:{_PORT})?",
        _PAM_FAILURE + _PAM_DETAILS,
    )
)
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ ?(.*)\]", re.DOTALL)


def parse_sshd(message: str) -> Login | None:
    """What a line of sshd's says about a login, None when it is about something else. Pure; never raises."""
    if len(message) > MAX_LINE_CHARS:
        return None
    message = message.strip()
    repeats = 1
    if repeated := _REPEATED.fullmatch(message):
        repeats = min(int(repeated[1]), MAX_REPEATS)
        message = repeated[2].strip()
    message = message.removeprefix("error: ")
    if match := _TRIED.fullmatch(message):
        return _tried(match, message, repeats)
    for pattern in _NAMED:
        if match := pattern.fullmatch(message):
            return _login(match, "none", 0)
    return None


def _tried(match: re.Match[str], message: str, repeats: int) -> Login | None:
    if match["word"] == "Failed" and match["method"] == "none":  # how clients ask which methods there are
        return _login(match, "none", 0, "none")
    outcome = "success" if match["word"] == "Accepted" else "failure"
    # The identity in a certificate is the client's text too, and stands behind the address: when name and identity
    # leave two readings, the line blames nobody.
    first = _TRIED_FIRST.fullmatch(message) if match["key"] else match
    login = _login(match, outcome, repeats, match["method"])
    if login is not None and first is not None and first["user"] != match["user"]:
        return Login(outcome=outcome, user_name="", source_ip="", method=match["method"], attempts=repeats)
    return login


def _login(match: re.Match[str], outcome: str, attempts: int, method: str = "") -> Login | None:
    groups = match.groupdict()
    port = int(groups["port"]) if groups.get("port") else None
    try:
        address = ipaddress.ip_address(match["ip"].partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if port is not None and port > 65535:
        return None
    return Login(
        outcome=outcome,
        user_name=(match["user"] or "")[:256],
        source_ip=str(address),
        source_port=port,
        method=method,
        attempts=attempts,
        invalid_user=bool(groups.get("invalid")),
    )
