"""A webhook: a JSON document sent by HTTP POST, signed as Standard Webhooks says, to the configured address alone.

Written on http.client: it follows no redirects, heeds no proxy variables and reads no more than it is told to, and
costs nothing to import, whereas httpx would have to be talked out of each of these.
Signature: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from siemd import __version__
from siemd.events import iso_time, now_us
from siemd.notify.base import Message, Mistake, Undelivered
from siemd.notify.connect import cut, is_loopback, tls_context, unreached
from siemd.notify.text import tame
from siemd.units import Seconds

MAX_ANSWER_BYTES = 4096
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = ("host", "content-length", "content-type", "transfer-encoding", "connection")
_OF_MESSAGE = (400, 406, 409, 411, 413, 414, 415, 422, 431)  # another message may be taken


class WebhookConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="channel", tag="webhook"):
    """A JSON document sent by HTTP POST, signed, to one address."""

    url: Annotated[str, Meta(description="Where to send it, https://…; http:// needs `plain`.", min_length=1)]
    secret: Annotated[
        str,
        Meta(
            description="The key of the signature (HMAC-SHA256), as ${NAME} from the environment; `whsec_…` is read as "
            "base64. Empty: not signed."
        ),
    ] = ""
    headers: Annotated[
        dict[str, str], Meta(description="Further headers, such as Authorization: Bearer ${TOKEN}.")
    ] = {}
    ca: Annotated[str, Meta(description="A PEM file of the authority that signed the server's certificate.")] = ""
    plain: Annotated[bool, Meta(description="Whether http:// may leave this machine, where others can read it.")] = (
        False
    )
    timeout_s: Annotated[Seconds, Meta(description="How long the server may take for one message.")] = msgspec.field(
        name="timeout", default=Seconds(30)
    )

    def mistakes(self) -> Iterator[Mistake]:
        """An address that is none, a key that can't be read, headers that would break the request."""
        try:
            parts = urlsplit(self.url)
            host, _port = parts.hostname or "", parts.port
        except ValueError as error:
            yield "url", f"not an address: {error}", "write https://host.example/path"
            return
        if parts.scheme not in ("https", "http") or not host or not _is_plain(self.url):
            yield "url", "not an address for HTTP", "write https://host.example/path, special characters encoded"
        elif parts.username is not None or parts.password is not None:
            yield "url", "a name or password in the address would end up in logs", "write an Authorization header"
        elif parts.scheme == "http" and not self.plain and not is_loopback(host):
            yield "url", "over http:// others can read what is told", "write https://, or `plain: true`"
        try:
            key_of(self.secret)
        except ValueError:
            yield "secret", "after `whsec_` comes base64, which this is not", "copy it as the receiver shows it"
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _RESERVED or name.lower().startswith("webhook-"):
                yield "headers", f"{name[:60]!r} can't be set here", ""
            elif not _is_plain(value.replace(" ", "")):
                yield "headers", f"the value of {name} holds what a header can't", "use printable ASCII"


class Webhook:
    """Sends each message over a connection of its own."""

    Config: ClassVar[type[msgspec.Struct]] = WebhookConfig

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        self._url = urlsplit(config.url)
        self._socket: socket.socket | None = None
        self._where = self._url.netloc
        self.description = f"webhook {self._url.scheme}://{self._where}"  # a path often holds a token

    def send(self, message: Message) -> str:
        """POST the message; taken when the answer is 2xx."""
        import http.client

        body = document(message)
        headers = signed(message.uid, now_us() // 1_000_000, body, self._config.secret) | self._config.headers
        connection = self._connection(self._url)
        try:
            connection.connect()
            self._socket = connection.sock
            connection.request("POST", _target(self._url), body, headers)
            answer = connection.getresponse()
            said = tame(answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace").strip(), 200)
        except http.client.HTTPException as error:
            if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
                raise unreached(EOFError(), self._where) from None
            raise Undelivered(f"{self._where} does not answer in HTTP: {type(error).__name__}") from None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise unreached(error, self._where) from None
        finally:
            self._socket = None
            connection.close()
        return self._judge(answer.status, answer.reason or "", said, answer.getheader("Retry-After") or "")

    def ready(self) -> None:
        """Read the TLS files."""
        tls_context(self._config.ca)

    def abort(self) -> None:
        """Cut the connection."""
        cut(self._socket)

    def _connection(self, url: SplitResult) -> Any:
        import http.client

        timeout_s, host = float(self._config.timeout_s), url.hostname or ""
        if url.scheme == "http":
            return http.client.HTTPConnection(host, url.port, timeout=timeout_s)
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=tls_context(self._config.ca))

    def _judge(self, status: int, reason: str, said: str, retry_after: str) -> str:
        answer = f"{status} {tame(reason, 60)}".strip()
        if 200 <= status < 300:
            return f"{self._where} answered {answer}"
        told = f"{self._where} answered {answer}" + (f": {said}" if said else "")
        if 300 <= status < 400:
            raise Undelivered(told, "redirects are not followed: write the address it leads to into `url`")
        hints = {401: "check secret and headers", 403: "check secret and headers", 404: "check the path in `url`"}
        retry_s = float(retry_after) if re.fullmatch(r"\d{1,6}", retry_after) else 0.0
        raise Undelivered(told, hints.get(status, ""), of_message=status in _OF_MESSAGE, retry_s=retry_s)


def document(message: Message) -> bytes:
    """The body: what a person reads, and each incident for a program."""
    return msgspec.json.encode(
        {
            "type": "siemd.test" if message.test else "siemd.incidents",
            "id": message.uid,
            "time": iso_time(message.time_us),
            "host": message.host,
            "route": message.route,
            "level": message.level,
            "subject": message.subject,
            "text": message.text,
            "total": message.total,
            "incidents": message.incidents,
        }
    )


def signed(uid: str, time_s: int, body: bytes, secret: str) -> dict[str, str]:
    """The headers: the id for telling repetitions, the time, and the signature over both and the body."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"siemd/{__version__}",
        "webhook-id": uid,
        "webhook-timestamp": str(time_s),
    }
    if secret:
        digest = hmac.new(key_of(secret), f"{uid}.{time_s}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def key_of(secret: str) -> bytes:
    """The key that a configured secret stands for; ValueError when it is broken."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _is_plain(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
