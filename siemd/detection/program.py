"""The rules for one kind of event, compiled: one pass over the fields, then only rules whose witness was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import getitem, itemgetter
from typing import Any

from siemd.detection.keywords import KeywordScanner, is_keyword
from siemd.detection.memo import MemoPool
from siemd.detection.nodes import FieldRef, Match, Node, Not
from siemd.detection.predicate import compile_node
from siemd.detection.required import bound
from siemd.detection.scanner import PLAIN_TYPES, FieldScanner, ReferenceScanner, is_costly
from siemd.detection.textscanner import NO_ATOMS, Atoms, Numbers
from siemd.detection.view import MAX_LEAVES, MISSING, Predicate, View, is_direct, log_numbers, log_texts
from siemd.detection.witness import Verdict, compile_verdict, matches_in, rarity, witnesses
from siemd.events import Event, LogEvent

Indices = tuple[int, ...]
MAX_LATE_COST = 60.0  # as `rarity` counts
MAX_SHAPES = 256
_NO_MATCHES: Indices = ()
_TEXT, _WHOLE = frozenset((str,)), frozenset((int,))
_FOREVER_MISSING = repeat(MISSING)
_GET = dict.get
Picker = Callable[[Mapping[str, Any]], tuple[Any, ...]]
# What follows from the tests that hold: rules that match, and rules that need a look at the event itself.
Outcome = tuple[Indices, tuple[tuple[int, Predicate], ...]]


class Workshop:
    """What programs of one set of rules share: numbers of tests, scanners of equal fields, room for memos."""

    def __init__(self, room_bytes: int) -> None:
        self.numbers = Numbers()
        self.pool = MemoPool(room_bytes)
        self._scanners: dict[tuple[str, frozenset[Match]], FieldScanner] = {}

    def scanner(self, field: str, tests: frozenset[Match]) -> FieldScanner:
        """The scanner for exactly these tests on the field."""
        found = self._scanners.get((field, tests))
        if found is None:
            found = self._scanners[field, tests] = FieldScanner(field, tests, self.numbers, self.pool)
        return found


class Program:
    """Conditions of rules (by index) for one kind of event; `match` gives exactly what `compile_node` would of each."""

    def __init__(self, conditions: Sequence[tuple[int, Node]], workshop: Workshop) -> None:
        self._rules: list[tuple[int, Verdict, Predicate | None]] = []
        self._asked: list[Atoms] = []  # for each rule the tests that decide it
        self._by_witness: dict[int, list[int]] = {}
        self._unwitnessed: list[int] = []
        late = late_tests([node for _, node in conditions])
        bounds = [bound(node, lambda test: is_indexed(test) and test not in late) for _, node in conditions]
        self._compile(conditions, bounds, late, workshop.numbers)
        self._witnesses = frozenset(self._by_witness)
        self._index({test for node in bounds for test in matches_in(node)}, workshop)
        self._outcomes = workshop.pool.memo()
        self._known = self._outcomes.recent
        self._relevant = workshop.pool.memo()
        self._decided = workshop.pool.memo()

    def __len__(self) -> int:
        return len(self._rules)

    def match(self, event: Event) -> Indices:
        """Indices of the rules that the event matches, ascending, each once."""
        if type(event) is LogEvent:
            values = list(map(event.fields.get, self._names, _FOREVER_MISSING))
            for index in self._indirect:
                if values[index] is MISSING:
                    values[index] = View(event).get(self._names[index])
        else:
            values = list(map(View(event).get, self._names))
        key: tuple[Atoms, ...]
        plain = PLAIN_TYPES.issuperset(map(type, values))
        try:
            if not plain:
                raise KeyError
            key = tuple(map(getitem, self._recent, values))
        except KeyError:
            found: list[Any] = list(map(_GET, self._recent, values)) if plain else [None] * len(values)
            for at in [at for at, one in enumerate(found) if one is None]:
                found[at] = self._scanners[at].find(values[at])
            key = tuple(found)
        if self._references:
            key += tuple([scanner.find(values[one], values[other]) for one, other, scanner in self._references])
        if self._keywords is not None:
            seen = self._keywords.find(self._other_texts(event, plain))
            if seen:
                key = (*key, seen)
        outcome: Outcome | None = self._known.get(key)
        if outcome is None:
            outcome = self._outcomes.find(key)
            if outcome is None:
                outcome = self._look_up(NO_ATOMS.union(*key))
                self._outcomes.keep(key, outcome)
        matches, doubtful = outcome
        if doubtful:
            view = View(event)
            more = {index for index, predicate in doubtful if predicate(view)}
            if more:
                matches = tuple(sorted(more.union(matches)))
        return matches

    def _index(self, tests: set[Match], workshop: Workshop) -> None:
        """Make the scanners of all fields, of references between them, and of keywords."""
        keywords = frozenset(test for test in tests if test.field is None)
        references: dict[tuple[str, str], dict[FieldRef, int]] = {}
        fields: dict[str, set[Match]] = {}
        for match in tests:
            if match.field is not None:
                own = fields.setdefault(match.field, set(keywords))
                if isinstance(match.test, FieldRef):
                    fields.setdefault(match.test.other, set(keywords))
                    pair = references.setdefault((match.field, match.test.other), {})
                    pair[match.test] = workshop.numbers[match]
                else:
                    own.add(match)
        self._names = sorted(fields)
        self._indirect = [index for index, name in enumerate(self._names) if not is_direct(name)]
        self._direct_names = frozenset(filter(is_direct, self._names))
        self._scanners = [workshop.scanner(name, frozenset(fields[name])) for name in self._names]
        self._recent = [scanner.memo.recent for scanner in self._scanners]
        self._references = [
            (self._names.index(one), self._names.index(other), ReferenceScanner(pair))
            for (one, other), pair in references.items()
        ]
        self._keywords = KeywordScanner(keywords, workshop.numbers) if keywords else None
        self._numbers_matter = self._keywords is not None and self._keywords.in_numbers
        self._picks: dict[tuple[str, ...], tuple[Picker, Picker]] = {}  # by the names of an event's fields

    def _other_texts(self, event: Event, plain: bool) -> Iterable[str]:
        """The texts of the event that the scanners of fields have not seen (if `plain`), or all of them."""
        if plain and type(event) is LogEvent and len(event.fields) <= MAX_LEAVES // 2:
            shape = tuple(event.fields)
            picks = self._picks.get(shape)
            if picks is None:
                if len(self._picks) >= MAX_SHAPES:
                    self._picks.clear()
                picks = self._picks[shape] = self._pick(event.fields)
            texts, numbers = picks[0](event.fields), picks[1](event.fields)
            if _TEXT.issuperset(map(type, texts)) and _WHOLE.issuperset(map(type, numbers)):
                if self._numbers_matter:
                    texts += tuple(map(str, (*log_numbers(event), *numbers)))
                return log_texts(event) + texts
        return View(event).leaves(cased=True)

    def _pick(self, fields: Mapping[str, Any]) -> tuple[Picker, Picker]:
        """What takes texts, and what takes numbers, out of fields of these names that no scanner has seen."""
        names = [name for name in fields if name not in self._direct_names]
        texts = [name for name in names if type(fields[name]) is not int]
        return picker(texts), picker([name for name in names if type(fields[name]) is int])

    def _compile(
        self, conditions: Sequence[tuple[int, Node]], bounds: list[Node], late: set[Match], numbers: Numbers
    ) -> None:
        cost = rarity(bounds)
        for place, ((index, node), upper) in enumerate(zip(conditions, bounds, strict=True)):
            exact = all(is_indexed(test) and test not in late for test in matches_in(node))
            self._rules.append((index, compile_verdict(upper, numbers), None if exact else compile_node(node)))
            self._asked.append(frozenset(numbers[test] for test in matches_in(upper)))
            rarest = witnesses(upper, cost)
            if rarest is None:
                self._unwitnessed.append(place)
            else:
                for test in rarest[1]:
                    self._by_witness.setdefault(numbers[test], []).append(place)

    def _look_up(self, atoms: Atoms) -> Outcome:
        """What follows from the tests that hold.

        Most of them are asked for by no rule whose witness holds: two events that differ only in these end the same.
        What a rule asks for includes its witnesses, so the relevant tests alone also tell which rules were looked at.
        """
        witnessed = atoms & self._witnesses
        asked: Atoms | None = self._relevant.find(witnessed)
        if asked is None:
            asked = NO_ATOMS.union(*[self._asked[place] for place in self._candidates(witnessed)])
            self._relevant.keep(witnessed, asked)
        relevant = atoms & asked
        outcome: Outcome | None = self._decided.find(relevant)
        if outcome is None:
            outcome = self._decide(relevant, self._candidates(witnessed))
            self._decided.keep(relevant, outcome)
        return outcome

    def _candidates(self, witnessed: Atoms) -> set[int]:
        """Places of the rules of which a witness holds, or that have none."""
        return set(self._unwitnessed).union(*[self._by_witness[atom] for atom in witnessed])

    def _decide(self, atoms: Atoms, candidates: set[int]) -> Outcome:
        """Evaluate these rules."""
        matches: list[int] = []
        doubtful: list[tuple[int, Predicate]] = []
        for place in candidates:
            index, verdict, predicate = self._rules[place]
            if verdict(atoms):
                if predicate is None:
                    matches.append(index)
                else:
                    doubtful.append((index, predicate))
        return tuple(sorted(set(matches))) if matches else _NO_MATCHES, tuple(doubtful)


def picker(names: Sequence[str]) -> Picker:
    """A function that takes the values of these names out of a mapping that has them all."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda fields: tuple([fields[name] for name in names])


