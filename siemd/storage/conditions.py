"""Filters of a question as conditions of a statement: names from the whitelist, values only ever as parameters."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from siemd.events import clamp_time_us
from siemd.storage.columns import Asked, BadQuery, asked_of
from siemd.storage.database import Dialect
from siemd.storage.dialects import (
    NUMBER,
    Sql,
    both,
    either,
    equal,
    escaped,
    holds,
    like,
    member,
    negated,
    number,
    packed,
    starts_with,
    unquoted,
)
from siemd.storage.reading import EPOCH, MICROSECOND
from siemd.storage.tables import time_text
from siemd.storage.values import INT64_MAX, clean_text

Operator = Literal["eq", "ne", "in", "not_in", "prefix", "contains", "gt", "gte", "lt", "lte", "cidr", "exists"]
Scalar = str | int | float | bool

MAX_FILTERS = 20
MAX_VALUES = 100  # in one filter
MAX_VALUE_CHARS = 1024
_COMPARED = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EQUAL = ("eq", "ne", "in", "not_in")


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition. field: a column, `time`, or a native name as `fields.TargetUserName` (`group_values.…` in alerts).

    Texts that people write (user_name, message, channel, provider, computer, title, reason, native fields) are compared
    without regard to case; the others exactly. `exists` takes true (also when left out) or false; `in` and `not_in` a
    list. A list within `fields` equals a value when it holds it; `tags` and `evidence` likewise.
    """

    field: str
    op: Operator = "eq"
    value: Scalar | list[Scalar] | None = None


def conditions(dialect: Dialect, table: str, filters: Sequence[Filter]) -> Sql:
    """All filters as one condition; BadQuery for what can't be asked."""
    if len(filters) > MAX_FILTERS:
        raise BadQuery(f"at most {MAX_FILTERS} filters can be combined", field="filters")
    return both([condition(dialect, table, one) for one in filters])


def condition(dialect: Dialect, table: str, one: Filter) -> Sql:
    """One filter as a condition."""
    asked = asked_of(table, one.field)
    if one.op == "exists":
        found = _exists(dialect, asked)
        if one.value not in (None, True, False):
            raise _bad(one, "takes true or false")
        return negated(found) if one.value is False else found
    values = _values(one)
    if asked.native or asked.column.kind == "list":
        found = _json(dialect, asked, one, values)
    elif asked.column.kind == "text":
        found = _text(dialect, asked, one, values)
    elif asked.column.kind == "object":
        raise _bad(one, f"is asked by a name in it, such as {one.field}.NAME, or by words")
    else:
        found = _plain(asked, one, values)
    return negated(found) if one.op in ("ne", "not_in") else found


def time_range(column: str, start_us: int | None, end_us: int | None) -> Sql:
    """From start on, before end; None: without a bound."""
    parts = []
    if start_us is not None:
        parts.append(Sql(f"{column} >= ?", (time_text(clamp_time_us(start_us)),)))
    if end_us is not None:
        parts.append(Sql(f"{column} < ?", (time_text(clamp_time_us(end_us)),)))
    if start_us is not None and end_us is not None and start_us > end_us:
        raise BadQuery("the time range ends before it starts", field="start")
    return both(parts)


