"""Keywords: texts that are searched in every value of an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from siemd.detection.nodes import Match, Text
from siemd.detection.textscanner import NO_ATOMS, Atoms, Numbers, TextScanner

MAX_PROBED = 64


class KeywordScanner:
    """Plain keywords in several joined texts, which are set apart by a sign that no keyword holds."""

    SEPARATOR = "\0"  # a sign beyond ASCII would make all that is joined wider, and slower to read

    def __init__(self, tests: Iterable[Match], numbers: Numbers) -> None:
        texts = {match.test: numbers[match] for match in tests if isinstance(match.test, Text)}
        self._lowered = TextScanner({test: number for test, number in texts.items() if not test.cased})
        cased = {test: number for test, number in texts.items() if test.cased}
        self._cased = TextScanner(cased) if cased else None
        self._probes = probes([test.literal for test in texts if not test.cased])
        # whether the text of a number can hold one
        self.in_numbers = any(test.literal.strip("-0123456789") == "" for test in texts)

    def find(self, texts: Iterable[str]) -> Atoms:
        """The numbers of the keywords that are in any of the texts."""
        joined = self.SEPARATOR.join(texts)
        found: set[int] = set()
        low = joined.lower()
        for probe in self._probes:
            if probe in low:
                self._lowered.scan(low, found)
                break
        if self._cased is not None:
            self._cased.scan(joined, found)
        return frozenset(found) if found else NO_ATOMS


def probes(literals: Sequence[str]) -> list[str]:
    """A few short texts of which one at least is in every literal; the literals' own first letters when none is short.

    Greedy cover: again and again the text of two to four characters that most of the remaining literals hold.
    """
    left = set(literals)
    if len(left) > MAX_PROBED:
        return [""]
    chosen: list[str] = []
    while left:
        counts: Counter[str] = Counter()
        for literal in left:
            sizes = range(2, 5) if len(literal) > 1 else range(1, 2)
            counts.update({literal[at : at + size] for size in sizes for at in range(len(literal) - size + 1)})
        best = max(counts, key=lambda text: (counts[text], len(text), text))
        chosen.append(best)
        left = {literal for literal in left if best not in literal}
    return chosen


def is_keyword(match: Match) -> bool:
    """Whether a KeywordScanner can decide the test."""
    test = match.test
    if not isinstance(test, Text) or test.kind != "contains":
        return False
    return bool(test.literal) and KeywordScanner.SEPARATOR not in test.literal
