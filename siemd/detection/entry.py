"""Reads one mapping of a YAML file key by key; every mistake is a FileError at its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siemd.detection.nearest import did_you_mean
from siemd.detection.view import text_of
from siemd.errors import FileError
from siemd.units import Seconds
from siemd.yamlfile import Document, Key, load_documents

MAX_TEXT = 4_096
MAX_ENTRIES = 10_000


class Entry:
    """A mapping inside a document: at `keys`, with nothing but the `known` keys."""

    def __init__(self, document: Document, keys: tuple[Key, ...], data: Any, known: tuple[str, ...]) -> None:
        self.document = document
        self.keys = keys
        if not isinstance(data, dict) or not data:
            raise document.error(keys, f"expected a mapping with keys such as {', '.join(known[:4])}")
        self.data: dict[str, Any] = {str(key): value for key, value in data.items()}
        for key in self.data:
            if key not in known:
                raise self.error(key, f"unknown key {key!r}", did_you_mean(key, known), of_key=True)

    def error(self, key: str, message: str, hint: str = "", *, of_key: bool = False) -> FileError:
        """A FileError at the value of a key, or at the entry itself when `key` is empty."""
        return self.document.error((*self.keys, key) if key else self.keys, message, hint, of_key=of_key)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return self.data.get(key) is not None

    def need(self, *keys: str) -> None:
        """Refuse the entry when one of these keys is missing or empty."""
        for key in keys:
            if key not in self.data:
                raise self.error("", f"the key {key!r} is missing", did_you_mean(key, self.data))
            if self.data[key] in (None, "", [], {}):
                raise self.error(key, f"{key!r} is empty")

    def text(self, key: str) -> str:
        """A text, on one line; empty when the key is missing."""
        value = self.data.get(key)
        if value is None:
            return ""
        if isinstance(value, dict | list):
            raise self.error(key, "expected a text")
        return " ".join((text_of(value) or str(value))[:MAX_TEXT].split())

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of texts; nothing when the key is missing."""
        value = self.data.get(key)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            if isinstance(item, dict | list) or item is None or item == "":
                where = (*self.keys, key, index) if isinstance(value, list) else (*self.keys, key)
                raise self.document.error(where, "expected a text")
        if not items:
            raise self.error(key, "an empty list means nothing")
        return tuple((text_of(item) or str(item))[:MAX_TEXT] for item in items)

    def flag(self, key: str) -> bool | None:
        """True, false, or None when the key is missing."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, "expected true or false")
        return value

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """One of the known words; empty when the key is missing."""
        value = self.text(key)
        if value and value not in known:
            raise self.error(key, f"unknown {key} {value!r}", did_you_mean(value, known))
        return value

    def span_s(self, key: str, most_s: float) -> float | None:
        """A duration in seconds above 0, or None when the key is missing."""
        value = self.data.get(key)
        if value is None:
            return None
        try:
            span = Seconds.parse(value)
        except ValueError as error:
            raise self.error(key, str(error)) from None
        if not 0 < span <= most_s:
            raise self.error(key, f"expected more than nothing and at most {Seconds(most_s)}")
        return float(span)


def entries_of(path: Path | str, kind: str, text: str | None = None) -> Iterator[tuple[Document, tuple[Key, ...], Any]]:
    """Every item of a file that holds a list under `kind`: its document, where it stands, and its value.

    text: instead of the file's content. Raises FileError for a file of another form.
    """
    for document in load_documents(path, text):
        data = document.data
        if not isinstance(data, dict) or not data:
            raise document.error((), f"expected the key {kind!r} with a list")
        for key in data:
            if key != kind:
                hint = did_you_mean(str(key), [kind])
                raise document.error((key,), f"unknown key {str(key)!r}", hint, of_key=True)
        items = data[kind]
        if items is None:
            continue
        if not isinstance(items, list):
            raise document.error((kind,), "expected a list, each entry beginning with a dash")
        if len(items) > MAX_ENTRIES:
            raise document.error((kind,), f"more than {MAX_ENTRIES} entries")
        for index, item in enumerate(items):
            yield document, (kind, index), item


def at_place(place: FileError, message: str, hint: str = "") -> FileError:
    """A FileError at the place of another."""
    return FileError(place.path, place.line, place.column, message, hint)
