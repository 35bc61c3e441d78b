"""What DHCP servers (IPv4 and IPv6) and routers offer, read from hostile bytes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

MAX_OPTIONS = 128
MAX_LISTED = 8  # addresses of one option

_BOOTP, _COOKIE = 236, b"\x63\x82\x53\x63"
_PAD, _END = 0, 255
_ROUTER, _DNS, _MESSAGE_TYPE, _SERVER, _VENDOR = 3, 6, 53, 54, 60
_OFFER, _ACK = 2, 5
_V4_NAMES = {_OFFER: "offer", _ACK: "ack"}
_V6_NAMES = {2: "advertise", 7: "reply"}
_V6_SERVER, _V6_IA_NA, _V6_IA_ADDRESS, _V6_DNS = 2, 3, 5, 23
_RA_PREFIX, _RA_DNS = 3, 25


class Offer(msgspec.Struct, gc=False):
    """What a server offers. message: offer, ack, advertise or reply. server: its address (IPv6: its DUID).

    transaction: by which the client knows answers to its question. offered: the address, empty for none.
    """

    message: str
    server: bytes
    transaction: bytes
    client_mac: bytes
    offered: bytes
    gateways: tuple[bytes, ...]
    dns_servers: tuple[bytes, ...]
    relay: bytes = b""


class Advertisement(msgspec.Struct, gc=False):
    """What a router advertises (RFC 4861, 8106). lifetime_s: 0 when it is no default router."""

    lifetime_s: int
    managed: bool
    prefixes: tuple[bytes, ...]
    dns_servers: tuple[bytes, ...]


def parse_dhcp(data: bytes) -> Offer | None:
    """An offer or acknowledgement of DHCP (RFC 2131), None for anything else."""
    if len(data) < _BOOTP + 4 or data[0] != 2 or data[_BOOTP : _BOOTP + 4] != _COOKIE:
        return None
    options = dict(_options(data, _BOOTP + 4))
    message = _V4_NAMES.get(options.get(_MESSAGE_TYPE, b"\0")[0] if options.get(_MESSAGE_TYPE) else 0)
    if message is None or options.get(_VENDOR, b"").startswith(b"PXEClient"):
        return None
    offered = data[16:20]
    return Offer(
        message,
        options.get(_SERVER, b"")[:4],
        data[4:8],
        data[28:34],
        offered if any(offered) else b"",
        _addresses(options.get(_ROUTER, b""), 4),
        _addresses(options.get(_DNS, b""), 4),
        data[24:28],
    )


def _options(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(MAX_OPTIONS):
        if at >= len(data) or data[at] == _END:
            return
        if data[at] == _PAD:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 256
        if at + 2 + size > len(data):
            return
        yield data[at], data[at + 2 : at + 2 + size]
        at += 2 + size


def parse_dhcpv6(data: bytes) -> Offer | None:
    """An advertisement or reply of DHCPv6 (RFC 8415) that gives addresses or DNS servers, None for anything else."""
    message = _V6_NAMES.get(data[0]) if data else None
    if message is None:
        return None
    options = dict(_options6(data, 4))
    inner = dict(_options6(options[_V6_IA_NA], 12)) if _V6_IA_NA in options else {}
    return Offer(
        message,
        options.get(_V6_SERVER, b"")[:64],
        data[1:4],
        b"",
        inner.get(_V6_IA_ADDRESS, b"")[:16],
        (),
        _addresses(options.get(_V6_DNS, b""), 16),
    )


def _options6(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(MAX_OPTIONS):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 4 + size > len(data):
            return
        yield int.from_bytes(data[at : at + 2], "big"), data[at + 4 : at + 4 + size]
        at += 4 + size


def parse_router_advertisement(flags: int, lifetime_s: int, payload: bytes) -> Advertisement | None:
    """A router advertisement; payload: what follows the first eight bytes (hop limit, flags, lifetime). None if cut."""
    if len(payload) < 8:
        return None
    prefixes: list[bytes] = []
    servers: list[bytes] = []
    at = 8
    for _ in range(MAX_OPTIONS):
        head = payload[at : at + 2]
        if len(head) < 2 or not head[1] or at + (head[1] << 3) > len(payload):
            break
        option = payload[at : at + (head[1] << 3)]
        if head[0] == _RA_PREFIX and len(option) == 32 and len(prefixes) < MAX_LISTED:
            prefixes.append(option[16:32])
        elif head[0] == _RA_DNS and len(servers) < MAX_LISTED:
            servers += _addresses(option[8:], 16)
        at += head[1] << 3
    return Advertisement(lifetime_s, bool(flags & 0x80), tuple(sorted(prefixes)), tuple(sorted(servers)))


def _addresses(data: bytes, size: int) -> tuple[bytes, ...]:
    count = min(len(data) // size, MAX_LISTED)
    return tuple(sorted(data[at * size : at * size + size] for at in range(count)))
