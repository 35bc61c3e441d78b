"""The rules for one kind of event, compiled: one pass over the fields, then only rules whose witness was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import getitem, itemgetter
from sys import getsizeof
from typing import Any

import msgspec

from siemd.detection.keywords import KeywordScanner, is_keyword
from siemd.detection.memo import MemoPool
from siemd.detection.nodes import Constant, FieldRef, Match, Node, Text, assume
from siemd.detection.predicate import compile_node
from siemd.detection.required import bound
from siemd.detection.scanner import PLAIN_TYPES, FieldScanner, ReferenceScanner, is_costly
from siemd.detection.textscanner import NO_ATOMS, Atoms, Numbers
from siemd.detection.view import MAX_LEAVES, MISSING, Predicate, View, is_direct, log_numbers, log_texts
from siemd.detection.witness import Verdict, compile_verdict, matches_in, rarity, witnesses
from siemd.events import Event, LogEvent

Indices = tuple[int, ...]
MAX_EAGER_SEARCHES = 64  # on one field
MAX_REMEMBERED_BYTES = 16 << 10
REST_BYTES = 2 << 10  # of a compiled condition, roughly
MAX_SHAPES = 256
MAX_SHAPE_CHARACTERS = 8_192
_NO_MATCHES: Indices = ()
_TEXT, _WHOLE = frozenset((str,)), frozenset((int,))
_FOREVER_MISSING = repeat(MISSING)
_GET = dict.get
Picker = Callable[[Any], tuple[Any, ...]]
# What follows from the tests that hold: rules that match, and rules of which other values decide.
Outcome = tuple[Indices, "OpenRules | None"]


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
    """Conditions of rules (by index) for one kind of event; `match` gives exactly what `compile_node` would of each.

    Each value is searched for few tests: witnesses, and what costs next to nothing. They leave few rules in question;
    what these ask for beside is looked at for them alone, and the answer is remembered by the values it depends on.
    """

    def __init__(self, conditions: Sequence[tuple[int, Node]], workshop: Workshop) -> None:
        nodes = [node for _, node in conditions]
        rarest = rarest_witnesses(nodes)
        self._eager = eager_tests(nodes, rarest)
        self._numbers = workshop.numbers
        self._rules = [self._rule(index, node) for index, node in conditions]
        self._by_witness: dict[int, list[int]] = {}
        self._unwitnessed: list[int] = []
        for place, tests in enumerate(rarest):
            if tests is None:
                self._unwitnessed.append(place)
            for test in tests or ():
                self._by_witness.setdefault(workshop.numbers[test], []).append(place)
        self._witnesses = frozenset(self._by_witness)
        self._index(workshop, {field for rule in self._rules for field in rule.fields})
        self._outcomes = workshop.pool.memo()
        self._known = self._outcomes.recent
        self._relevant = workshop.pool.memo()
        self._decided = workshop.pool.memo()
        self._rests = workshop.pool.memo()
        self._answers = workshop.pool.memo()

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
            found: list[Any] = list(map(_GET, self._recent, values)) if plain else [None] * len(self._recent)
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
        matches, open_rules = outcome
        if open_rules is not None:
            more = self._answer(open_rules, event, values, plain)
            if more:
                matches = tuple(sorted({*more, *matches}))
        return matches

    def _answer(self, rules: OpenRules, event: Event, values: list[Any], plain: bool) -> Indices:
        """Which of the rules in question match; remembered by the values that they look at."""
        question = (rules, *rules.pick(values)) if plain and rules.pick is not None else None
        found: Indices | None = self._answers.find(question) if question else None
        if found is None:
            view = View(event)
            found = tuple([index for index, predicate in rules.predicates if predicate(view)])
            if question:
                size_bytes = sum(map(getsizeof, question))
                if size_bytes <= MAX_REMEMBERED_BYTES:
                    self._answers.keep(question, found, size_bytes)
        return found

    def _index(self, workshop: Workshop, asked: set[str]) -> None:
        """Make the scanners of all fields, of references between them, and of keywords.

        asked: further fields, of which only the value is wanted.
        """
        tests = self._eager
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
        scanned = sorted(fields)
        self._names = [*scanned, *sorted(asked - fields.keys())]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._indirect = [index for index, name in enumerate(self._names) if not is_direct(name)]
        self._direct_names = frozenset(filter(is_direct, self._names))
        self._scanners = [workshop.scanner(name, frozenset(fields[name])) for name in scanned]
        self._recent = [scanner.memo.recent for scanner in self._scanners]
        self._references = [
            (self._places[one], self._places[other], ReferenceScanner(pair))
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
                picks = self._pick(event.fields)
                if len(self._picks) >= MAX_SHAPES:
                    self._picks.clear()
                if sum(map(len, shape)) <= MAX_SHAPE_CHARACTERS:  # whoever names the fields must not fill the memory
                    self._picks[shape] = picks
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

    def _rule(self, index: int, node: Node) -> _Rule:
        own = set(matches_in(node))
        upper = bound(node, self._eager.__contains__, literals=False)
        left = own - self._eager
        return _Rule(
            index,
            node,
            compile_verdict(upper, self._numbers),
            frozenset(self._numbers[test] for test in own & self._eager),
            tuple(sorted({test.field for test in left if test.field is not None})),
            bool(left),
            any(test.field is None for test in left),
        )

    def _look_up(self, atoms: Atoms) -> Outcome:
        """What follows from the tests that hold.

        Most of them are asked for by no rule whose witness holds: two events that differ only in these end the same.
        """
        witnessed = atoms & self._witnesses
        asked: Atoms | None = self._relevant.find(witnessed)
        if asked is None:
            asked = witnessed.union(*[self._rules[place].eager for place in self._candidates(witnessed)])
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
        """Which of these rules match, and which are still in question."""
        matches: set[int] = set()
        fields: set[str] = set()
        predicates: list[tuple[int, Predicate]] = []
        with_keywords = False
        for place in candidates:
            rule = self._rules[place]
            if not rule.verdict(atoms):
                continue
            rest = self._rest(place, atoms) if rule.open else True
            if rest is True:
                matches.add(rule.index)
            elif rest is not False:
                predicates.append((rule.index, rest))
                fields.update(rule.fields)
                with_keywords |= rule.keywords
        open_rules = None
        if predicates:
            pick = None if with_keywords else picker([self._places[name] for name in sorted(fields)])
            open_rules = OpenRules(tuple(predicates), pick)
        return tuple(sorted(matches)) if matches else _NO_MATCHES, open_rules

    def _rest(self, place: int, atoms: Atoms) -> Predicate | bool:
        """What is left of a rule's condition when it is known which of its eager tests hold."""
        rule = self._rules[place]
        question = (place, atoms & rule.eager)
        found: Predicate | bool | None = self._rests.find(question)
        if found is None:
            known = {test: self._numbers[test] in atoms for test in matches_in(rule.node) if test in self._eager}
            node = assume(rule.node, known)
            found = node.value if isinstance(node, Constant) else compile_node(node)
            self._rests.keep(question, found, REST_BYTES)
        return found


