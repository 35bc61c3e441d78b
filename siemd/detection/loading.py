"""Reads a set of rules from folders, with its overlay, policy and suppressions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from siemd.detection.config import BUILTIN, IMPORTED, DetectionConfig
from siemd.detection.overlay import Change, read_overlay
from siemd.detection.package import put_back
from siemd.detection.reader import Placeholders
from siemd.detection.rule import AnyRule, Filter
from siemd.detection.rulefile import read_rules
from siemd.detection.rulefolders import (
    MANAGED_OVERLAY,
    MANAGED_SUPPRESSIONS,
    existing,
    imported_folder,
    managed_file,
    overlay_files,
    rule_folders,
    suppression_files,
)
from siemd.detection.ruleset import Policy, Ruleset
from siemd.detection.suppressionfile import load_suppressions
from siemd.errors import FileError


def load_ruleset(
    source: DetectionConfig | Sequence[Path],
    *,
    disabled: Collection[str] = (),
    managed: Mapping[str, str] | None = None,
) -> Ruleset:
    """Read every *.yml and *.yaml below the paths (or those that the configuration names), in the order of their names.

    With a configuration also its overlay, policy and suppressions; an import that was killed halfway is undone.
    managed: by name the text that stands for one of the files that the API writes, to learn what would become of it.
    Never raises for what is wrong with a rule or a path: see `Ruleset.problems`.
    """
    if not isinstance(source, DetectionConfig):
        rules, problems = _read_all(source, "rules", {})
        return Ruleset(rules, problems, disabled)
    named = (Path(name) for name in source.rules if name not in (BUILTIN, IMPORTED))
    imported = imported_folder(source)
    back = put_back([*named, *([imported] if imported and IMPORTED in source.rules else [])])
    rules, problems = _read_all(rule_folders(source), "rules", source.placeholders)
    changes: list[Change] = []
    overlays, missing = existing(overlay_files(source), "overlay")
    texts = _managed_texts(source, managed or {})
    for path in _with(texts, overlays, MANAGED_OVERLAY):
        found, wrong = read_overlay(path, texts.get(path), source.placeholders)
        changes += found
        problems += wrong
    files, also_missing = existing(suppression_files(source), "suppressions")
    suppressions, wrong = load_suppressions(_with(texts, files, MANAGED_SUPPRESSIONS), texts)
    problems += [*wrong, *missing, *also_missing]
    policy = Policy(imported, source.imported) if imported else None
    ruleset = Ruleset(rules, problems, source.disabled, changes, policy, suppressions)
    ruleset.warnings += back
    ruleset.warnings += suppressions.unmatched([rule for rule in ruleset.rules if ruleset.alerts(rule)])
    return ruleset


def _managed_texts(config: DetectionConfig, managed: Mapping[str, str]) -> dict[Path, str]:
    paths = {name: managed_file(config, name) for name in managed}
    return {path: managed[name] for name, path in paths.items() if path is not None}


def _with(texts: Mapping[Path, str], files: Sequence[Path], name: str) -> list[Path]:
    """The files, and at their end the managed one of that name, when a text stands for it."""
    given = [path for path in texts if path.name == name]
    return [*(file for file in files if file not in given), *given]


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
