"""The condition language: `selection and not 1 of filter_*`, precedence or < and < not < of < parentheses."""

from __future__ import annotations

import re
from collections.abc import Mapping

from siemd.detection.nearest import did_you_mean
from siemd.detection.nodes import ANY, Node, Wildcard, all_of, any_of, negate
from siemd.detection.pattern import Parts, glob_regex

MAX_CHARACTERS = 20_000
MAX_DEPTH = 50
_TOKEN = re.compile(r"\s*(?:([()|])|([^\s()|]+))")
_OLD_STYLE = re.compile(r"\b(?:count|min|max|avg|sum)\s*\(|\bnear\b|\bwrite\b.+\bto\b|->", re.IGNORECASE)
OLD_STYLE_REASON = "an aggregation inside the condition (count, sum, near, lists) is no longer part of Sigma"
OLD_STYLE_HINT = "write a correlation rule (event_count, value_count, value_sum, temporal) instead"
_WORDS = ("and", "or", "not", "of", "them")


class BadCondition(Exception):
    """A condition that can't be read; `offset` is where, in characters from its start."""

    def __init__(self, offset: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.hint = hint


def parse_condition(text: str, detections: Mapping[str, Node]) -> Node:
    """The condition with the detections it names put in; raises BadCondition."""
    if len(text) > MAX_CHARACTERS:
        raise BadCondition(0, f"a condition of more than {MAX_CHARACTERS} characters")
    old = text.find("|")
    if old < 0 and (found := _OLD_STYLE.search(text)) and found[0].lower() not in detections:
        old = found.start()
    if old >= 0:
        raise BadCondition(old, OLD_STYLE_REASON, OLD_STYLE_HINT)
    return _Parser(text, detections).parse()


def rule_names(text: str) -> tuple[str, ...]:
    """The names in a condition in the order in which they first stand there."""
    words = [hit[2] for hit in _TOKEN.finditer(text) if hit[2]]
    return tuple(dict.fromkeys(word for word in words if word.lower() not in _WORDS))


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str, detections: Mapping[str, Node]) -> None:
        self._tokens = [(hit.start(hit.lastindex or 0), hit[0].strip()) for hit in _TOKEN.finditer(text)]
        self._end = len(text.rstrip())
        self._detections = detections
        self._next = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._or()
        if self._next < len(self._tokens):
            offset, word = self._tokens[self._next]
            raise BadCondition(offset, f"expected 'and', 'or' or the end, got {word!r}")
        return node

    def _peek(self) -> str:
        return self._tokens[self._next][1].lower() if self._next < len(self._tokens) else ""

    def _take(self) -> tuple[int, str]:
        if self._next >= len(self._tokens):
            raise BadCondition(self._end, "the condition ends too early", "expected the name of a detection")
        self._next += 1
        return self._tokens[self._next - 1]

    def _or(self) -> Node:
        items = [self._and()]
        while self._peek() == "or":
            self._next += 1
            items.append(self._and())
        return any_of(items)

    def _and(self) -> Node:
        items = [self._not()]
        while self._peek() == "and":
            self._next += 1
            items.append(self._not())
        return all_of(items)

    def _not(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadCondition(self._tokens[self._next - 1][0], f"nested more than {MAX_DEPTH} deep")
        if self._peek() == "not":
            self._next += 1
            node = negate(self._not())
        else:
            node = self._primary()
        self._depth -= 1
        return node

    def _primary(self) -> Node:
        offset, word = self._take()
        if word == "(":
            node = self._or()
            close, sign = self._take() if self._next < len(self._tokens) else (self._end, "")
            if sign != ")":
                raise BadCondition(close, "expected ')'" + (f", got {sign!r}" if sign else ""))
            return node
        if self._peek() == "of":
            self._next += 1
            return self._of(offset, word)
        if word in self._detections:
            return self._detections[word]
        if word.lower() in _WORDS or word == ")":
            raise BadCondition(offset, f"expected the name of a detection, got {word!r}")
        hint = did_you_mean(word, self._detections)
        if "*" in word:
            hint = f"write '1 of {word}' or 'all of {word}'"
        raise BadCondition(offset, f"no detection is named {word!r}", hint)

    def _of(self, offset: int, quantifier: str) -> Node:
        kind = quantifier.lower()
        if kind not in ("1", "any", "all"):
            raise BadCondition(offset, f"expected '1 of', 'any of' or 'all of', got '{quantifier} of'")
        place, wanted = self._take()
        if wanted.lower() == "them" and "them" not in self._detections:
            names = [name for name in self._detections if not name.startswith("_")]
        else:
            expression = re.compile(
                glob_regex(_stars(wanted))
            )  # in linear time, whatever the rule's author has in mind
            names = [name for name in self._detections if expression.fullmatch(name)]
        if not names:
            raise BadCondition(place, f"no detection matches {wanted!r}", did_you_mean(wanted, self._detections))
        items = [self._detections[name] for name in names]
        return all_of(items) if kind == "all" else any_of(items)


def _stars(text: str) -> Parts:
    """A pattern of names, in which `*` is the one sign that means something else, and has no escape."""
    return tuple(Wildcard(ANY) if part == ANY else part for part in re.split(r"(\*)", text) if part)
