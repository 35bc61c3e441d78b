"""All public Windows rules on process creations: events a second against the plain evaluator, orjson and zargunlite."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.matcher import Matcher
from siemd.events import Event, LogEvent, decode_event_json
from support.plain_matcher import PlainMatcher
from support.process_creations import process_creations, recorded_creations

EVENTS = 20_000
BATCH = 256
ROUNDS = 3
RANDOM_LINES = 200_000
PLAIN_EVENTS, PEER_EVENTS = 300, 1_000
UNIQUE = (0.1, 0.5)

Pairs = list[tuple[str, str]]


def corpus() -> Path:
    """The folder of public rules and recorded events."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("SIEMD_CORPUS") or root.parent / "shared" / "corpus")


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one run."""
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def lines(samples: list[LogEvent], unique: float, count: int, seed: int) -> list[bytes]:
    """Events as JSON lines."""
    events = process_creations(samples, unique, seed=seed)
    return [msgspec.json.encode(event) for event in itertools.islice(events, count)]


def measure_stream(matcher: Matcher, samples: list[LogEvent], unique: float) -> tuple[float, float, float]:
    """(events a CPU second, the same of orjson.loads, worst batch in s), best of several after a warm-up."""
    import orjson

    best, loads, worst = 0.0, 0.0, 1e9
    for seed in range(ROUNDS + 1):
        texts = lines(samples, unique, EVENTS, seed)
        loads = max(loads, EVENTS / cpu_s(lambda texts=texts: [orjson.loads(text) for text in texts]))
        events = [decode_event_json(text) for text in texts]
        batches = [events[start : start + BATCH] for start in range(0, EVENTS, BATCH)]
        gc.collect()
        times = [cpu_s(lambda batch=batch: [matcher.match(event) for event in batch]) for batch in batches]
        if seed:  # the first is the warm-up
            best, worst = max(best, EVENTS / sum(times)), min(worst, max(times))
    return best, loads, worst


def measure_plain(matcher: Matcher, plain: PlainMatcher, samples: list[LogEvent], unique: float) -> float:
    """Events a CPU second when every rule is looked at, whose verdicts have to be the same."""
    events = list(itertools.islice(process_creations(samples, unique, seed=99), PLAIN_EVENTS))
    expected: list[list[int]] = []
    spent_s = cpu_s(lambda: expected.extend(plain.match(event) for event in events))
    assert expected == [list(matcher.match(event)) for event in events]
    return PLAIN_EVENTS / spent_s


def measure_memory(matcher: Matcher, samples: list[LogEvent]) -> float:
    """RSS in MiB after a stream of random command lines."""
    events = process_creations(samples, 1.0, seed=5)
    for event in itertools.islice(events, RANDOM_LINES):
        matcher.match(event)
    return float(psutil.Process().memory_info().rss) / (1 << 20)


def peer_rules(folder: Path) -> list[dict[str, Any]]:
    """The rules about process creations as zargunlite takes them: SQL, made by pySigma."""
    from sigma.backends.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.pipelines.sysmon import sysmon_pipeline

    backend = sqliteBackend(sysmon_pipeline(), collect_errors=True)  # it knows no keywords
    rules: list[dict[str, Any]] = []
    for file in sorted((folder / "sigma").glob("rules*/**/proc_creation_win*.yml")):
        converted = backend.convert(SigmaCollection.from_yaml(file.read_text()), output_format="zircolite")
        rules += json.loads(converted) if isinstance(converted, str) else converted
    return rules


def measure_peer(folder: Path, samples: list[LogEvent], unique: float) -> tuple[float, int]:
    """(events a CPU second of zargunlite, its rules); rules and decoded events are at hand before the clock starts."""
    from zargunlite.core import ZargunCore
    from zargunlite.model import ZircoliteRule

    rules = [ZircoliteRule(title=rule["title"], rule=rule["rule"]) for rule in peer_rules(folder)]
    events = [event.fields for event in itertools.islice(process_creations(samples, unique, seed=99), PEER_EVENTS)]

    def work() -> None:
        with ZargunCore() as core:
            core.load_data(events)
            for rule in rules:
                core.execute_zircolite_rule(rule)

    return PEER_EVENTS / min(cpu_s(work) for _ in range(2)), len(rules)


def measure_detector(ruleset: Ruleset, samples: list[LogEvent], unique: float) -> float:
    """Events a CPU second through the whole detector: matches become incidents, windows are kept."""
    detector = Detector(ruleset, DetectionConfig(), "bench")
    best = 0.0
    for seed in range(2):
        events: Sequence[Event] = list(itertools.islice(process_creations(samples, unique, seed=seed), EVENTS))
        spent_s = cpu_s(
            lambda events=events: [detector.process(events[at : at + BATCH]) for at in range(0, EVENTS, BATCH)]
        )
        best = max(best, EVENTS / spent_s)
    return best


def run() -> Pairs:
    """Figures with all public Windows rules."""
    folder = corpus()
    if not (folder / "sigma").is_dir():
        return [("public rules", "skipped: no corpus in SIEMD_CORPUS or ../shared/corpus")]
    loaded: list[Ruleset] = []
    load_s = cpu_s(lambda: loaded.append(load_ruleset(sorted((folder / "sigma").glob("rules*")))))
    ruleset = loaded[0]
    rules = [rule for rule in ruleset.plain if rule.logsource.product == "windows"]
    made: list[Matcher] = []
    compile_s = cpu_s(lambda: made.append(Matcher(rules)))
    matcher, samples = made[0], recorded_creations(folder)
    result: Pairs = [
        (f"{len(ruleset.rules):,} rules read", f"{load_s:.1f} s"),
        (f"{len(rules):,} Windows rules compiled", f"{compile_s:.1f} s"),
        (f"RSS after {RANDOM_LINES:,} random command lines", f"{measure_memory(matcher, samples):,.0f} MiB"),
    ]
    plain = PlainMatcher(rules)
    speeds: dict[float, float] = {}
    for unique in UNIQUE:
        speed, loads, worst_s = measure_stream(matcher, samples, unique)
        slow = measure_plain(matcher, plain, samples, unique)
        speeds[unique] = speed
        name = f"process creations, {unique:.0%} unique command lines"
        result += [
            (
                name,
                f"{speed:,.0f} events/s, {speed / loads:.2f} of orjson.loads, {speed / slow:,.0f} × every rule alone",
            ),
            (f"{name}, worst batch of {BATCH}", f"{worst_s * 1e3:.1f} ms"),
            (f"{name}, incidents too", f"{measure_detector(ruleset, samples, unique):,.0f} events/s"),
        ]
    missing = [name for name in ("zargunlite", "sigma") if importlib.util.find_spec(name) is None]
    if missing:
        wanted = "zargunlite pysigma-backend-sqlite pysigma-pipeline-sysmon"
        result.append(("zargunlite", f"skipped: pip install {wanted}"))
    else:
        for unique in UNIQUE:
            peer, count = measure_peer(folder, samples, unique)
            figure = f"{peer:,.0f} events/s with {count:,} rules; siemd with all: {speeds[unique] / peer:,.0f} times"
            result.append((f"zargunlite, {unique:.0%} unique", figure))
    return result
