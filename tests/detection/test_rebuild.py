"""After a restart detection is where it was: same windows, same incidents, same counts, nothing told twice."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.detection import Detector
from siemd.detection.needs import needs_of
from siemd.events import Alert, Event

RULES = """
title: failure
name: failure
logsource: {product: siemd, category: network}
detection: {s: {event_type: ssh_auth, outcome: failure}, condition: s}
---
title: brute
name: brute
correlation: {type: event_count, rules: [failure], group-by: [source_ip], timespan: 60s, condition: {gte: 5}}
siemd: {alert: true}
---
title: both
name: both
correlation: {type: temporal, rules: [brute, other], group-by: [source_ip], timespan: 30s}
---
title: other
name: other
logsource: {product: windows, service: security}
detection: {s: {EventID: 4720}, condition: s}
"""
SECOND = 1_000_000


def failures(tools: Any, first: int, last: int) -> list[Event]:
    """One failed login a second from one address."""
    found = [
        tools.fact(n, "ssh_auth", source_ip="192.0.2.7", fields={"outcome": "failure"}) for n in range(first, last)
    ]
    for event in found:
        event.host = "h"
    return found


def stored(alerts: list[Alert]) -> list[Alert]:
    """The newest state of each incident that is open, as the store gives it back."""
    newest = {alert.incident_id: msgspec.json.decode(msgspec.json.encode(alert), type=Alert) for alert in alerts}
    return [alert for alert in newest.values() if alert.status == "open"]


def restarted(tools: Any, past: list[Event], incidents: list[Alert], now_s: float, **config: Any) -> Detector:
    detector: Detector = tools.detector(tools.rules(RULES), **config)
    assert detector.rebuild(incidents, [past[:7], past[7:]], int(now_s * SECOND)) == []
    assert detector.counters()["checked_events"] == 0
    return detector


def test_a_window_is_filled_from_the_past(tools: Any) -> None:
    detector = restarted(tools, failures(tools, 0, 4), [], 10)
    (opened,) = detector.process(failures(tools, 10, 11))
    assert (opened.rule, opened.count, opened.first_seen_us) == ("brute", 5, 0)


def test_an_incident_goes_on_counting_however_often_it_is_restarted(tools: Any) -> None:
    told = tools.detector(tools.rules(RULES)).process(failures(tools, 0, 8))
    for known in (8, 12, 17):
        detector = restarted(tools, failures(tools, 0, known), stored(told), known)
        (last,) = detector.finish()
        assert (last.incident_id, last.count) == (told[0].incident_id, known)
        assert last.revision > told[-1].revision
    detector = restarted(tools, failures(tools, 0, 17), stored(told), 17)
    told += detector.process(failures(tools, 17, 120))
    assert [alert.count for alert in told] == [5, 100], "ten had been passed before, and is not told again"


def test_an_incident_that_began_before_what_is_left_of_the_past_grows_from_its_stored_count(tools: Any) -> None:
    told = tools.detector(tools.rules(RULES)).process(failures(tools, 0, 50))
    assert told[-1].count == 10
    detector = restarted(tools, failures(tools, 3, 50), stored(told), 50)
    (last,) = detector.finish()
    assert (last.incident_id, last.count) == (told[0].incident_id, 50)


def test_what_is_processed_again_after_its_state_was_stored_counts_once(tools: Any) -> None:
    """Killed after the alert was stored and before its events: the source gives them again."""
    told = tools.detector(tools.rules(RULES)).process(failures(tools, 0, 10))
    assert told[-1].count == 10
    detector = restarted(tools, failures(tools, 0, 7), stored(told), 10)
    assert detector.process(failures(tools, 7, 10)) == []
    (last,) = detector.finish()
    assert last.count == 10
    detector = restarted(tools, [], stored(told), 10)  # and when nothing of the past is left
    detector.process(failures(tools, 7, 10))
    (last,) = detector.finish()
    assert last.count == 10


def test_what_nothing_continues_is_closed_as_idle(tools: Any) -> None:
    told = tools.detector(tools.rules(RULES)).process(failures(tools, 0, 8))
    detector = restarted(tools, [], stored(told), 100_000)
    assert detector.advance(100_000 * SECOND) == [], "sources have a moment to go on"
    (closed,) = detector.advance(100_100 * SECOND)
    assert (closed.status, closed.incident_id, closed.count) == ("closed", told[0].incident_id, 5)
    assert closed.reason == told[-1].reason


SLOW = """
---
title: slow
name: brute
correlation: {type: event_count, rules: [failure], group-by: [source_ip], timespan: 6h, condition: {gte: 50}}
"""


def test_a_burst_is_closed_as_soon_as_without_a_restart(tools: Any) -> None:
    """The long timespan of another correlation of that name, which did not fire, keeps nothing open."""
    told = tools.detector(tools.rules(RULES + SLOW)).process(failures(tools, 0, 8))
    detector = tools.detector(tools.rules(RULES + SLOW))
    assert detector.rebuild(stored(told), [failures(tools, 0, 8)], 1_000 * SECOND) == []
    assert detector.advance(1_000 * SECOND) == []
    (closed,) = detector.advance(1_061 * SECOND)
    assert closed.count == 8


def test_an_incident_whose_place_is_taken_is_closed(tools: Any) -> None:
    old = tools.detector(tools.rules(RULES)).process(failures(tools, 0, 8))
    detector = tools.detector(tools.rules(RULES))
    new = detector.process(failures(tools, 100, 108))
    (closed,) = detector.take_up(stored(old), 110 * SECOND)
    assert (closed.incident_id, closed.status, closed.revision) == (old[0].incident_id, "closed", old[-1].revision + 1)
    assert detector.take_up(stored(new), 110 * SECOND) == [], "its own it knows"
    (last,) = detector.finish()
    assert last.incident_id == new[0].incident_id


def test_needs_are_what_correlations_and_open_incidents_look_at(tools: Any) -> None:
    ruleset = tools.rules(RULES)
    needs = {need.selector.platform: need for need in needs_of(ruleset, [], 10 * SECOND)}
    assert needs["network"].types == ("ssh_auth",)
    assert needs["network"].span_us == 100 * SECOND, "30 s of the chain, 60 s of its link, 10 s for the late"
    assert needs["windows"].types == (4720,)
    assert needs["windows"].span_us == 40 * SECOND
    assert needs["network"].accepts(failures(tools, 0, 1)[0])
    assert not needs["network"].accepts(tools.fact(0, "ping"))
    told = tools.detector(ruleset).process(failures(tools, 1_000, 1_008))
    with_incident = {need.selector.platform: need for need in needs_of(ruleset, stored(told), 10 * SECOND)}
    assert with_incident["network"].since_us == (1_000 - 70) * SECOND
    plain = tools.rules(RULES.split("---")[0])
    assert needs_of(plain, [], 0) == []
