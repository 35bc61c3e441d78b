"""Text from the wire: decoded whatever it is, of one line, and of a bounded length."""

from __future__ import annotations

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")


def text(data: bytes, limit: int) -> str:
    """UTF-8 where it is that, replacement characters where not and for control characters; at most `limit` long."""
    decoded = data[:limit].decode("utf-8", "replace").strip()
    return decoded if decoded.isprintable() else decoded.translate(_CONTROLS)
