"""siemd rules coverage: what cannot fire on this host and why, and the ATT&CK techniques that are covered."""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from typing import Any

import msgspec

from siemd.collected import collected_here
from siemd.config import Config
from siemd.detection import Ruleset
from siemd.detection.attack import Row, coverage
from siemd.detection.reach import Reach, reach_of, reason_of
from siemd.detection.rule import AnyRule

WIDTH, BAR = 110, 20
KINDS = {
    "platform": "the platform is another, or a source is switched off",
    "channel": "a log is not read",
    "source": "siemd has no such source",
    "off": "not in use",
}
Judged = list[tuple[AnyRule, Reach]]


def run(ruleset: Ruleset, config: Config, platform: str = "", *, as_json: bool = False) -> int:
    """Print the coverage of this host, or of one of that platform (linux or windows); returns the exit code."""
    collected = collected_here(config, {"": sys.platform, "windows": "win32"}.get(platform, platform))
    judged: Judged = [(rule, reach_of(rule, ruleset, collected)) for rule in ruleset.rules]
    judged += [(rule, Reach("off", reason)) for rule, reason in ruleset.off.values()]
    rows = coverage((rule, reach.fires) for rule, reach in judged if reach.kind != "off")
    refused = Counter(reason_of(problem) for problem in (*ruleset.refused, *ruleset.problems))
    if as_json:
        print(json.dumps(_json(judged, rows, refused)))
    else:
        where = f"on a host that runs {platform.capitalize()}" if platform else "on this host"
        print("\n".join([*_reasons(judged, refused, where), "", *_matrix(rows)]))
    return 0


def _json(judged: Judged, rows: list[Row], refused: Counter[str]) -> dict[str, Any]:
    return {
        "rules": len(judged),
        "can_fire": sum(reach.fires for _, reach in judged),
        "cannot_fire": [
            {"rule": rule.name, "rule_id": rule.id, "kind": reach.kind, "reason": reach.reason}
            for rule, reach in judged
            if not reach.fires
        ],
        "needs": [
            {"rule": rule.name, "rule_id": rule.id, "needs": reach.needs} for rule, reach in judged if reach.needs
        ],
        "refused": [{"reason": reason, "rules": count} for reason, count in refused.most_common()],
        "attack": msgspec.to_builtins(rows),
    }


def _reasons(judged: Judged, refused: Counter[str], where: str) -> list[str]:
    able = [reach for _, reach in judged if reach.fires]
    lines = [f"{len(able)} of {len(judged)} rules can fire {where}."]
    needs = Counter(" or ".join(reach.needs) for reach in able if reach.needs)
    if needs:
        lines += ["", f"{sum(needs.values()):6} of these only if the host is told to write the events:"]
        lines += _counted(needs)
    for kind, title in KINDS.items():
        reasons = Counter(reach.reason for _, reach in judged if reach.kind == kind)
        if reasons:
            lines += ["", f"{sum(reasons.values()):6} cannot fire, {title}:", *_counted(reasons)]
    if refused:
        lines += ["", f"{sum(refused.values()):6} are refused:", *_counted(refused)]
    return lines


def _counted(reasons: Counter[str]) -> list[str]:
    return [f"{count:10}  {textwrap.shorten(reason, WIDTH)}" for reason, count in reasons.most_common()]


def _matrix(rows: list[Row]) -> list[str]:
    """A bar for each tactic, and below it its techniques with rules that can fire of all rules."""
    if not rows:
        return ["No rule has an ATT&CK tag."]
    lines = ["ATT&CK: rules that can fire, of all that are in use; techniques that no rule reaches stand in ()"]
    widest = max(len(row.tactic) for row in rows)
    for row in rows:
        full = round(BAR * row.firing / row.rules)
        bar = "█" * full + "░" * (BAR - full)
        reached = sum(1 for cell in row.techniques if cell.firing)
        lines.append("")
        lines.append(
            f"{row.tactic:<{widest}}  {bar}  {row.firing} of {row.rules} rules, "
            f"{reached} of {len(row.techniques)} techniques"
        )
        cells = [
            f"{cell.technique} {cell.firing}/{cell.rules}" if cell.firing else f"({cell.technique} 0/{cell.rules})"
            for cell in row.techniques
        ]
        # The blank inside of a cell must not break.
        text = textwrap.wrap("  ".join(cell.replace(" ", "\0") for cell in cells), WIDTH - 2)
        lines += ["  " + line.replace("\0", " ") for line in text]
    return lines
