"""Correlations: windows on event time, groups, order, chains, limits, and what survives a reload."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection.sequence import SequenceWindow
from siemd.detection.windows import RankWindow, SumWindow, ValueWindow
from siemd.events import Alert

BASE = """
title: b
name: {name}
logsource: {{product: siemd, category: network}}
detection: {{s: {{event_type: {name}}}, condition: s}}
"""
PROBE = BASE.format(name="probe")


def correlation(
    kind: str, rules: str, condition: str, group: str = "[source_ip]", span: str = "60s", more: str = ""
) -> str:
    return (
        f"---\ntitle: c\nname: c\nlevel: high\n{more}\ncorrelation:\n  type: {kind}\n  rules: {rules}\n"
        f"  group-by: {group}\n  timespan: {span}\n" + (f"  condition: {condition}\n" if condition else "")
    )


def opened(alerts: list[Alert], rule: str = "c") -> list[Alert]:
    return [alert for alert in alerts if alert.rule == rule and alert.status == "open" and alert.revision == 1]


def test_event_count_in_a_sliding_window(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 3}"))
    detector = tools.detector(ruleset)
    # 0, 40 and 61 never lie within one minute, though 40, 61 and 99 do
    for moment in (0, 40, 61):
        assert not detector.process([tools.fact(moment, source_ip="a")])
    (alert,) = detector.process([tools.fact(99, source_ip="a")])
    assert (alert.rule, alert.group, alert.level, alert.count) == ("c", {"source_ip": "a"}, "high", 3)
    assert (alert.first_seen_us, alert.last_seen_us) == (40_000_000, 99_000_000)


def test_both_ends_of_a_window_belong_to_it(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}"))
    facts = [tools.fact(0, source_ip="a"), tools.fact(60, source_ip="a")]
    assert opened(tools.detector(ruleset).process(facts))
    facts[1].time_us += 1
    assert not opened(tools.detector(ruleset).process(facts))


def test_groups_are_apart_and_case_does_not_part_them(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}", group="[source_ip, user_name]"))
    detector = tools.detector(ruleset)
    assert not detector.process(
        [tools.fact(1, source_ip="a", user_name="x"), tools.fact(2, source_ip="b", user_name="x")]
    )
    (alert,) = detector.process([tools.fact(3, source_ip="a", user_name="X")])
    assert alert.group == {"source_ip": "a", "user_name": "x"}


def test_an_event_without_the_group_does_not_count(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 1}"))
    detector = tools.detector(ruleset)
    assert not detector.process([tools.fact(1), tools.fact(2)])
    assert detector.counters()["ungrouped_events"] == 2


def test_without_group_by_all_events_are_one_group(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}", group="[]"))
    assert opened(tools.detector(ruleset).process([tools.fact(1, source_ip="a"), tools.fact(2, source_ip="b")]))


def test_value_count_counts_each_value_of_a_list(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("value_count", "[probe]", "{field: destination_ports, gte: 4}"))
    detector = tools.detector(ruleset)
    assert not detector.process([tools.fact(1, source_ip="a", fields={"destination_ports": [1, 2, 3]})])
    assert not detector.process([tools.fact(2, source_ip="a", fields={"destination_ports": [1, 2, 3]})])
    (alert,) = detector.process([tools.fact(3, source_ip="a", fields={"destination_ports": [3, 4]})])
    assert "4 different values of destination_ports within 1m" in alert.reason


def test_value_count_forgets_values_that_left_the_window(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("value_count", "[probe]", "{field: destination_port, gte: 3}"))
    detector = tools.detector(ruleset)
    for moment, port in ((0, 1), (50, 2), (61, 3), (70, 2)):
        assert not detector.process([tools.fact(moment, source_ip="a", destination_port=port)])
    assert opened(detector.process([tools.fact(80, source_ip="a", destination_port=9)]))


def test_an_event_without_the_value_does_not_count(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("value_count", "[probe]", "{field: x, gte: 1}"))
    detector = tools.detector(ruleset)
    assert not detector.process([tools.fact(1, source_ip="a"), tools.fact(2, source_ip="a", fields={"x": ""})])
    assert detector.counters()["ungrouped_events"] == 2


def test_value_sum(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("value_sum", "[probe]", "{field: attempts, gte: 10}"))
    detector = tools.detector(ruleset)
    assert not detector.process([tools.fact(0, source_ip="a", fields={"attempts": 6})])
    assert not detector.process([tools.fact(61, source_ip="a", fields={"attempts": "6"})])
    assert not detector.process([tools.fact(62, source_ip="a", fields={"attempts": "many"})])
    assert opened(detector.process([tools.fact(63, source_ip="a", fields={"attempts": 4})]))


@pytest.mark.parametrize(
    ("condition", "counts"),
    [
        ("{gt: 2}", [3, 4, 5]),
        ("{lt: 2}", [1]),
        ("{lte: 2}", [1, 2]),
        ("{eq: 3}", [3]),
        ("{neq: 1}", [2, 3, 4, 5]),
        ("{gt: 1, lte: 3}", [2, 3]),
    ],
)
def test_ranges(tools: Any, condition: str, counts: list[int]) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", condition))
    detector = tools.detector(ruleset, incident_idle_s=0.5)
    fired = []
    correlator = next(iter(detector._correlators.values()))
    for number in range(1, 6):
        before = correlator.add
        results: list[Any] = []
        correlator.add = lambda *arguments, before=before, results=results: results.append(before(*arguments))  # type: ignore[method-assign]
        detector.process([tools.fact(number, source_ip="a")])
        correlator.add = before  # type: ignore[method-assign]
        if results[0] is not None:
            fired.append(number)
    assert fired == counts


def test_a_late_event_lands_in_its_window(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 3}", span="10s"))
    detector = tools.detector(ruleset, late_s=30)
    for moment in (0, 5, 25):
        assert not detector.process([tools.fact(moment, source_ip="a")])
    (alert,) = detector.process([tools.fact(9, source_ip="a")])
    assert (alert.first_seen_us, alert.count) == (0, 3)


def test_a_late_value_lands_in_its_window(tools: Any) -> None:
    ruleset = tools.rules(
        PROBE + correlation("value_count", "[probe]", "{field: destination_port, gte: 3}", span="10s")
    )
    detector = tools.detector(ruleset, late_s=30)
    for moment, port in ((0, 1), (5, 2), (25, 3)):
        assert not detector.process([tools.fact(moment, source_ip="a", destination_port=port)])
    assert opened(detector.process([tools.fact(9, source_ip="a", destination_port=4)]))


def test_what_is_too_late_is_counted(tools: Any) -> None:
    ruleset = tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}", span="10s"))
    detector = tools.detector(ruleset, late_s=30)
    assert not detector.process([tools.fact(100, source_ip="a"), tools.fact(50, source_ip="a")])
    assert detector.counters()["late_events"] == 1


def test_an_event_from_the_future_does_not_spoil_its_group(tools: Any) -> None:
    detector = tools.detector(tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 4}")), late_s=30)
    detector.advance(100_000_000)
    assert not detector.process([tools.fact(4_000_000_000, source_ip="a"), tools.fact(99, source_ip="a")])
    detector.advance(101_000_000)
    assert opened(detector.process([tools.fact(100, source_ip="a"), tools.fact(101, source_ip="a")]))


def test_temporal_in_any_order(tools: Any) -> None:
    text = BASE.format(name="one") + "---" + BASE.format(name="two") + correlation("temporal", "[one, two]", "")
    ruleset = tools.rules(text)
    detector = tools.detector(ruleset)
    assert not detector.process([tools.fact(0, "two", source_ip="a"), tools.fact(61, "one", source_ip="a")])
    assert not detector.process([tools.fact(70, "two", source_ip="b")])
    assert opened(detector.process([tools.fact(100, "two", source_ip="a")]))


def test_temporal_with_a_number_of_rules(tools: Any) -> None:
    bases = "---".join(BASE.format(name=name) for name in ("one", "two", "three"))
    detector = tools.detector(tools.rules(bases + correlation("temporal", "[one, two, three]", "{gte: 2}")))
    assert not detector.process([tools.fact(0, "one", source_ip="a"), tools.fact(1, "one", source_ip="a")])
    assert opened(detector.process([tools.fact(2, "three", source_ip="a")]))


ORDERED = BASE.format(name="one") + "---" + BASE.format(name="two") + correlation("temporal_ordered", "[one, two]", "")


def test_temporal_ordered_wants_the_order(tools: Any) -> None:
    detector = tools.detector(tools.rules(ORDERED))
    assert not detector.process([tools.fact(0, "two", source_ip="a"), tools.fact(10, "one", source_ip="a")])
    assert not detector.process([tools.fact(71, "two", source_ip="a")])
    assert not detector.process([tools.fact(72, "one", source_ip="a"), tools.fact(73, "two", source_ip="b")])
    (alert,) = detector.process([tools.fact(80, "two", source_ip="a")])
    assert (alert.first_seen_us, alert.last_seen_us) == (72_000_000, 80_000_000)


def test_temporal_ordered_by_event_time_when_events_come_late(tools: Any) -> None:
    detector = tools.detector(tools.rules(ORDERED))
    assert not detector.process([tools.fact(20, "two", source_ip="a")])
    assert opened(detector.process([tools.fact(10, "one", source_ip="a")]))


SSH = """
title: failed
name: ssh_failure
logsource: {product: siemd, category: network}
detection: {s: {event_type: ssh_auth, outcome: failure}, condition: s}
---
title: accepted
name: ssh_success
logsource: {product: siemd, category: network}
detection: {s: {event_type: ssh_auth, outcome: success}, condition: s}
---
title: Brute force
name: ssh_bruteforce
level: high
correlation:
  type: value_sum
  rules: [ssh_failure]
  group-by: [source_ip]
  timespan: 60s
  condition: {field: attempts, gte: 10}
