"""Bounded memory: nothing grows past its cap, what is used stays, and what is lost is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from siemd.sources.sniffer.state import Aging, Deadlines


def test_used_entries_survive_and_idle_ones_do_not() -> None:
    memory: Aging[str, int] = Aging(100)
    memory.put("used", 1)
    memory.put("idle", 2)
    for _ in range(5):
        memory.age()
        assert memory.get("used") == 1
    assert memory.get("idle") is None
    assert memory.evicted == 0


def test_what_the_cap_costs_is_counted() -> None:
    memory: Aging[int, int] = Aging(100)
    for number in range(1000):
        memory.put(number, number)
        assert len(memory) <= 100
    assert memory.get(999) == 999
    assert memory.get(0) is None
    assert memory.evicted == 1000 - len(memory)


@given(st.integers(1, 20), st.lists(st.tuples(st.sampled_from("gpa"), st.integers(0, 40)), max_size=300))
def test_aging_is_a_map_that_may_forget(cap: int, steps: list[tuple[str, int]]) -> None:
    memory: Aging[int, int] = Aging(cap)
    model: dict[int, int] = {}
    for number, (step, key) in enumerate(steps, 1):
        if step == "p":
            memory.put(key, number)
            model[key] = number
        elif step == "g":
            assert memory.get(key) in (None, model.get(key))
        else:
            memory.age()
        assert len(memory) <= max(2, cap)


def test_deadlines_fall_due_in_order() -> None:
    queue: Deadlines[str] = Deadlines(10, 100)
    queue.push(0, "first")
    queue.push(5, "second")
    assert list(queue.due(9)) == []
    assert list(queue.due(10)) == ["first"]
    assert list(queue.rest()) == ["second"]
    assert len(queue) == 0


def test_deadlines_beyond_the_cap_are_early_and_counted() -> None:
    queue: Deadlines[int] = Deadlines(10, 3)
    assert [queue.push(0, number) for number in range(5)] == [None, None, None, 0, 1]
    assert list(queue.due(9)) == []
    assert (queue.early, len(queue)) == (2, 3)
