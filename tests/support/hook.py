"""A small HTTP server that takes webhooks, and answers as a test wants it to."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = int | str | Callable[["BaseHTTPRequestHandler"], None]


class Received:
    """One request: its path, headers (lower case) and body."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Hook:
    """Listens on a free port, or a given one. `answers`: what the next requests get; afterwards 200.

    An answer is a status, or: `close` (the connection, before any answer), `half` (a part of an answer, then the end),
    `silent` (never an answer), `hold` (200 when `released` is set), `drip` (a byte now and then, for ever), `endless`
    (more than anybody reads), `garbage`, `redirect` (to `redirect_to`).
    """

    def __init__(self, port: int = 0, certificate: tuple[Path, Path] | None = None) -> None:
        self.received: list[Received] = []
        self.answers: list[int | str] = []
        self.redirect_to = ""
        self.released = threading.Event()
        self._lock = threading.Lock()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                hook._post(self)

            def do_GET(self) -> None:
                hook._post(self)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", port), Handler)
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    def bodies(self) -> list[dict[str, Any]]:
        """The documents of every request, answered well or not."""
        with self._lock:
            return [one.document for one in self.received]

    def incidents(self) -> list[str]:
        """The ids of the incidents told, each message counted once however often it came."""
        messages = {body["id"]: body for body in self.bodies()}
        return [incident["incident_id"] for body in messages.values() for incident in body["incidents"]]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length") or 0)
        body = handler.rfile.read(length)
        if len(body) < length:  # whoever sent it was killed
            handler.close_connection = True
            return
        with self._lock:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.received.append(Received(handler.path, headers, body))
            answer = self.answers.pop(0) if self.answers else 200
        if answer == "hold":
            self.released.wait()
            answer = 200
        handler.close_connection = True
        match answer:
            case int():
                handler.send_response(answer)
                text = b"as the test wants it"
                if answer == 429:
                    handler.send_header("Retry-After", "1")
                handler.send_header("Content-Length", str(len(text)))
                handler.end_headers()
                handler.wfile.write(text)
            case "redirect":
                handler.send_response(307)
                handler.send_header("Location", self.redirect_to)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            case "half":
                handler.wfile.write(b"HTTP/1.1 20")
            case "garbage":
                handler.wfile.write(b"SSH-2.0-what\r\n\r\n")
            case "endless":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while not self.released.is_set():
                    handler.wfile.write(b"x" * 65536)
            case "drip":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not self.released.wait(0.05):
                    handler.wfile.write(b"x")
                    handler.wfile.flush()
            case "silent":
                self.released.wait()
            case "close":
                handler.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that ends early is nothing to print."""
