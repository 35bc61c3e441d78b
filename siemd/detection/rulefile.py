"""Reads Sigma rules, correlations and filters from YAML; every mistake is a FileError at its line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from siemd.detection.correlationfile import read_correlation
from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import And, Exists, Match, Node, Not, Or, negate
from siemd.detection.reader import Placeholders, Reader, Unfilled, reference
from siemd.detection.rule import AnyRule, Filter, Rule
from siemd.errors import FileError
from siemd.yamlfile import Document, Key, load_documents

__all__ = ["Placeholders", "Unfilled", "read_detection", "read_rules"]

_ACTIONS = ("global", "repeat", "reset")


def read_rules(
    path: Path | str, text: str | None = None, placeholders: Placeholders | None = None
) -> tuple[list[AnyRule | Filter], list[FileError]]:
    """Every rule and filter of a file and what is wrong with the others; `text` instead of the file's content if given.

    placeholders: the values of what the modifier `expand` names; a rule without its values is a problem of the kind
    `Unfilled`.
    """
    try:
        documents = load_documents(path, text)
    except FileError as error:
        return [], [error]
    rules: list[AnyRule | Filter] = []
    problems: list[FileError] = []
    names = _default_names(Path(path).stem, documents)
    continued = False
    for document, name in zip(documents, names, strict=True):
        try:
            if continued:
                raise document.error((), "this continues an 'action' document, which is no longer part of Sigma")
            continued = isinstance(document.data, dict) and document.data.get("action") in _ACTIONS
            rules.append(_read(Reader(document, name, placeholders)))
        except FileError as error:
            problems.append(error)
    return rules, problems


def read_detection(document: Document, keys: tuple[Key, ...], value: Any) -> Node:
    """A detection that stands outside of a rule, as in an overlay: `value` at `keys`; raises FileError."""
    return Reader(document).item(keys, value)


def _default_names(stem: str, documents: list[Document]) -> list[str]:
    """The file's stem for its only document or its only correlation, stem_2 and so on for the others."""
    correlations = [n for n, one in enumerate(documents) if isinstance(one.data, dict) and "correlation" in one.data]
    main = correlations[0] if len(correlations) == 1 else 0
    return [stem if index == main else f"{stem}_{index + 1}" for index in range(len(documents))]


def _read(reader: Reader) -> AnyRule | Filter:
    data = reader.data
    if not isinstance(data, dict):
        raise reader.error((), "expected a Sigma rule: a mapping with title, logsource and detection")
    if data.get("action") in _ACTIONS:
        raise reader.error(
            ("action",),
            "'action' documents (global, repeat, reset) are no longer part of Sigma",
            "write each rule in full",
        )
    rule = _rule(reader)
    if reader.text(("status",)).lower() == "unsupported":  # when nothing that can be named is wrong
        raise reader.error(
            ("status",), "the rule says of itself that it is unsupported: it needs what Sigma cannot express"
        )
    return rule


def _rule(reader: Reader) -> AnyRule | Filter:
    data = reader.data
    kinds = [key for key in ("detection", "correlation", "filter") if key in data]
    if len(kinds) > 1:
        wrong = kinds[0] if "correlation" in kinds else kinds[1]
        raise reader.error((wrong,), f"a rule has {kinds[0]!r} or {kinds[1]!r}, not both", of_key=True)
    if "correlation" in data:
        return read_correlation(reader)
    for key in ("logsource", kinds[0] if kinds else "detection"):
        if key not in data:
            raise reader.error((), f"the key {key!r} is missing", did_you_mean(key, map(str, data)))
    if "filter" in data:
        return _filter(reader)
    return Rule(**reader.meta(), logsource=reader.logsource(), condition=reader.detection("detection"))


def _filter(reader: Reader) -> Filter:
    data = reader.data["filter"]
    if not isinstance(data, dict):
        raise reader.error(("filter",), "expected a mapping with rules, detections and a condition")
    if "rules" not in data:
        hint = "name rules, or write 'rules: any' for all of the logsource"
        raise reader.error(("filter",), "the key 'rules' is missing", hint, of_key=True)
    rules = tuple(map(reference, reader.texts(("filter", "rules"))))
    if len(rules) == 1 and rules[0].lower() == "any":
        rules = ()
    if not isinstance(data.get("condition"), str):
        raise reader.error(
            ("filter",), "a filter has one condition, in words", "such as condition: selection", of_key=True
        )
    meta = reader.meta()
    logsource = reader.logsource()
    condition = reader.detection("filter", ("rules",))
    names = [str(name) for name in data if name not in ("rules", "condition")]
    shape = reader.condition(
        ("filter", "condition"), data["condition"], {name: Match(name, Exists(True)) for name in names}
    )
    keep = condition if _is_negative(shape) else negate(condition)
    return Filter(**meta, logsource=logsource, rules=rules, keep=keep)


def _is_negative(node: Node) -> bool:
    """Whether a filter's condition says what stays (`not selection`), not what goes, as in the specification."""
    match node:
        case Not():
            return True
        case And(items) | Or(items):
            return all(_is_negative(item) for item in items)
    return False
