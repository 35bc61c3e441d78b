"""What a second process brings to detection with all public Windows rules, and what handing events over costs.

By the clock the figure depends on what else the machine does; by processor time (one process against the busier of
two) it says what two free cores would give.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path

import msgspec
import psutil

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.pool import WorkerPool
from siemd.detection.worker import BYTES_TO_EVENTS, EVENTS_TO_BYTES
from siemd.events import Event, LogEvent
from siemd.sources.evtxfile import read_events

CORPUS = Path(os.environ.get("SIEMD_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))
EVENTS = 40_000
STEP = 4_096
ROUNDS = 5
UNIQUE = 0.5  # part of the process creations whose command line was never seen before
WORDS = ["update", "service", "netsvcs", "report", "daily", "cache", "sync", "index", "backup", "profile", "print"]
IMAGES = ["svchost.exe", "conhost.exe", "chrome.exe", "Teams.exe", "MsMpEng.exe", "SearchIndexer.exe", "git.exe"]


def samples(folder: Path) -> list[LogEvent]:
    """Recorded events of attacks, a few of each file."""
    found: list[LogEvent] = []
    for path in sorted(folder.rglob("*.evtx")):
        with path.open("rb") as file:
            events = next(iter(read_events(file)), [])
        found += [event for event in events[:3] if isinstance(event, LogEvent)]
    return found


def everyday(source: random.Random, model: LogEvent, number: int) -> LogEvent:
    """A process creation that no rule minds."""
    image = source.choice(IMAGES)
    path = f"C:\\Program Files\\{source.choice(WORDS)}\\{image}"
    tail = str(number) if source.random() < UNIQUE else str(number % 40)
    fields = model.fields | {
        "Image": path,
        "OriginalFileName": image,
        "Description": "Everyday",
        "Company": "Example",
        "Product": "Everyday",
        "Hashes": f"SHA256={source.randrange(1 << 40):064X}" if source.random() < UNIQUE else "SHA256=00",
        "IntegrityLevel": "Medium",
        "CommandLine": f'"{path}" -k {source.choice(WORDS)} -s {source.choice(WORDS)} --id {tail}',
        "ParentImage": "C:\\Program Files\\Example\\launcher.exe",
        "ParentCommandLine": "launcher.exe",
        "CurrentDirectory": "C:\\Program Files\\Example\\",
        "User": "EXAMPLE\\worker",
        "ParentUser": "EXAMPLE\\worker",
    }
    return msgspec.structs.replace(model, fields=fields)


def made(folder: Path) -> list[Event]:
    """A busy Windows host: everyday process creations, one in fifty events from a recorded attack."""
    source = random.Random(7)
    attacks = samples(folder)
    models = [event for event in attacks if event.event_id == 1 and "Sysmon" in event.channel]
    events: list[Event] = []
    for number in range(EVENTS):
        if number % 50 == 0:
            event = msgspec.structs.replace(source.choice(attacks))
            event.fields = dict(event.fields)
        else:
            event = everyday(source, models[0], number)
        event.time_us = number * 1_000
        events.append(event)
    return events


def timed(ruleset: Ruleset, events: list[Event], pool: WorkerPool | None) -> tuple[float, float, float]:
    """(seconds by the clock, processor seconds of this process, of the busiest worker)."""
    detector = Detector(ruleset, DetectionConfig(), "bench", pool)
    while pool is not None and pool.ready < len(pool.pids):
        time.sleep(0.05)
    detector.process(events[:STEP])  # warm
    workers = [psutil.Process(pid) for pid in pool.pids] if pool else []
    before = [sum(worker.cpu_times()[:2]) for worker in workers]
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    for start in range(0, len(events), STEP):
        detector.process(events[start : start + STEP])
    elapsed_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    spent = [sum(worker.cpu_times()[:2]) - first for worker, first in zip(workers, before, strict=True)]
    return elapsed_s, cpu_s, max(spent, default=0.0)


def run() -> list[tuple[str, str]]:
    """Two processes against one, and the share of handing over."""
    if not CORPUS.exists():
        return [("two processes against one", "skipped: no corpus in SIEMD_CORPUS or ../shared/corpus")]
    sigma = CORPUS / "sigma"
    folders = [sigma / name / "windows" for name in ("rules", "rules-threat-hunting")]
    ruleset = load_ruleset([folder for folder in [*folders, sigma / "rules-emerging-threats"] if folder.exists()])
    events = made(sigma / "regression_data")
    pool = WorkerPool(2)
    one, two = [], []
    for _ in range(ROUNDS):  # in turns, so that what else the machine does meets both
        one.append(timed(ruleset, events, None))
        two.append(timed(ruleset, events, pool))
    pool.close()
    by_clock = max(alone[0] / together[0] for alone, together in zip(one, two, strict=True))
    by_cpu = statistics.median(alone[1] / max(together[1:]) for alone, together in zip(one, two, strict=True))
    alone_cpu_s = min(item[1] for item in one)
    handed_s = _handing_over_s(events)
    rate = len(events) / alone_cpu_s
    return [
        (f"{len(ruleset.rules)} rules, one process", f"{rate:,.0f} events/s of processor time"),
        ("two processes, by the clock", f"{by_clock:.2f} times one (best of {ROUNDS} rounds)"),
        ("two processes, by processor time", f"{by_cpu:.2f} times one (median)"),
        ("encoding and decoding an event, against matching it", f"{handed_s / (alone_cpu_s / len(events)):.0%}"),
    ]


def _handing_over_s(events: list[Event]) -> float:
    """Processor seconds for one event to bytes and back."""
    started_s = time.process_time()
    for start in range(0, len(events), 256):
        BYTES_TO_EVENTS.decode(EVENTS_TO_BYTES.encode(events[start : start + 256]))
    return (time.process_time() - started_s) / len(events)
