"""Which rules an entry of an overlay or a suppression is about: `rules: any`, names and ids, or what rules say."""

from __future__ import annotations

import fnmatch
import re

import msgspec

from siemd.detection.entry import Entry
from siemd.detection.rule import LEVELS, AnyRule

STATUSES = ("stable", "test", "experimental", "deprecated", "unsupported")
KEYS = ("name", "id", "tag", "level", "status")


class RuleSelector(msgspec.Struct, frozen=True):
    """For each key, any of its patterns has to match; without keys every rule is meant.

    patterns: pairs of key (name, id, tag, level, status, or ref: name or id) and expressions on lower-cased text.
    written: how it stands in the file, for people.
    """

    patterns: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = ()
    written: str = "any"

    def matches(self, rule: AnyRule) -> bool:
        """Whether the rule is meant, by what its own file says of it."""
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
        return RuleSelector((("ref", tuple(map(wildcards, names))),), ", ".join(names))
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
