"""What is held of long keys, values and events: bounded, and told apart, counted, hidden and explained all the same."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection.held import MAX_EVENT, MAX_TEXT, SHORTEST, _is_larger, _is_surely_small, lean, shorten, uncut
from siemd.detection.suppressionfile import read_suppressions
from siemd.detection.suppressions import Suppressions
from siemd.events import Alert, Event, LogEvent, NetworkEvent, event_json

LONG = 32_000
COUNT = """
title: probes
name: p
logsource: {product: windows}
detection: {s: {A: x}, condition: s}
---
title: c
name: c
level: high
correlation: {type: event_count, rules: [p], group-by: [U], timespan: 1h, condition: {gte: 3}}
siemd: {reason: "{U} came {value} times"}
"""
PLAIN = """
title: c
name: c
level: high
logsource: {product: windows}
detection: {s: {A|contains: needle}, condition: s}
siemd: {group: [U]}
"""


def opened(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.rule == "c" and alert.revision == 1]


def event(**fields: Any) -> LogEvent:
    return LogEvent(time_us=1, table="t", platform="windows", fields=fields)


def test_long_keys_take_no_more_room_than_short_ones(tools: Any) -> None:
    detector = tools.detector(tools.rules(COUNT))
    tracemalloc.start()
    try:
        for number in range(400):
            detector.process([tools.log(number, A="x", U=f"{number}" + "a" * LONG, B="b" * LONG)])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert detector.counters()["correlation_groups"] == 400
    assert held < 400 * (2 * MAX_EVENT + 4096) < 400 * LONG


def test_long_keys_are_told_apart_by_all_of_their_text_whatever_its_case(tools: Any) -> None:
    detector = tools.detector(tools.rules(COUNT))
    first, other = "Name" + "a" * LONG + "1", "Name" + "a" * LONG + "2"
    alerts = detector.process([tools.log(n, A="x", U=text) for n, text in enumerate([first, other, first.upper()])])
    assert opened(alerts) == []
    (alert,) = opened(detector.process([tools.log(4, A="x", U=first)]))
    assert len(alert.group["U"]) <= MAX_TEXT
    assert alert.reason.startswith("Nameaaaa")
    assert alert.reason.endswith("… came 3 times")
    assert "[cut" not in alert.reason


def test_long_values_are_counted_by_all_of_their_text(tools: Any) -> None:
    rules = COUNT.replace("event_count", "value_count").replace("{gte: 3}", "{field: V, gte: 3}").replace("[U]", "[A]")
    detector = tools.detector(tools.rules(rules))
    values = ["v" * LONG + str(number) for number in (1, 2, 1, 2)]
    assert opened(detector.process([tools.log(n, A="x", V=value) for n, value in enumerate(values)])) == []
    (alert,) = opened(detector.process([tools.log(9, A="x", V="v" * LONG + "3")]))
    assert len(msgspec.json.encode(alert.evidence)) < 5 * (4096 + 512)


def test_correlations_of_correlations_follow_long_values(tools: Any) -> None:
    rules = (
        COUNT.replace("name: c\n", "name: inner\n")
        + """
---
title: q
name: q
logsource: {product: windows}
detection: {s: {A: y}, condition: s}
---
title: outer
name: c
level: high
correlation: {type: temporal_ordered, rules: [inner, q], group-by: [U], timespan: 1h}
"""
    )
    detector = tools.detector(tools.rules(rules))
    long = "Z" * LONG
    steps = [tools.log(n, A="x", U=long) for n in range(3)]
    assert opened(detector.process([*steps, tools.log(4, A="y", U=long[:-1])])) == []
    assert len(opened(detector.process([tools.log(5, A="y", U=long.lower())]))) == 1


def test_evidence_has_a_budget_and_says_what_was_cut(tools: Any) -> None:
    detector = tools.detector(tools.rules(PLAIN))
    fields = {f"F{number}": "f" * 3000 for number in range(50)}
    alerts = detector.process([tools.log(n, A="needle" + "n" * LONG, U="u", **fields) for n in range(30)])
    last = [*alerts, *detector.finish()][-1]
    assert len(last.evidence) == 20
    assert len(msgspec.json.encode(last.evidence)) < 20 * 3 * 4096
    assert last.evidence[0]["fields"]["A"].startswith("needlennn")
    assert "…[cut #" in last.evidence[0]["fields"]["A"]
    assert last.evidence[0]["fields"]["U"] == "u"


def test_the_reason_names_what_stood_behind_the_cut(tools: Any) -> None:
    detector = tools.detector(tools.rules(PLAIN))
    (alert,) = detector.process([tools.log(1, A="n" * LONG + "needle", U="u")])
    assert 'A contains "needle"' in alert.reason
    (closed,) = detector.finish()
    assert closed.reason == alert.reason


def test_a_suppression_sees_the_whole_value_of_a_group(tools: Any) -> None:
    text = """
