"""All tests on one field at once: a value's text is read once, and the tests that hold are remembered for next time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from siemd.detection import pattern
from siemd.detection.memo import MemoPool
from siemd.detection.nodes import Exists, FieldRef, Match, Null, Regex, Test, Text
from siemd.detection.predicate import HOLDS, compile_test
from siemd.detection.regex import compile_regex
from siemd.detection.textscanner import NO_ATOMS, Atoms, Numbers, TextScanner
from siemd.detection.view import MAX_VALUES_OF_FIELD, MISSING, View, text_of

MAX_REMEMBERED_CHARACTERS = 8_192
# Values of these types are equal only if they mean the same; True and 1.0 would be taken for 1.
PLAIN_TYPES = frozenset((str, int, type(None), type(MISSING)))


class FieldScanner:
    """What of its tests holds for a field's value, as `compile_test` would say of each."""

    def __init__(self, field: str, tests: Iterable[Match], numbers: Numbers, pool: MemoPool) -> None:
        self.memo = pool.memo()
        self._field = field
        self._others: list[tuple[Callable[[View], bool], int]] = []
        self._others_of_texts: list[tuple[Callable[[View], bool], int]] = []
        self._there: Atoms = NO_ATOMS
        wanted = {match.test: numbers[match] for match in tests if match.field is not None}
        # a keyword is a substring of any field; where the field has the same test of its own, that tells both
        keywords = {match.test: numbers[match] for match in tests if match.field is None}
        self._same = {wanted[test]: number for test, number in keywords.items() if test in wanted}
        wanted = {**keywords, **wanted}
        texts = {test: number for test, number in wanted.items() if isinstance(test, Text) and test.kind != "glob"}
        lowered = {test: number for test, number in texts.items() if not test.cased}
        cased = {test: number for test, number in texts.items() if test.cased}
        self._lowered = TextScanner(lowered) if lowered else None
        self._cased = TextScanner(cased) if cased else None
        self._costly = [(text_check(test), number) for test, number in wanted.items() if is_costly(test)]
        for test, number in wanted.items():
            if test not in texts and not is_costly(test):
                self._others.append((compile_test(field, test), number))
                # of a text that is not empty it is known beforehand whether it is there, and that it is not null
                if isinstance(test, Exists):
                    self._there |= {number} if test.wanted else NO_ATOMS
                elif not isinstance(test, Null):
                    self._others_of_texts.append(self._others[-1])

    def find(self, value: Any) -> Atoms:
        """The numbers of the tests that hold for a raw value (MISSING if the field is not there)."""
        if type(value) not in PLAIN_TYPES:
            return self._compute(value)
        found: Atoms | None = self.memo.find(value)
        if found is None:
            found = self._compute(value)
            if type(value) is not str or len(value) <= MAX_REMEMBERED_CHARACTERS:
                self.memo.keep(value, found)
        return found

    def _compute(self, value: Any) -> Atoms:
        others = self._others
        if type(value) is str and value:
            found, others = self._scan(value), self._others_of_texts
            found |= self._there
        else:
            found = set()
            for one in values_of(value):
                text = text_of(one)
                if text is not None:
                    found |= self._scan(text)
        if others:
            view = OneFieldView(self._field, value, values_of(value))
            found.update([number for holds, number in others if holds(view)])
        return frozenset(found) if found else NO_ATOMS

    def _scan(self, text: str) -> set[int]:
        """The numbers of the text tests that hold for one text."""
        low = text.lower()
        found: set[int] = set()
        if self._lowered is not None:
            self._lowered.scan(low, found)
        if self._cased is not None:
            self._cased.scan(text, found)
        if self._same:
            found.update([same for number, same in self._same.items() if number in found])
        for check, number in self._costly:
            if check(text, low):
                found.add(number)
        return found


class ReferenceScanner:
    """Comparisons of one field with another of the same event."""

    def __init__(self, tests: Mapping[FieldRef, int]) -> None:
        self._tests = [(HOLDS[test.kind], test.cased, number) for test, number in tests.items()]

    def find(self, value: Any, other: Any) -> Atoms:
        """The numbers of the comparisons that hold between two raw values."""
        if value is MISSING or other is MISSING:
            return NO_ATOMS
        single = type(value) is str and type(other) is str
        found = []
        for holds, cased, number in self._tests:
            if single:
                true = holds(value, other) if cased else holds(value.lower(), other.lower())
            else:
                lefts, rights = texts_of(value, cased), texts_of(other, cased)
                true = any(holds(left, right) for right in rights for left in lefts)
            if true:
                found.append(number)
        return frozenset(found) if found else NO_ATOMS


def texts_of(value: Any, cased: bool) -> list[str]:
    """The texts of a field, as `View.texts` and `View.lowered` give them."""
    texts = [text for one in values_of(value) if (text := text_of(one)) is not None]
    return texts if cased else [text.lower() for text in texts]


class OneFieldView(View):
    """Stands for an event of which only one field is known."""

    def __init__(self, field: str, value: Any, values: tuple[Any, ...]) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        if value is not MISSING:
            self.fields = {field: value}
        self._values = {field: values}

    def get(self, name: str) -> Any:
        """The field's value."""
        return self.fields.get(name, MISSING)


def values_of(value: Any) -> tuple[Any, ...]:
    """The values of a field, as `View.values` gives them."""
    if value is MISSING:
        return ()
    if isinstance(value, list | tuple):
        return tuple(value[:MAX_VALUES_OF_FIELD]) or (None,)
    return (value,)


def is_costly(test: Test) -> bool:
    """Whether a test needs a regular expression."""
    return isinstance(test, Regex) or (isinstance(test, Text) and test.kind == "glob")


def text_check(test: Test) -> Callable[[str, str], Any]:
    """A glob or a regex as a function of a text and its lower case."""
    if isinstance(test, Text):
        whole = re.compile(pattern.glob_regex(test.parts)).fullmatch
        return (lambda text, _: whole(text)) if test.cased else (lambda _, low: whole(low))
    assert isinstance(test, Regex)
    search = compile_regex(test.pattern)
    return lambda text, _: search(text)
