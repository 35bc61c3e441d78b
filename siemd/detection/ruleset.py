"""A set of rules: read from folders, checked against each other, what is switched off left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from siemd.detection.config import DetectionConfig
from siemd.detection.nearest import did_you_mean
from siemd.detection.rule import AnyRule, Correlation, Rule
from siemd.detection.rulefile import read_rules
from siemd.errors import FileError
from siemd.resources import resource

BUILTIN = "builtin"
MAX_FILES = 50_000


class Ruleset:
    """Rules that can be used together, and the problems of those that can't.

    rules: all that are in use, in the order of their files. problems: one for each that is broken, missing or double.
    disabled: names of those that were switched off. plain, correlations: the same rules by kind, correlations after
    those they refer to. references: for each correlation (by key) the keys behind each entry of its `rules`.
    """

    def __init__(
        self, rules: Iterable[AnyRule], problems: Iterable[FileError] = (), disabled: Collection[str] = ()
    ) -> None:
        self.problems = list(problems)
        self.disabled: list[str] = []
        kept = self._unique(rules)
        off = {rule.key for rule in kept if _is_disabled(rule, disabled)}
        self._index: dict[str, list[AnyRule]] = {}
        for rule in kept:
            for name in dict.fromkeys((rule.name, rule.id)):
                if name:
                    self._index.setdefault(name, []).append(rule)
        self.references: dict[str, tuple[tuple[str, ...], ...]] = {}
        usable = self._resolve(kept, off)
        self.rules: list[AnyRule] = [rule for rule in kept if rule.key in usable]
        self.plain = [rule for rule in self.rules if isinstance(rule, Rule)]
        by_key = {rule.key: rule for rule in self.rules}
        self.correlations = [one for key in usable if isinstance(one := by_key[key], Correlation)]
        self._silent = self._referred_to()

    def alerts(self, rule: AnyRule) -> bool:
        """Whether matches of the rule are incidents.

        Those that a correlation refers to are not, unless it says `generate: true` or they `siemd: {alert: true}`.
        """
        return rule.key not in self._silent if rule.alert is None else rule.alert

    def only(self, name: str) -> Ruleset:
        """The rules of that name (or id) and what they refer to, without problems, each raising its own incidents."""
        wanted: set[str] = set()
        stack = [rule.key for rule in self._index.get(name, ())]
        while stack:
            key = stack.pop()
            if key not in wanted:
                wanted.add(key)
                stack.extend(other for keys in self.references.get(key, ()) for other in keys)
        return Ruleset(rule for rule in self.rules if rule.key in wanted)

    def _unique(self, rules: Iterable[AnyRule]) -> list[AnyRule]:
        """Give every rule its key; doubles become problems. Correlations may share a name: their incidents are one."""
        ids: dict[str, AnyRule] = {}
        names: dict[str, AnyRule] = {}
        keys: set[str] = set()
        kept: list[AnyRule] = []
        for rule in rules:
            other = ids.get(rule.id) if rule.id else None
            if other is not None:
                self._problem(rule, "id", f"the id {rule.id} is already that of {_place(other)}")
                continue
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

    def _resolve(self, rules: Sequence[AnyRule], off: set[str]) -> dict[str, None]:
        """Keys of what can be used, those referred to first; unknown references and circles become problems."""
        usable: dict[str, None] = {}
        waiting: list[Correlation] = []
        for rule in rules:
            if rule.key in off:
                self.disabled.append(rule.name)
            elif isinstance(rule, Rule):
                usable[rule.key] = None
            elif self._known_references(rule):
                waiting.append(rule)
        known = {rule.key for rule in waiting} | set(usable)
        while waiting:
            later: list[Correlation] = []
            for one in waiting:
                needed = [[rule.key for rule in self._index[name]] for name in one.rules]
                if any(key in off for keys in needed for key in keys):
                    off.add(one.key)
                    self.disabled.append(one.name)
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
        return not unknown

    def _referred_to(self) -> set[str]:
        silent: set[str] = set()
        heard: set[str] = set()
        for one in self.correlations:
            keys = {key for entry in self.references[one.key] for key in entry}
            (heard if one.generate else silent).update(keys)
        return silent - heard


def load_ruleset(source: DetectionConfig | Sequence[Path], *, disabled: Collection[str] = ()) -> Ruleset:
    """Read every *.yml and *.yaml below the paths (or those that the configuration names), in the order of their names.

    Never raises for what is wrong with a rule or a path: see `Ruleset.problems`.
    """
    if isinstance(source, DetectionConfig):
        paths, disabled = rule_folders(source), source.disabled
    else:
        paths = list(source)
    rules: list[AnyRule] = []
    problems: list[FileError] = []
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            problems.append(FileError(path, 0, 0, "does not exist", "see `rules` under `detection` in siemd.yaml"))
        for file in rule_files(path):
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                found, wrong = read_rules(file)
                rules += found
                problems += wrong
    return Ruleset(rules, problems, disabled)


def rule_folders(config: DetectionConfig) -> list[Path]:
    """The folders and files of rules that the configuration names."""
    return [resource("config/rules") if name == BUILTIN else Path(name) for name in config.rules]


def rule_files(path: Path) -> list[Path]:
    """The rule files at or below a path, in the order of their names, up to a limit."""
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.suffix in (".yml", ".yaml") and file.is_file())
    return sorted(found)[:MAX_FILES]


def _is_disabled(rule: AnyRule, disabled: Collection[str]) -> bool:
    return any(name in disabled for name in (rule.name, rule.id, *rule.tags) if name)


def _place(rule: AnyRule) -> str:
    return f"{rule.path}:{rule.line}" if rule.line > 1 else rule.path
