"""Reads Sigma rules and correlations from YAML; every mistake is a FileError at its line and column."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from siemd.detection.condition import OLD_STYLE_HINT, BadCondition, parse_condition
from siemd.detection.modifiers import BadItem, build
from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import Node, all_of, any_of
from siemd.detection.rule import (
    CORRELATION_TYPES,
    LEVELS,
    OPERATORS,
    AnyRule,
    Correlation,
    CorrelationType,
    LogSource,
    Operator,
    Rule,
    Threshold,
)
from siemd.detection.view import text_of
from siemd.errors import FileError
from siemd.units import Seconds
from siemd.yamlfile import Document, Key, load_documents

LATER_TYPES = ("value_avg", "value_percentile", "value_median")
LOGSOURCE_KEYS = ("category", "product", "service", "definition")
MAX_TIMESPAN_S = 366 * 86400.0
MAX_TEXT = 65_535


def read_rules(path: Path | str, text: str | None = None) -> tuple[list[AnyRule], list[FileError]]:
    """Every rule of a file and what is wrong with the others; `text` instead of the file's content if given."""
    try:
        documents = load_documents(path, text)
    except FileError as error:
        return [], [error]
    rules: list[AnyRule] = []
    problems: list[FileError] = []
    names = _default_names(Path(path).stem, documents)
    for document, name in zip(documents, names, strict=True):
        try:
            rules.append(_Reader(document, name).read())
        except FileError as error:
            problems.append(error)
    return rules, problems


def read_detection(document: Document, keys: tuple[Key, ...], value: Any) -> Node:
    """A detection that stands outside of a rule, as in an overlay: `value` at `keys`; raises FileError."""
    return _Reader(document, "")._item(keys, value)


def _default_names(stem: str, documents: list[Document]) -> list[str]:
    """The file's stem for its only document or its only correlation, stem_2 and so on for the others."""
    correlations = [n for n, one in enumerate(documents) if isinstance(one.data, dict) and "correlation" in one.data]
    main = correlations[0] if len(correlations) == 1 else 0
    return [stem if index == main else f"{stem}_{index + 1}" for index in range(len(documents))]


