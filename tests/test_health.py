"""Component health: counters that only grow, and the moment of the last change."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from siemd.health import Health


def test_components_are_made_once_and_keep_their_order() -> None:
    health = Health()
    sniffer = health.component("sniffer")
    health.component("writer")
    assert health.component("sniffer") is sniffer
    assert [component.name for component in health.components()] == ["sniffer", "writer"]
    assert sniffer.status == "starting"


def test_since_changes_only_with_the_status() -> None:
    component = Health().component("store")
    component.set("ok", "well")
    component.since_us = 17
    component.set("ok", "very well")
    assert (component.since_us, component.detail) == (17, "very well")
    component.error("degraded", "the database is away")
    assert component.since_us > 17
    assert (component.errors, component.status, component.detail) == (1, "degraded", "the database is away")


def test_two_components_share_no_counters() -> None:
    health = Health()
    health.component("a").add("frames")
    assert health.component("b").extra == {}


@given(st.lists(st.integers(0, 1000)))
def test_named_counters_add_up(amounts: list[int]) -> None:
    component = Health().component("x")
    for amount in amounts:
        component.add("bytes", amount)
    assert component.extra.get("bytes", 0) == sum(amounts)


def test_a_snapshot_is_json() -> None:
    health = Health()
    health.component("x").add("kernel_drops", 3)
    (snapshot,) = json.loads(json.dumps(health.snapshot()))
    assert snapshot["name"] == "x"
    assert snapshot["extra"] == {"kernel_drops": 3}
