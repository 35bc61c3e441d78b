"""Messages of a segment's own protocols, byte by byte: DNS and its kin, DHCP, router advertisements."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from support.conversation import Wire, hardware, raw

RESPONSE, RECURSION = 0x8000, 0x0100
A, NULL, CNAME, MX, TXT, AAAA = 1, 10, 5, 15, 16, 28


def name(text: str | Sequence[bytes]) -> bytes:
    """A name on the wire: dotted text, or its labels."""
    labels = [label.encode() for label in text.split(".") if label] if isinstance(text, str) else text
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def query(text: str | Sequence[bytes], kind: int = A, *, ident: int = 1, flags: int = RECURSION) -> bytes:
    return struct.pack(">HHHHHH", ident, flags, 1, 0, 0, 0) + name(text) + struct.pack(">HH", kind, 1)


def record(kind: int, data: bytes, owner: bytes = b"\xc0\x0c") -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def answer(
    text: str | Sequence[bytes], records: Sequence[bytes] = (), kind: int = A, *, ident: int = 1, code: int = 0
) -> bytes:
    head = struct.pack(">HHHHHH", ident, RESPONSE | RECURSION | 0x80 | code, 1, len(records), 0, 0)
    return head + name(text) + struct.pack(">HH", kind, 1) + b"".join(records)


def txt(text: bytes) -> bytes:
    return record(
        TXT, b"".join(bytes((len(text[at : at + 255]),)) + text[at : at + 255] for at in range(0, len(text), 255))
    )


def netbios(text: str, suffix: int = 0x20) -> bytes:
    """A NetBIOS name as it stands in a message (RFC 1001, 14.1)."""
    padded = text.upper().encode().ljust(15) + bytes((suffix,))
    return name([bytes(0x41 + half for byte in padded for half in (byte >> 4, byte & 15))])


def netbios_query(text: str, *, ident: int = 1, suffix: int = 0x20) -> bytes:
    return struct.pack(">HHHHHH", ident, 0x0110, 1, 0, 0, 0) + netbios(text, suffix) + struct.pack(">HH", 32, 1)


def netbios_answer(text: str, address: str, *, ident: int = 1, suffix: int = 0x20, flags: int = 0x8500) -> bytes:
    data = b"\0\0" + raw(address)
    head = struct.pack(">HHHHHH", ident, flags, 0, 1, 0, 0)
    return head + record(32, data, owner=netbios(text, suffix))


def dhcp(
    message: int,
    server: str,
    *,
    offered: str = "192.0.2.50",
    gateway: str | None = "192.0.2.1",
    dns: Sequence[str] = ("192.0.2.1",),
    transaction: int = 7,
    client: bytes = b"\x02\0\0\0\0\x50",
    relay: str = "0.0.0.0",
    vendor: bytes = b"",
) -> bytes:
    """A server's message: 2 is an offer, 5 an acknowledgement."""
    head = struct.pack(">BBBBIHH", 2, 1, 6, 0, transaction, 0, 0)
    head += bytes(4) + raw(offered) + bytes(4) + raw(relay) + client.ljust(16, b"\0") + bytes(192)
    options = [(53, bytes((message,))), (54, raw(server))]
    if gateway:
        options.append((3, raw(gateway)))
    if dns:
        options.append((6, b"".join(map(raw, dns))))
    if vendor:
        options.append((60, vendor))
    told = b"".join(bytes((kind, len(data))) + data for kind, data in options)
    return head + b"\x63\x82\x53\x63" + told + b"\xff"


def dhcpv6(
    message: int, duid: bytes, *, transaction: bytes = b"abc", offered: str = "", dns: Sequence[str] = ()
) -> bytes:
    options = _option6(2, duid)
    if offered:
        options += _option6(3, bytes(12) + _option6(5, raw(offered) + bytes(8)))
    if dns:
        options += _option6(23, b"".join(map(raw, dns)))
    return bytes((message,)) + transaction + options


def _option6(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def router_advertisement(
    wire: Wire, source: str, *, prefixes: Sequence[str] = (), dns: Sequence[str] = (), lifetime_s: int = 1800
) -> None:
    payload = bytes(8)
    for prefix in prefixes:
        payload += bytes((3, 4, 64, 0xC0)) + bytes(12) + raw(prefix)
    if dns:
        payload += bytes((25, 1 + 2 * len(dns), 0, 0)) + bytes(4) + b"".join(map(raw, dns))
    rest = {"icmp_type": 134, "ident": 0, "seq": lifetime_s, "payload": payload, "payload_length": len(payload)}
    wire.put(58, source, "ff02::1", source_mac=hardware(source), ethernet_source=hardware(source), **rest).ttl = 255


def resolve(
    wire: Wire,
    client: str,
    text: str | Sequence[bytes],
    records: Sequence[bytes] | None = None,
    *,
    kind: int = A,
    code: int = 0,
    server: str = "198.51.100.53",
    answered: bool = True,
) -> None:
    """A question and its answer; records: None for one address."""
    port = wire.fresh_port()
    wire.udp(client, port, server, 53, query(text, kind))
    if answered:
        given = [record(A, bytes((203, 0, 113, 9)))] if records is None and not code else records or ()
        wire.udp(server, 53, client, port, answer(text, given, kind, code=code))
