"""Reads what all Sigma documents share: texts, what a rule is called, its logsource and its detections."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from siemd.detection.condition import OLD_STYLE_HINT, BadCondition, parse_condition
from siemd.detection.logsource import taxonomy
from siemd.detection.modifiers import MAX_TESTS, TOO_MANY_TESTS, BadItem, MissingValues, build
from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import Node, all_of, any_of, tests_in
from siemd.detection.rule import LEVELS, LogSource
from siemd.detection.view import text_of
from siemd.errors import FileError
from siemd.yamlfile import Document, Key

LOGSOURCE_KEYS = ("category", "product", "service", "definition")
MAX_TEXT = 65_535
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SIGMA_1_DATE = re.compile(r"\d{4}/\d{1,2}/\d{1,2}")

Placeholders = Mapping[str, Sequence[str | int]]


def printable(text: str) -> str:
    """Text without the control and format characters by which a rule from elsewhere could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign in "\n\t" or unicodedata.category(sign)[0] != "C" else "�" for sign in text)


def reference(text: str) -> str:
    """The name or id of a rule as it is compared: of a UUID the case does not matter."""
    return text.lower() if _UUID.fullmatch(text) else text


class Unfilled(FileError):
    """A rule that is right, but needs placeholder values which the configuration lacks."""


