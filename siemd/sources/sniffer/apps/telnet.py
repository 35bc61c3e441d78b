"""Telnet: the user's name and how the login went, told by the words of both sides; the password is dropped at once."""

from __future__ import annotations

import re

from siemd.sources.sniffer.apps.dissector import Dissector, Peers
from siemd.sources.sniffer.apps.gathering import Gathering
from siemd.sources.sniffer.apps.text import text

MAX_USER = 128
_KEPT = 256  # of what the server said last

_OPTIONS = re.compile(rb"\xff(?:[\xfb-\xfe].?|\xfa.*?(?:\xff\xf0|$)|[^\xfa-\xff]|$)", re.DOTALL)
_ASKS_USER = re.compile(rb"(?:login|user ?name|user)\s*:\s*$", re.IGNORECASE)
_ASKS_PASSWORD = re.compile(rb"pass(?:word|code)[^:\n]{0,64}:\s*$", re.IGNORECASE)
_REFUSES = re.compile(rb"incorrect|failed|invalid|denied|bad (?:password|user)|wrong", re.IGNORECASE)
_WELCOMES = re.compile(rb"last login|welcome|[$#>%]\s*$", re.IGNORECASE)


class TelnetDissector(Dissector):
    """Waits for the questions of a login (RFC 854 streams, options dropped)."""

    service = "telnet"

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._said = b""
        self._typed = b""
        self._asked = ""  # user or password: what the server waits for
        self._user = ""
        self._waiting = False
        self._heard_client = False

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._said) + len(self._typed)

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """What one side says."""
        data = _OPTIONS.sub(b"", data)
        if not data:
            return
        if from_client:
            self._heard_client = True
            self._types(data)
        else:
            self._said = (self._said + data)[-_KEPT:]
            self._hears(time_us)

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """Whatever was being typed is not known any more."""
        self._typed = b""

    def close(self, time_us: int) -> None:
        """A server hangs up after the last wrong guess."""
        if self._waiting:
            self._state("unknown", time_us)

    def _types(self, data: bytes) -> None:
        if not self._asked:
            return
        self._typed = (self._typed + data)[-_KEPT:]
        end = re.search(rb"[\r\n]", self._typed)
        if end is None:
            return
        if self._asked == "user":
            self._user = text(_erased(self._typed[: end.start()]), MAX_USER)
        else:
            self._waiting = True
        self._typed, self._asked, self._said = b"", "", b""

    def _hears(self, time_us: int) -> None:
        said = self._said
        if not self._heard_client and _REFUSES.search(said):
            self._waiting, self._said = True, b""  # only the server's side is seen: a login failed all the same
        if self._waiting and _REFUSES.search(said):
            self._state("failure", time_us)
        asks_user = _ASKS_USER.search(said) and not re.search(rb"last login:\s*$", said, re.IGNORECASE)
        if asks_user or _ASKS_PASSWORD.search(said):
            if self._waiting:
                self._state("failure", time_us)  # asked again
            self._asked, self._typed = "user" if asks_user else "password", b""
        elif self._waiting and _WELCOMES.search(said):
            self._state("success", time_us)
            self.done = True
            self._said = self._typed = b""

    def _state(self, outcome: str, time_us: int) -> None:
        self._waiting = False
        self.gathering.login(self.peers, "telnet", outcome, self._user, "password", True, time_us)


def _erased(typed: bytes) -> bytes:
    """What is left of it after backspaces."""
    kept = bytearray()
    for code in typed:
        if code in (8, 127):
            del kept[-1:]
        elif code >= 32:
            kept.append(code)
    return bytes(kept)
