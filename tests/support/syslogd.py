"""A syslog receiver over UDP, TCP (octet counting) or TLS that reads frames as strictly as the RFCs allow."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from typing import NamedTuple

from support.certificates import Certificates

_HEADER = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) "
    rb"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
)
_ELEMENT = re.compile(rb'\[([!#-<>-\\^-~]{1,32})((?: [!#-<>-\\^-~]{1,32}="(?:\\[\\"\]]|[^\\"\]])*")*)\]')
_PARAM = re.compile(rb' ([!#-<>-\\^-~]{1,32})="((?:\\[\\"\]]|[^\\"\]])*)"')


class Record(NamedTuple):
    """A message by RFC 5424."""

    priority: int
    host: str
    app: str
    kind: str
    data: dict[str, str]
    text: str


def parse(data: bytes) -> Record:
    """Read one message; an AssertionError when it is not what RFC 5424 says."""
    head = _HEADER.match(data)
    assert head, data[:200]
    element = _ELEMENT.match(data, head.end())
    assert element, data[head.end() :][:300]
    rest = data[element.end() :]
    assert rest.startswith(b" \xef\xbb\xbf"), rest[:20]
    values = {
        name.decode(): re.sub(rb'\\(["\\\]])', rb"\1", value).decode() for name, value in _PARAM.findall(element[2])
    }
    text = rest[4:].decode("utf-8")
    return Record(int(head[1]), head[3].decode(), head[4].decode(), head[6].decode(), values, text)


def frames(data: bytes) -> list[bytes]:
    """The messages of a stream by octet counting; an AssertionError for anything between them."""
    found = []
    while data:
        length, space, data = data.partition(b" ")
        assert space and re.fullmatch(rb"[1-9]\d*", length), length[:40]
        assert len(data) >= int(length), "a frame that is cut"
        found.append(data[: int(length)])
        data = data[int(length) :]
    return found


class Syslogd:
    """Listens on a free port. `broken`: how many connections are still reset before they are read."""

    def __init__(self, transport: str, certificates: Certificates | None = None, port: int = 0) -> None:
        self.records: list[Record] = []
        self.broken = 0
        self._context: ssl.SSLContext | None = None
        if certificates is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificates.cert, certificates.key)
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.05)
        self.port = int(self._socket.getsockname()[1])
        self._ended = threading.Event()
        target = self._datagrams if transport == "udp" else self._connections
        if transport != "udp":
            self._socket.listen(8)
        self._thread = threading.Thread(target=target, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        self._socket.close()

    def __enter__(self) -> Syslogd:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _datagrams(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(65536)
                assert len(data) <= 2048
                self.records.append(parse(data))

    def _connections(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _address = self._socket.accept()
            except TimeoutError:
                continue
            connection.settimeout(10)
            if self.broken:
                self.broken -= 1
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
                continue
            with contextlib.suppress(OSError):
                self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        with connection if self._context is None else self._context.wrap_socket(connection, server_side=True) as sock:
            data = b""
            while part := sock.recv(65536):
                data += part
            self.records += [parse(frame) for frame in frames(data)]
            if isinstance(sock, ssl.SSLSocket):
                sock.unwrap()
