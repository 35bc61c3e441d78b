"""What a second process brings to detection with all public Windows rules, and what handing events over costs.

By the clock the figure depends on what else the machine does; by processor time (one process against the busier of
two) it says what two free cores would give.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from siemd.detection import DetectionConfig, Detector, load_ruleset
from siemd.detection.pool import WorkerPool
from siemd.detection.worker import BYTES_TO_EVENTS, EVENTS_TO_BYTES
from siemd.events import Event
from support.process_creations import process_creations, recorded_creations

CORPUS = Path(os.environ.get("SIEMD_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))
EVENTS = 40_000
STEP = 8_192
ROUNDS = 5
UNIQUE = 0.5  # part of the process creations whose command line was never seen before


def timed(detector: Detector, pids: Sequence[int], events: list[Event]) -> tuple[float, float, float]:
    """(seconds by the clock, processor seconds of this process, of the busiest worker)."""
    workers = [psutil.Process(pid) for pid in pids]
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
    samples = recorded_creations(CORPUS)
    pool = WorkerPool(2)
    alone, together = (Detector(ruleset, DetectionConfig(), "bench", one) for one in (None, pool))
    while pool.ready < len(pool.pids):
        time.sleep(0.05)
    one, two = [], []
    for seed in range(ROUNDS + 1):  # in turns, so that what else the machine does meets both
        events: list[Event] = list(itertools.islice(process_creations(samples, UNIQUE, seed=seed), EVENTS))
        one.append(timed(alone, (), events))
        two.append(timed(together, pool.pids, events))
    pool.close()
    pairs = list(zip(one, two, strict=True))[1:]  # the first is the warm-up
    by_clock = [single[0] / double[0] for single, double in pairs]
    by_cpu = statistics.median(single[1] / max(double[1:]) for single, double in pairs)
    alone_cpu_s = min(item[1] for item in one)
    handed_s = _handing_over_s(events)
    rate = len(events) / alone_cpu_s
    return [
        (f"{len(ruleset.rules)} rules, one process", f"{rate:,.0f} events/s of processor time"),
        (
            "two processes, by the clock",
            f"{statistics.median(by_clock):.2f} times one (median of {ROUNDS} rounds; best {max(by_clock):.2f})",
        ),
        ("two processes, by processor time", f"{by_cpu:.2f} times one (median)"),
        ("encoding and decoding an event, against detecting", f"{handed_s / (alone_cpu_s / len(events)):.0%}"),
    ]


def _handing_over_s(events: list[Event]) -> float:
    """Processor seconds for one event to bytes and back."""
    started_s = time.process_time()
    for start in range(0, len(events), 256):
        BYTES_TO_EVENTS.decode(EVENTS_TO_BYTES.encode(events[start : start + 256]))
    return (time.process_time() - started_s) / len(events)
