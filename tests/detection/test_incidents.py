"""Incidents: opened once, told again when they have grown, closed when idle; and the sentence that explains them."""

from __future__ import annotations

from typing import Any

from siemd.detection.reason import MAX_REASON, tame
from siemd.events import Alert

RULE = """
title: Odd thing
name: odd
id: 5e0b8d5c-0000-4000-8000-00000000000a
level: medium
tags: [attack.t1]
logsource: {product: siemd, category: network}
detection: {s: {event_type: probe}, condition: s}
"""


def states(alerts: list[Alert]) -> list[tuple[str, int, int]]:
    return [(alert.status, alert.revision, alert.count) for alert in alerts]


def test_opened_once_and_told_again_at_every_tenfold(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE))
    alerts = detector.process([tools.fact(number, source_ip="a") for number in range(150)])
    assert states(alerts) == [("open", 1, 1), ("open", 2, 10), ("open", 3, 100)]
    (last,) = detector.finish()
    assert (last.status, last.revision, last.count, len(last.evidence)) == ("closed", 4, 150, 20)
    assert {alert.incident_id for alert in [*alerts, last]} == {last.incident_id}
    assert (last.first_seen_us, last.last_seen_us) == (0, 149_000_000)
    assert (last.rule, last.rule_id, last.title, last.tags) == (
        "odd",
        "5e0b8d5c-0000-4000-8000-00000000000a",
        "Odd thing",
        ["attack.t1"],
    )
    assert alerts[0].evidence[0]["source_ip"] == "a"


def test_a_state_once_told_does_not_change(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE))
    (first,) = detector.process([tools.fact(0, source_ip="a")])
    detector.process([tools.fact(1, source_ip="a")])
    assert (first.count, len(first.evidence)) == (1, 1)


def test_one_incident_a_group_and_host(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE))
    alerts = detector.process(
        [
            tools.fact(0, source_ip="a"),
            tools.fact(1, source_ip="b"),
            tools.fact(2, source_ip="a", host="other"),
            tools.fact(3, source_ip="a"),
        ]
    )
    assert [(alert.group, alert.host) for alert in alerts] == [
        ({"source_ip": "a"}, "test-host"),
        ({"source_ip": "b"}, "test-host"),
        ({"source_ip": "a"}, "other"),
    ]


def test_the_rule_chooses_its_group(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE + "siemd: {group: [destination_ip, missing]}\n"))
    alerts = detector.process([tools.fact(0, source_ip=str(one), destination_ip="d") for one in range(3)])
    assert [alert.group for alert in alerts] == [{"destination_ip": "d"}]


def test_closed_when_idle_in_event_time(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE), incident_idle_s=60)
    detector.process([tools.fact(0, source_ip="a"), tools.fact(30, source_ip="b")])
    alerts = detector.process([tools.fact(61, source_ip="c")])
    assert [(alert.status, alert.group["source_ip"]) for alert in alerts] == [("open", "c"), ("closed", "a")]


def test_advance_closes_without_events(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE), incident_idle_s=60)
    detector.process([tools.fact(0, source_ip="a")])
    assert not detector.advance(60_000_000)
    assert states(detector.advance(60_000_001)) == [("closed", 2, 1)]
    assert not detector.finish()


def test_a_gap_makes_a_new_incident(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE), incident_idle_s=60)
    alerts = detector.process([tools.fact(0, source_ip="a"), tools.fact(100, source_ip="a")])
    assert states(alerts) == [("open", 1, 1), ("closed", 2, 1), ("open", 1, 1)]
    assert alerts[0].incident_id != alerts[2].incident_id


def test_old_events_of_a_live_host_are_not_closed_one_by_one(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE), incident_idle_s=60)
    detector.advance(1_000_000_000_000)
    alerts = detector.process([tools.fact(number, source_ip="a") for number in range(5)])
    assert states(alerts) == [("open", 1, 1)]


def test_an_event_from_the_future_does_not_close_what_is_open(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE), incident_idle_s=60)
    detector.advance(1_000_000)
    detector.process([tools.fact(1, source_ip="a")])
    alerts = detector.process([tools.fact(4_000_000_000, source_ip="b")])
    assert states(alerts) == [("open", 1, 1)]


