"""siemd rules test: one rule over recorded events, or over the samples it must and must not match."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from siemd.commands.rules import find_rules, load_reporting
from siemd.config import Config
from siemd.detection import Ruleset, load_ruleset
from siemd.errors import UserError
from siemd.replay import replay, replay_file, stdout_text

MATCH, NO_MATCH = "match.jsonl", "nomatch.jsonl"
FAILED = 1


def run(options: argparse.Namespace, config: Config) -> int:
    """Print what the rule finds; 0 when all was read and every sample is as it should be."""
    name, ruleset = _ruleset(options.rule, config)
    folders = [path for path in options.events if path.is_dir()]
    files = [path for path in options.events if not path.is_dir()]
    codes = [_check_samples(folder, name, config, ruleset) for folder in folders]
    if files:
        codes.append(replay(files, config, ruleset, stdout_text(), sys.stderr))
    return max(codes)


def _ruleset(wanted: str, config: Config) -> tuple[str, Ruleset]:
    """The name of the rule that is tested (empty: any of its file), and the rule with what it refers to."""
    if Path(wanted).is_file():
        config.detection.rules = [wanted]
        config.detection.suppressions = []
        ruleset = load_ruleset(config.detection)
        if ruleset.problems:
            raise ruleset.problems[0]
        return "", ruleset
    loaded = load_reporting(config)
    name = find_rules(loaded, wanted)[0].name
    return name, loaded.only(name)


def _check_samples(folder: Path, name: str, config: Config, ruleset: Ruleset) -> int:
    """Whether match.jsonl raises the rule and nomatch.jsonl does not; says so for each."""
    present = [(file, expected) for file, expected in ((MATCH, True), (NO_MATCH, False)) if (folder / file).is_file()]
    if not present:
        raise UserError(f"{folder} holds neither {MATCH} nor {NO_MATCH}", "put samples there, one JSON event a line")
    failed = 0
    for file, expected in present:
        result = replay_file(folder / file, config, ruleset)
        fired = any(not name or alert.rule == name for alert in result.alerts)
        right = fired == expected and not result.problem
        failed += not right
        what = f"{result.events} events, {'the rule fires' if fired else 'the rule is silent'}"
        problem = f"; {result.problem}" if result.problem else ""
        print(f"{'ok    ' if right else 'FAILED'} {folder / file}: {what}{problem}")
    return FAILED if failed else 0
