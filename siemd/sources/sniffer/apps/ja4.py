"""JA4, the fingerprint of TLS clients, as published by FoxIO (BSD-3-Clause for this part).

Algorithm: https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

SERVER_NAME, SIGNATURES, ALPN, VERSIONS = 0x0000, 0x000D, 0x0010, 0x002B

_VERSION_NAMES = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


def is_grease(value: int) -> bool:
    """Whether a value is one of those that mean nothing (RFC 8701)."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def ja4(version: int, ciphers: Sequence[int], extensions: Sequence[int], signatures: Sequence[int], alpn: bytes) -> str:
    """The fingerprint. version: the highest one offered. Others: as they came, GREASE included. alpn: the first one."""
    ciphers = [value for value in ciphers if not is_grease(value)]
    extensions = [value for value in extensions if not is_grease(value)]
    head = (
        f"t{_VERSION_NAMES.get(version, '00')}{'d' if SERVER_NAME in extensions else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{_ends(alpn)}"
    )
    listed = _hexes(sorted(value for value in extensions if value not in (SERVER_NAME, ALPN)))
    signed = _hexes(value for value in signatures if not is_grease(value))
    behind = f"{listed}_{signed}" if signed else listed
    return f"{head}_{_hash(_hexes(sorted(ciphers)))}_{_hash(behind)}"


def _ends(alpn: bytes) -> str:
    """First and last character of the protocol's name; of its hexadecimal digits if one is no letter or digit."""
    if not alpn:
        return "00"
    ends = bytes((alpn[0], alpn[-1]))
    if ends.isalnum():  # bytes: ASCII only
        return ends.decode("ascii")
    digits = alpn.hex()
    return digits[0] + digits[-1]


def _hexes(values: Iterable[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def _hash(listed: str) -> str:
    return sha256(listed.encode("ascii")).hexdigest()[:12] if listed else "0" * 12
