"""Several processes match what one would, in the same order, whatever happens to them."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, Ruleset
from siemd.detection.matcher import Matcher
from siemd.detection.matching import match
from siemd.detection.pool import WorkerPool
from siemd.events import Alert, Event
from support.waiting import wait_until

RULES = """
title: probe
name: probe
logsource: {product: siemd, category: network}
detection: {s: {event_type: probe, message|contains: evil}, condition: s}
---
title: many
name: many
correlation: {type: event_count, rules: [probe], group-by: [source_ip], timespan: 60s, condition: {gte: 5}}
---
title: log
name: log
logsource: {product: windows}
detection: {s: {Command|re: 'e+v.*l'}, condition: s}
"""


def mixed(tools: Any, count: int) -> list[Event]:
    """Facts and records, some that match, some that no rule is about."""
    events: list[Event] = []
    for number in range(count):
        words = "evil" if number % 7 == 0 else "good"
        match number % 4:
            case 0:
                events.append(tools.fact(number / 10, source_ip=f"192.0.2.{number % 5}", message=words))
            case 1:
                events.append(tools.log(number / 10, Command=f"{words} {number}", TargetUserName=f"u{number % 9}"))
            case 2:
                events.append(tools.fact(number / 10, "other", message="evil"))
            case _:
                events.append(tools.fact(number / 10 - 30, source_ip="192.0.2.9", message=words))
    return events


def told(detector: Detector, events: list[Event], step: int = 2_000) -> list[Alert]:
    alerts = []
    for start in range(0, len(events), step):
        alerts += detector.process(events[start : start + step])
    return [*alerts, *detector.finish()]


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(3)
    yield made
    made.close()


def make(ruleset: Ruleset, pool: WorkerPool | None = None) -> Detector:
    detector = Detector(ruleset, DetectionConfig(), "h", pool)
    if pool is not None:
        wait_until(lambda: pool.ready == 2, "both workers have compiled the rules")
    return detector


def same(left: list[Alert], right: list[Alert]) -> bool:
    return msgspec.json.encode(left) == msgspec.json.encode(right)


def test_the_alerts_are_those_of_one_process(tools: Any, pool: WorkerPool) -> None:
    events = mixed(tools, 9_000)
    ruleset = tools.rules(RULES)
    alone = told(make(ruleset), events)
    assert len(alone) > 20
    detector = make(ruleset, pool)
    assert same(told(detector, events), alone)
    assert detector.counters()["worker_restarts"] == 0
    assert detector.counters()["checked_events"] == 9_000


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[WorkerPool]:
    made = WorkerPool(3)
    yield made
    made.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 2_500),
    steps=st.lists(st.integers(1, 1_500), min_size=1, max_size=4),
    killed=st.sets(st.integers(0, 12), max_size=2),
    data=st.data(),
)
def test_however_it_is_cut_and_whoever_dies_the_alerts_are_the_same(
    tools: Any, shared_pool: WorkerPool, count: int, steps: list[int], killed: set[int], data: st.DataObject
) -> None:
    ruleset = tools.rules(RULES)
    events = mixed(tools, count)
    data.draw(st.randoms(use_true_random=False)).shuffle(events)
    alone, detector = Detector(ruleset, DetectionConfig(), "h"), Detector(ruleset, DetectionConfig(), "h", shared_pool)
    if not killed:
        wait_until(lambda: not shared_pool.pids or shared_pool.ready, "one of those that live takes parts")
    expected, found, before = alone.process(events[:0]), detector.process(events[:0]), 0
    for number, size in enumerate(itertools.cycle(steps)):
        if before >= count:
            break
        if number in killed and shared_pool.pids:
            os.kill(shared_pool.pids[0], signal.SIGKILL)
        step, before = events[before : before + size], before + size
        expected += alone.process(step)
        found += detector.process(step)
    assert same([*found, *detector.finish()], [*expected, *alone.finish()])


def test_a_worker_that_dies_while_it_has_parts_leaves_them_to_others(tools: Any, pool: WorkerPool) -> None:
    ruleset = tools.rules(RULES)
    make(ruleset, pool)
    events = mixed(tools, 8_000)
    whole, seen = [], 0
    for part, matches in pool.match(events):
        if not seen:
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
        assert part == events[seen : seen + len(part)], "in order and without a gap"
        whole += [(seen + position, indices) for position, indices in matches]
        seen += len(part)
    assert seen == len(events)
    assert whole == match(Matcher(ruleset.plain), events)
    assert pool.redone >= 1
    wait_until(lambda: pool.ready >= 0 and pool.restarts == 2, "both were missed")


@pytest.mark.skipif(os.name != "posix", reason="pipes that can be polled")
def test_no_thread_reads_the_answers(tools: Any) -> None:
    # One that did had to win the interpreter's lock from the one that matches, and heard them up to 20 ms late.
    before = threading.active_count()
    pool = WorkerPool(3)
    make(tools.rules(RULES), pool)
    assert threading.active_count() == before
    pool.close()


def test_a_worker_that_dies_or_hangs_costs_nothing(tools: Any) -> None:
    pool = WorkerPool(3, stuck_s=0.5)
    events = mixed(tools, 9_000)
    ruleset = tools.rules(RULES)
    alone = told(make(ruleset), events)
    detector = make(ruleset, pool)
    hanging, dying = before = pool.pids
    os.kill(hanging, signal.SIGSTOP)
    os.kill(dying, signal.SIGKILL)
    assert same(told(detector, events), alone)
    assert pool.redone >= 1
    wait_until(lambda: detector.process(events[:10]) is not None and pool.ready == 2, "both are replaced")
    assert pool.restarts == 2
    assert not {*before} & {*pool.pids}
    pool.close()


def test_where_no_process_can_be_started_one_does_it_all(
    tools: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ruleset, events = tools.rules(RULES), mixed(tools, 2_000)
    monkeypatch.setattr("siemd.detection.pool.RESTART_S", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", str(tmp_path / "missing"))
        pool = WorkerPool(3)
        detector = Detector(ruleset, DetectionConfig(), "h", pool)
        assert same(told(detector, events), told(make(ruleset), events))
        assert not pool.pids
        assert detector.counters()["failed_worker_starts"] > 1
    wait_until(lambda: detector.process(events[:10]) is not None and pool.ready == 2, "both are started after all")
    pool.close()


def test_a_worker_is_ready_when_it_has_compiled_the_newest_rules(tools: Any, pool: WorkerPool) -> None:
    detector = make(tools.rules(RULES), pool)
    for pid in pool.pids:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(5):
        detector.reload(tools.rules(RULES))
    assert pool.ready == 0
    for pid in pool.pids:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: pool.ready == 2, "all of the rules are compiled")


def test_a_reload_reaches_every_worker(tools: Any, pool: WorkerPool) -> None:
    events = mixed(tools, 4_000)
    detector, alone = make(tools.rules(RULES), pool), make(tools.rules(RULES))
    assert same(told(detector, events), told(alone, events))
    other = tools.rules(RULES.replace("contains: evil", "contains: good"))
    detector.reload(other)
    alone.reload(other)
    assert same(told(detector, events), told(alone, events)), "at once, while they compile"
    wait_until(lambda: pool.ready == 2, "both workers have compiled the new rules")


def test_values_that_bytes_cannot_hold_are_matched_here(tools: Any, pool: WorkerPool) -> None:
    events = mixed(tools, 2_000)
    for number in (1, 801, 1601):
        events[number].fields["Command"] = "evil \ud800"  # type: ignore[union-attr]
        events[number].fields["Huge"] = 1 << 100  # type: ignore[union-attr]
    ruleset = tools.rules(RULES)
    alone = make(ruleset).process(events)
    assert [alert.incident_id for alert in make(ruleset, pool).process(events)] == [a.incident_id for a in alone]


def test_a_fault_in_matching_is_met_in_the_daemon(tools: Any, pool: WorkerPool) -> None:
    events = mixed(tools, 2_000)
    detector = make(tools.rules(RULES), pool)
    events[1_001].fields = 7  # type: ignore[union-attr]
    with pytest.raises(AttributeError):
        detector.process(events)
    events[1_001].fields = {}  # type: ignore[union-attr]
    assert same(told(make(tools.rules(RULES), None), events), told(_fresh(tools, pool), events))


def _fresh(tools: Any, pool: WorkerPool) -> Detector:
    return Detector(tools.rules(RULES), DetectionConfig(), "h", pool)


def test_workers_end_with_the_pool_and_ignore_what_stops_daemons(tools: Any) -> None:
    pool = WorkerPool(2)
    make_one = Detector(tools.rules(RULES), DetectionConfig(), "h", pool)
    wait_until(lambda: pool.ready == 1, "the worker is ready")
    (pid,) = pool.pids
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    events = mixed(tools, 2_000)
    make_one.process(events)
    assert pool.restarts == 0
    make_one.close()
    assert not psutil.pid_exists(pid)
