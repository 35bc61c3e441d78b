"""Millions of hosts, ports or names do not make the process grow past what it may remember; what goes is counted."""

from __future__ import annotations

import json

import pytest

from support.own_process import in_own_process
from support.swarms import SWARMS

SMALL = {"count": 80_000, "warm": 40_000, "step_us": 200, "max_flows": 4096, "max_hosts": 2048}
# The caps are those that siemd has by default.
LARGE = {"count": 10_000_000, "warm": 2_000_000, "step_us": 10, "max_flows": 131_072, "max_hosts": 65_536}
# What a swarm may fill, by the caps: twice what `max_flows` says of a flow, thrice what `max_hosts` says of a host, for
# a swarm is of one kind; and what depends on neither: connections that are read, facts of a tick, texts of addresses.
FLOW_BYTES, HOST_BYTES, FIXED_BYTES = 1024, 1024, 200 << 20
# After everything is full: what an allocator does, not what is remembered.
GROWTH_BYTES = 32 << 20
COUNTED = ("_forgotten", "_lost", "_held_back", "_judged_early")


@pytest.mark.parametrize("size", [SMALL, pytest.param(LARGE, marks=pytest.mark.soak)], ids=["small", "large"])
@pytest.mark.parametrize("name", SWARMS)
def test_a_swarm_does_not_make_the_process_grow(name: str, size: dict[str, int]) -> None:
    result = in_own_process("support.swarms", "run_swarm", name=name, **size)
    print(json.dumps({name: result}))  # told by `pytest -rA`
    assert result["packets"] >= size["count"]
    assert result["end_bytes"] - result["warm_bytes"] < GROWTH_BYTES, result
    most_bytes = FLOW_BYTES * size["max_flows"] + HOST_BYTES * size["max_hosts"] + FIXED_BYTES
    assert result["end_bytes"] - result["before_bytes"] < most_bytes, result
    gone = {counter: number for counter, number in result["counters"].items() if counter.endswith(COUNTED)}
    assert sum(gone.values()) > size["count"] / 2, f"what was forgotten is counted: {gone}"
