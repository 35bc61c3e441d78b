"""The public Sigma rules: every one loads or is listed with its reason, and the old-style ones are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.logsource import resolve
from siemd.detection.rule import Rule
from siemd.detection.rulefile import read_rules
from siemd.events import LogEvent

ACCEPTED_REASONS = ("the modifier 'expand' needs placeholder values",)


@pytest.fixture(scope="module")
def public(corpus: Path) -> Ruleset:
    folders = sorted((corpus / "sigma").glob("rules*"))
    if not folders:
        pytest.skip(f"no Sigma rules below {corpus}")
    return load_ruleset(folders)


def test_every_active_rule_loads_or_says_why_not(public: Ruleset, capsys: pytest.CaptureFixture[str]) -> None:
    reasons = Counter(problem.message for problem in public.problems)
    with capsys.disabled():
        reachable = sum(bool(resolve(rule.logsource)) for rule in public.plain)
        print(f"\n{len(public.rules)} public rules load, {reachable} of them about events that siemd collects")
        for reason, count in reasons.most_common():
            print(f"{count:5} refused: {reason}")
    assert [reason for reason in reasons if not reason.startswith(ACCEPTED_REASONS)] == []
    assert all(problem.line and problem.column for problem in public.problems)
    assert len(public.rules) > 100 * len(public.problems)


def test_old_style_rules_are_refused_with_place_and_reason(corpus: Path) -> None:
    files = sorted((corpus / "sigma" / "unsupported").rglob("*.yml"))
    if not files:
        pytest.skip(f"no unsupported rules below {corpus}")
    loaded = []
    for file in files:
        rules, problems = read_rules(file)
        loaded += [f"{file.name}: {rule.name}" for rule in rules]
        assert problems, file
        for problem in problems:
            assert problem.line and problem.column and problem.message, file
    assert loaded == []


def test_every_public_rule_compiles_and_runs(public: Ruleset) -> None:
    detector = Detector(public, DetectionConfig(), "h")
    routes: set[tuple[str, str, int, str]] = set()
    for rule in public.plain:
        assert isinstance(rule, Rule)
        for selector in resolve(rule.logsource):
            for channel in selector.channels or ("any",):
                for event_id in selector.event_ids or (1, 4688):
                    routes.add((selector.platform, channel, event_id, (selector.providers or ("any",))[0]))
    events = [
        LogEvent(
            time_us=0,
            table="channel_logs",
            platform=platform,
            channel=channel,
            event_id=event_id,
            provider=provider,
            fields={"CommandLine": "powershell -enc AAAA http://10.0.0.1/x", "Image": r"C:\Windows\cmd.exe", "x": None},
        )
        for platform, channel, event_id, provider in sorted(routes)
    ]
    detector.process(events)
    assert detector.counters()["checked_events"] == len(events)