class _Rule(msgspec.Struct, frozen=True):
    """A rule as a program keeps it.

    verdict: whether it may match, by the eager tests that hold. eager: their numbers. fields: of its other tests.
    open: whether there are others. keywords: whether some of them look at the whole event.
    """

    index: int
    node: Node
    verdict: Verdict
    eager: Atoms
    fields: tuple[str, ...]
    open: bool
    keywords: bool


class OpenRules:
    """Rules of which the values decide; pick: takes those out of all values, None if they are not enough for it."""

    __slots__ = ("pick", "predicates")

    def __init__(self, predicates: tuple[tuple[int, Predicate], ...], pick: Picker | None) -> None:
        self.predicates = predicates
        self.pick = pick


def picker(keys: Sequence[Any]) -> Picker:
    """A function that takes what stands under these keys out of a container that has them all."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda container: tuple([container[key] for key in keys])


def is_indexed(match: Match) -> bool:
    """Whether scanners decide the test: all but a few kinds of keyword."""
    return match.field is not None or is_keyword(match)


def rarest_witnesses(nodes: Sequence[Node]) -> list[frozenset[Match] | None]:
    """For each condition tests of which one holds whenever it does, such as seldom hold; None if there are none.

    Globs and regexes stand for the texts that they require, and are witnesses themselves only for want of others.
    """
    cheap = [bound(node, lambda test: is_indexed(test) and not is_costly(test.test)) for node in nodes]
    cost = rarity(cheap)
    found = [witnesses(node, cost) for node in cheap]
    lacking = [node for node, one in zip(nodes, found, strict=True) if one is None]
    whole = [bound(node, is_indexed, literals=False) for node in lacking]
    cost = rarity(whole)
    others = iter([witnesses(node, cost) for node in whole])
    either = [one or next(others) for one in found]
    return [one[1] if one else None for one in either]


def eager_tests(nodes: Sequence[Node], rarest: Sequence[frozenset[Match] | None]) -> set[Match]:
    """The tests that each value is searched for: witnesses, all of rules without any, and whatever costs little.

    Searches cost little in fields that few rules search; globs and regexes never do.
    """
    tests = {test for node in nodes for test in matches_in(node) if is_indexed(test)}
    searches = Counter(test.field for test in tests if _is_search(test))
    eager = {test for test in tests if not (_is_search(test) and searches[test.field] > MAX_EAGER_SEARCHES)}
    eager = {test for test in eager if test.field is None or not is_costly(test.test)}
    for node, witnessing in zip(nodes, rarest, strict=True):
        eager |= {test for test in matches_in(node) if is_indexed(test)} if witnessing is None else witnessing
    return eager


def _is_search(match: Match) -> bool:
    test = match.test
    return match.field is not None and isinstance(test, Text) and test.kind == "contains"
