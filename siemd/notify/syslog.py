"""Syslog: RFC 5424 messages over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425)."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from siemd.events import iso_time
from siemd.notify.base import Message, Mistake
from siemd.notify.connect import cut, tls_context, unreached
from siemd.notify.text import tame
from siemd.units import Seconds

MAX_DATAGRAM = 2048  # what a receiver should take (RFC 5426, 3.2)
MAX_MESSAGE = 8192
MAX_VALUE = 500
CLOSE_WAIT_S = 3.0
ICMP_WAIT_S = 0.2
SD_ID = "siemd@32473"  # the number that RFC 5612 keeps for those without one of their own
_SEVERITY = {"critical": 2, "high": 3, "medium": 4, "low": 5, "informational": 6}
_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_NOT_IN_HEADER = re.compile(r"[^!-~]")
_NOT_IN_NAME = re.compile(r'[^!-~]|[=\]"]')
Facility = Literal[
    "user", "daemon", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
]
_FACILITIES = {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10} | {f"local{n}": 16 + n for n in range(8)}


class SyslogConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="channel", tag="syslog"):
    """A syslog receiver, RFC 5424."""

    host: Annotated[str, Meta(description="The receiver's name or address.", min_length=1)]
    transport: Annotated[
        Literal["udp", "tcp", "tls"],
        Meta(description="udp never tells whether a message arrived; tcp counts octets; tls checks the certificate."),
    ] = "udp"
    port: Annotated[int, Meta(description="Its port; 0: 514 for udp, 601 for tcp, 6514 for tls.", ge=0, le=65535)] = 0
    facility: Annotated[Facility, Meta(description="What the messages count to.")] = "authpriv"
    ca: Annotated[str, Meta(description="A PEM file of the authority that signed the receiver's certificate.")] = ""
    cert: Annotated[str, Meta(description="A PEM file with a certificate of our own, if the receiver wants one.")] = ""
    key: Annotated[str, Meta(description="The PEM file of its key.")] = ""
    timeout_s: Annotated[Seconds, Meta(description="How long the receiver may take for one message.")] = msgspec.field(
        name="timeout", default=Seconds(30)
    )

    def mistakes(self) -> Iterator[Mistake]:
        """TLS files without TLS."""
        for name in ("ca", "cert", "key"):
            if getattr(self, name) and self.transport != "tls":
                yield name, f"`{name}` is for `transport: tls`", "set that, or take it out"


class Syslog:
    """Sends each message as one frame, over a connection of its own where there are connections."""

    Config: ClassVar[type[msgspec.Struct]] = SyslogConfig

    def __init__(self, config: SyslogConfig) -> None:
        self._config = config
        self._port = config.port or _PORTS[config.transport]
        self._where = f"{config.host}:{self._port}"
        self._socket: socket.socket | None = None
        self.description = f"syslog {self._where} over {config.transport}"

    def send(self, message: Message) -> str:
        """Send one message."""
        facility = _FACILITIES[self._config.facility]
        try:
            if self._config.transport == "udp":
                self._datagram(encode(message, facility, MAX_DATAGRAM))
                return f"sent to {self._where}; whether it arrived, udp does not tell"
            return self._stream(octet_counted(encode(message, facility, MAX_MESSAGE)))
        except (OSError, ssl.SSLError, ValueError) as error:
            raise unreached(error, self._where) from None
        finally:
            self._socket = None

    def ready(self) -> None:
        """Read the TLS files."""
        tls_context(self._config.ca, cert=self._config.cert, key=self._config.key)

    def abort(self) -> None:
        """Cut the connection."""
        cut(self._socket)

    def _datagram(self, data: bytes) -> None:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            self._config.host, self._port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.connect(address)
            sock.send(data)
            sock.settimeout(ICMP_WAIT_S)
            with contextlib.suppress(TimeoutError):  # a host that has no receiver may say so
                sock.recv(1)

    def _stream(self, frame: bytes) -> str:
        """Send, then end our side and wait for the other's end: a receiver that ends in order has read it all."""
        config, deadline_s = self._config, time.monotonic() + float(self._config.timeout_s)
        tls = tls_context(config.ca, cert=config.cert, key=config.key) if config.transport == "tls" else None
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(socket.create_connection((config.host, self._port), float(config.timeout_s)))
            self._socket = raw
            if tls is None:
                raw.sendall(frame)
                raw.shutdown(socket.SHUT_WR)
                ended = _read_end(raw, deadline_s)
            else:
                secure: Any = stack.enter_context(tls.wrap_socket(raw, server_hostname=config.host))
                self._socket = secure
                secure.sendall(frame)
                ended = _unwrap(secure, deadline_s)
        return f"taken by {self._where}" if ended else f"sent to {self._where}, which left the connection open"


def encode(message: Message, facility: int, most_bytes: int) -> bytes:
    """The message as RFC 5424 says, at most so many bytes; whatever the values hold, it is one line of one message."""
    first = message.incidents[0] if message.incidents else {}
    data: dict[str, object] = {"id": message.uid, "route": message.route, "level": message.level}
    data |= {key: first[key] for key in ("kind", "rule", "incident_id", "count") if key in first}
    if message.total != 1:
        data["incidents"] = message.total
    priority = facility * 8 + _SEVERITY.get(message.level, 6)
    kind = "test" if message.test else "incident"
    head = f"<{priority}>1 {iso_time(message.time_us)} {header(message.host, 255)} siemd {os.getpid()} {kind} "
    start = f"{head}{structured(SD_ID, data)} ".encode() + b"\xef\xbb\xbf"
    text = tame(message.text.replace("\n", " | "), MAX_MESSAGE)
    return _cut(start + text.encode("utf-8", "replace"), most_bytes)


def header(value: str, most: int) -> str:
    """A header field: printable ASCII without spaces, `-` when nothing is left."""
    return _NOT_IN_HEADER.sub("_", value[:most]) or "-"


def structured(sd_id: str, values: dict[str, object]) -> str:
    """One element of structured data; quotes, backslashes and brackets in values are escaped."""
    parts = []
    for name, value in values.items():
        text = re.sub(r'(["\\\]])', r"\\\1", tame(value, MAX_VALUE))
        parts.append(f' {_NOT_IN_NAME.sub("_", name[:32]) or "_"}="{text}"')
    return f"[{_NOT_IN_NAME.sub('_', sd_id[:32])}{''.join(parts)}]"


def octet_counted(message: bytes) -> bytes:
    """A frame for TCP and TLS: the length tells where it ends, not what is in it."""
    return b"%d " % len(message) + message


def _cut(data: bytes, most_bytes: int) -> bytes:
    """At most so many bytes, none of them half a character."""
    return data if len(data) <= most_bytes else data[:most_bytes].decode("utf-8", "ignore").encode()


def _read_end(sock: socket.socket, deadline_s: float) -> bool:
    """Whether the other side ended the connection in order; raises ConnectionError when it broke it off."""
    sock.settimeout(max(0.05, min(CLOSE_WAIT_S, deadline_s - time.monotonic())))
    try:
        while sock.recv(4096):
            if time.monotonic() > deadline_s:
                return False
    except TimeoutError:
        return False
    return True


def _unwrap(sock: ssl.SSLSocket, deadline_s: float) -> bool:
    sock.settimeout(max(0.05, min(CLOSE_WAIT_S, deadline_s - time.monotonic())))
    try:
        sock.unwrap()
    except TimeoutError:
        return False
    except ssl.SSLEOFError:  # closed without saying so in TLS: as many receivers do, and all was read
        return True
    return True
