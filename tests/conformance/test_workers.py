"""Several processes say of recorded attacks and captures exactly what one says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from siemd.config import Config
from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.detection.pool import WorkerPool
from siemd.events import Event
from siemd.replay import FileResult, _events
from support.waiting import wait_until

STEP = 1_500


@pytest.fixture
def recorded(corpus: Path) -> list[Event]:
    """Everything in the EVTX samples and the captures, one after the other."""
    events: list[Event] = []
    for path in sorted([*corpus.rglob("*.evtx"), *corpus.rglob("*.pcap*")]):
        with path.open("rb") as file:
            for part in _events(file, Config(), FileResult(path=str(path))):
                events += part
    if not events:
        pytest.skip(f"no recordings below {corpus}")
    return events


def told(ruleset: Ruleset, events: list[Event], pool: WorkerPool | None) -> Iterator[bytes]:
    detector = Detector(ruleset, DetectionConfig(), "h", pool)
    if pool is not None:
        wait_until(lambda: pool.ready == len(pool.pids), "the workers have compiled the rules", deadline_s=120)
    for start in range(0, len(events), STEP):
        yield from map(msgspec.json.encode, detector.process(events[start : start + STEP]))
    yield from map(msgspec.json.encode, detector.finish())


def test_the_alerts_are_the_same(corpus: Path, recorded: list[Event]) -> None:
    folders = [corpus / "sigma" / "rules" / "windows", corpus / "sigma" / "rules-emerging-threats"]
    ours = load_ruleset(DetectionConfig(rules=["builtin"]))
    public = load_ruleset([folder for folder in folders if folder.exists()])
    ruleset = Ruleset([*ours.rules, *public.rules])
    pool = WorkerPool(3)
    try:
        together = list(told(ruleset, recorded, pool))
        assert pool.restarts == pool.redone == 0
    finally:
        pool.close()
    assert together == list(told(ruleset, recorded, None))
    assert len(together) > 100
