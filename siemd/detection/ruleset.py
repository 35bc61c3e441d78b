"""A set of rules, checked against each other, what is switched off left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterable, Sequence
from pathlib import Path

import msgspec

from siemd.detection.config import ImportedConfig
from siemd.detection.correlationfile import BadWords, other_names, settle_words
from siemd.detection.filters import apply_filters
from siemd.detection.nearest import did_you_mean
from siemd.detection.overlay import Change, Tuned, tune
from siemd.detection.reader import Unfilled, reference
from siemd.detection.rule import LEVELS, AnyRule, Correlation, Filter, Meta, Rule
from siemd.detection.suppressions import Suppressions
from siemd.errors import FileError

MAX_OF_NAME = 64  # correlations that share a name


class Policy(msgspec.Struct, frozen=True):
    """Which rules alert unless an overlay says otherwise: what `detection.imported` says of the folder of imports.

    And what the files of an import may do to the rules of others, which is nothing.
    """

    folder: Path
    config: ImportedConfig

    def origin(self, path: str) -> str:
        """The name of the import that a file came with; empty for files of one's own and those that ship with siemd."""
        file = Path(path)
        return file.relative_to(self.folder).parts[0] if file.is_relative_to(self.folder) else ""

    def may_change(self, one: Meta, other: Meta) -> bool:
        """Whether a filter or correlation has a say on a rule: one of an import only on those of the same import."""
        origin = self.origin(one.path)
        return not origin or origin == self.origin(other.path)

    def silences(self, rule: AnyRule) -> str:
        """Why the rule is silent; empty when it may alert."""
        if not Path(rule.path).is_relative_to(self.folder):
            return ""
        if LEVELS.index(rule.level) < LEVELS.index(self.config.min_level):
            return f"imported, and its level is {rule.level} (detection.imported.min_level: {self.config.min_level})"
        if rule.status and rule.status not in self.config.statuses:
            return f"imported, and its status is {rule.status} (see detection.imported.statuses)"
        return ""


