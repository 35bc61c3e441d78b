"""The few expressions that SQLite and MySQL spell differently; everything is a fragment with its parameters.

Texts are compared by their characters on both: MySQL's collations take `é` for `e` and leave trailing spaces out, so
what an index found by them is compared again. Without regard to case means as `str.lower` sees it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from siemd.storage.database import Dialect

_SPECIAL = re.compile("[!%_]")
_NUMBER = "^-?[0-9]{1,18}([.][0-9]{1,18})?$"
NUMBER = re.compile(_NUMBER)


class Sql(NamedTuple):
    """A fragment of a statement and its parameters."""

    text: str
    values: tuple[Any, ...] = ()


def both(parts: Sequence[Sql]) -> Sql:
    """Every one of the conditions; none: true."""
    return _joined(parts, " AND ", "1 = 1")


def either(parts: Sequence[Sql]) -> Sql:
    """Any one of the conditions; none: false."""
    return _joined(parts, " OR ", "1 = 0")


def negated(part: Sql) -> Sql:
    """What does not meet a condition, unknown included."""
    return Sql(f"NOT COALESCE({part.text}, 0)", part.values)


def escaped(text: str) -> str:
    """Text as LIKE takes it by the letter, with ESCAPE '!'."""
    return _SPECIAL.sub(lambda found: "!" + found[0], text)


def equal(dialect: Dialect, column: str, values: Sequence[str], *, caseless: bool) -> Sql:
    """A text column has one of the values."""
    if not caseless:
        marks = _marks(values)
        if dialect == "sqlite":
            return Sql(f"{column} IN ({marks})", tuple(values))
        return Sql(f"({column} IN ({marks}) AND CAST({column} AS BINARY) IN ({marks}))", (*values, *values))
    lowered = [value.lower() for value in values]
    if dialect == "mysql":
        marks = _marks(values)
        return Sql(f"({column} IN ({marks}) AND CAST(LOWER({column}) AS BINARY) IN ({marks}))", (*values, *lowered))
    plain = [value for value in values if value.isascii()]
    others = [value for value in lowered if not value.isascii()]
    parts = []
    if plain:  # an index without regard to case serves these
        parts.append(Sql(f"{column} COLLATE NOCASE IN ({_marks(plain)})", tuple(plain)))
    if others:
        parts.append(Sql(f"siemd_lower({column}) IN ({_marks(others)})", tuple(others)))
    return either(parts)


def like(dialect: Dialect, text: Sql, pattern: str) -> Sql:
    """A text is like a pattern (made with `escaped`), without regard to case."""
    if dialect == "mysql":
        return Sql(f"LOWER({text.text}) COLLATE utf8mb4_bin LIKE ? ESCAPE '!'", (*text.values, pattern.lower()))
    if pattern.isascii():
        return Sql(f"{text.text} LIKE ? ESCAPE '!'", (*text.values, pattern))
    return Sql(f"siemd_lower({text.text}) LIKE ? ESCAPE '!'", (*text.values, pattern.lower()))


def starts_with(dialect: Dialect, column: str, prefix: str) -> Sql:
    """A text column starts with exactly this."""
    if dialect == "mysql":
        return Sql(f"{column} LIKE ? ESCAPE '!'", (escaped(prefix) + "%",))
    return Sql(f"({column} >= ? AND SUBSTR({column}, 1, ?) = ?)", (prefix, len(prefix), prefix))


def holds(column: str, text: str) -> Sql:
    """A text column holds exactly this."""
    return Sql(f"INSTR({column}, ?) > 0", (text,))


def member(dialect: Dialect, column: str, name: str) -> Sql:
    """The JSON text of a member of an object, NULL when it is missing: `"root"`, `443`, `[22,80]`."""
    path = f'$."{name}"'
    if dialect == "mysql":
        return Sql(f"JSON_EXTRACT({column}, ?)", (path,))
    return Sql(f"({column} -> ?)", (path,))


def unquoted(dialect: Dialect, json: Sql) -> Sql:
    """The JSON text of a number or a plain string, without quotes."""
    if dialect == "mysql":
        return Sql(f"TRIM(BOTH '\"' FROM {json.text})", json.values)
    return Sql(f"TRIM({json.text}, '\"')", json.values)


def number(dialect: Dialect, text: Sql) -> Sql:
    """A text as a number, NULL when it is none."""
    if dialect == "mysql":
        return Sql(
            f"(CASE WHEN {text.text} REGEXP ? THEN {text.text} + 0e0 END)", (*text.values, _NUMBER, *text.values)
        )
    return Sql(f"siemd_number({text.text})", text.values)


def packed(dialect: Dialect, text: Sql) -> Sql:
    """An address as 16 bytes (IPv4 as ::ffff:a.b.c.d), NULL when it is none."""
    if dialect == "mysql":
        mapped = f"CONCAT(UNHEX('00000000000000000000FFFF'), INET6_ATON({text.text}))"
        whole = f"INET6_ATON({text.text})"
        return Sql(f"(CASE WHEN IS_IPV4({text.text}) THEN {mapped} ELSE {whole} END)", text.values * 3)
    return Sql(f"siemd_packed({text.text})", text.values)


def seconds(dialect: Dialect, column: str) -> str:
    """A time as whole seconds since 1970, its fraction cut off (SQLite's strftime rounds .9999 up)."""
    if dialect == "mysql":
        return f"TIMESTAMPDIFF(SECOND, '1970-01-01', {column})"
    return f"CAST(strftime('%s', SUBSTR({column}, 1, 19)) AS INTEGER)"


def period(dialect: Dialect, column: str, step_s: int) -> tuple[str, str]:
    """What to group a time by when buckets are step_s wide, and that `period` in seconds. On SQLite it is the text of
    the hour, minute or second, which costs less than a number for every row.
    """
    if dialect == "mysql":
        return f"{seconds(dialect, column)} DIV {max(1, step_s)} * {max(1, step_s)}", "period"
    length, rest = (13, ":00") if step_s % 3600 == 0 else (16, "") if step_s % 60 == 0 else (19, "")
    return f"SUBSTR({column}, 1, {length})", f"CAST(strftime('%s', period || '{rest}') AS INTEGER)"


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _joined(parts: Sequence[Sql], word: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty)
    if len(parts) == 1:
        return parts[0]
    text = word.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.values))
