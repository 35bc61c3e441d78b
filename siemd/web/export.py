"""Exports as streams: a page from the store is made into text off the loop, sent, and forgotten before the next."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from siemd.storage.columns import asked_of, columns_of
from siemd.storage.database import Database, Rows
from siemd.storage.search import Search, export

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how a spreadsheet knows one
_PLAIN = ("int", "real", "time")


async def first_page(database: Database, asked: Search, most_rows: int, timeout_s: float) -> AsyncGenerator[Rows, None]:
    """The pages of an export; the first is read now, so that what can't be asked is a problem and no stream."""
    pages: Any = export(database, asked, most_rows=most_rows, timeout_s=timeout_s)
    first: Rows = await anext(pages, [])
    return _rest(first, pages)


async def _rest(first: Rows, pages: AsyncGenerator[Rows, None]) -> AsyncGenerator[Rows, None]:
    async with aclosing(pages):
        if first:
            yield first
        del first
        async for page in pages:
            yield page


async def csv_chunks(
    table: str, columns: Sequence[str] | None, pages: AsyncGenerator[Rows, None]
) -> AsyncGenerator[bytes, None]:
    """The pages as CSV with a header (RFC 4180)."""
    known = columns_of(table)
    names = list(dict.fromkeys(asked_of(table, name).column.name for name in columns or known))
    text = io.StringIO()
    csv.writer(text).writerow(names)
    yield text.getvalue().encode()
    plain = [known[name].kind in _PLAIN for name in names]
    async with aclosing(pages):
        async for page in pages:
            yield await asyncio.to_thread(_csv, page, plain)


async def json_line_chunks(pages: AsyncGenerator[Rows, None]) -> AsyncGenerator[bytes, None]:
    """The pages as JSON Lines."""
    encoder = msgspec.json.Encoder()
    async with aclosing(pages):
        async for page in pages:
            yield await asyncio.to_thread(encoder.encode_lines, page)


def _csv(page: Rows, plain: Sequence[bool]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in page:
        writer.writerow(
            [value if is_plain else cell(value) for value, is_plain in zip(row.values(), plain, strict=True)]
        )
    return text.getvalue().encode("utf-8", "replace")


def cell(value: Any) -> Any:
    """A value as a cell of text that no spreadsheet takes for a formula: then it begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = msgspec.json.encode(value).decode()
    elif not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" ").startswith(FORMULA) else value
