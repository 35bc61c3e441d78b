"""The wall clock jumps: detection goes on by the time that it tells, whether it was set ahead or back."""

from __future__ import annotations

from typing import Any

import pytest

from siemd.events import Alert

RULES = """\
title: ping
name: ping
logsource: {product: siemd, category: network}
detection: {s: {event_type: ping}, condition: s}
siemd: {alert: true}
---
title: pong
name: pong
logsource: {product: siemd, category: network}
detection: {s: {event_type: pong}, condition: s}
---
title: many
name: many
correlation: {type: event_count, rules: [ping], group-by: [source_ip], timespan: 1m, condition: {gte: 3}}
---
title: alone
name: alone
correlation: {type: temporal, rules: [ping, pong], timespan: 1m, condition: ping and not pong}
"""
NOW_S, YEAR_S = 1_800_000_000, 31_536_000


def opened(alerts: list[Alert]) -> list[str]:
    return [alert.rule for alert in alerts if alert.status == "open"]


def closed(alerts: list[Alert]) -> list[str]:
    return [alert.rule for alert in alerts if alert.status == "closed"]


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_clock_that_was_ahead_is_set_back(tools: Any, seen_before: bool) -> None:
    detector = tools.detector(tools.rules(RULES))

    def ping(time_s: float) -> list[Alert]:
        alerts: list[Alert] = detector.advance(int(time_s * tools.SECOND))
        return alerts + detector.process([tools.fact(time_s, "ping", source_ip="10.0.0.1")])

    detector.advance((NOW_S + YEAR_S) * tools.SECOND)
    if seen_before:
        assert opened(ping(NOW_S + YEAR_S)) == ["ping"]
    assert opened(ping(NOW_S)) == ([] if seen_before else ["ping"])
    ping(NOW_S + 1)
    assert opened(ping(NOW_S + 2)) == ["many"], "its window holds what came since"
    assert detector.counters()["late_events"] == 0
    assert opened(detector.advance((NOW_S + 89) * tools.SECOND)) == [], "whether a pong comes is not known yet"
    assert opened(detector.advance((NOW_S + 90) * tools.SECOND)) == ["alone"]
    detector.advance((NOW_S + 92) * tools.SECOND)
    assert closed(detector.advance((NOW_S + 1_000) * tools.SECOND)) == ["ping", "many", "alone"]


def test_a_moment_back_is_no_jump(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULES))
    alerts: list[Alert] = []
    for second in (0, 1, -9):
        alerts += detector.advance((NOW_S + second) * tools.SECOND)
        alerts += detector.process([tools.fact(NOW_S + second, "ping", source_ip="10.0.0.1")])
    assert opened(alerts) == ["ping", "many"]


def test_an_incident_from_the_future_is_closed_after_a_restart(tools: Any) -> None:
    detector = tools.detector(tools.rules(RULES))
    future_us = (NOW_S + YEAR_S) * tools.SECOND
    (alert,) = detector.process([tools.fact(NOW_S + YEAR_S, "ping", source_ip="10.0.0.1")])
    assert alert.last_seen_us == future_us
    after = tools.detector(tools.rules(RULES))
    assert after.rebuild([alert], [], NOW_S * tools.SECOND) == []
    assert closed(after.advance((NOW_S + 601) * tools.SECOND)) == ["ping"]


def test_the_time_is_told_only_when_it_has_something_to_say(tools: Any) -> None:
    """An idle daemon asks `is_due` every second; whenever that says no, `advance` finds nothing."""
    detector = tools.detector(tools.rules(RULES))
    detector.advance(NOW_S * tools.SECOND)
    assert not detector.is_due((NOW_S + YEAR_S) * tools.SECOND)
    detector.process([tools.fact(NOW_S, "ping", source_ip="10.0.0.1")])
    due, told = [], []
    for second in range(1, 1_000):
        if detector.is_due((NOW_S + second) * tools.SECOND):
            due.append(second)
            told += detector.advance((NOW_S + second) * tools.SECOND)
        else:
            assert detector.advance((NOW_S + second) * tools.SECOND) == []
    assert due == [90, 601, 691], "whether a pong came is known; both incidents have not grown for ten minutes"
    assert (opened(told), closed(told)) == (["alone"], ["ping", "alone"])
    assert detector.is_due((NOW_S + 900) * tools.SECOND), "the clock was set back"
