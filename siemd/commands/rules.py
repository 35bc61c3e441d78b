"""siemd rules: list, show and test."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path

from siemd.config import Config
from siemd.detection import Ruleset, load_ruleset
from siemd.errors import UserError


def run(options: argparse.Namespace, config: Config) -> int:
    """List, show or test rules; returns the exit code."""
    if options.action == "test":
        return _test(options, config)
    ruleset = load_reporting(config)
    if options.action == "show":
        return _show(ruleset, options.rule)
    for rule in ruleset.rules:
        if options.json:
            known = {"rule": rule.name, "rule_id": rule.id, "title": rule.title, "level": rule.level}
            print(json.dumps({**known, "tags": rule.tags, "file": str(rule.path)}))
        else:
            print(f"{rule.name:<34} {rule.level:<14} {rule.title}")
    return 0


def load_reporting(config: Config) -> Ruleset:
    """The configured rules; what is wrong with any of them goes to stderr, the others are used."""
    ruleset = load_ruleset(config.detection)
    for problem in ruleset.problems:
        print(problem, file=sys.stderr)
    return ruleset


def _test(options: argparse.Namespace, config: Config) -> int:
    from siemd.replay import replay, stdout_text

    if Path(options.rule).is_file():
        config.detection.rules = [options.rule]
        ruleset = load_ruleset(config.detection)
        if ruleset.problems:
            raise ruleset.problems[0]
    else:
        loaded = load_reporting(config)
        ruleset = loaded.only(_find(loaded, options.rule).name)
    return replay(options.events, config, ruleset, stdout_text(), sys.stderr)


def _show(ruleset: Ruleset, wanted: str) -> int:
    rule = _find(ruleset, wanted)
    print(f"# {rule.path}\n{Path(rule.path).read_text(encoding='utf-8').rstrip()}")
    return 0


def _find(ruleset: Ruleset, wanted: str):  # type: ignore[no-untyped-def]
    for rule in ruleset.rules:
        if wanted in (rule.name, rule.id):
            return rule
    near = difflib.get_close_matches(wanted, [rule.name for rule in ruleset.rules], 1)
    hint = f"did you mean {near[0]}?" if near else "`siemd rules list` shows them"
    raise UserError(f"there is no rule {wanted!r}", hint)
