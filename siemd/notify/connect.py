"""Connections to the servers that carry messages: addresses, TLS, and what went wrong as a sentence."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl

from siemd.notify.base import Undelivered

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def tls_context(ca: str, *, verify: bool = True, cert: str = "", key: str = "") -> ssl.SSLContext:
    """A client's TLS: certificates and names are checked, by the system's authorities or those in the file `ca`."""
    try:
        context = ssl.create_default_context(cafile=ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert:
            context.load_cert_chain(cert, key or None)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(name for name in (ca, cert, key) if name)
        raise Undelivered(f"the TLS files cannot be used ({files}): {error}", "they must be readable PEM") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def unreached(
    error: Exception, where: str, certificate_hint: str = "name its authority with `ca: FILE`"
) -> Undelivered:
    """A failure of the network or of TLS as a sentence with what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Undelivered(f"the certificate of {where} is not trusted: {error.verify_message}", certificate_hint)
    if isinstance(error, socket.gaierror):
        return Undelivered(f"{where}: no address is known for this name", "check the name and the host's DNS")
    if isinstance(error, ConnectionRefusedError):
        return Undelivered(f"{where} refused the connection", "is the service running, and is the port right?")
    if isinstance(error, TimeoutError):
        return Undelivered(f"{where} did not answer in time", "check the server and the network between")
    gone = getattr(error, "errno", None) in (errno.ENOTCONN, errno.ESHUTDOWN)  # a reset came before our own end
    if gone or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError | EOFError):
        return Undelivered(f"{where} closed the connection half way", "see the log of that server")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return Undelivered(f"TLS with {where} failed: {reason}", "does it speak TLS on this port, or later (starttls)?")
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return Undelivered(f"{where} cannot be reached: {text[:200] or type(error).__name__}")


def cut(connection: socket.socket | None) -> None:
    """End a connection that another thread waits on."""
    if connection is not None:
        with contextlib.suppress(OSError, ValueError):
            connection.shutdown(socket.SHUT_RDWR)


def is_loopback(host: str) -> bool:
    """Whether a name stays on this machine."""
    return host.strip("[]").lower() in LOOPBACK or host.startswith("127.")