def instant_us(text: str) -> int:
    """Microseconds of an RFC 3339 time (UTC when it names no zone); ValueError."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return clamp_time_us((moment - EPOCH) // MICROSECOND)
    except OverflowError:
        raise ValueError(text) from None


def _values(one: Filter) -> list[Scalar]:
    if one.op in ("in", "not_in"):
        if not isinstance(one.value, list) or not 0 < len(one.value) <= MAX_VALUES:
            raise _bad(one, f"takes a list of 1 to {MAX_VALUES} values")
        values = list(one.value)
    elif one.value is None or isinstance(one.value, list):
        raise _bad(one, "takes one value")
    else:
        values = [one.value]
    for value in values:
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
            raise _bad(one, f"takes values of at most {MAX_VALUE_CHARS} characters")
        if isinstance(value, float) and not math.isfinite(value):
            raise _bad(one, "takes finite numbers")
    return values


def _exists(dialect: Dialect, asked: Asked) -> Sql:
    column = asked.column
    if asked.native:
        json = member(dialect, column.name, asked.native)
        return Sql(f"({json.text} IS NOT NULL AND {json.text} <> 'null')", json.values * 2)
    if column.kind == "text":
        return Sql(f"{column.name} <> ''")
    if column.kind == "list":
        return Sql(f"{column.name} <> '[]'")
    if column.kind == "object":
        return Sql(f"{column.name} <> '{{}}'")
    return Sql(f"{column.name} IS NOT NULL")


def _text(dialect: Dialect, asked: Asked, one: Filter, values: list[Scalar]) -> Sql:
    column = asked.column
    texts = [text_value(value) for value in values]
    if one.op in _EQUAL:
        return equal(dialect, column.name, texts, caseless=column.caseless)
    if one.op == "prefix":
        if column.caseless:
            return like(dialect, Sql(column.name), escaped(texts[0]) + "%")
        return starts_with(dialect, column.name, texts[0])
    if one.op == "contains":
        if column.caseless:
            return like(dialect, Sql(column.name), f"%{escaped(texts[0])}%")
        return holds(column.name, texts[0])
    if one.op == "cidr" and column.address:
        return _inside(dialect, one, Sql(column.name), texts[0], prefixed=True)
    raise _bad(one, "is text: eq, ne, in, not_in, prefix, contains, exists" + (", cidr" * column.address))


def _plain(asked: Asked, one: Filter, values: list[Scalar]) -> Sql:
    """Numbers and times."""
    column = asked.column
    given = [_plain_value(one, asked, value) for value in values]
    if one.op in _EQUAL:
        return Sql(f"{column.name} IN ({', '.join('?' * len(given))})", tuple(given))
    if one.op in _COMPARED:
        return Sql(f"{column.name} {_COMPARED[one.op]} ?", (given[0],))
    raise _bad(one, "is no text: eq, ne, in, not_in, gt, gte, lt, lte, exists")


def _plain_value(one: Filter, asked: Asked, value: Scalar) -> Any:
    kind = asked.column.kind
    try:
        if isinstance(value, bool):
            raise ValueError
        if kind == "time":
            return time_text(instant_us(str(value)))
        if kind == "int":
            if isinstance(value, float) and not value.is_integer():
                raise ValueError
            whole = int(value)
            if not -INT64_MAX <= whole <= INT64_MAX:
                raise ValueError
            return whole
        real = float(value)
        if not math.isfinite(real):
            raise ValueError
    except (ValueError, OverflowError):
        wanted = {"time": "a time such as 2026-01-02T03:04:05Z", "int": "a whole number"}.get(kind, "a number")
        raise _bad(one, f"takes {wanted}, got {str(value)[:40]!r}") from None
    return real


def _json(dialect: Dialect, asked: Asked, one: Filter, values: list[Scalar]) -> Sql:
    """A member of an object, or a list; compared as JSON text."""
    column = asked.column
    json = member(dialect, column.name, asked.native) if asked.native else Sql(column.name)
    if one.op in _EQUAL:
        return either([_json_equal(dialect, json, value) for value in values])
    text = text_value(values[0])
    if one.op == "contains":
        return like(dialect, json, f"%{escaped(json_inner(text))}%")
    if asked.native:
        if one.op == "prefix":
            start = escaped(json_inner(text)) + "%"
            plain = [like(dialect, json, start)] if text[:1] in set("-0123456789tf") else []
            return either([like(dialect, json, '"' + start), *plain])
        if one.op == "cidr":
            return _inside(dialect, one, unquoted(dialect, json), text, prefixed=False)
        if one.op in _COMPARED:
            if isinstance(values[0], bool) or not NUMBER.fullmatch(text):
                raise _bad(one, f"takes a number, got {text[:40]!r}")
            left = number(dialect, unquoted(dialect, json))
            return Sql(f"{left.text} {_COMPARED[one.op]} ?", (*left.values, float(text)))
    raise _bad(one, "is a list: eq, ne, in, not_in, contains, exists")


def _json_equal(dialect: Dialect, json: Sql, value: Scalar) -> Sql:
    """The value as a string or (if it looks like one) a number or boolean, or a list that holds it."""
    text = text_value(value)
    string = f'"{escaped(json_inner(text))}"'
    parts = [like(dialect, json, string), like(dialect, json, f"[%{string}%]")]
    if NUMBER.fullmatch(text) or text in ("true", "false"):
        bare = escaped(text)
        parts.append(like(dialect, json, bare))
        listed = [f"[{bare}]", f"[{bare},%]"]
        listed += [f"[%,{space}{bare}{end}" for space in ("", " ") for end in (",%]", "]")]
        first = Sql(f"SUBSTR({json.text}, 2, 1) <> '\"'", json.values)  # a list of numbers, no strings that hold some
        parts.append(both([first, either([like(dialect, json, pattern) for pattern in listed])]))
    return either(parts)


def _inside(dialect: Dialect, one: Filter, address: Sql, text: str, *, prefixed: bool) -> Sql:
    """An address lies in a network. prefixed: text that starts otherwise can be left out early, by an index."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise _bad(one, f"takes a network such as 10.1.0.0/16, got {text[:40]!r}") from None
    mapped = b"\0" * 10 + b"\xff\xff" if network.version == 4 else b""
    low, high = mapped + network.network_address.packed, mapped + network.broadcast_address.packed
    left = packed(dialect, address)
    exact = Sql(f"{left.text} BETWEEN ? AND ?", (*left.values, low, high))
    if network.version == 6:  # of which IPv4 addresses are no part, though they are packed as if they were
        return both([Sql(f"INSTR({address.text}, ':') > 0", address.values), exact])
    whole_bytes = network.prefixlen // 8
    if not prefixed or not whole_bytes:
        return exact
    column = address.text
    octets = str(network.network_address).split(".")[:whole_bytes]
    start = ".".join(octets) + ("." if whole_bytes < 4 else "")
    after = ".".join(octets) + ("/" if whole_bytes < 4 else "")
    early = f"(({column} >= ? AND {column} <= ?) OR ({column} >= '::' AND {column} < '::g') OR {column} LIKE '0%')"
    return both([Sql(early, (start, after)), exact])


def json_inner(text: str) -> str:
    """Text as it stands within a JSON string."""
    return msgspec.json.encode(text).decode()[1:-1]


def text_value(value: Scalar) -> str:
    """A value as the text that stores hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean_text(value) if isinstance(value, str) else str(value)


def _bad(one: Filter, what: str) -> BadQuery:
    return BadQuery(f"the filter {one.field[:100]} {one.op} {what}", field=one.field[:100] or "filters")
