"""Thousands of text tests on one text in one pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import ahocorasick_rs

from siemd.detection.nodes import Match, Text

Atoms = frozenset[int]
NO_ATOMS: Atoms = frozenset()
FEW = 24  # substrings up to this number are found faster one by one
END_SIGNS = 4
_NO_SIGN = "\ufffe"  # Unicode promises that it never stands for anything
_ODD = re.compile(f"[\ud800-\udfff{_NO_SIGN}]")
FRONT, BACK = slice(END_SIGNS), slice(-END_SIGNS, None)


class Numbers(dict[Match, int]):
    """Gives every test a number, the same for equal ones."""

    def __missing__(self, match: Match) -> int:
        self[match] = number = len(self)
        return number


class Substrings:
    """Which of many literals are in a text: Aho and Corasick, 1975, https://doi.org/10.1145/360825.360855."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """numbers: for each literal, which must not be empty, what stands for it."""
        whole = {literal: number for literal, number in numbers.items() if not _ODD.search(literal)}
        self._odd = [(literal, number) for literal, number in numbers.items() if literal not in whole]
        self._numbers = list(whole.values())
        self._automaton = ahocorasick_rs.AhoCorasick(
            list(whole),
            matchkind=ahocorasick_rs.MatchKind.Standard,
            implementation=ahocorasick_rs.Implementation.ContiguousNFA,
            store_patterns=False,
        )

    def find(self, text: str) -> set[int]:
        """The numbers of the literals that are in the text."""
        numbers = self._numbers
        try:
            hits = self._automaton.find_matches_as_indexes(text, overlapping=True)
        except UnicodeEncodeError:  # half a surrogate pair, which the automaton can't read
            hits = self._automaton.find_matches_as_indexes(_ODD.sub(_NO_SIGN, text), overlapping=True)
        found = {numbers[hit[0]] for hit in hits} if hits else set()
        if self._odd:
            found.update([number for literal, number in self._odd if literal in text])
        return found


class TextScanner:
    """Text tests of one case on one text: equality, prefixes, suffixes by look-up, substrings by Aho-Corasick."""

    def __init__(self, tests: Mapping[Text, int]) -> None:
        self._equals: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._suffixes: dict[str, int] = {}
        self._signs: dict[str, int] = {}
        self._always: list[int] = []
        self._few: list[tuple[str, int]] = []
        many: dict[str, int] = {}
        few = sum(test.kind == "contains" for test in tests) <= FEW
        tables = {"equals": self._equals, "startswith": self._prefixes, "endswith": self._suffixes}
        for test, number in tests.items():
            literal = test.literal
            if test.kind in tables:
                tables[test.kind][literal] = number
            elif few and literal:
                self._few.append((literal, number))
            elif len(literal) > 1:
                many[literal] = number
            elif literal:
                self._signs[literal] = number
            else:
                self._always.append(number)
        # by their first (last) signs, so that few lengths are tried
        self._prefix_lengths = _by_end(self._prefixes, FRONT)
        self._suffix_lengths = _by_end(self._suffixes, BACK)
        self._short_prefixes = _short(self._prefixes)
        self._short_suffixes = _short(self._suffixes)
        self._ascii_signs = [(sign, number) for sign, number in self._signs.items() if sign.isascii()]
        self._many = Substrings(many) if many else None

    def scan(self, text: str, found: set[int]) -> None:
        """Add the numbers of the tests that hold for the text."""
        self._scan_ends(text, found)
        for literal, number in self._few:
            if literal in text:
                found.add(number)
        if self._many is not None:
            found |= self._many.find(text)
        if self._signs:
            if text.isascii():
                found.update([number for sign, number in self._ascii_signs if sign in text])
            else:
                found.update([self._signs[sign] for sign in self._signs.keys() & set(text)])
        if self._always:
            found.update(self._always)

    def _scan_ends(self, text: str, found: set[int]) -> None:
        number = self._equals.get(text)
        if number is not None:
            found.add(number)
        if self._prefixes:
            for length in (*self._short_prefixes, *self._prefix_lengths.get(text[FRONT], ())):
                number = self._prefixes.get(text[:length])
                if number is not None:
                    found.add(number)
        if self._suffixes:
            size = len(text)
            for length in (*self._short_suffixes, *self._suffix_lengths.get(text[BACK], ())):
                number = self._suffixes.get(text[max(0, size - length) :])
                if number is not None:
                    found.add(number)


def _by_end(literals: Iterable[str], end: slice) -> dict[str, tuple[int, ...]]:
    """The lengths of the literals that have the same signs at their end."""
    lengths: dict[str, set[int]] = {}
    for literal in literals:
        if len(literal) >= END_SIGNS:
            lengths.setdefault(literal[end], set()).add(len(literal))
    return {signs: tuple(sorted(several)) for signs, several in lengths.items()}


def _short(literals: Iterable[str]) -> tuple[int, ...]:
    """The lengths that are too short for that."""
    return tuple(sorted({len(literal) for literal in literals if len(literal) < END_SIGNS}))