siemd: {alert: true}
---
title: Brute force succeeded
name: ssh_bruteforce_success
level: critical
correlation:
  type: temporal_ordered
  rules: [ssh_bruteforce, ssh_success]
  group-by: [source_ip]
  timespan: 10m
"""


def ssh(tools: Any, moment: float, outcome: str, attempts: int, source: str = "1.2.3.4") -> Any:
    fields = {"outcome": outcome, "attempts": attempts}
    return tools.fact(moment, "ssh_auth", source_ip=source, destination_ip="9.9.9.9", fields=fields)


def test_success_after_many_failures(tools: Any) -> None:
    detector = tools.detector(tools.rules(SSH))
    failures = [ssh(tools, moment, "failure", 4) for moment in range(4)]
    assert [alert.rule for alert in detector.process(failures)] == ["ssh_bruteforce"]
    assert not detector.process([ssh(tools, 5, "success", 1, source="8.8.8.8")])
    (alert,) = detector.process([ssh(tools, 6, "success", 1)])
    assert (alert.rule, alert.level, alert.group) == ("ssh_bruteforce_success", "critical", {"source_ip": "1.2.3.4"})


def test_success_after_few_failures_or_before_many_is_nothing(tools: Any) -> None:
    detector = tools.detector(tools.rules(SSH))
    assert not detector.process([ssh(tools, 1, "failure", 4), ssh(tools, 2, "success", 1)])
    alerts = detector.process([ssh(tools, 3, "failure", 10)])
    assert [alert.rule for alert in alerts] == ["ssh_bruteforce"]


def test_what_a_correlation_refers_to_is_silent_unless_generate(tools: Any) -> None:
    text = PROBE + correlation("event_count", "[probe]", "{gte: 2}")
    facts = [tools.fact(1, source_ip="a"), tools.fact(2, source_ip="a")]
    assert {alert.rule for alert in tools.detector(tools.rules(text)).process(facts)} == {"c"}
    heard = tools.rules(text + "  generate: true\n")
    assert {alert.rule for alert in tools.detector(heard).process(facts)} == {"c", "probe"}


def test_chains_of_correlations_by_id(tools: Any) -> None:
    text = PROBE + correlation("event_count", "[probe]", "{gte: 2}", more="id: 5e0b8d5c-0000-4000-8000-000000000001")
    text += (
        "---\ntitle: d\nname: d\ncorrelation: {type: value_count, rules: [5e0b8d5c-0000-4000-8000-000000000001], "
        "timespan: 5m, condition: {field: source_ip, gte: 3}}\n"
    )
    detector = tools.detector(tools.rules(text))
    for number in range(3):
        facts = [tools.fact(number * 10 + step, source_ip=f"10.0.0.{number}") for step in range(2)]
        alerts = detector.process(facts)
    assert [alert.rule for alert in alerts] == ["d"]


def test_aliases(tools: Any) -> None:
    text = BASE.format(name="one") + "---" + BASE.format(name="two")
    text += correlation("temporal", "[one, two]", "", group="[attacker]")
    text += "  aliases: {attacker: {one: source_ip, two: destination_ip}}\n"
    detector = tools.detector(tools.rules(text))
    assert not detector.process([tools.fact(1, "one", source_ip="a"), tools.fact(2, "two", source_ip="a")])
    (alert,) = detector.process([tools.fact(3, "two", destination_ip="a")])
    assert alert.group == {"attacker": "a"}


def test_groups_are_bounded_and_evictions_counted(tools: Any) -> None:
    detector = tools.detector(tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}")), max_groups=10)
    detector.process([tools.fact(1, source_ip=str(number)) for number in range(25)])
    counters = detector.counters()
    assert (counters["correlation_groups"], counters["evicted_groups"]) == (10, 15)
    assert opened(detector.process([tools.fact(2, source_ip="24")]))
    assert not opened(detector.process([tools.fact(2, source_ip="0")]))


def test_groups_whose_window_is_over_go_without_being_evicted(tools: Any) -> None:
    detector = tools.detector(tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}")), max_groups=10)
    detector.process([tools.fact(number * 1000, source_ip=str(number)) for number in range(50)])
    counters = detector.counters()
    assert counters["correlation_groups"] < 10
    assert counters["evicted_groups"] == 0


@pytest.mark.parametrize("kind", ["event_count", "value_count", "temporal"])
def test_values_of_a_group_are_bounded_and_evictions_counted(tools: Any, kind: str) -> None:
    condition = {"value_count": "{field: destination_port, gte: 5}", "event_count": "{gte: 5}"}.get(kind, "{gte: 2}")
    text = PROBE + "---" + BASE.format(name="other") + correlation(kind, "[probe, other]", condition)
    detector = tools.detector(tools.rules(text), max_values=100)
    detector.process([tools.fact(number / 1e3, source_ip="a", destination_port=number) for number in range(1000)])
    (correlator,) = detector._correlators.values()
    (group,) = correlator._groups.values()
    assert len(group.window) <= 100
    assert detector.counters()["evicted_values"] >= 900


def test_all_groups_together_are_bounded(tools: Any) -> None:
    text = PROBE + correlation("value_count", "[probe]", "{field: destination_port, gte: 5000}")
    detector = tools.detector(tools.rules(text), max_entries=100)
    detector.process(
        [
            tools.fact(number / 1e3, source_ip=str(number % 7 if number < 500 else number), destination_port=number)
            for number in range(1000)
        ]
    )
    (correlator,) = detector._correlators.values()
    assert correlator._entries == sum(len(group.window) for group in correlator._groups.values()) <= 100
    assert detector.counters()["evicted_groups"] > 400


def test_a_threshold_above_max_values_still_works(tools: Any) -> None:
    text = PROBE + correlation("value_count", "[probe]", "{field: destination_port, gte: 300}")
    detector = tools.detector(tools.rules(text), max_values=100)
    facts = [tools.fact(number / 1e3, source_ip="a", destination_port=number) for number in range(300)]
    assert opened(detector.process(facts))


def test_reload_keeps_the_windows_though_thresholds_change(tools: Any) -> None:
    detector = tools.detector(tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 10}")))
    assert not detector.process([tools.fact(number, source_ip="a") for number in range(4)])
    detector.reload(tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 5}", span="30s")))
    assert opened(detector.process([tools.fact(5, source_ip="a")]))


def test_reload_forgets_what_is_gone_but_keeps_its_counters(tools: Any) -> None:
    detector = tools.detector(tools.rules(PROBE + correlation("event_count", "[probe]", "{gte: 2}")), max_groups=1)
    detector.process([tools.fact(1, source_ip=name) for name in "abc"])
    detector.reload(tools.rules(PROBE))
    counters = detector.counters()
    assert (counters["correlation_groups"], counters["evicted_groups"]) == (0, 2)
    assert detector.process([tools.fact(2, source_ip="a")])[0].rule == "probe"


EVENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=40)
SPAN = 10


def windows_of(events: list[tuple[int, int]], moment: int) -> list[list[tuple[int, int]]]:
    """Every window (by its last event) that holds the event at `moment`."""
    ends = {time for time, _ in events if moment <= time <= moment + SPAN}
    return [[event for event in events if end - SPAN <= event[0] <= end] for end in ends]


@given(EVENTS)
def test_sums_equal_those_of_a_naive_search(events: list[tuple[int, int]]) -> None:
    window = SumWindow()
    for index, (moment, amount) in enumerate(events):
        window.add(moment, amount)
        expected = max(sum(value for _, value in one) for one in windows_of(events[: index + 1], moment))
        found = window.find(moment, SPAN, lambda value: True)
        assert found is not None
        assert found[0] == expected


@given(EVENTS)
def test_averages_equal_those_of_a_naive_search(events: list[tuple[int, int]]) -> None:
    window = SumWindow(mean=True)
    for index, (moment, amount) in enumerate(events):
        window.add(moment, amount)
        expected = max(sum(v for _, v in one) / len(one) for one in windows_ending(events[: index + 1], moment))
        found = window.find(moment, SPAN, lambda value: True)
        assert found is not None
        assert found[0] == pytest.approx(expected)


@given(EVENTS, st.sampled_from([0.0, 25.0, 50.0, 90.0, 100.0]))
def test_percentiles_equal_those_of_a_naive_search(events: list[tuple[int, int]], percentile: float) -> None:
    window = RankWindow(percentile)
    newest = 0
    for index, (moment, amount) in enumerate(events):
        newest = max(newest, moment)
        window.add(moment, [amount])
        window.trim(newest - SPAN, -1000, 1000)
        expected = max(naive_percentile(one, percentile) for one in windows_ending(events[: index + 1], moment))
        found = window.find(moment, SPAN, lambda value: True)
        assert found is not None
        assert found[0] == pytest.approx(expected)


def windows_ending(events: list[tuple[int, int]], moment: int) -> list[list[tuple[int, int]]]:
    """Every window with the moment that ends at an event."""
    ends = {time for time, _ in events if moment <= time <= moment + SPAN}
    return [[(time, value) for time, value in events if end - SPAN <= time <= end] for end in ends]


def naive_percentile(events: list[tuple[int, int]], percentile: float) -> float:
    ordered = sorted(value for _, value in events)
    if len(ordered) == 1:
        return ordered[0]
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return ordered[0] if percentile == 0 else ordered[-1] if percentile == 100 else cuts[int(percentile) - 1]


@given(EVENTS)
def test_distinct_values_equal_those_of_a_naive_search(events: list[tuple[int, int]]) -> None:
    """Late events too: a value that was seen again since still counts in the window where it was seen before."""
    window = ValueWindow(SPAN, SPAN + 1000)
    newest = 0
    for index, (moment, value) in enumerate(events):
        newest = max(newest, moment)
        window.add(moment, [str(value)])
        window.trim(newest - SPAN, newest - SPAN - 1000, 1000)
        expected = max(len({v for _, v in one}) for one in windows_ending(events[: index + 1], moment))
        found = window.find(moment, SPAN, lambda count: True)
        assert found is not None
        assert found[0] == expected


@given(EVENTS, st.integers(1, 5))
def test_a_value_window_keeps_its_books(events: list[tuple[int, int]], limit: int) -> None:
    window = ValueWindow(SPAN, SPAN + 30)
    newest = evicted = 0
    for moment, value in events:
        newest = max(newest, moment)
        window.add(moment, [str(value)])
        evicted += window.trim(newest - SPAN, newest - SPAN - 30, limit)
        assert window.distinct <= limit
        assert len(window) >= window.distinct
    assert evicted <= len(events)


def test_times_of_a_value_are_bounded() -> None:
    window = ValueWindow(SPAN, 2 * SPAN)
    for moment in range(10_000):
        window.add(moment, ["x"])
        window.trim(moment - SPAN, moment - 2 * SPAN, 10)
    assert len(window) < 40


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=15))
def test_sequences_equal_a_naive_search(events: list[tuple[int, int]]) -> None:
    window = SequenceWindow(3)
    times: list[list[int]] = [[], [], []]
    for moment, position in events:
        window.add(moment, position)
        times[position].append(moment)
        chains = [
            (a, b, c)
            for a in times[0]
            for b in times[1]
            for c in times[2]
            if moment == (a, b, c)[position] and max(a, b, c) - min(a, b, c) <= SPAN
        ]
        ordered = any(a <= b <= c for a, b, c in chains)
        assert (window.find_ordered(position, moment, SPAN, lambda count: count == 3) is not None) is ordered
        assert (window.find_all(moment, SPAN, lambda count: count == 3) is not None) is bool(chains)


def test_the_same_events_give_the_same_incidents(tools: Any) -> None:
    source = random.Random(7)
    facts = [
        tools.fact(
            source.random() * 300, source_ip=f"10.0.0.{source.randrange(5)}", destination_port=source.randrange(99)
        )
        for _ in range(500)
    ]
    ruleset = tools.rules(PROBE + correlation("value_count", "[probe]", "{field: destination_port, gte: 10}"))
    results = []
    for size in (1, 7, 500):
        detector = tools.detector(ruleset)
        alerts = [alert for at in range(0, 500, size) for alert in detector.process(facts[at : at + size])]
        last = {alert.incident_id: (alert.count, alert.reason) for alert in alerts + detector.finish()}
        results.append(last)
    assert results[0] == results[1] == results[2]


def test_a_value_that_comes_late_again_and_again_is_kept_once() -> None:
    """Whatever is late within the tolerance must not fill the memory, for nothing counts it against a limit."""
    window = ValueWindow(100, 200)
    window.add(1_000, ["new"])
    for time_us in range(805, 895):
        for value in ("a", "b"):
            window.add(time_us, [value])
            window.add(time_us - 5, [value])
            window.trim(900, 800, 10)
    assert window.distinct == 3
    assert len(window._past) <= 2
    window.add(1_095, ["c"])
    assert window.trim(995, 895, 10) == 0
    assert window.distinct == 2


def test_firings_that_one_event_may_not_cause_any_more_are_counted(tools: Any) -> None:
    text = "title: t\nname: t\nlogsource: {product: windows}\ndetection: {s: {A: x}, condition: s}\n"
    numbers = "{type: event_count, rules: [%s], timespan: 1m, condition: {gte: 1}}"
    for name, of in [*((f"c{n}", "t") for n in range(1_002)), *((f"d{n}", f"c{n}") for n in range(1_002))]:
        text += f"---\ntitle: c\nname: {name}\ncorrelation: {numbers % of}\n"
    detector = tools.detector(tools.rules(text))
    assert len(detector.process([tools.log(A="x")])) == 999, "the event itself and 999 of its correlations are followed"
    assert detector.counters()["unfollowed_firings"] == 1_002 - 999 + 999


ID_ONE, ID_TWO = "5e0b8d5c-0000-4000-8000-0000000000a1", "5e0b8d5c-0000-4000-8000-0000000000a2"


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (f"[{ID_ONE}, two]", "one and not two"),
        ("[one, two]", f"{ID_ONE.upper()} and not {ID_TWO}"),
        (f"[one, {ID_TWO}]", "one and not two"),
        (f"[{ID_ONE.upper()}, {ID_TWO}]", f"{ID_ONE} and not {ID_TWO.upper()}"),
    ],
)
def test_words_may_name_a_rule_by_its_name_or_id_whatever_the_list_says(tools: Any, listed: str, words: str) -> None:
    text = BASE.format(name="one").replace("name: one", f"name: one\nid: {ID_ONE}")
    text += "---" + BASE.format(name="two").replace("name: two", f"name: two\nid: {ID_TWO}")
    text += correlation("temporal", listed, words)
    detector = tools.detector(tools.rules(text))
    detector.process([tools.fact(1, "one", source_ip="a"), tools.fact(2, "two", source_ip="a")])
    detector.process([tools.fact(1, "one", source_ip="b")])
    assert [alert.group["source_ip"] for alert in detector.finish()[:1]] == ["b"]


def test_words_that_name_another_rule_are_a_mistake(tools: Any) -> None:
    text = BASE.format(name="one") + "---" + BASE.format(name="two")
    (problem,) = tools.problems(text + correlation("temporal", "[one]", "one and two"))
    assert "the condition names 'two', which is no rule of this correlation" in problem
    text = text.replace("name: one", f"name: one\nid: {ID_ONE}")
    (problem,) = tools.problems(text + correlation("temporal", f"[{ID_ONE}, two]", "one and not one"))
    assert "does not name the rule 'two'" in problem
    (problem,) = tools.problems(text + correlation("temporal", f"[{ID_ONE}]", "not one"))
    assert "when nothing happens" in problem


@pytest.mark.parametrize(
    ("kind", "comparisons", "possible"),
    [
        ("event_count", "gte: 5, lte: 2", False),
        ("event_count", "gt: 5, lt: 6", False),
        ("value_sum", "gt: 5, lt: 6", True),
        ("value_sum", "gt: 5, lte: 5", False),
        ("value_sum", "eq: 5, neq: 5", False),
        ("value_sum", "lt: 0", True),
        ("event_count", "lt: 1", False),
        ("event_count", "gte: -3", True),
        ("event_count", "gte: 5, lte: 7, neq: 6", True),
        ("event_count", "eq: 2.5", False),
        ("temporal", "gte: 2", False),
        ("temporal", "gte: 1", True),
    ],
)
def test_a_range_that_can_never_hold_is_a_mistake(tools: Any, kind: str, comparisons: str, possible: bool) -> None:
    field = "field: X, " if kind == "value_sum" else ""
    text = BASE.format(name="one") + correlation(kind, "[one]", f"{{{field}{comparisons}}}")
    problems = tools.problems(text)
    assert bool(problems) is not possible
    assert all("this condition can never hold" in problem for problem in problems)
