"""RDP: connections by their first request; how the login went is hidden by TLS, so only its shape is told."""

from __future__ import annotations

from siemd.sources.sniffer.apps.dissector import Dissector, Peers
from siemd.sources.sniffer.apps.gathering import Gathering
from siemd.sources.sniffer.apps.text import text
from siemd.sources.sniffer.apps.tls import TlsDissector

# A login that network level authentication refuses ends within seconds, and before the server has sent more than its
# certificate and the challenge; a session begins with tens of kilobytes of settings and pictures.
SHORT_US = 20_000_000
SHORT_BYTES = 8_192
MAX_USER = 128

_COOKIE = b"Cookie: mstshash="


class RdpDissector(Dissector):
    """Counts what the server sends until the connection ends or is a session.

    `failure` is a guess by the shape: it asked for a login by TLS or CredSSP (or named a user), was answered, and ended
    as a refused one does. A success is never told, since a session can't be told from a login screen.
    """

    service = "rdp"

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._request = b""
        self._begun_us = 0
        self._answered = 0
        self._user = ""
        self._asked = False
        self._tls: TlsDissector | None = TlsDissector(peers, gathering) if gathering.reads_tls else None

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._request) + (self._tls.held if self._tls else 0)

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """The client's connection request, then a count."""
        self._begun_us = self._begun_us or time_us
        if not from_client:
            self._count(len(data), time_us)
        elif not self._asked:
            self._request += data
            size = int.from_bytes(self._request[2:4], "big")
            if len(self._request) >= 4 and (len(self._request) >= size or len(self._request) > 1024):
                self._asked = True
                self._user = _user(self._request[:size])
                self._request = b""
        elif self._tls is not None:
            self._tls.data(True, data, time_us)
            if self._tls.done:
                self._tls = None

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """Counted as what it would be."""
        if from_client:
            self._tls = None
        else:
            self._count(size, time_us)

    def _count(self, size: int, time_us: int) -> None:
        self._answered += size
        if self._answered > SHORT_BYTES or time_us - self._begun_us > SHORT_US:
            self.done = True
            if self._asked:
                self._state("unknown", time_us)

    def close(self, time_us: int) -> None:
        """The connection ended early."""
        if not self._asked or self.done:
            return
        self.done = True
        if self._answered > 19:  # more than the answer to the connection request
            self._state("failure", time_us)

    def _state(self, outcome: str, time_us: int) -> None:
        self.gathering.login(self.peers, "rdp", outcome, self._user, "", False, time_us)


def _user(request: bytes) -> str:
    """The user that the request names for load balancers (MS-RDPBCGR 2.2.1.1); clients cut it to 9 characters."""
    _, found, rest = request.partition(_COOKIE)
    return text(rest.split(b"\r\n", 1)[0], MAX_USER) if found else ""
