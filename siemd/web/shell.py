"""The outermost layer: it refuses what no handler should ever see, and dresses every answer.

Host, proxies, sizes, forged changes, time for the body, requests at once; request ids and security headers. It stands
around everything, so that no route can be outside of it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec

from siemd.logger import get_logger
from siemd.web.config import WebConfig
from siemd.web.cookies import PLAIN_NAME, TLS_NAME
from siemd.web.headers import Headers, with_security
from siemd.web.origin import Host, client_of, is_forged, is_known, known_hosts, parse_host
from siemd.web.problems import MEDIA_TYPE, Problem, Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_ONCE = frozenset(
    {"host", "origin", "authorization", "content-type", "content-length", "sec-fetch-site", "x-forwarded-proto"}
)


class Shell:
    """An ASGI application around another one."""

    def __init__(self, app: App, config: WebConfig) -> None:
        self._app = app
        self._config = config
        self._proxies = config.proxies()
        self._hosts = known_hosts(config.hosts)
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            return
        request = _Request(scope, receive, send, self._config)
        try:
            self._judge(request)
        except Refused as refused:
            await request.refuse(refused)
            return
        if self._working >= self._config.limits.requests and scope["type"] == "http":
            await request.refuse(Refused(503, "siemd is busy; come again", headers={"Retry-After": "1"}))
            return
        counts = scope["type"] == "http"  # a WebSocket stays for hours; connections are limited of themselves
        self._working += counts
        try:
            await self._app(scope, request.receive, request.send)
        except Exception as error:
            # Litestar answers for its own; what comes as far as here happened while an answer was under way.
            get_logger("siemd.web").error("web.bug", request_id=request.id, exc_info=error)
            if request.answering:
                raise  # the server cuts the connection, so that half an answer is not taken for a whole one
            await request.refuse(Refused(500, "siemd made a mistake; its log says more"))
        finally:
            self._working -= counts

    def _judge(self, request: _Request) -> None:
        """Refuse what is not for us, too large, or asked for by another site; note who asks."""
        scope, headers, limits = request.scope, request.headers, self._config.limits
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        peer: str = scope["client"][0] if scope.get("client") else ""
        client = client_of(peer, scheme, headers, self._proxies)
        scope["siemd_client"] = client
        request.tls = client.scheme == "https"
        if scope.get("http_version", "1.1") not in ("1.0", "1.1"):
            raise Refused(505, "siemd speaks HTTP/1.1", headers={"Connection": "close"})
        if request.header_bytes > limits.header_bytes:
            detail = f"the request's line and headers have more than {limits.header_bytes}"
            raise Refused(431, detail, headers={"Connection": "close"})
        if twice := next((name for name in _ONCE if name in request.repeated), None):
            raise Refused(400, f"the header {twice} stands more than once")
        host = parse_host(headers.get("host", ""))
        if host is None:
            raise Refused(400, "the header Host is missing, or names no host")
        if not is_known(host, self._hosts):
            raise Refused(421, f"siemd does not answer as {host.name[:100]}; if it should, name it in web.hosts")
        if self._config.behind_tls_proxy and not (client.trusted and request.tls):
            raise Refused(403, "siemd is to be reached by TLS only, through its proxy")
        if len(scope["query_string"]) > limits.query_bytes:
            raise Refused(414, f"the query has more than {limits.query_bytes}")
        if scope["type"] == "http":
            self._judge_body(request)
            self._judge_change(request, client.scheme, host)
        scope["siemd_host"] = host
        self._strip_base(scope)

    def _judge_body(self, request: _Request) -> None:
        length = request.headers.get("content-length", "0")
        if int(length) > self._config.limits.body_bytes:  # h11 has seen to it that it is a number
            raise Refused(413, f"the body has more than {self._config.limits.body_bytes}")

    def _judge_change(self, request: _Request, scheme: str, host: Host) -> None:
        method = request.scope["method"]
        if method not in METHODS:
            raise Refused(405, f"{method[:20]} is no method of siemd", headers={"Allow": ", ".join(sorted(METHODS))})
        if method in SAFE_METHODS:
            return
        headers = request.headers
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if (has_body or kind) and kind != "application/json":
            raise Refused(415, "changes are asked for in JSON: Content-Type: application/json")
        if "authorization" in headers:
            return  # no browser adds it by itself, and the cookie is not looked at
        cookie = headers.get("cookie", "")
        has_cookie = TLS_NAME in cookie or PLAIN_NAME in cookie
        if is_forged(headers, scheme, host, has_cookie=has_cookie):
            raise Refused(
                403,
                "a change must come from siemd's own pages (Origin, Sec-Fetch-Site), or with an API token; behind a "
                "proxy that ends TLS, name it in web.trusted_proxies",
                kind="foreign-origin",
            )

    def _strip_base(self, scope: Scope) -> None:
        """Paths as routes know them, whether or not the proxy took the base path away."""
        base = self._config.base_path
        if base and (scope["path"] == base or scope["path"].startswith(base + "/")):
            scope["path"] = scope["path"][len(base) :] or "/"
            raw = scope.get("raw_path") or b""
            scope["raw_path"] = raw[len(base) :] if raw.startswith(base.encode()) else raw


class _Request:
    """One request on its way in and its answer on the way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, config: WebConfig) -> None:
        self.scope = scope
        self.id = secrets.token_hex(8)
        self.headers: dict[str, str] = {}
        self.repeated: set[str] = set()
        self.header_bytes = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        self.tls = False
        self.answering = False
        self._receive, self._send = receive, send
        self._limits = config.limits
        self._body_bytes = 0
        self._body_ended = scope["type"] != "http"
        self._deadline: float | None = None
        scope["siemd_request_id"] = self.id
        for name, value in scope["headers"]:
            self.header_bytes += len(name) + len(value)
            text = name.decode("latin-1").lower()
            if text in self.headers:
                self.repeated.add(text)
                separator = "; " if text == "cookie" else ", "
                self.headers[text] += separator + value.decode("latin-1")
            else:
                self.headers[text] = value.decode("latin-1")

    async def receive(self) -> Message:
        """The next part of the body; refuses it when it grows too long or does not come in time."""
        if self._body_ended:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + self._limits.body_time_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self._body_ended = True
            raise Refused(408, "the body did not come in time", headers={"Connection": "close"}) from None
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            self._body_ended = not message.get("more_body", False)
            if self._body_bytes > self._limits.body_bytes:
                self._body_ended = True
                detail = f"the body has more than {self._limits.body_bytes}"
                raise Refused(413, detail, headers={"Connection": "close"})
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on; a client that takes nothing of it is cut off by the connection (see protocol.py)."""
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.answering = True
            headers: Headers = list(message.get("headers", []))
            message["headers"] = with_security(headers, tls=self.tls, request_id=self.id)
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        """Answer with a problem, without asking any handler."""
        if self.scope["type"] == "websocket":
            await self._receive()  # its connect
            await self._send({"type": "websocket.close", "code": 4000 + refused.status_code, "reason": ""})
            return
        kind = f"urn:siemd:problem:{refused.kind}" if refused.kind else "about:blank"
        problem = Problem(
            title=HTTPStatus(refused.status_code).phrase,
            status=refused.status_code,
            detail=refused.detail,
            type=kind,
            request_id=self.id,
        )
        body = msgspec.json.encode(problem)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        headers += [(name.lower().encode(), str(value).encode()) for name, value in (refused.headers or {}).items()]
        await self.send({"type": "http.response.start", "status": refused.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})