class _Reader:
    """Reads one YAML document into a Rule or a Correlation."""

    def __init__(self, document: Document, default_name: str) -> None:
        self._document = document
        self._default_name = default_name

    def read(self) -> AnyRule:
        data = self._document.data
        if not isinstance(data, dict):
            raise self._error((), "expected a Sigma rule: a mapping with title, logsource and detection")
        if "action" in data and "detection" not in data:
            raise self._error(("action",), "'action' documents (global, repeat, reset) are no longer part of Sigma")
        if "filter" in data and "detection" not in data:
            raise self._error(("filter",), "Sigma filters are not supported yet", of_key=True)
        if data.get("status") == "unsupported":
            raise self._error(
                ("status",), "the rule says of itself that it is unsupported: it needs what Sigma cannot express"
            )
        if "correlation" in data:
            if "detection" in data:
                raise self._error(("detection",), "a rule has 'detection' or 'correlation', not both", of_key=True)
            return self._correlation(data["correlation"])
        for key in ("logsource", "detection"):
            if key not in data:
                raise self._error((), f"the key {key!r} is missing", did_you_mean(key, map(str, data)))
        return Rule(**self._meta(), logsource=self._logsource(), condition=self._detection())

    # what rules and correlations share

    def _meta(self) -> dict[str, Any]:
        data = self._document.data
        title = self._text(("title",), required=True)
        date = self._text(("date",))
        if re.fullmatch(r"\d{4}/\d{1,2}/\d{1,2}", date):
            raise self._error(
                ("date",),
                f"a rule of Sigma 1, as its date {date} shows",
                f"see that its fields and condition are right for Sigma 2, then write {date.replace('/', '-')}",
            )
        level = self._text(("level",)) or "medium"
        if level not in LEVELS:
            raise self._error(("level",), f"unknown level {level!r}", did_you_mean(level, LEVELS))
        custom = data.get("siemd") or {}
        if not isinstance(custom, dict):
            raise self._error(("siemd",), "expected a mapping with 'reason', 'group' or 'alert'")
        self._known_keys(("siemd",), custom, ("reason", "group", "alert"))
        if not isinstance(custom.get("alert", True), bool):
            raise self._error(("siemd", "alert"), "expected true or false")
        line, _ = self._document.position()
        return {
            "title": title,
            "name": self._text(("name",)) or self._default_name,
            "id": self._text(("id",)),
            "level": level,
            "status": self._text(("status",)),
            "description": self._text(("description",)),
            "author": self._text(("author",)),
            "tags": self._texts(("tags",)),
            "falsepositives": self._texts(("falsepositives",)),
            "references": self._texts(("references",)),
            "group": self._texts(("siemd", "group")),
            "reason": self._text(("siemd", "reason")),
            "alert": custom.get("alert"),
            "path": self._document.path,
            "line": line,
            "places": {key: self._document.position((key,)) for key in ("id", "name")},
        }

    def _logsource(self) -> LogSource:
        data = self._document.data["logsource"]
        if not isinstance(data, dict):
            raise self._error(("logsource",), "expected a mapping with category, product or service")
        for key in data:
            near = difflib.get_close_matches(str(key), LOGSOURCE_KEYS, 1, 0.75)
            if near and str(key) not in LOGSOURCE_KEYS:
                raise self._error(
                    ("logsource", key), f"unknown key {str(key)!r}", f"did you mean {near[0]!r}?", of_key=True
                )
        source = LogSource(*(self._text(("logsource", key)).lower() for key in ("category", "product", "service")))
        if source == LogSource():
            raise self._error(("logsource",), "at least one of category, product and service is needed")
        return source

    # detection

    def _detection(self) -> Node:
        data = self._document.data["detection"]
        if not isinstance(data, dict):
            raise self._error(("detection",), "expected a mapping of detections and a condition")
        if "timeframe" in data:
            raise self._error(
                ("detection", "timeframe"), "'timeframe' is no longer part of Sigma", OLD_STYLE_HINT, of_key=True
            )
        if "condition" not in data:
            raise self._error(
                ("detection",), "the key 'condition' is missing", did_you_mean("condition", map(str, data)), of_key=True
            )
        detections = {
            str(name): self._item(("detection", name), value) for name, value in data.items() if name != "condition"
        }
        if not detections:
            raise self._error(("detection",), "there is nothing to look for beside the condition")
        conditions = data["condition"]
        if isinstance(conditions, list) and conditions:
            keys: list[tuple[Key, ...]] = [("detection", "condition", index) for index in range(len(conditions))]
            return any_of([self._condition(key, text, detections) for key, text in zip(keys, conditions, strict=True)])
        return self._condition(("detection", "condition"), conditions, detections)

    def _condition(self, keys: tuple[Key, ...], text: Any, detections: dict[str, Node]) -> Node:
        if not isinstance(text, str) or not text.strip():
            raise self._error(keys, "expected a condition such as 'selection and not filter'")
        try:
            return parse_condition(text, detections)
        except BadCondition as error:
            raise self._document.error_inside(keys, error.offset, error.message, error.hint) from None

    def _item(self, keys: tuple[Key, ...], value: Any) -> Node:
        """A detection: a map (all of it), a list of maps or keywords (any of them), or a single keyword."""
        if isinstance(value, dict):
            if not value:
                raise self._error(keys, "an empty detection matches nothing")
            return all_of([self._field((*keys, name), str(name), content) for name, content in value.items()])
        if isinstance(value, list):
            if not value:
                raise self._error(keys, "an empty list matches nothing")
            return any_of([self._element((*keys, index), item) for index, item in enumerate(value)])
        return self._field(keys, "", value)

    def _element(self, keys: tuple[Key, ...], value: Any) -> Node:
        """One of a list's alternatives: a map or a keyword."""
        return self._item(keys, value) if isinstance(value, dict) else self._field(keys, "", value)

    def _field(self, keys: tuple[Key, ...], name: str, content: Any) -> Node:
        field, *modifiers = name.split("|")
        if isinstance(content, list) and not content:
            raise self._error(keys, "an empty list matches nothing")
        if isinstance(content, dict):
            raise self._error(keys, "expected a value or a list of values, not a mapping")
        if not field and content is None:
            raise self._error(keys, "a keyword is a text, a number or a regular expression, not null")
        try:
            return build(field or None, modifiers, content if isinstance(content, list) else [content])
        except BadItem as error:
            if error.index is None:
                raise self._error(keys, error.message, error.hint, of_key=True) from None
            where = (*keys, error.index) if isinstance(content, list) else keys
            raise self._error(where, error.message, error.hint) from None

    # correlation

    def _correlation(self, data: Any) -> Correlation:
        if not isinstance(data, dict):
            raise self._error(("correlation",), "expected a mapping with type, rules, timespan and condition")
        known = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
        self._known_keys(("correlation",), data, known)
        for key in ("type", "rules", "timespan"):
            if key not in data:
                raise self._error(("correlation",), f"the key {key!r} is missing", of_key=True)
        kind = self._correlation_type()
        rules = self._texts(("correlation", "rules"))
        if not rules:
            raise self._error(("correlation", "rules"), "expected the names or ids of the rules to correlate")
        for index, name in enumerate(rules):
            if name in rules[:index]:
                raise self._error(("correlation", "rules", index), f"the rule {name!r} stands here twice")
        group_by = self._texts(("correlation", "group-by"))
        top_level = "generate" in self._document.data
        generate = self._document.data["generate"] if top_level else data.get("generate", False)
        if not isinstance(generate, bool):
            raise self._error(("generate",) if top_level else ("correlation", "generate"), "expected true or false")
        meta = self._meta()
        meta["places"] |= {
            name: self._document.position(("correlation", "rules", index)) for index, name in enumerate(rules)
        }
        return Correlation(
            **meta,
            type=kind,
            rules=rules,
            timespan_s=self._timespan(data["timespan"]),
            threshold=self._threshold(kind, data.get("condition"), len(rules)),
            group_by=group_by,
            aliases=self._aliases(data.get("aliases"), rules),
            generate=generate,
        )

    def _correlation_type(self) -> CorrelationType:
        name = self._text(("correlation", "type"), required=True)
        for known in CORRELATION_TYPES:
            if name == known:
                return known
        if name in LATER_TYPES:
            raise self._error(("correlation", "type"), f"correlations of type {name!r} are not supported yet")
        hint = did_you_mean(name, CORRELATION_TYPES)
        raise self._error(("correlation", "type"), f"unknown correlation type {name!r}", hint)

    def _timespan(self, value: Any) -> float:
        try:
            span = Seconds.parse(value)
        except ValueError as error:
            raise self._error(("correlation", "timespan"), str(error)) from None
        if not 0 < span <= MAX_TIMESPAN_S:
            raise self._error(("correlation", "timespan"), "expected more than nothing and at most a year")
        return float(span)

    def _threshold(self, kind: CorrelationType, data: Any, rules: int) -> Threshold:
        keys: tuple[Key, ...] = ("correlation", "condition")
        temporal = kind in ("temporal", "temporal_ordered")
        if data is None and temporal:
            return Threshold((("gte", rules),))
        if isinstance(data, str):
            raise self._error(keys, "a condition in words is not supported yet", "write a map such as {gte: 10}")
        if not isinstance(data, dict) or not data:
            raise self._error(keys if data is not None else ("correlation",), "expected a condition such as {gte: 10}")
        self._known_keys(keys, data, (*OPERATORS, "field"))
        field = self._text((*keys, "field"))
        if kind.startswith("value_") and not field:
            raise self._error(keys, f"{kind} needs 'field' in its condition")
        if not kind.startswith("value_") and field:
            raise self._error((*keys, "field"), f"{kind} looks at no field", of_key=True)
        comparisons: list[tuple[Operator, float]] = []
        for operator in OPERATORS:
            if operator in data:
                number = data[operator]
                if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e15:
                    raise self._error((*keys, operator), "expected a number")
                comparisons.append((operator, number))
        if not comparisons:
            raise self._error(keys, f"expected one of {', '.join(OPERATORS)}")
        return Threshold(tuple(comparisons), field)

    def _aliases(self, data: Any, rules: tuple[str, ...]) -> dict[str, dict[str, str]]:
        keys: tuple[Key, ...] = ("correlation", "aliases")
        if data is None:
            return {}
        if not isinstance(data, dict):
            raise self._error(keys, "expected a mapping: alias -> rule -> field")
        aliases: dict[str, dict[str, str]] = {}
        for alias, fields in data.items():
            if not isinstance(fields, dict) or not all(isinstance(one, str) for one in fields.values()):
                raise self._error((*keys, alias), "expected a mapping: rule -> field")
            self._known_keys((*keys, alias), fields, rules, "this correlation has no rule")
            aliases[str(alias)] = {str(rule): field for rule, field in fields.items()}
        return aliases

    # values

    def _text(self, keys: tuple[Key, ...], *, required: bool = False) -> str:
        value = self._get(keys)
        if value is None:
            if required:
                raise self._error(keys[:-1], f"the key {keys[-1]!r} is missing", of_key=True)
            return ""
        if isinstance(value, dict | list):
            raise self._error(keys, "expected a text")
        return (text_of(value) or str(value))[:MAX_TEXT]

    def _texts(self, keys: tuple[Key, ...]) -> tuple[str, ...]:
        value = self._get(keys)
        if value is None:
            return ()
        if not isinstance(value, list):
            value = [value]
        for index, item in enumerate(value):
            if isinstance(item, dict | list) or item is None:
                raise self._error((*keys, index), "expected a text")
        return tuple(text_of(item) or str(item) for item in value)

    def _get(self, keys: tuple[Key, ...]) -> Any:
        value = self._document.data
        for key in keys:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    def _known_keys(
        self, keys: tuple[Key, ...], data: dict[Any, Any], known: tuple[str, ...], message: str = "unknown key"
    ) -> None:
        for key in data:
            if str(key) not in known:
                raise self._error((*keys, key), f"{message} {str(key)!r}", did_you_mean(str(key), known), of_key=True)

    def _error(self, keys: tuple[Key, ...], message: str, hint: str = "", *, of_key: bool = False) -> FileError:
        return self._document.error(keys, message, hint, of_key=of_key)
