"""The detector as a stage: everything is passed on, alerts come first, and a fault costs no event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from siemd.channel import Channel
from siemd.detection import DetectionStage, Detector
from siemd.events import Alert, Batch, Event
from siemd.health import ComponentHealth
from siemd.outlet import Outlet

RULE = """
title: t
name: {name}
logsource: {{product: siemd, category: network}}
detection: {{s: {{event_type: probe}}, condition: s}}
"""


class Pipe:
    """A stage between two channels, and what it announced."""

    def __init__(self, detector: Detector, tmp_path: Path) -> None:
        self.incoming, self.outgoing = Channel("in", 10_000), Channel("out", 10_000)
        self.health = ComponentHealth(name="detection")
        self.announced: list[Alert] = []
        outlet = Outlet(
            host="h",
            source="detection",
            channel=self.outgoing,
            health=ComponentHealth(name="alerting"),
            data_dir=tmp_path,
        )
        self.stage = DetectionStage(detector, self.incoming, outlet, self._announce, self.health)

    def _announce(self, alerts: Sequence[Alert]) -> None:
        self.announced += alerts

    def put(self, *events: Event) -> None:
        assert self.incoming.offer(Batch(host="h", source="sniffer", epoch=1, events=list(events)))

    async def drain(self) -> list[Batch]:
        """Close the incoming channel, wait for the stage's end, and return what it passed on."""
        self.incoming.close()
        await asyncio.wait_for(self.stage.run(), 60)
        self.outgoing.close()
        return [batch async for batch in self.outgoing]


async def test_alerts_go_before_the_events_that_raised_them(tools: Any, tmp_path: Path) -> None:
    pipe = Pipe(tools.detector(tools.rules(RULE.format(name="r"))), tmp_path)
    pipe.put(tools.fact(1, source_ip="a"), tools.fact(2, "other"))
    batches = await pipe.drain()
    assert [batch.source for batch in batches] == ["detection", "sniffer"]
    assert [alert.rule for alert in pipe.announced] == ["r"]
    assert (pipe.health.received, pipe.health.sent) == (2, 2)
    assert pipe.health.extra["rule_matches"] == 1


async def test_events_pass_although_detection_has_a_fault(tools: Any, tmp_path: Path) -> None:
    pipe = Pipe(tools.detector(tools.rules(RULE.format(name="r"))), tmp_path)
    broken = tools.fact(1, source_ip="a")
    broken.fields = 7
    pipe.put(broken)
    (batch,) = await pipe.drain()
    assert batch.events == [broken]
    assert pipe.health.status == "degraded"
    assert pipe.health.errors == 1


async def test_new_rules_are_used_from_the_next_batch_on(tools: Any, tmp_path: Path) -> None:
    pipe = Pipe(tools.detector(tools.rules(RULE.format(name="before"))), tmp_path)
    pipe.stage.reload(tools.rules(RULE.format(name="after")))
    pipe.put(tools.fact(1, source_ip="a"))
    await pipe.drain()
    assert [alert.rule for alert in pipe.announced] == ["after"]


async def test_a_fault_costs_no_alert_that_was_found_before_it(tools: Any, tmp_path: Path) -> None:
    """Those of a former run and of the time that passed, and of the events before the one with the fault."""
    first = tools.detector(tools.rules(RULE.format(name="r"))).process([tools.fact(1, source_ip="a")])
    pipe = Pipe(tools.detector(tools.rules(RULE.format(name="r")), max_incidents=1), tmp_path)
    opened = tools.detector(tools.rules(RULE.format(name="r"))).process([tools.fact(2, source_ip="b")])
    pipe.stage.take_up([*first, *opened])  # one has no room, and is closed
    broken = tools.fact(3, source_ip="a")
    broken.fields = 7
    pipe.put(broken)
    batches = await pipe.drain()
    assert pipe.health.errors == 1
    assert [(alert.group["source_ip"], alert.status) for alert in pipe.announced][:1] == [("a", "closed")]
    assert [batch.source for batch in batches] == ["detection", "sniffer"]


def test_the_detector_tells_what_it_found_before_a_fault(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE.format(name="r")))
    told: list[Alert] = []

    class Faulty(list[Event]):
        """Events that cannot be counted when all is done."""

        def __len__(self) -> int:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        detector.process(Faulty([tools.fact(1, source_ip="a")]), told)
    assert [alert.rule for alert in told] == ["r"]


async def test_time_alone_closes_an_incident(tools: Any, tmp_path: Path) -> None:
    pipe = Pipe(tools.detector(tools.rules(RULE.format(name="r")), incident_idle_s=0.01), tmp_path)
    pipe.put(tools.fact(time.time(), source_ip="a"))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(pipe.stage.run(), name="detection")
        while [alert.status for alert in pipe.announced] != ["open", "closed"]:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        pipe.incoming.close()


async def test_new_rules_are_used_although_nothing_comes(tools: Any, tmp_path: Path) -> None:
    pipe = Pipe(tools.detector(tools.rules(RULE.format(name="before"))), tmp_path)
    pipe.stage.reload(tools.rules(RULE.format(name="after") + "---" + RULE.format(name="another")))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(pipe.stage.run(), name="detection")
        while pipe.health.detail != "2 rules":  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        pipe.incoming.close()
