"""Damaged frames, and every prefix of whole ones, through the decoder and every observer: no exception, no growth."""

from __future__ import annotations

import os
from typing import Any

import pytest

from siemd.sources.sniffer.facts import FACTS
from support.own_process import in_own_process

# Everything has been full for a long time when it is measured first; what may come yet are allocators' moods.
GROWTH_BYTES = 16 << 20
SEED = int(os.environ.get("SIEMD_FUZZ_SEED", "20"))
soak = pytest.mark.soak


@pytest.fixture(params=["corpus", "made"])
def captures(request: pytest.FixtureRequest) -> str:
    """Where captures of real tools are; "" for none: what a clone has must be enough to find a bug."""
    return str(request.getfixturevalue("corpus")) if request.param == "corpus" else ""


def check(result: dict[str, Any]) -> None:
    """What holds of every run; its figures are told by `pytest -rA`."""
    print(result)
    assert result["packets"] > result["frames"] / 5, "many are whole enough to reach the observers"
    assert result["held"] < 20 * 1024
    assert result["end_bytes"] - result["warm_bytes"] < GROWTH_BYTES, result


@pytest.mark.parametrize("count", [150_000, pytest.param(1_000_000, marks=soak)])
def test_damaged_frames(captures: str, count: int) -> None:
    result = in_own_process("support.fuzz_run", "run_damaged", count=count, seed=SEED, corpus=captures)
    check(result)
    assert result["frames"] == count
    assert len(result["kinds"]) > len(FACTS) / 2, "it goes deep"


@pytest.mark.parametrize("most", [150_000, pytest.param(100_000_000, marks=soak)])
def test_every_prefix(captures: str, most: int) -> None:
    check(in_own_process("support.fuzz_run", "run_prefixes", most=most, seed=SEED, corpus=captures))