def is_indexed(match: Match) -> bool:
    """Whether scanners decide the test: all but a few kinds of keyword."""
    return match.field is not None or is_keyword(match)


def late_tests(conditions: Sequence[Node]) -> set[Match]:
    """Globs and regexes that are better tried on the event itself, after all else of their rules was found to hold.

    All others are tried on each new value, and the answer is remembered. These are left out of it because every rule
    that has them asks for something rare beside.
    """
    with_costly = [node for node in conditions if any(is_costly(test.test) for test in matches_in(node))]
    if not with_costly:
        return set()
    upper = [bound(node, lambda test: is_indexed(test) and not is_costly(test.test)) for node in conditions]
    cost = rarity(upper)
    late: set[Match] = set()
    early: set[Match] = set()
    for node in with_costly:
        costly = {test for test in matches_in(node) if test.field is not None and is_costly(test.test)}
        rest = bound(node, lambda test: is_indexed(test) and not is_costly(test.test), literals=False)
        rarest = witnesses(rest, cost)
        wanted = {test for test in matches_in(node, positive=True) if test in costly}
        if rarest is None or rarest[0] > MAX_LATE_COST:
            early |= costly
        else:
            late |= wanted
            early |= {test for test in matches_in(Not(node), positive=True) if test in costly}
    return late - early
