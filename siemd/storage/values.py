"""Values that any store takes, made of values that nobody vouches for: clean text, bounded JSON, finite numbers."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

FIELDS_MAX_BYTES = 256 << 10  # of JSON; a row stays below 4 MiB even when every byte of it is escaped twice
DEPTH_MAX = 20  # MariaDB refuses JSON nested more than 32 deep
INT64_MAX = (1 << 63) - 1
SURROGATE = re.compile("[\ud800-\udfff]")
_encode_json = msgspec.json.Encoder().encode


def number_of(value: Any) -> float:
    """A value as a finite number; 0 for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def clean_text(text: str) -> str:
    """Text as UTF-8 can hold it: surrogate pairs joined, lone ones U+FFFD, NUL made visible as U+2400."""
    if not text.isascii() and SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\u2400")


def json_text(value: Any, limit: int = FIELDS_MAX_BYTES) -> tuple[str, bool]:
    """A value as JSON of at most `limit` bytes, and whether it had to be changed for that.

    Too long: strings within are shortened, then members left out, and `"_cut": true` is added.
    """
    if not value:
        return ("[]" if isinstance(value, list | tuple) else "{}"), False
    try:
        encoded = _encode_json(value)
        if len(encoded) <= limit and encoded.count(b"[") + encoded.count(b"{") < DEPTH_MAX:
            return encoded.decode(), False
    except (TypeError, ValueError, OverflowError, RecursionError):
        encoded = b""
    plain = jsonable(value)
    text = _encode_json(plain)
    if len(text) <= limit:
        return text.decode(), text != encoded
    for longest in (4096, 512, 64):
        text = _encode_json(_shorten(plain, longest, limit // 2))
        if len(text) <= limit:
            return text.decode(), True
    return '{"_cut":true}' if isinstance(plain, dict) else "[]", True


def jsonable(value: Any, depth: int = DEPTH_MAX) -> Any:
    """A value as JSON and MessagePack can hold it: clean text, 64-bit numbers, bounded depth."""
    if isinstance(value, str):
        return clean_text(value) if not value.isascii() else value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -INT64_MAX <= value <= INT64_MAX else str(value)[:64] if abs(value) < 1 << 256 else "very large"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth <= 1 and isinstance(value, dict | list | tuple | set | frozenset):
        return "nested too deeply"
    if isinstance(value, dict):
        return {clean_text(str(key)): jsonable(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item, depth - 1) for item in value]
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    return clean_text(str(value))


def _shorten(value: Any, longest: int, budget: int) -> Any:
    """`value` (of jsonable) with strings of at most `longest` characters and members while the budget lasts."""
    spent = 0
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, item in value.items():
            short = _shorten(item, longest, budget)
            spent += len(_encode_json(short)) + len(key) + 4
            if spent > budget:
                break
            kept[key[:longest]] = short
        return {**kept, "_cut": True}
    if isinstance(value, list):
        result: list[Any] = []
        for item in value:
            short = _shorten(item, longest, budget)
            spent += len(_encode_json(short)) + 1
            if spent > budget:
                break
            result.append(short)
        return result
    return value