suppressions:
- name: known
  rules: c
  owner: me
  reason: known
  expires: 2099-01-01
  group: {U: "*known*"}
"""
    entries, problems = read_suppressions("s.yml", text)
    assert problems == []
    detector = tools.detector(tools.rules(PLAIN, suppressions=Suppressions(entries)))
    long = "u" * 1000
    assert detector.process([tools.log(1, A="needle", U=long + "known" + long)]) == []
    assert len(opened(detector.process([tools.log(1, A="needle", U=long + long)]))) == 1


def test_incidents_of_long_groups_go_on_after_a_restart(tools: Any) -> None:
    long = "U" * LONG
    (alert,) = tools.detector(tools.rules(PLAIN)).process([tools.log(1, A="needle", U=long)])
    for group in (alert.group, {"U": long}):  # as it is stored now, and as it was before values were cut
        detector = tools.detector(tools.rules(PLAIN))
        assert detector.take_up([msgspec.structs.replace(alert, group=group)], 2_000_000) == []
        detector.process([tools.log(3, A="needle", U=long)])
        (closed,) = detector.finish()
        assert (closed.incident_id, closed.count) == (alert.incident_id, 2)


def test_a_short_event_is_held_as_it_is() -> None:
    one = event(A="x" * 1000, B=[1, 2, {"c": "d"}])
    assert lean(one) is one


def test_the_longest_texts_lose_most() -> None:
    one = lean(event(A="a" * 3000, B="b" * 100_000, C="c"), 8192)
    assert isinstance(one, LogEvent)
    assert (one.fields["A"], one.fields["C"]) == ("a" * 3000, "c")
    assert len(one.fields["B"]) == 4096


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=80), inner))


@given(st.dictionaries(st.text(max_size=300), VALUES, max_size=30), st.text(max_size=600), st.integers(300, 2000))
def test_no_event_is_held_beyond_the_limit(fields: dict[str, Any], message: str, limit: int) -> None:
    one = NetworkEvent(time_us=1, event_type="probe", fields=fields, message=message)
    kept = lean(one, limit)
    assert kept is one or characters(event_json(kept)) < limit + 12 * SHORTEST
    assert lean(kept, 2 * limit + 4096).time_us == 1


@given(st.dictionaries(st.text(max_size=40), VALUES, max_size=30), st.text(max_size=600), st.integers(30, 2000))
def test_what_is_small_at_a_glance_is_small(fields: dict[str, Any], message: str, limit: int) -> None:
    one = NetworkEvent(time_us=1, event_type="probe", fields=fields, message=message)
    assert not (_is_surely_small(one, limit) and _is_larger(one, limit))


def characters(value: Any) -> int:
    if isinstance(value, dict):
        return sum(len(name) + characters(one) for name, one in value.items())
    if isinstance(value, list):
        return sum(map(characters, value))
    return len(value) if isinstance(value, str) else 0


def test_deep_and_hostile_values_are_cut() -> None:
    deep: Any = "x" * 100_000
    for _ in range(5_000):
        deep = [deep]
    kept: Event = lean(event(A=deep, B=1 << 1_000_000, C=[["y"] * 1000] * 1000))
    assert len(msgspec.json.encode(event_json(kept))) < 2 * MAX_EVENT


@given(st.text(max_size=900), st.integers(300, 800), st.integers(280, 800))
def test_a_text_may_be_cut_twice(text: str, first: int, second: int) -> None:
    once = shorten(text)
    assert len(once) <= MAX_TEXT
    assert shorten(once) == once
    assert shorten(shorten(shorten(text, first), second)) == once
    assert uncut(once, text) == text
    assert uncut(once, text + "more") == once
