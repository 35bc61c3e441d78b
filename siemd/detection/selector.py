"""Which rules an entry of an overlay or a suppression is about: `rules: any`, names and ids, or what rules say."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

import msgspec

from siemd.detection.entry import Entry
from siemd.detection.rule import LEVELS, AnyRule

STATUSES = ("stable", "test", "experimental", "deprecated", "unsupported")
KEYS = ("name", "id", "tag", "level", "status")


class RuleSelector(msgspec.Struct, frozen=True):
    """For each key, any of its patterns has to match; without keys every rule is meant.

    patterns: pairs of key (name, id, tag, level, status, or ref: name or id) and expressions on lower-cased text.
    written: how it stands in the file, for people. names: when nothing but names and ids without `*` and `?` are given,
    these in lower case, in place of patterns.
    """

    patterns: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = ()
    written: str = "any"
    names: tuple[str, ...] = ()

    def matches(self, rule: AnyRule) -> bool:
        """Whether the rule is meant, by what its own file says of it."""
        if self.names:
            return any(name in self.names for name in _texts(rule, "ref"))
        return all(
            any(pattern.fullmatch(text) for pattern in patterns for text in _texts(rule, key))
            for key, patterns in self.patterns
        )


def read_selector(entry: Entry) -> RuleSelector:
    """The `rules` of an entry; raises FileError."""
    entry.need("rules")
    value = entry.data["rules"]
    if value in ("any", "all"):
        return RuleSelector()
    if not isinstance(value, dict):
        names = entry.texts("rules")
        written = ", ".join(names)
        if not any(set(name) & set("*?") for name in names):
            return RuleSelector(written=written, names=tuple(name.lower() for name in names))
        return RuleSelector((("ref", tuple(map(wildcards, names))),), written)
    inner = Entry(entry.document, (*entry.keys, "rules"), value, KEYS)
    found = []
    for key in inner.data:
        inner.need(key)
        texts = inner.texts(key)
        known = {"level": LEVELS, "status": STATUSES}.get(key)
        if known is not None:
            for text in texts:
                if text not in known:
                    raise inner.error(key, f"unknown {key} {text!r}", f"known are {', '.join(known)}")
        found.append((key, tuple(map(wildcards, texts))))
    written = " and ".join(f"{key} {' or '.join(inner.texts(key))}" for key in inner.data)
    return RuleSelector(tuple(found), written)


class Choosing:
    """Which of many rules selectors mean: those that give names are looked up, for an overlay may have thousands."""

    def __init__(self, rules: Sequence[AnyRule]) -> None:
        self._rules = rules
        self._named: dict[str, list[int]] = {}
        for position, rule in enumerate(rules):
            for name in set(_texts(rule, "ref")):
                self._named.setdefault(name, []).append(position)

    def positions(self, selector: RuleSelector) -> list[int]:
        """Where the rules that are meant stand among all, in order."""
        if selector.names:
            return sorted({position for name in selector.names for position in self._named.get(name, ())})
        return [position for position, rule in enumerate(self._rules) if selector.matches(rule)]


def wildcards(text: str) -> re.Pattern[str]:
    """An expression for text with `*` and `?`, to be matched against lower-cased text as a whole, in linear time."""
    return re.compile(fnmatch.translate(text.lower().replace("[", "[[]")))


def _texts(rule: AnyRule, key: str) -> tuple[str, ...]:
    match key:
        case "ref":
            return rule.name.lower(), rule.id.lower()
        case "tag":
            return tuple(tag.lower() for tag in rule.tags)
        case "name":
            return (rule.name.lower(),)
        case "id":
            return (rule.id.lower(),)
        case "level":
            return (rule.level,)
        case _:
            return (rule.status.lower(),)
