"""siemd rules: import, list, show, explain and test rules, and what they cover."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from siemd.config import Config
from siemd.detection import Ruleset, load_ruleset
from siemd.detection.nearest import did_you_mean
from siemd.detection.rule import AnyRule
from siemd.errors import UserError


def run(options: argparse.Namespace, config: Config) -> int:
    """Do what the command line asks; returns the exit code."""
    match options.action:
        case "import":
            from siemd.commands import rules_import

            return rules_import.run(options, config)
        case "test":
            from siemd.commands import rules_test

            return rules_test.run(options, config)
        case "list":
            return _list(options, config)
        case "coverage":
            from siemd.commands import rules_coverage

            return rules_coverage.run(load_reporting(config), config, options.platform, as_json=options.json)
    ruleset = load_reporting(config)
    rules = find_rules(ruleset, options.rule)
    if options.action == "show":
        for path in dict.fromkeys(rule.path for rule in rules):
            print(f"# {path}\n{Path(path).read_text(encoding='utf-8').rstrip()}")
    else:
        from siemd.collected import collected_here
        from siemd.detection.explain import explain_rule

        collected = collected_here(config)
        print("\n\n".join("\n".join(explain_rule(rule, ruleset, collected)) for rule in rules))
    return 0


def load_reporting(config: Config) -> Ruleset:
    """The configured rules; what is wrong with any of them goes to stderr, the others are used."""
    ruleset = load_ruleset(config.detection)
    for problem in (*ruleset.problems, *ruleset.warnings):
        print(problem, file=sys.stderr)
    return ruleset


def find_rules(ruleset: Ruleset, wanted: str) -> list[AnyRule]:
    """The rule of that name or id (several only if correlations share it), switched off or not; raises UserError."""
    if found := ruleset.find(wanted):
        return found
    raise UserError(
        f"there is no rule {wanted!r}", did_you_mean(wanted, ruleset.names()) or "`siemd rules list` shows them"
    )


def _as_json(rule: AnyRule, off: str, *, alerts: bool) -> dict[str, Any]:
    """What `list --json` says of a rule; off: why it is not in use."""
    return {
        "rule": rule.name,
        "rule_id": rule.id,
        "title": rule.title,
        "level": rule.level,
        "status": rule.status,
        "alerts": alerts,
        "off": off,
        "tags": rule.tags,
        "file": rule.path,
    }


def _list(options: argparse.Namespace, config: Config) -> int:
    ruleset = load_reporting(config)
    if options.refused:
        for problem in ruleset.refused:
            print(problem)
        return 0
    listed = [(rule, "") for rule in ruleset.rules]
    if options.all:
        listed += ruleset.off.values()
    for rule, off in listed:
        if options.json:
            print(json.dumps(_as_json(rule, off, alerts=not off and ruleset.alerts(rule))))
        else:
            print(f"{rule.name:<34} {rule.level:<14} {rule.title}" + (f"  [{off}]" if off else ""))
    return 0
