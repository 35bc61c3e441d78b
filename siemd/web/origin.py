"""Where a request comes from and whom it is for: Host, Origin, Sec-Fetch-Site and the words of trusted proxies."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from siemd.web.config import Network

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>\d{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\s]{1,300})")
_DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_FORWARDED = 32  # hops that are looked at


class Host(NamedTuple):
    """A name (lower case; IPv6 without brackets) and a port, None where none was given."""

    name: str
    port: int | None


def parse_host(text: str) -> Host | None:
    """What a Host header says; None when it says nothing that could be one."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    name = match["name"].lower()
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= 65535:
        return None
    if name.startswith("["):
        try:
            name = str(ipaddress.IPv6Address(name[1:-1]))
        except ValueError:
            return None
    return Host(name.removesuffix("."), port)


def known_hosts(configured: Iterable[str]) -> frozenset[str]:
    """Names that are this server's, besides IP addresses, which no stranger's name can stand for."""
    own = {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower().removesuffix(".") for name in {"localhost", *own, *configured} if name)


def is_known(host: Host, known: frozenset[str]) -> bool:
    """Whether requests for that host are for us; others are a stranger's name that leads here (DNS rebinding)."""
    try:
        ipaddress.ip_address(host.name)
    except ValueError:
        return host.name in known
    return True


def is_same_origin(origin: str, scheme: str, host: Host) -> bool:
    """Whether an Origin header names this server as the client reached it."""
    match = _ORIGIN.fullmatch(origin)
    if match is None or match["scheme"] != scheme:
        return False
    named = parse_host(match["host"])
    if named is None:
        return False
    default = _DEFAULT_PORTS[scheme]
    return named.name == host.name and (named.port or default) == (host.port or default)


def is_forged(headers: Mapping[str, str], scheme: str, host: Host, *, has_cookie: bool) -> bool:
    """Whether a change that a browser asks for may have been asked for by another site (CSRF).

    Whoever sends a session's cookie must say where from; without one there is nothing to misuse, but what is said
    must still be right, so that no site logs somebody in as somebody else.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return True
    if origin is not None and not is_same_origin(origin, scheme, host):
        return True
    return has_cookie and site is None and origin is None


class Client(NamedTuple):
    """Who asks, as far as the proxies that we trust tell. tls: whether their way to us was encrypted."""

    address: str
    scheme: str
    trusted: bool  # whether the connection itself comes from a trusted proxy


def is_trusted(address: str, proxies: Sequence[Network]) -> bool:
    """Whether an address is one of a trusted proxy."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in proxies)


def client_of(peer: str, scheme: str, headers: Mapping[str, str], proxies: Sequence[Network]) -> Client:
    """Who asks: the peer, or, when that is a trusted proxy, the nearest address in X-Forwarded-For that is none."""
    if not is_trusted(peer, proxies):
        return Client(peer, scheme, trusted=False)
    address = peer
    for text in reversed(headers.get("x-forwarded-for", "").split(",")[-MAX_FORWARDED:]):
        hop = _address(text)
        if hop is None:
            break
        address = hop
        if not is_trusted(hop, proxies):
            break
    said = headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower()
    return Client(address, said if said in _DEFAULT_PORTS else scheme, trusted=True)


def _address(text: str) -> str | None:
    """One element of X-Forwarded-For: an address, maybe with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text)) if len(text) <= 45 else None
    except ValueError:
        return None