def test_open_incidents_are_bounded(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE), max_incidents=3)
    alerts = detector.process([tools.fact(number, source_ip=str(number)) for number in range(5)])
    assert [(alert.status, alert.group["source_ip"]) for alert in alerts] == [
        ("open", "0"),
        ("open", "1"),
        ("open", "2"),
        ("closed", "0"),
        ("open", "3"),
        ("closed", "1"),
        ("open", "4"),
    ]
    assert detector.counters()["evicted_incidents"] == 2


def test_an_incident_that_made_room_comes_back_as_another(tools: Any) -> None:
    text = RULE + "---\ntitle: c\nname: c\ncorrelation: {type: event_count, rules: [odd], group-by: [source_ip], "
    detector = tools.detector(tools.rules(text + "timespan: 5m, condition: {gte: 1}}\n"), max_incidents=1)
    alerts = detector.process([tools.fact(number, source_ip=name) for number, name in enumerate("aba")])
    assert len({alert.incident_id for alert in alerts}) == 3


TWO_WINDOWS = """
title: p
name: probe
logsource: {product: siemd, category: network}
detection: {s: {event_type: probe}, condition: s}
---
title: Scan
name: scan
level: medium
correlation:
  {type: value_count, rules: [probe], group-by: [source_ip], timespan: 5m, condition: {field: destination_port, gte: 3}}
---
title: Slow scan
name: scan
level: high
correlation:
  {type: value_count, rules: [probe], group-by: [source_ip], timespan: 2h, condition: {field: destination_port, gte: 5}}
"""


def test_two_windows_of_one_name_are_one_incident(tools: Any) -> None:
    detector = tools.detector(tools.rules(TWO_WINDOWS))
    alerts = detector.process([tools.fact(port, source_ip="a", destination_port=port) for port in range(1, 9)])
    assert [(alert.status, alert.level, alert.revision) for alert in alerts] == [
        ("open", "medium", 1),
        ("open", "high", 2),
    ]
    (last,) = detector.finish()
    assert (last.count, last.level, last.title) == (8, "high", "Slow scan")


def test_a_slow_scan_is_one_incident_though_longer_than_idle(tools: Any) -> None:
    detector = tools.detector(tools.rules(TWO_WINDOWS), incident_idle_s=600)
    facts = [tools.fact(port * 1200, source_ip="a", destination_port=port) for port in range(1, 30)]
    alerts = detector.process(facts) + detector.finish()
    assert len({alert.incident_id for alert in alerts}) == 1


def test_told_again_when_the_value_has_grown_tenfold(tools: Any) -> None:
    detector = tools.detector(tools.rules(TWO_WINDOWS))
    facts = [
        tools.fact(number, source_ip="a", fields={"destination_port": list(range(number * 100, number * 100 + 100))})
        for number in range(11)
    ]
    assert [alert.revision for alert in detector.process(facts)] == [1, 2, 3]


def test_reasons(tools: Any) -> None:
    text = TWO_WINDOWS.replace(
        "title: Scan\n",
        "title: Scan\nsiemd: {reason: '{source_ip} probed {value} of {destination_ip} in {timespan}, {nothing}'}\n",
    )
    detector = tools.detector(tools.rules(text))
    facts = [tools.fact(port, source_ip="a", destination_ip="d", destination_port=port) for port in range(3)]
    (alert,) = detector.process(facts)
    assert alert.reason == "a probed 3 of d in 5m, ?"


def test_general_reasons(tools: Any) -> None:
    (alert,) = tools.detector(tools.rules(RULE)).process([tools.fact(0, source_ip="a", user_name="bob")])
    assert alert.reason == 'Odd thing: source_ip a, user_name bob; event_type is "probe"'
    alerts = tools.detector(tools.rules(TWO_WINDOWS)).process(
        [tools.fact(port, source_ip="a", destination_port=port) for port in range(3)]
    )
    assert alerts[0].reason == "Scan: 3 different values of destination_port within 5m for source_ip a"


