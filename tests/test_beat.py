"""What waits for beats wakes together."""

from __future__ import annotations

import time

import pytest

from siemd.beat import until_beat_s


@pytest.mark.parametrize("step_s", [0.01, 1.0, 2.0])
def test_all_wait_for_the_same_moments(step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = set()
    for now_s in (1_800_000_000.0, 1_800_000_000.049, 1_800_000_000.05, 1_800_000_000.3, 1_800_000_001.99):
        monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)
        left_s = until_beat_s(step_s)
        assert 0 < left_s <= step_s
        moments.add(round(now_s + left_s - 0.05, 4))
    assert all(abs(moment / step_s - round(moment / step_s)) < 1e-3 for moment in moments)
