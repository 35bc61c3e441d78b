"""A set of rules: read from folders, checked against each other, what is switched off left out."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from siemd.detection.config import DetectionConfig, ImportedConfig
from siemd.detection.filters import apply_filters
from siemd.detection.nearest import did_you_mean
from siemd.detection.overlay import Change, Tuned, read_overlay, tune
from siemd.detection.reader import Placeholders, Unfilled, reference
from siemd.detection.rule import LEVELS, AnyRule, Correlation, Filter, Rule
from siemd.detection.rulefile import read_rules
from siemd.detection.rulefolders import existing, imported_folder, rule_folders
from siemd.detection.suppressionfile import load_suppressions
from siemd.detection.suppressions import Suppressions
from siemd.errors import FileError


class Policy(msgspec.Struct, frozen=True):
    """Which rules alert unless an overlay says otherwise: what `detection.imported` says of the folder of imports."""

    folder: Path
    config: ImportedConfig

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
        filtered, idle = apply_filters(rules, disabled)
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
            imported = [problem for problem in told if Path(problem.path).is_relative_to(folder)]
            self.refused += imported
            told[:] = [problem for problem in told if problem not in imported]

    def _unique(self, rules: Iterable[AnyRule]) -> list[AnyRule]:
        """Give every rule its key; doubles become problems. Correlations may share a name: their incidents are one.

        A name that only comes from a file's gives way: files of several folders may be called the same.
        """
        rules = list(rules)
        given = {rule.name for rule in rules if rule.named}
        ids: dict[str, AnyRule] = {}
        names: dict[str, AnyRule] = {}
        keys: set[str] = set()
        kept: list[AnyRule] = []
        for rule in rules:
            other = ids.get(rule.id) if rule.id else None
            if other is not None:
                self._problem(rule, "id", f"the id {rule.id} is already that of {_place(other)}")
                continue
            if not rule.named:
                rule.name = _free_name(rule.name, names.keys() | given)
            other = names.get(rule.name)
            if other is not None and not (isinstance(rule, Correlation) and isinstance(other, Correlation)):
                self._problem(rule, "name", f"the name {rule.name!r} is already that of {_place(other)}")
                continue
            key = rule.id or rule.name
            while key in keys:
                key += "'"
            rule.key = key
            keys.add(key)
            ids[rule.id] = rule
            names[rule.name] = rule
            kept.append(rule)
        return kept

    def _problem(self, rule: AnyRule, place: str, message: str, hint: str = "") -> None:
        line, column = rule.places.get(place, (rule.line, 1))
        self.problems.append(FileError(rule.path, line, column, message, hint))

    def _resolve(self, rules: Sequence[AnyRule], off: dict[str, str]) -> dict[str, None]:
        """Keys of what can be used, those referred to first; unknown references and circles become problems.

        What builds on a rule in `off` is added there.
        """
        usable: dict[str, None] = {}
        waiting: list[Correlation] = []
        for rule in rules:
            if rule.key in off:
                continue
            if isinstance(rule, Rule):
                usable[rule.key] = None
            elif self._known_references(rule):
                waiting.append(rule)
        known = {rule.key for rule in waiting} | set(usable)
        while waiting:
            later: list[Correlation] = []
            for one in waiting:
                needed = [[rule.key for rule in self._index[name]] for name in one.rules]
                if any(key in off for keys in needed for key in keys):
                    off[one.key] = "it builds on a rule that is switched off"
                elif all(key in usable or key not in known for keys in needed for key in keys):
                    found = tuple(tuple(key for key in keys if key in usable) for keys in needed)
                    if all(found):
                        self.references[one.key] = found
                        usable[one.key] = None
                    else:
                        known.discard(one.key)
                        self._problem(one, "name", f"{one.name!r} refers to a rule that cannot be used")
                else:
                    later.append(one)
            if len(later) == len(waiting):
                for one in later:
                    self._problem(one, one.rules[0], f"{one.name!r} refers to itself through its rules")
                break
            waiting = later
        return usable

    def _known_references(self, one: Correlation) -> bool:
        unknown = [name for name in one.rules if name not in self._index]
        for name in unknown:
            self._problem(one, name, f"there is no rule named {name!r}", did_you_mean(name, self._index))
        return not unknown and all(self._settle_alias(one, fields) for fields in one.aliases.values())

    def _settle_alias(self, one: Correlation, fields: dict[str, str]) -> bool:
        """Put an alias's fields under the references of the correlation; they may name a rule by its other name."""
        strange = [name for name in fields if name not in one.rules]
        for name in strange:
            keys = {rule.key for rule in self._index.get(name, ())}
            meant = [entry for entry in one.rules if any(rule.key in keys for rule in self._index[entry])]
            if not meant:
                hint = did_you_mean(name, one.rules)
                self._problem(one, "aliases", f"an alias names {name!r}, which is no rule of this correlation", hint)
                return False
            fields.setdefault(meant[0], fields[name])
        return True

    def _referred_to(self) -> set[str]:
        silent: set[str] = set()
        heard: set[str] = set()
        for one in self.correlations:
            keys = {key for entry in self.references[one.key] for key in entry}
            (heard if one.generate else silent).update(keys)
        return silent - heard


def load_ruleset(source: DetectionConfig | Sequence[Path], *, disabled: Collection[str] = ()) -> Ruleset:
    """Read every *.yml and *.yaml below the paths (or those that the configuration names), in the order of their names.

    With a configuration also its overlay, policy and suppressions. Never raises for what is wrong with a rule or a
    path: see `Ruleset.problems`.
    """
    if not isinstance(source, DetectionConfig):
        rules, problems = _read_all(source, "rules", {})
        return Ruleset(rules, problems, disabled)
    rules, problems = _read_all(rule_folders(source), "rules", source.placeholders)
    changes: list[Change] = []
    overlays, missing = existing(source.overlay, "overlay")
    for path in overlays:
        found, wrong = read_overlay(path)
        changes += found
        problems += wrong
    files, also_missing = existing(source.suppressions, "suppressions")
    suppressions, wrong = load_suppressions(files)
    problems += [*wrong, *missing, *also_missing]
    imported = imported_folder(source)
    policy = Policy(imported, source.imported) if imported else None
    ruleset = Ruleset(rules, problems, source.disabled, changes, policy, suppressions)
    ruleset.warnings += suppressions.unmatched([rule for rule in ruleset.rules if ruleset.alerts(rule)])
    return ruleset


def _read_all(
    paths: Sequence[Path], key: str, placeholders: Placeholders
) -> tuple[list[AnyRule | Filter], list[FileError]]:
    rules: list[AnyRule | Filter] = []
    problems: list[FileError] = []
    files, missing = existing(paths, key)
    for file in files:
        found, wrong = read_rules(file, placeholders=placeholders)
        rules += found
        problems += wrong
    return rules, problems + missing


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


def _free_name(name: str, taken: Collection[str]) -> str:
    """The name, or the name with the first number behind it that makes it free."""
    spellings = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(one for one in spellings if one not in taken)


def _place(rule: AnyRule) -> str:
    return f"{rule.path}:{rule.line}" if rule.line > 1 else rule.path