class Ruleset:
    """Rules that can be used together, and the problems of those that can't.

    rules: all that are in use, in the order of their files. problems: one for each that is broken, missing or double.
    refused: problems and warnings of imported rules, which nobody here can mend. warnings: what does no harm.
    unfilled: rules that need placeholder values which the configuration lacks (they are warnings too).
    disabled: names of those that were switched off. off: by key the rule and why it is not in use.
    notes: by key what the overlay changed. plain, correlations: the same rules by kind, correlations after those they
    refer to. references: for each correlation (by key) the keys behind each entry of its `rules`.
    suppressions: what must not open incidents.
    """

    def __init__(
        self,
        rules: Iterable[AnyRule | Filter],
        problems: Iterable[FileError] = (),
        disabled: Collection[str] = (),
        changes: Sequence[Change] = (),
        policy: Policy | None = None,
        suppressions: Suppressions | None = None,
    ) -> None:
        self._policy = policy
        filtered, idle = apply_filters(rules, disabled, self._may_change)
        problems = list(problems)
        self.problems = [one for one in problems if not isinstance(one, Unfilled)]
        self.unfilled = [one for one in problems if isinstance(one, Unfilled)]
        self.refused: list[FileError] = []
        self.warnings = [*idle, *self.unfilled]
        self.suppressions = suppressions or Suppressions()
        tuned, mistakes, unused = tune(self._unique(filtered), changes)
        self.problems += mistakes
        self.warnings += unused
        self.notes = {one.rule.key: one.notes for one in tuned if one.notes}
        off, silent = _switches(tuned, disabled, policy)
        kept = [one.rule for one in tuned]
        self._index: dict[str, list[AnyRule]] = {}
        for rule in kept:
            for name in dict.fromkeys((rule.name, rule.id)):
                if name:
                    self._index.setdefault(name, []).append(rule)
        self.references: dict[str, tuple[tuple[str, ...], ...]] = {}
        usable = self._resolve(kept, off)
        self._quiet = self._drop_unneeded(usable, silent, off)
        self.rules: list[AnyRule] = [rule for rule in kept if rule.key in usable]
        self.off = {rule.key: (rule, off[rule.key]) for rule in kept if rule.key in off}
        self.disabled = [rule.name for rule, _ in self.off.values()]
        self.plain = [rule for rule in self.rules if isinstance(rule, Rule)]
        by_key = {rule.key: rule for rule in self.rules}
        self.correlations = [one for key in usable if isinstance(one := by_key[key], Correlation)]
        self._silent = self._referred_to()
        if policy is not None:
            self._part_problems(policy.folder)

    def alerts(self, rule: AnyRule) -> bool:
        """Whether matches of the rule are incidents.

        Those that a correlation refers to are not, unless it says `generate: true` or they `siemd: {alert: true}`.
        """
        if rule.key in self._quiet:
            return False
        return rule.key not in self._silent if rule.alert is None else rule.alert

    def only(self, name: str) -> Ruleset:
        """The rules of that name (or id) and what they refer to, even if switched off, each raising its own incidents.

        Without problems and suppressions.
        """
        known = {rule.key: rule for rules in self._index.values() for rule in rules}
        wanted: set[str] = set()
        stack = [rule.key for rule in self.find(name)]
        while stack:
            key = stack.pop()
            rule = known[key]
            if key not in wanted:
                wanted.add(key)
                if isinstance(rule, Correlation):
                    stack.extend(other.key for one in rule.rules for other in self._index.get(one, ()))
        return Ruleset(rule for rule in known.values() if rule.key in wanted)

    def find(self, name: str) -> list[AnyRule]:
        """The rules of that name or id, those that are switched off too."""
        return list(self._index.get(name, ())) or list(self._index.get(reference(name), ()))

    def names(self) -> list[str]:
        """Names of all rules, those that are switched off too."""
        return list(dict.fromkeys(rule.name for rules in self._index.values() for rule in rules))

    def _drop_unneeded(self, usable: dict[str, None], silent: dict[str, str], off: dict[str, str]) -> set[str]:
        """Take out rules that the policy silences, but for those that a correlation in use needs: these are quiet."""
        needed: set[str] = set()
        stack = [key for key in usable if key not in silent]
        while stack:
            key = stack.pop()
            if key not in needed:
                needed.add(key)
                stack.extend(one for keys in self.references.get(key, ()) for one in keys)
        quiet = set(silent) & needed
        for key in [key for key in usable if key in silent and key not in quiet]:
            del usable[key]
            self.references.pop(key, None)
            off[key] = silent[key]
        return quiet

    def _part_problems(self, folder: Path) -> None:
        """Problems of imported rules are no mistakes of anybody here."""
        for told in (self.problems, self.warnings):
            parted: tuple[list[FileError], list[FileError]] = [], []
            for problem in told:
                parted[Path(problem.path).is_relative_to(folder)].append(problem)
            told[:] = parted[False]
            self.refused += parted[True]

    def _origin(self, rule: Meta) -> str:
        return self._policy.origin(rule.path) if self._policy else ""

    def _may_change(self, one: Meta, other: Meta) -> bool:
        return self._policy.may_change(one, other) if self._policy else True

    def _unique(self, rules: Iterable[AnyRule]) -> list[AnyRule]:
        """Give every rule its key; doubles become problems, those of imports first, for they must not displace others.

        Correlations of one origin may share a name: their incidents are one. A name that only comes from a file's gives
        way: files of several folders may be called the same.
        """
        known: dict[str, list[AnyRule]] = {}  # by names and ids, since references may be either
        keys: set[str] = set()
        kept: set[int] = set()
        listed = list(rules)
        numbers: dict[str, int] = {}
        all_given = {rule.name for rule in listed if rule.named}
        own_given = {rule.name for rule in listed if rule.named and not self._origin(rule)}
        for rule in sorted(listed, key=lambda one: bool(self._origin(one))):
            if not rule.named:
                # no import takes a name away from a rule of ours
                rule.name = _free_name(rule.name, (known, all_given if self._origin(rule) else own_given), numbers)
            if self._is_double(rule, known):
                continue
            key = rule.id or rule.name
            while key in keys:
                key += "'"
            rule.key = key
            keys.add(key)
            kept.add(id(rule))
            for name in {rule.id, rule.name} - {""}:
                known.setdefault(name, []).append(rule)
        return [rule for rule in listed if id(rule) in kept]

    def _is_double(self, rule: AnyRule, known: dict[str, list[AnyRule]]) -> bool:
        """Whether the rule's id or name is that of another, which becomes a problem."""
        if others := known.get(rule.id):
            self._problem(rule, "id", f"the id {rule.id} is already that of {_place(others[0])}")
            return True
        sharing_name = known.get(rule.name, [])
        for other in sharing_name[:1]:
            sharing = isinstance(rule, Correlation) and isinstance(other, Correlation) and rule.name == other.name
            if not sharing or self._origin(rule) != self._origin(other):
                self._problem(rule, "name", f"the name {rule.name!r} is already that of {_place(other)}")
                return True
        if len(sharing_name) >= MAX_OF_NAME:
            self._problem(rule, "name", f"more than {MAX_OF_NAME} correlations share the name {rule.name!r}")
            return True
        return False

    def _problem(self, rule: AnyRule, place: str, message: str, hint: str = "") -> None:
        line, column = rule.places.get(place, (rule.line, 1))
        self.problems.append(FileError(rule.path, line, column, message, hint))

    def _resolve(self, rules: Sequence[AnyRule], off: dict[str, str]) -> dict[str, None]:
        """Keys of what can be used, those referred to first; unknown references and circles become problems.

        What builds on a rule in `off` is added there.
        """
        usable: dict[str, None] = {rule.key: None for rule in rules if isinstance(rule, Rule) and rule.key not in off}
        waiting = {
            rule.key: rule
            for rule in rules
            if isinstance(rule, Correlation) and rule.key not in off and self._known_references(rule)
        }
        needed = {key: [[rule.key for rule in self._index[name]] for name in one.rules] for key, one in waiting.items()}
        users: dict[str, list[str]] = {}
        for key, entries in needed.items():
            for other in {one for keys in entries for one in keys if one in waiting}:
                users.setdefault(other, []).append(key)
        ready = deque(waiting)
        while ready:
            key = ready.popleft()
            if key not in waiting:
                continue
            parts = {one for keys in needed[key] for one in keys}
            if any(one in off for one in parts):
                off[key] = "it builds on a rule that is switched off"
            elif any(one in waiting for one in parts):
                continue  # until they are settled
            else:
                self._settle(waiting[key], needed[key], usable)
            del waiting[key]
            ready.extend(users.get(key, ()))
        for one in waiting.values():
            self._problem(one, one.rules[0], f"{one.name!r} refers to itself through its rules")
        return usable

    def _settle(self, one: Correlation, needed: list[list[str]], usable: dict[str, None]) -> None:
        """A correlation of which all that it builds on is settled: it can be used, or is a problem."""
        found = tuple(tuple(key for key in keys if key in usable) for keys in needed)
        if all(found):
            self.references[one.key] = found
            usable[one.key] = None
        else:
            self._problem(one, "name", f"{one.name!r} refers to a rule that cannot be used")

    def _known_references(self, one: Correlation) -> bool:
        unknown = [name for name in one.rules if name not in self._index]
        for name in unknown:
            self._problem(one, name, f"there is no rule named {name!r}", did_you_mean(name, self._index))
        if unknown or not all(self._settle_alias(one, fields) for fields in one.aliases.values()):
            return False
        return bool(not one.threshold.words or one.threshold.alternatives) or self._settle_words(one)

    def _settle_alias(self, one: Correlation, fields: dict[str, str]) -> bool:
        """Put an alias's fields under the references of the correlation; they may name a rule by its other name."""
        strange = [name for name in fields if name not in one.rules]
        for name in strange:
            meant = self._listed(one, name)
            if not meant:
                hint = did_you_mean(name, one.rules)
                self._problem(one, "aliases", f"an alias names {name!r}, which is no rule of this correlation", hint)
                return False
            fields.setdefault(meant, fields[name])
        return True

    def _settle_words(self, one: Correlation) -> bool:
        """Understand a condition that names rules by their other names, too."""
        others = {name: self._listed(one, name) for name in other_names(one.threshold.words, one.rules)}
        for name, entry in others.items():
            if not entry:
                hint = did_you_mean(name, one.rules)
                self._problem(one, name, f"the condition names {name!r}, which is no rule of this correlation", hint)
                return False
        try:
            one.threshold = settle_words(one.threshold, one.rules, others)
        except BadWords as error:
            place = "condition" if error.position is None else one.rules[error.position]
            self._problem(one, place, error.message, error.hint)
            return False
        return True

    def _listed(self, one: Correlation, name: str) -> str:
        """The entry of a correlation's list that means the rule of that name or id; empty when none does."""
        keys = {rule.key for rule in self.find(name)}
        return next((entry for entry in one.rules if any(rule.key in keys for rule in self._index[entry])), "")

    def _referred_to(self) -> set[str]:
        silent: set[str] = set()
        heard: set[str] = set()
        by_key = {rule.key: rule for rule in self.rules}
        for one in self.correlations:
            keys = {key for entry in self.references[one.key] for key in entry if self._may_change(one, by_key[key])}
            (heard if one.generate else silent).update(keys)
        return silent - heard


def _switches(
    tuned: Sequence[Tuned], disabled: Collection[str], policy: Policy | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Keys of rules that are off, and of those that the policy silences, with the reason; the overlay decides last."""
    off: dict[str, str] = {}
    silent: dict[str, str] = {}
    for one in tuned:
        rule = one.rule
        if one.enabled is False:
            off[rule.key] = "switched off by the overlay"
        elif one.enabled is None:
            if any(name in disabled for name in (rule.name, rule.id, *rule.tags) if name):
                off[rule.key] = "switched off by detection.disabled"
            elif policy is not None and rule.alert is not True and (reason := policy.silences(rule)):
                silent[rule.key] = reason
    return off, silent


def _free_name(name: str, taken: Sequence[Container[str]], numbers: dict[str, int]) -> str:
    """The name, or the name with the first number behind it that makes it free. numbers: the last of each name."""
    spelling = name
    while any(spelling in names for names in taken):
        numbers[name] = numbers.get(name, 1) + 1
        spelling = f"{name}_{numbers[name]}"
    return spelling


def _place(rule: AnyRule) -> str:
    return f"{rule.path}:{rule.line}" if rule.line > 1 else rule.path
