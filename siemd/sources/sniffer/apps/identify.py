"""Which protocol a connection speaks, told by the first bytes of either side, on any port."""

from __future__ import annotations

import re
from typing import NamedTuple

ENOUGH = 16  # bytes that suffice to tell

_HTTP_REQUEST = re.compile(rb"(?!PRI )[A-Z][A-Z-]{2,19} (?:/|\*|https?://|[\w.-]+:\d)", re.IGNORECASE)
_TELNET = re.compile(rb"\xff[\xfb-\xfe]")
_BY_PORT = {21: "ftp", 23: "telnet", 25: "smtp", 110: "pop3", 143: "imap", 587: "smtp"}


class Spoken(NamedTuple):
    """A protocol, and whether the bytes that told were the client's (None: they don't tell)."""

    service: str
    by_client: bool | None


def identify(data: bytes, server_port: int, *, from_start: bool) -> Spoken | None:
    """The protocol of a direction that begins with these bytes; None if none is known.

    from_start: whether they are the first bytes of the connection; if not, well-known ports may tell.
    """
    head = data[:5]
    if head[:2] == b"\x16\x03" and data[5:6] == b"\x01":
        return Spoken("tls", True)
    if head == b"HTTP/":
        return Spoken("http", False)
    if _HTTP_REQUEST.match(data):
        return Spoken("http", True)
    if head[:3] == b"220" and head[3:4] in (b" ", b"-"):
        return Spoken(_greeting(data, server_port), False)
    if head[:3] == b"+OK":
        return Spoken("pop3", False)
    if head[:4] == b"* OK" or head == b"* PRE":
        return Spoken("imap", False)
    if data[4:8] in (b"\xffSMB", b"\xfeSMB") and head[:1] == b"\x00":
        return Spoken("smb", not _smb_answers(data))
    if head[:2] == b"\x03\x00" and data[5:6] in (b"\xe0", b"\xd0"):
        return Spoken("rdp", data[5:6] == b"\xe0")
    if _TELNET.match(head):
        return Spoken("telnet", None)
    service = _BY_PORT.get(server_port)
    if head == b"USER " and service in ("ftp", "pop3"):
        return Spoken(service, True)  # the server's greeting was not seen
    if service == "telnet" or (service and not from_start and data.isascii()):
        return Spoken(service, None)
    return None


def undecided(data: bytes) -> bool:
    """Whether more bytes may still tell."""
    return len(data) < ENOUGH and b"\n" not in data


def _greeting(data: bytes, server_port: int) -> str:
    """220 greets in FTP and SMTP: the words tell, or the port; without either the client's first command will."""
    words = data[:512].upper()
    if b"SMTP" in words or server_port in (25, 465, 587, 2525):
        return "smtp"
    if b"FTP" in words or server_port == 21:
        return "ftp"
    return "ftp_or_smtp"


def _smb_answers(data: bytes) -> bool:
    """Whether an SMB message is a server's: the flag of a reply (SMB1: bit 7 of byte 9; SMB2: bit 0 of byte 16)."""
    if data[4] == 0xFF:
        return bool(data[13:14] and data[13] & 0x80)
    return bool(data[20:21] and data[20] & 1)
