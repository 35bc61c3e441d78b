"""The public Sigma rules: every one loads or is listed with its reason, and the old-style ones are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.logsource import resolve
from siemd.detection.reader import Unfilled
from siemd.detection.rule import LogSource, Rule
from siemd.detection.rulefile import read_rules
from siemd.events import LogEvent
from siemd.yamlfile import load_documents


def test_every_active_rule_loads_or_says_why_not(public: Ruleset, capsys: pytest.CaptureFixture[str]) -> None:
    reasons = Counter(problem.message for problem in public.unfilled)
    with capsys.disabled():
        reachable = sum(bool(resolve(rule.logsource)) for rule in public.plain)
        print(f"\n{len(public.rules)} public rules load, {reachable} of them about events that siemd collects")
        for reason, count in reasons.most_common():
            print(f"{count:5} wait: {reason}")
    assert [str(problem) for problem in public.problems] == []
    assert all(one.line and one.column and "has no values" in one.message for one in public.unfilled)
    assert len(public.rules) > 100 * len(public.unfilled)


def test_with_values_for_their_placeholders_all_rules_load(corpus: Path, public: Ruleset) -> None:
    for file in sorted({Path(one.path) for one in public.unfilled}):
        values: dict[str, list[str | int]] = {}
        rules, problems = read_rules(file)
        while problems and isinstance(problems[0], Unfilled) and len(values) < 10:
            values[problems[0].message.split("%")[1]] = ["10.1.2.3", "dc01"]
            rules, problems = read_rules(file, placeholders=values)
        assert rules, problems


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


def test_old_style_rules_are_refused_for_what_they_need_not_for_what_they_say(corpus: Path) -> None:
    files = sorted((corpus / "sigma" / "unsupported").rglob("*.yml"))
    if not files:
        pytest.skip(f"no unsupported rules below {corpus}")
    told = Counter("says of itself" in read_rules(file)[1][0].message for file in files)
    assert told[False] > 10 * told[True], told


def test_windows_logsources_mean_what_the_public_table_says(corpus: Path) -> None:
    path = corpus / "sigma" / "thor.yml"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    sources = load_documents(path)[0].data["logsources"].values()
    channels = {
        one["service"]: {name.removeprefix("WinEventLog:").lower() for name in one["sources"]}
        for one in sources
        if one.get("product") == "windows" and "sources" in one
    }
    for service, names in channels.items():
        (selector,) = resolve(LogSource(product="windows", service=service))
        assert names <= set(selector.channels), service
    for one in sources:
        if "rewrite" not in one:
            continue
        product = one.get("product", "")
        wanted = one["conditions"]["EventID"]
        for event_id in wanted if isinstance(wanted, list) else [wanted]:
            found = [
                selector
                for selector in resolve(LogSource(category=one["category"], product=product))
                if event_id in selector.event_ids and channels[one["rewrite"]["service"]] <= set(selector.channels)
            ]
            assert found, one
            assert one.get("fieldmappings", {}).items() <= dict(found[0].fields).items(), one


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