def test_hostile_values_are_tamed(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE + "siemd: {reason: 'by {user_name} {message}'}\n"))
    hostile = "bob\x1b[2J\r\nFAKE\u202e line\x00{value}"
    (alert,) = detector.process([tools.fact(0, user_name=hostile, message="x" * 5000)])
    assert alert.reason.startswith("by bob�[2J FAKE� line�{value} xxx")
    assert len(alert.reason) <= MAX_REASON
    assert alert.reason.isprintable()
    assert tame([1, 2, 3, 4, 5, 6, 7]) == "1, 2, 3, 4, 5 and 2 more"


def test_a_burst_is_closed_when_it_is_over_though_a_slow_window_saw_it_too(tools: Any) -> None:
    detector = tools.detector(tools.rules(TWO_WINDOWS), incident_idle_s=600)
    detector.process([tools.fact(port, source_ip="a", destination_port=port) for port in range(8)])
    assert not detector.advance(600_000_000)
    (closed,) = detector.advance(700_000_000)
    assert (closed.status, closed.count) == ("closed", 8)


def test_an_incident_that_fires_again_is_opened_again(tools: Any) -> None:
    """The slow window still reaches back into the burst, so a straggler is no second incident."""
    detector = tools.detector(tools.rules(TWO_WINDOWS), incident_idle_s=600)
    told = detector.process([tools.fact(port, source_ip="a", destination_port=port) for port in range(8)])
    told += detector.process([tools.fact(2000, source_ip="b")])  # time passes
    told += detector.process([tools.fact(2001, source_ip="a", destination_port=99)])
    mine = [alert for alert in told if alert.group["source_ip"] == "a"]
    assert len({alert.incident_id for alert in mine}) == 1
    assert [alert.status for alert in mine][-2:] == ["closed", "open"]
    assert [alert.revision for alert in mine] == list(range(1, len(mine) + 1))
    assert mine[-1].count == 9


def test_what_does_not_reach_back_is_another_incident(tools: Any) -> None:
    detector = tools.detector(tools.rules(TWO_WINDOWS), incident_idle_s=600)
    day = 86_400
    told = detector.process(
        [tools.fact(start + port, source_ip="a", destination_port=port) for start in (0, day) for port in range(8)]
    )
    assert len({alert.incident_id for alert in told}) == 2


def test_a_coalesced_fact_counts_what_it_stands_for(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULE))
    alerts = detector.process([tools.fact(0, source_ip="a", count=7), tools.fact(1, source_ip="a", count=5)])
    assert [alert.count for alert in alerts] == [7, 12]
    detector = tools.detector(tools.rules(TWO_WINDOWS))
    (alert, *_) = detector.process(
        [tools.fact(0, source_ip="a", count=1000, fields={"destination_port": list(range(1000))})]
    )
    assert alert.count == 1000
    for strange, counted in ((0, 1), (-5, 1), (10**30, 10**9)):
        (alert, *_) = tools.detector(tools.rules(RULE)).process([tools.fact(0, source_ip="a", count=strange)])
        assert alert.count == counted


def test_a_reason_lists_all_values_of_the_incident(tools: Any) -> None:
    text = RULE + "siemd: {group: [source_ip], reason: '{source_ip} reached {destination_ip}: {outcome}'}\n"
    detector = tools.detector(tools.rules(text))
    facts = [
        tools.fact(n, source_ip="a", destination_ip=f"10.0.0.{n}", fields={"outcome": "refused"}) for n in range(254)
    ]
    assert detector.process(facts[:1])[0].reason == "a reached 10.0.0.0: refused"
    detector.process(facts[1:])
    (last,) = detector.finish()
    assert last.reason == "a reached 10.0.0.0, 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 249 more: refused"


def test_values_of_a_reason_are_bounded(tools: Any) -> None:
    text = RULE + "siemd: {group: [source_ip], reason: 'reached {user_name}'}\n"
    detector = tools.detector(tools.rules(text))
    detector.process([tools.fact(n, source_ip="a", user_name=f"{n}" * 100) for n in range(1000)])
    (last,) = detector.finish()
    assert last.reason.endswith("… and over 251 more")
    assert len(last.reason) <= MAX_REASON
