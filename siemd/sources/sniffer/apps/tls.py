"""TLS: the server's name and the client's fingerprint out of the ClientHello, whole or in pieces."""

from __future__ import annotations

import msgspec

from siemd.sources.sniffer.apps.dissector import MAX_BUFFER, Dissector, Peers
from siemd.sources.sniffer.apps.gathering import Gathering
from siemd.sources.sniffer.apps.ja4 import ALPN, SERVER_NAME, SIGNATURES, VERSIONS, is_grease, ja4
from siemd.sources.sniffer.apps.text import text

MAX_NAME = 255

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_NAMES = {0x0304: "1.3", 0x0303: "1.2", 0x0302: "1.1", 0x0301: "1.0", 0x0300: "SSL 3.0"}


class Hello(msgspec.Struct, frozen=True):
    """What a ClientHello tells. version: the highest one offered, as text; alpn: the protocols offered."""

    server_name: str
    ja4: str
    version: str
    alpn: tuple[str, ...]


class TlsDissector(Dissector):
    """Collects the client's first handshake message; the server's bytes are not looked at."""

    service = "tls"

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._records = b""
        self._message = b""

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._records) + len(self._message)

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """The client's records; a message may go over several of them."""
        if not from_client:
            return
        self._records += data
        while len(self._records) >= 5 and not self.done:
            size = int.from_bytes(self._records[3:5], "big")
            if self._records[0] != _HANDSHAKE or not size:
                self.done = True
            elif len(self._records) < 5 + size:
                break
            else:
                self._message += self._records[5 : 5 + size]
                self._records = self._records[5 + size :]
                self._look(time_us)
        if self.held > MAX_BUFFER:
            self.done = True
        if self.done:
            self._records = self._message = b""

    def _look(self, time_us: int) -> None:
        message = self._message
        if message[0] != _CLIENT_HELLO:
            self.done = True
        elif len(message) >= 4 and len(message) >= (end := 4 + int.from_bytes(message[1:4], "big")):
            self.done = True
            hello = parse_hello(message[4:end])
            if hello is not None:
                self.gathering.tls_hello(self.peers, hello, time_us)

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """A hello with a hole tells nothing."""
        self.done = self.done or from_client


class _Reader:
    """Takes values off a byte string; what is not there raises IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise IndexError
        piece, self._at = self._data[self._at : end], end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """A byte string behind its length of so many bytes."""
        return self.take(self.number(size))


def parse_hello(body: bytes) -> Hello | None:
    """A ClientHello (RFC 8446, 4.1.2) without the header of the handshake message; None if it is none."""
    reader = _Reader(body)
    try:
        version = reader.number(2)
        reader.take(32)
        reader.vector(1)
        ciphers = _numbers(reader.vector(2))
        reader.vector(1)
        extensions = _extensions(reader.vector(2)) if reader else []
    except IndexError:
        return None
    values = dict(reversed(extensions))
    offered = [one for one in _numbers(values.get(VERSIONS, b"")[1:]) if not is_grease(one)]
    if offered:
        version = max(offered)
    alpn = _alpn(values.get(ALPN, b""))
    kinds = [kind for kind, _ in extensions]
    signatures = _numbers(values.get(SIGNATURES, b"")[2:])
    return Hello(
        _server_name(values.get(SERVER_NAME, b"")),
        ja4(version, ciphers, kinds, signatures, alpn[0] if alpn else b""),
        _NAMES.get(version, f"{version:#06x}"),
        tuple(text(name, 32) for name in alpn[:8]),
    )


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2)]


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    reader = _Reader(data)
    found = []
    while reader:
        found.append((reader.number(2), reader.vector(2)))
    return found


def _server_name(data: bytes) -> str:
    """The first host name of the extension (RFC 6066, 3)."""
    try:
        entries = _Reader(_Reader(data).vector(2))
        while entries:
            kind, name = entries.number(1), entries.vector(2)
            if kind == 0:
                return text(name, MAX_NAME).lower()
    except IndexError:
        pass
    return ""


def _alpn(data: bytes) -> list[bytes]:
    names: list[bytes] = []
    try:
        entries = _Reader(_Reader(data).vector(2))
        while entries:
            names.append(entries.vector(1))
    except IndexError:
        pass
    return names
