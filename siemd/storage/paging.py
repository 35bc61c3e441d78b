"""Pages by what the last row was (keyset), and the cursor that says so: opaque to clients, checked like all input."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from siemd.storage.columns import BadQuery
from siemd.storage.dialects import Sql
from siemd.storage.values import INT64_MAX, clean_text

_MAX_CURSOR_CHARS = 2000
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?")


class Key(NamedTuple):
    """Something to sort by. name: of the value in a row; expression: in a statement; kind: time, int, real or text."""

    name: str
    expression: str
    kind: str


class Paging:
    """An order of rows, whose last key is unique. mark: names the question, so that no other takes its cursor."""

    def __init__(self, mark: str, keys: Sequence[Key], *, descending: bool) -> None:
        way = "DESC" if descending else "ASC"
        self._mark = f"{mark} {way}"
        self._keys = keys
        self._past = "<" if descending else ">"
        self.order = f"ORDER BY {', '.join(f'{key.expression} {way}' for key in keys)}"

    def cursor(self, row: Mapping[str, Any]) -> str:
        """Where the page after this row starts."""
        values = [self._mark, *(row[key.name] for key in self._keys)]
        return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")

    def after(self, cursor: str) -> Sql:
        """The condition that rows come after the one that a cursor names; BadQuery when it is none of this question."""
        return self._after(list(zip(self._keys, self._read(cursor), strict=True)))

    def _after(self, keys: Sequence[tuple[Key, Any]]) -> Sql:
        """Written out, so that an index of the keys serves it."""
        (key, value), *rest = keys
        if not rest:
            return Sql(f"{key.expression} {self._past} ?", (value,))
        later = self._after(rest)
        text = f"({key.expression} {self._past}= ? AND ({key.expression} {self._past} ? OR {later.text}))"
        return Sql(text, (value, value, *later.values))

    def _read(self, cursor: str) -> list[Any]:
        try:
            if len(cursor) > _MAX_CURSOR_CHARS:
                raise ValueError
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mark, *values = msgspec.json.decode(raw, type=list[str | int | float])
            if mark != self._mark or len(values) != len(self._keys):
                raise ValueError
            if not all(_fits(key.kind, value) for key, value in zip(self._keys, values, strict=True)):
                raise ValueError
        except (ValueError, binascii.Error, msgspec.DecodeError):
            raise BadQuery(
                "the cursor is none of this question", "take `next` as it was given", field="cursor"
            ) from None
        return values


def _fits(kind: str, value: str | int | float) -> bool:
    if kind == "time":
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            return False
        datetime.fromisoformat(value)
        return True
    if kind == "int":
        return isinstance(value, int) and -INT64_MAX <= value <= INT64_MAX
    if kind == "real":
        return isinstance(value, int | float)
    return isinstance(value, str) and value == clean_text(value)
