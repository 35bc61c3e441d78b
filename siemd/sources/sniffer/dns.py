"""DNS messages (also LLMNR, mDNS and NetBIOS names, which share the format) from hostile bytes, limits everywhere.

Written by hand: only the first question and the answers are wanted. A library that builds an object for every record
costs more: dnslib ten times as much for a small answer, dnspython twenty-five times (2 µs, 21 and 57).
"""

from __future__ import annotations

import socket
from struct import Struct, error

import msgspec

MAX_NAME = 254  # bytes of labels with their lengths, without the root (RFC 1035, 2.3.4)
MAX_JUMPS = 16  # compression pointers followed in one name
MAX_ANSWERS = 32  # records of the answer section that are read; more are left unread
MAX_TEXT = 512  # characters of one answer

A, CNAME, NULL, TXT, AAAA, SRV, ANY = 1, 5, 10, 16, 28, 33, 255
NETBIOS, NETBIOS_STATUS = 32, 33
NXDOMAIN = 3

TYPES = {
    A: "A",
    2: "NS",
    CNAME: "CNAME",
    6: "SOA",
    NULL: "NULL",
    12: "PTR",
    13: "HINFO",
    15: "MX",
    TXT: "TXT",
    17: "RP",
    24: "SIG",
    25: "KEY",
    AAAA: "AAAA",
    29: "LOC",
    SRV: "SRV",
    35: "NAPTR",
    37: "CERT",
    39: "DNAME",
    43: "DS",
    44: "SSHFP",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    50: "NSEC3",
    51: "NSEC3PARAM",
    52: "TLSA",
    61: "OPENPGPKEY",
    64: "SVCB",
    65: "HTTPS",
    99: "SPF",
    249: "TKEY",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    ANY: "ANY",
    257: "CAA",
}
RESPONSE_CODES = (
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
)
_NAMED = frozenset((2, CNAME, 12, 39))  # records whose data is one name

_HEADER = 12
_read_header = Struct(">HHHHHH").unpack_from
_read_question = Struct(">HH").unpack_from
_read_record = Struct(">HHIH").unpack_from
_read_srv = Struct(">HHH").unpack_from

Labels = tuple[bytes, ...]


class _Malformed(Exception):
    """A name that breaks a limit or points where it must not."""


class Record(msgspec.Struct, gc=False):
    """One record of the answer section; text: what it says, as people write it; data: its first bytes."""

    labels: Labels
    record_type: int
    text: str
    data: bytes


class Message(msgspec.Struct, gc=False):
    """One message as far as it could be read. labels, record_type: the first question's, lower-case (() and 0: none).

    question: the bytes of that question, lower-case: equal in a query and its answer. flags: the header's second word.
    """

    ident: int
    flags: int
    labels: Labels
    record_type: int
    question: bytes
    answers: list[Record]

    @property
    def response(self) -> bool:
        """Whether it answers."""
        return self.flags >= 0x8000

    @property
    def opcode(self) -> int:
        """0: a query."""
        return self.flags >> 11 & 15

    @property
    def response_code(self) -> int:
        """The four bits of the header; 3: no such name."""
        return self.flags & 15


def parse(data: bytes) -> Message | None:
    """A message, or None when header or question can't be read; answers up to the first that can't be."""
    if len(data) < _HEADER:
        return None
    ident, flags, questions, answers, _, _ = _read_header(data)
    labels: Labels = ()
    record_type, at = 0, _HEADER
    try:
        if questions:
            labels, at = _read_name(data, at)
            record_type, _ = _read_question(data, at)
            at += 4
        question = data[_HEADER:at].lower()
        for _ in range(min(questions, MAX_ANSWERS) - 1):
            _, at = _read_name(data, at)
            at += 4
    except (_Malformed, IndexError, error):
        return None
    message = Message(ident, flags, labels, record_type, question, [])
    if answers and flags >= 0x8000 and questions <= MAX_ANSWERS:
        _read_answers(data, at, min(answers, MAX_ANSWERS), message)
    return message


