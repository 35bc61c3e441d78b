"""Which partitions a table gets, over years of life."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.storage.partitions import Partition, statements, width_days

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(("keep", "width"), [(1, 1), (30, 1), (45, 1), (46, 7), (90, 7), (315, 7), (316, 14), (0, 28)])
def test_width(keep: float, width: int) -> None:
    assert width_days(keep) == width


def test_a_new_table_gets_days_ahead_of_today() -> None:
    (made,) = statements("logs", [Partition("pmax", None)], 30, TODAY)
    assert made == (
        "ALTER TABLE logs REORGANIZE PARTITION pmax INTO ("
        "PARTITION p20261122 VALUES LESS THAN ('2026-11-22'), PARTITION p20261123 VALUES LESS THAN ('2026-11-23'), "
        "PARTITION p20261124 VALUES LESS THAN ('2026-11-24'), PARTITION p20261125 VALUES LESS THAN ('2026-11-25'), "
        "PARTITION p20261126 VALUES LESS THAN ('2026-11-26'), PARTITION pmax VALUES LESS THAN (MAXVALUE))"
    )


def apply(existing: list[Partition], made: list[str]) -> list[Partition]:
    """What MySQL would make of the statements, its own rules asserted."""
    for statement in made:
        if "DROP PARTITION" in statement:
            names = statement.partition(" DROP PARTITION ")[2].split(", ")
            existing = [partition for partition in existing if partition.name not in names]
            continue
        assert existing[-1].name == "pmax"
        new = []
        for part in statement.partition(" INTO (")[2].split("PARTITION ")[1:]:
            name, _, bound = part.partition(" VALUES LESS THAN (")
            new.append(Partition(name, None if bound.startswith("MAX") else date.fromisoformat(bound[1:11])))
        existing = existing[:-1] + new
        bounds = [partition.upper for partition in existing[:-1]]
        assert bounds == sorted(set(bounds)) and len({partition.name for partition in existing}) == len(existing)
    assert existing[-1] == Partition("pmax", None)
    return existing


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([1.0, 7.0, 30.0, 90.0, 365.0])), max_size=60))
def test_years_of_life_with_pauses_and_changed_retention(steps: list[tuple[int, float]]) -> None:
    existing, today = [Partition("pmax", None)], TODAY
    for days, keep in steps:
        today += timedelta(days=days)
        existing = apply(existing, statements("logs", existing, keep, today))
        bounds = [partition.upper for partition in existing if partition.upper]
        assert all(bound > today - timedelta(days=keep) for bound in bounds)  # older ones are gone
        assert bounds[-1] > today + timedelta(days=2)  # and tomorrow has a place
        assert statements("logs", existing, keep, today) == []


@pytest.mark.parametrize("keep", [1, 30, 45, 46, 90, 315, 316, 365, 730, 3650])
def test_there_are_never_more_than_about_fifty(keep: float) -> None:
    existing = [Partition("pmax", None)]
    for day in range(4000):
        existing = apply(existing, statements("logs", existing, keep, TODAY + timedelta(days=day)))
        assert len(existing) <= 52
