"""How much of an event is held for long: windows, groups and incidents are many, and whoever writes events fills them.

A long text becomes its beginning and a digest, so that different texts stay different; it says that it was cut.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from siemd.detection.view import MAX_INTEGER_BITS
from siemd.events import Event

MAX_TEXT = 256  # of a value that parts groups or is counted
MAX_EVENT = 8_192  # characters of an event that matched; the store has all of it
MAX_SMALL_EVENT = 2_048  # of one among very many
MAX_DEPTH = 8
SHORTEST = 64
_ITEM = 8  # what a number, or the place of a value, is taken to cost
_FLAT = frozenset({str, int, float, bool, type(None)})
_encode = msgspec.msgpack.Encoder().encode
_TAIL = re.compile(r"…\[cut #[0-9a-f]{32}\]")
_TAIL_LENGTH = 40


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """The text, or its beginning and a digest of all of it (whatever its case): at most `limit` characters.

    Shortened again it keeps its digest, so that it does not matter how often, and to what lengths, a text was cut.
    """
    if len(text) <= limit:
        return text
    tail = text[-_TAIL_LENGTH:]
    if not _TAIL.fullmatch(tail):
        data = text.lower().encode("utf-8", "surrogatepass")
        tail = f"…[cut #{hashlib.blake2b(data, digest_size=16).hexdigest()}]"
    return text[: max(0, limit - _TAIL_LENGTH)] + tail


def held(value: Any) -> Any:
    """A group's value as it is kept: short, whoever wrote it."""
    if isinstance(value, str):
        return shorten(value)
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        return shorten(hex(value))
    return value


def uncut(kept: Any, value: Any) -> Any:
    """What a group's value was before it was shortened, if that is `value`; else as it is kept."""
    cut = isinstance(kept, str) and isinstance(value, str) and len(value) > MAX_TEXT
    return value if cut and shorten(value) == kept else kept


def lean(event: Event, limit: int = MAX_EVENT) -> Event:
    """The event itself, or a copy whose values were cut: not more than about `limit` characters together.

    The longest texts lose most; of many values the last ones are left out.
    """
    if not _is_large(event, limit):
        return event
    longest = limit
    while True:
        longest = max(longest // 2, SHORTEST)
        cutter = _Cutter(limit, longest)
        # columns before `fields`: these are few, and rules and people look at them first
        names = sorted(event.__struct_fields__, key=lambda name: name == "fields")
        changed = {name: cutter.cut(value, 0) for name in names if _is_long(value := getattr(event, name))}
        if cutter.room > 0 or longest == SHORTEST:
            return msgspec.structs.replace(event, **changed)


def _is_long(value: Any) -> bool:
    return isinstance(value, str | list | tuple | dict)


def _is_large(event: Event, limit: int) -> bool:
    return not _is_surely_small(event, limit) and _is_larger(event, limit)


def _is_surely_small(event: Event, limit: int) -> bool:
    """A bound that costs a tenth of `_is_larger`: bytes are no fewer than characters, and few events are nested."""
    values = getattr(event, "fields", None)
    if values is None or not _FLAT.issuperset(map(type, values.values())):
        return False
    try:
        return len(_encode(event)) + _ITEM * len(values) <= limit
    except (TypeError, ValueError, OverflowError, RecursionError):  # values that bytes can't hold
        return False


def _is_larger(event: Event, limit: int) -> bool:
    stack: list[Any] = [getattr(event, name) for name in event.__struct_fields__]
    room = limit
    while stack and room >= 0:
        value = stack.pop()
        if type(value) is str:
            room -= len(value)
        elif isinstance(value, dict):
            room -= _ITEM * len(value) + sum(map(len, map(str, value)))
            stack += value.values() if room >= 0 else ()
        elif isinstance(value, list | tuple):
            room -= _ITEM * len(value)
            stack += value if room >= 0 else ()
        elif isinstance(value, int):
            room -= value.bit_length() // 8
    return room < 0


class _Cutter:
    """Copies values as long as there is room. longest: characters of a text at most."""

    def __init__(self, room: int, longest: int) -> None:
        self.room = room
        self._longest = longest

    def cut(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            found: dict[str, Any] = {}
            for index, (name, one) in enumerate(value.items()):
                if self._is_over(depth):
                    return found | {"…": f"[cut: {len(value) - index} more]"}
                found[self._text(str(name))] = self.cut(one, depth + 1)
            return found
        if isinstance(value, list | tuple):
            items: list[Any] = []
            for index, one in enumerate(value):
                if self._is_over(depth):
                    return [*items, f"…[cut: {len(value) - index} more]"]
                items.append(self.cut(one, depth + 1))
            return items
        if isinstance(value, str):
            return self._text(value)
        self.room -= _ITEM
        short = held(value)
        return short if short is value or isinstance(value, str) else self._text(short)

    def _is_over(self, depth: int) -> bool:
        return self.room <= 0 or depth > MAX_DEPTH

    def _text(self, text: str) -> str:
        short = shorten(text, self._longest)
        self.room -= len(short) + _ITEM
        return short