def _read_answers(data: bytes, at: int, count: int, message: Message) -> None:
    try:
        for _ in range(count):
            if data[at] == 0xC0 and data[at + 1] == _HEADER and message.question:
                labels, at = message.labels, at + 2
            else:
                labels, at = _read_name(data, at)
            record_type, _, _, size = _read_record(data, at)
            at += 10
            if at + size > len(data):
                return  # cut by the snap length, or a lie
            text = _text(data, at, size, record_type)
            message.answers.append(Record(labels, record_type, text, data[at : at + min(size, 16)]))
            at += size
    except (_Malformed, IndexError, error):
        return


def _read_name(data: bytes, at: int) -> tuple[Labels, int]:
    """The labels of a name, lower-case, and the offset behind it. Pointers must point backwards (RFC 1035, 4.1.4)."""
    labels: list[bytes] = []
    length = jumps = 0
    behind = -1
    begun = at
    while size := data[at]:
        if size < 64:
            label = data[at + 1 : at + 1 + size]
            length += size + 1
            if len(label) < size or length > MAX_NAME:
                raise _Malformed
            labels.append(label.lower())
            at += size + 1
        elif size >= 0xC0:
            target = (size & 0x3F) << 8 | data[at + 1]
            jumps += 1
            if target >= begun or jumps > MAX_JUMPS:
                raise _Malformed
            if behind < 0:
                behind = at + 2
            begun = at = target
        else:
            raise _Malformed
    return tuple(labels), at + 1 if behind < 0 else behind


def _text(data: bytes, at: int, size: int, record_type: int) -> str:
    """A record's data as people write it; "" for types that say nothing to them."""
    if record_type == A and size == 4:
        return socket.inet_ntop(socket.AF_INET, data[at : at + 4])
    if record_type == AAAA and size == 16:
        return socket.inet_ntop(socket.AF_INET6, data[at : at + 16])
    if record_type in _NAMED:
        return name_text(_read_name(data, at)[0])
    if record_type == 15:
        return name_text(_read_name(data, at + 2)[0])
    if record_type == SRV and size > 6:
        return f"{name_text(_read_name(data, at + 6)[0])}:{_read_srv(data, at)[2]}"
    if record_type == TXT:
        return _strings(data[at : at + size])
    return ""


def _strings(data: bytes) -> str:
    """The character strings of a TXT record, joined."""
    parts, at, length = [], 0, 0
    while at < len(data) and length < MAX_TEXT:
        size = data[at]
        parts.append(data[at + 1 : at + 1 + size])
        length += size
        at += 1 + size
    return b"".join(parts)[:MAX_TEXT].decode("utf-8", "replace")


def name_text(labels: Labels) -> str:
    r"""A name with dots, without the last one; bytes that no host name has are written \DDD (RFC 4343)."""
    joined = b".".join(labels)
    if joined.isascii() and (text := joined.decode("ascii")).isprintable() and text.count(".") == len(labels) - 1:
        return text
    return ".".join("".join(map(_escaped, label)) for label in labels)


def _escaped(byte: int) -> str:
    if byte == 0x2E:
        return "\\."
    return chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03d}"


def type_name(number: int) -> str:
    """A record type as people write it (RFC 3597 for the unknown)."""
    return TYPES.get(number) or f"TYPE{number}"


def response_code_name(number: int) -> str:
    """A response code by its name, or its number."""
    return RESPONSE_CODES[number] if number < len(RESPONSE_CODES) else str(number)


def netbios_name(labels: Labels) -> tuple[str, int] | None:
    """The NetBIOS name and its suffix byte in a first-level encoded label (RFC 1001, 14.1); None if it isn't one."""
    if not labels or len(labels[0]) != 32:
        return None
    letters = labels[0]
    decoded = bytearray()
    for high, low in zip(letters[::2], letters[1::2], strict=True):
        if not (0x61 <= high <= 0x70 and 0x61 <= low <= 0x70):
            return None
        decoded.append((high - 0x61) << 4 | low - 0x61)
    name = bytes(decoded[:15]).rstrip(b" \0")
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}" for byte in name).lower(), decoded[15]
