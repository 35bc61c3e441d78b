"""E-mail by an SMTP server: STARTTLS, TLS or none, with a stable Message-ID, so that a repetition can be told."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from siemd.notify.base import Message, Mistake, Undelivered
from siemd.notify.connect import cut, is_loopback, tls_context, unreached
from siemd.notify.text import tame
from siemd.units import Seconds

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

MAX_SUBJECT = 150
MAX_ANSWER = 300
_ADDRESS = re.compile(r"[^\s@<>\",;:\\\[\]()]{1,64}@[^\s@<>\",;:\\\[\]()]{1,255}")
_URGENT = ("high", "critical")
_PORTS = {"none": 25, "starttls": 587, "tls": 465}


class EmailConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="channel", tag="email"):
    """E-mail by an SMTP server."""

    host: Annotated[str, Meta(description="The server's name or address.", min_length=1)]
    sender: Annotated[str, Meta(description="The address that messages come from.")] = msgspec.field(name="from")
    to: Annotated[list[str], Meta(description="The addresses that are told.", min_length=1)]
    port: Annotated[
        int, Meta(description="Its port; 0: 587 for starttls, 465 for tls, 25 for none.", ge=0, le=65535)
    ] = 0
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="starttls: a plain connection becomes TLS, or nothing is sent; tls: from the start; none."),
    ] = "starttls"
    user: Annotated[str, Meta(description="The name to log in with; empty: no login.")] = ""
    password: Annotated[str, Meta(description="Its password, as ${NAME} from the environment.")] = ""
    ca: Annotated[str, Meta(description="A PEM file of the authority that signed the server's certificate.")] = ""
    timeout_s: Annotated[Seconds, Meta(description="How long the server may take for one message.")] = msgspec.field(
        name="timeout", default=Seconds(30)
    )

    def mistakes(self) -> Iterator[Mistake]:
        """Addresses that are none, and a password that would travel in the open."""
        for key, addresses in (("from", [self.sender]), ("to", self.to)):
            for address in addresses:
                if not _ADDRESS.fullmatch(address):
                    yield key, f"{address[:80]!r} is no e-mail address", "write name@host.example"
        if self.user and self.tls == "none" and not is_loopback(self.host):
            yield "tls", "without TLS the password would travel in the open", "write `tls: starttls` or `tls: tls`"


class Email:
    """Sends each message over a connection of its own."""

    Config: ClassVar[type[msgspec.Struct]] = EmailConfig

    def __init__(self, config: EmailConfig) -> None:
        self._config = config
        self._port = config.port or _PORTS[config.tls]
        self._where = f"{config.host}:{self._port}"
        self._client: Any = None
        self.description = f"e-mail to {', '.join(config.to)} by {self._where}"

    def send(self, message: Message) -> str:
        """Hand the message to the server."""
        import smtplib  # costs nothing where nobody wants e-mail

        try:
            client = self._connect()
            said = self._hand_over(client, compose(message, self._config))
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it is taken, whatever the good-bye
                client.quit()
            return said
        except smtplib.SMTPAuthenticationError as error:
            raise Undelivered(
                f"{self._where} refused the login of {self._config.user}: {_said(error)}", "check user and password"
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            said = "; ".join(f"{name}: {code} {_text(text)}" for name, (code, text) in error.recipients.items())
            raise Undelivered(f"{self._where} refused every recipient: {said}", "check `to`") from None
        except smtplib.SMTPSenderRefused as error:
            raise Undelivered(f"{self._where} refused the sender: {_said(error)}", "check `from`") from None
        except smtplib.SMTPDataError as error:
            raise Undelivered(f"{self._where} refused the message: {_said(error)}", of_message=True) from None
        except smtplib.SMTPNotSupportedError as error:
            raise Undelivered(
                f"{self._where}: {_text(error)}", "choose another `tls`, or leave out `user` and `password`"
            ) from None
        except smtplib.SMTPServerDisconnected:
            raise unreached(EOFError(), self._where) from None
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"{self._where} said: {_said(error)}") from None
        except (OSError, ssl.SSLError, ValueError, smtplib.SMTPException) as error:
            raise unreached(error, self._where) from None
        finally:
            opened, self._client = self._client, None
            if opened is not None:
                opened.close()

    def ready(self) -> None:
        """Read the TLS files."""
        tls_context(self._config.ca)

    def abort(self) -> None:
        """Cut the connection."""
        client = self._client
        cut(client.sock if client is not None else None)

    def _register(self, client: Any) -> None:
        self._client = client

    def _connect(self) -> smtplib.SMTP:
        """A connection that is as safe as it is to be; `abort` reaches it from its first byte on."""
        import smtplib

        config, timeout_s = self._config, float(self._config.timeout_s)
        register = self._register

        class Plain(smtplib.SMTP):
            def connect(self, *address: Any, **others: Any) -> tuple[int, bytes]:
                register(self)  # so that it can be cut while the server makes its greeting last
                return super().connect(*address, **others)

        class Secure(smtplib.SMTP_SSL):
            def connect(self, *address: Any, **others: Any) -> tuple[int, bytes]:
                register(self)
                return super().connect(*address, **others)

        name = socket.gethostname()
        local = name if re.fullmatch(r"[A-Za-z0-9.-]+", name) else "localhost"  # not getfqdn, which may ask a dead DNS
        if config.tls == "tls":
            context = tls_context(config.ca)
            return Secure(config.host, self._port, local, timeout=timeout_s, context=context)
        client = Plain(config.host, self._port, local, timeout=timeout_s)
        if config.tls == "starttls":
            client.starttls(context=tls_context(config.ca))
        return client

    def _hand_over(self, client: smtplib.SMTP, composed: EmailMessage) -> str:
        config = self._config
        if config.user:
            client.login(config.user, config.password)
        refused = client.send_message(composed, config.sender, config.to)
        if refused:
            said = "; ".join(f"{name}: {code} {_text(text)}" for name, (code, text) in refused.items())
            return f"taken, but not for {said}"
        return f"taken by {self._where}"


def compose(message: Message, config: EmailConfig) -> EmailMessage:
    """The message as mail; its headers hold nothing but one line of tamed text each."""
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime

    from siemd.notify.render import moment

    domain = config.sender.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = tame(message.subject, MAX_SUBJECT)
    mail["From"] = config.sender
    mail["To"] = ", ".join(config.to)
    mail["Date"] = format_datetime(moment(message.time_us))
    mail["Message-ID"] = f"<{message.uid}@{domain}>"
    if message.thread:  # mail programs show what is told of one incident beside each other
        mail["References"] = f"<{message.thread}.incident@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.level in _URGENT:
        mail["Importance"] = "high"
    mail.set_content(message.text + "\n", charset="utf-8", cte="quoted-printable")
    return mail


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _text(said: object) -> str:
    return tame(said.decode("utf-8", "replace") if isinstance(said, bytes) else said, MAX_ANSWER)