class Reader:
    """Reads the parts of one YAML document; every mistake is raised as a FileError at its place."""

    def __init__(self, document: Document, default_name: str = "", placeholders: Placeholders | None = None) -> None:
        self.document = document
        self.data = document.data
        self._default_name = default_name
        self._placeholders = placeholders or {}
        self._fields: frozenset[str] | None = None  # for rules of Sigma 1: the fields that their events have
        self._date = ""
        self._tests = 0

    def meta(self) -> dict[str, Any]:
        """The arguments of `Meta`."""
        title = self.text(("title",), required=True)
        level = self.text(("level",)).lower() or "medium"
        if level not in LEVELS:
            raise self.error(("level",), f"unknown level {level!r}", did_you_mean(level, LEVELS))
        custom = self.data.get("siemd") or {}
        if not isinstance(custom, dict):
            raise self.error(("siemd",), "expected a mapping with 'reason', 'group' or 'alert'")
        self.known_keys(("siemd",), custom, ("reason", "group", "alert"))
        if not isinstance(custom.get("alert", True), bool):
            raise self.error(("siemd", "alert"), "expected true or false")
        line, _ = self.document.position()
        return {
            "title": title,
            "name": self.text(("name",)) or self._default_name,
            "named": bool(self.text(("name",))),
            "id": reference(self.text(("id",))),
            "level": level,
            "status": self.text(("status",)).lower(),
            "description": self.text(("description",)),
            "author": self.text(("author",)),
            "tags": self.texts(("tags",)),
            "falsepositives": self.texts(("falsepositives",)),
            "references": self.texts(("references",)),
            "group": self.texts(("siemd", "group")),
            "reason": self.text(("siemd", "reason")),
            "alert": custom.get("alert"),
            "path": self.document.path,
            "line": line,
            "places": {key: self.document.position((key,)) for key in ("id", "name")},
        }

    def logsource(self) -> LogSource:
        """Which events the rule or filter is about."""
        data = self.data["logsource"]
        if not isinstance(data, dict):
            raise self.error(("logsource",), "expected a mapping with category, product or service")
        for key in data:
            if str(key) in LOGSOURCE_KEYS:
                continue  # nearly every key of thousands of rules: no search for its like
            if near := difflib.get_close_matches(str(key), LOGSOURCE_KEYS, 1, 0.75):
                raise self.error(
                    ("logsource", key), f"unknown key {str(key)!r}", f"did you mean {near[0]!r}?", of_key=True
                )
        source = LogSource(*(self.text(("logsource", key)).lower() for key in ("category", "product", "service")))
        if source == LogSource():
            raise self.error(("logsource",), "at least one of category, product and service is needed")
        date = self.text(("date",))
        if _SIGMA_1_DATE.fullmatch(date):
            self._date, self._fields = date, taxonomy(source)
        return source

    # detections

    def detection(self, section: str, others: Sequence[str] = ()) -> Node:
        """The condition of `detection:` (or `filter:`) with its detections put in; others: keys that are not ones."""
        data = self.data[section]
        if not isinstance(data, dict):
            raise self.error((section,), "expected a mapping of detections and a condition")
        if "timeframe" in data:
            raise self.error(
                (section, "timeframe"), "'timeframe' is no longer part of Sigma", OLD_STYLE_HINT, of_key=True
            )
        if "condition" not in data:
            hint = did_you_mean("condition", map(str, data))
            raise self.error((section,), "the key 'condition' is missing", hint, of_key=True)
        detections = {
            str(name): self.item((section, name), value)
            for name, value in data.items()
            if name != "condition" and name not in others
        }
        if not detections:
            raise self.error((section,), "there is nothing to look for beside the condition")
        conditions = data["condition"]
        if isinstance(conditions, list) and conditions:
            keys: list[tuple[Key, ...]] = [(section, "condition", index) for index in range(len(conditions))]
            return any_of([self.condition(key, text, detections) for key, text in zip(keys, conditions, strict=True)])
        return self.condition((section, "condition"), conditions, detections)

    def condition(self, keys: tuple[Key, ...], text: Any, detections: Mapping[str, Node]) -> Node:
        """A condition in words."""
        if not isinstance(text, str) or not text.strip():
            raise self.error(keys, "expected a condition such as 'selection and not filter'")
        try:
            node = parse_condition(text, detections)
        except BadCondition as error:
            raise self.document.error_inside(keys, error.offset, error.message, error.hint) from None
        if tests_in(node, {}) > MAX_TESTS:
            raise self.error(keys, TOO_MANY_TESTS)
        return node

    def item(self, keys: tuple[Key, ...], value: Any) -> Node:
        """A detection: a map (all of it), a list of maps or keywords (any of them), or a single keyword."""
        if isinstance(value, dict):
            if not value:
                raise self.error(keys, "an empty detection matches nothing")
            return all_of([self._field((*keys, name), str(name), content) for name, content in value.items()])
        if isinstance(value, list):
            if not value:
                raise self.error(keys, "an empty list matches nothing")
            return any_of([self._element((*keys, index), item) for index, item in enumerate(value)])
        return self._field(keys, "", value)

    def _element(self, keys: tuple[Key, ...], value: Any) -> Node:
        """One of a list's alternatives: a map or a keyword."""
        return self.item(keys, value) if isinstance(value, dict) else self._field(keys, "", value)

    def _field(self, keys: tuple[Key, ...], name: str, content: Any) -> Node:
        field, *modifiers = name.split("|")
        if isinstance(content, list) and not content:
            raise self.error(keys, "an empty list matches nothing")
        if isinstance(content, dict):
            raise self.error(keys, "expected a value or a list of values, not a mapping")
        if not field and content is None:
            raise self.error(keys, "a keyword is a text, a number or a regular expression, not null")
        if field and self._fields is not None and field.lower() not in self._fields:
            raise self._not_in_taxonomy(keys, field)
        try:
            node = build(
                field or None, modifiers, content if isinstance(content, list) else [content], self._placeholders
            )
        except BadItem as error:
            if error.index is None:
                raise self.error(keys, error.message, error.hint, of_key=True) from None
            where = (*keys, error.index) if isinstance(content, list) else keys
            kind = Unfilled if isinstance(error, MissingValues) else FileError
            raise kind(self.document.path, *self.document.position(where), error.message, error.hint) from None
        self._tests += tests_in(node, {})
        if self._tests > MAX_TESTS:
            raise self.error(keys, TOO_MANY_TESTS, of_key=True)
        return node

    def _not_in_taxonomy(self, keys: tuple[Key, ...], field: str) -> FileError:
        return self.error(
            keys,
            f"a rule of Sigma 1 (date {self._date}) that looks at {field!r}, which its events don't have",
            f"use the fields of today's taxonomy, then write the date as {self._date.replace('/', '-')}",
            of_key=True,
        )

    # values

    def text(self, keys: tuple[Key, ...], *, required: bool = False) -> str:
        """The text at `keys`, "" when there is none."""
        value = self.get(keys)
        if value is None:
            if required:
                raise self.error(keys[:-1], f"the key {keys[-1]!r} is missing", of_key=True)
            return ""
        if isinstance(value, dict | list):
            raise self.error(keys, "expected a text")
        return printable((text_of(value) or str(value))[:MAX_TEXT])

    def texts(self, keys: tuple[Key, ...]) -> tuple[str, ...]:
        """The texts of the list (or the single text) at `keys`."""
        value = self.get(keys)
        if value is None:
            return ()
        if not isinstance(value, list):
            value = [value]
        for index, item in enumerate(value):
            if isinstance(item, dict | list) or item is None:
                raise self.error((*keys, index), "expected a text")
        return tuple(printable(text_of(item) or str(item)) for item in value)

    def get(self, keys: tuple[Key, ...]) -> Any:
        """Whatever stands at `keys`, None when nothing does."""
        value = self.data
        for key in keys:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    def known_keys(
        self, keys: tuple[Key, ...], data: dict[Any, Any], known: tuple[str, ...], message: str = "unknown key"
    ) -> None:
        """Refuse keys that are not known."""
        for key in data:
            if str(key) not in known:
                raise self.error((*keys, key), f"{message} {str(key)!r}", did_you_mean(str(key), known), of_key=True)

    def error(self, keys: tuple[Key, ...], message: str, hint: str = "", *, of_key: bool = False) -> FileError:
        """A FileError at the value (or key) at `keys`; to be raised by the caller."""
        return self.document.error(keys, message, hint, of_key=of_key)
