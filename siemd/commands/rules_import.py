"""siemd rules import: take rules from a folder or release package, and say which of them siemd can use."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

from siemd.config import Config
from siemd.detection import Ruleset, load_ruleset
from siemd.detection.package import Imported, import_rules, name_of
from siemd.detection.reach import reason_of
from siemd.detection.rulefolders import rule_folders
from siemd.errors import UserError

MAX_REASONS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def run(options: argparse.Namespace, config: Config) -> int:
    """Import and report; returns the exit code."""
    if options.name and not NAME.fullmatch(options.name):
        raise UserError(f"{options.name!r} is no name for an import", "use letters, digits, dashes and underscores")
    folder = options.to or Path(config.detection.imported.folder) / (options.name or name_of(options.source))
    done = import_rules(options.source, folder.absolute())
    named = any(done.folder.is_relative_to(known.absolute()) for known in rule_folders(config.detection))
    if not named:
        config.detection.rules = [*config.detection.rules, str(done.folder)]
    print("\n".join(_report(done, load_ruleset(config.detection), named)))
    return 0


def _report(done: Imported, ruleset: Ruleset, named: bool) -> list[str]:
    def here(path: str) -> bool:
        return Path(path).is_relative_to(done.folder)

    active = [rule for rule in ruleset.rules if here(rule.path)]
    off = Counter(reason for rule, reason in ruleset.off.values() if here(rule.path))
    refused = Counter(reason_of(one) for one in (*ruleset.refused, *ruleset.problems) if here(one.path))
    verb = "replaced by" if done.replaced else "imported"
    lines = [f"{done.folder}: {verb} {done.files} files"]
    if done.other or done.passed_over:
        lines[0] += f" ({done.other + done.passed_over} others hold no rules)"
    lines.append(f"{len(active):6} rules load")
    lines += [f"{count:6} stay silent: {reason}" for reason, count in off.most_common()]
    lines += [f"{count:6} refused: {reason}" for reason, count in refused.most_common(MAX_REASONS)]
    if len(refused) > MAX_REASONS:
        lines.append(f"{sum(refused.values()):6} refused in all; `siemd rules list --refused` names each")
    doubles = sum(count for reason, count in refused.items() if "already that of" in reason)
    if doubles > len(active):
        lines.append("Most were there already: did you mean to replace an import? Give its name with --name.")
    if named:
        lines.append("A running siemd takes them within seconds. `siemd rules coverage` says which can fire here.")
    else:
        lines.append(f"siemd does not read this folder yet: add it to detection.rules, as {done.folder}")
    return lines
