"""A real SMTP server (aiosmtpd) that keeps what it is sent, and misbehaves as a test wants it to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from support.certificates import Certificates


class Mailbox:
    """Listens on a free port, or a given one.

    tls: none, starttls or tls. user: (name, password) that must log in. answers: what the end of DATA says to the next
    messages: an SMTP line, `close` (cut before an answer), `accept and close` (take it, then cut), `silent`.
    refuse: addresses that are refused.
    """

    def __init__(
        self,
        *,
        tls: str = "none",
        certificates: Certificates | None = None,
        user: tuple[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[list[str]] = []
        self.answers: list[str] = []
        self.refuse: set[str] = set()
        self.released = threading.Event()
        self._user = user
        self._context: ssl.SSLContext | None = None
        if certificates is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificates.cert, certificates.key)
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._transports: list[asyncio.BaseTransport] = []
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(port, started), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def close(self) -> None:
        self.released.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # what aiosmtpd calls

    async def handle_MAIL(  # noqa: N802 - the name is the library's
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._user is not None and not session.authenticated:
            return "530 log in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the name is the library's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer == "silent":
            await self._loop.run_in_executor(None, self.released.wait)
        if answer == "close":
            server.transport.abort()
            return "250 nobody hears this"
        if answer.startswith(("250", "accept")):
            content = envelope.content
            assert isinstance(content, bytes)
            mail = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.envelopes.append(list(envelope.rcpt_tos))
        if answer.startswith("accept"):
            server.transport.abort()
        return answer

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = (data.login.decode(), data.password.decode()) == self._user
        return AuthResult(success=right, handled=False)

    def _factory(self) -> SMTP:
        return SMTP(
            self,
            hostname="mail.test",
            tls_context=self._context if self._tls == "starttls" else None,
            authenticator=self._authenticate if self._user else None,
            auth_require_tls=self._tls == "starttls",
            loop=self._loop,
        )

    def _serve(self, port: int, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        context = self._context if self._tls == "tls" else None
        server = self._loop.run_until_complete(
            self._loop.create_server(self._factory, "127.0.0.1", port, ssl=context, reuse_address=True)
        )
        self.port = int(server.sockets[0].getsockname()[1])
        started.set()
        self._loop.run_forever()
        server.close()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()
