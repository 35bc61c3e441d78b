"""Who is told of what and when: states told once, groups, rate, quiet hours, escalation, on a clock of its own."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import Alert
from siemd.notify import outbox
from siemd.notify.base import Message
from siemd.notify.config import (
    EscalationConfig,
    MatchConfig,
    NotifyConfig,
    QuietConfig,
    RateConfig,
    RouteConfig,
)
from siemd.notify.flush import Flusher
from siemd.notify.intake import adopt, take
from siemd.notify.render import Writer
from siemd.notify.routing import Router
from siemd.notify.schedule import Times
from siemd.notify.webhook import WebhookConfig
from siemd.units import Clock, Seconds
from support.incidents import incident

MINUTE = 60_000_000
START = int(datetime(2026, 11, 27, 12, 0, tzinfo=UTC).timestamp()) * 1_000_000  # a Friday


class Office:
    """An outbox in memory, and the clock that its owner turns."""

    def __init__(self, *routes: RouteConfig, **others: Any) -> None:
        targets = {name: WebhookConfig(url=f"http://localhost/{name}") for name in ("ops", "boss", "chief")}
        self.config = NotifyConfig(targets=targets, routes=list(routes), zone="UTC", **others)
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        outbox.prepare(self.db)
        self.router = Router(self.config)
        self.flusher = Flusher(self.config, self.router, Writer(self.config, "lab"))
        self.now = START
        self.seq = 0

    def see(self, *alerts: Alert) -> int:
        self.seq += len(alerts)
        return take(self.db, self.config, self.router, 1, alerts, self.seq, self.now)

    def flush(self, minutes: float = 0.0, states: Mapping[str, str] | None = None) -> list[tuple[str, Message]]:
        """Let time go by in steps of ten seconds; the (target, message) pairs that were made."""
        before = self._last()
        for _step in range(max(1, int(minutes * 6))):
            self.now += int(minutes and 10_000_000)
            self.flusher.flush(self.db, self.now)
            if due := self.flusher.due_escalations(self.db, self.now):
                self.flusher.escalate(self.db, states or {}, due, self.now)
        rows = self.db.execute("SELECT target, id FROM message WHERE id > ? ORDER BY id", (before,)).fetchall()
        return [(target, self._message(number)) for target, number in rows]

    def told(self, minutes: float = 1.0) -> list[tuple[str, list[tuple[str, str]]]]:
        """The same as (target, [(incident, kind)])."""
        return [(target, [(i["incident_id"], i["kind"]) for i in m.incidents]) for target, m in self.flush(minutes)]

    def _last(self) -> int:
        return int(self.db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0])

    def _message(self, number: int) -> Message:

        payload = self.db.execute("SELECT payload FROM message WHERE id = ?", (number,)).fetchone()[0]
        return msgspec.json.decode(payload, type=Message)


def route(name: str = "r", *targets: str, **others: Any) -> RouteConfig:
    return RouteConfig(name=name, targets=list(targets) or ["ops"], **others)


def test_a_state_is_told_once() -> None:
    office = Office(route(on=["open", "grow", "close"]))
    office.see(incident())
    assert office.told() == [("ops", [("i1", "open")])]
    office.see(incident())
    assert office.told() == [], "seen again, as after a restart"
    office.see(incident(revision=2, count=10))
    assert office.told() == [("ops", [("i1", "grow")])]
    office.see(incident(revision=3, status="closed"))
    assert office.told() == [("ops", [("i1", "close")])]
    office.see(incident(revision=2, count=10))
    assert office.told() == [], "an older state"


def test_only_the_states_that_are_wanted() -> None:
    office = Office(route(on=["open"]))
    office.see(incident(), incident("i2", status="closed"))
    assert office.told() == [("ops", [("i1", "open"), ("i2", "open")])], "opened and closed before anybody looked"
    office.see(incident(revision=2), incident("i2", revision=2, status="closed"))
    assert office.told() == []
    office = Office(route(on=["close"]))
    office.see(incident(), incident("i2", status="closed"))
    assert office.told() == [("ops", [("i2", "close")])]
    office.see(incident(revision=2, status="closed"))
    assert office.told() == [("ops", [("i1", "close")])]


def test_an_incident_that_becomes_grave_is_new_to_those_who_hear_of_grave_ones() -> None:
    office = Office(route(match=MatchConfig(level="high"), on=["open"]))
    office.see(incident(level="low"))
    assert office.told() == []
    office.see(incident(level="critical", revision=2))
    assert office.told() == [("ops", [("i1", "open")])]


def test_nothing_from_before_is_new() -> None:
    office = Office(route(on=["open", "grow", "close"]))
    adopt(office.db, {7: 100}, [("i1", "medium"), ("i2", "medium")], office.now)
    assert outbox.cursors(office.db) == {7: 100}
    office.see(incident(revision=2), incident("i2", revision=3, level="critical"), incident("i3"))
    assert office.told() == [("ops", [("i2", "open"), ("i1", "grow"), ("i3", "open")])], "a grave one is told anew"


def test_routes_are_tried_from_the_top() -> None:
    office = Office(
        route("boss", "boss", match=MatchConfig(level="critical"), then="continue"),
        route("ssh", "chief", match=MatchConfig(rules=["ssh_*"], hosts=["LAB"], tags=["attack.t1110*"], level="low")),
        route("rest", "ops"),
    )
    office.see(incident("a", rule="ssh_bruteforce", tags=["attack.t1110.001"], level="critical"))
    office.see(incident("b", rule="ssh_bruteforce", level="high"), incident("c", level="low"))
    told = office.told()
    assert sorted(told) == [("boss", [("a", "open")]), ("chief", [("a", "open")]), ("ops", [("b", "open")])]


def test_a_route_for_certain_hours() -> None:
    work = Times(begin=Clock.parse("08:00"), end=Clock.parse("18:00"), days=["mon", "tue", "wed", "thu", "fri"])
    office = Office(route("day", "ops", match=MatchConfig(times=work)), route("night", "boss"))
    office.see(incident("noon"))
    office.now += 8 * 60 * MINUTE
    office.see(incident("evening"))
    assert sorted(office.told()) == [("boss", [("evening", "open")]), ("ops", [("noon", "open")])]


def test_what_comes_together_is_told_together() -> None:
    office = Office(route("r", "ops", "boss", group_s=Seconds(60)))
    office.see(incident("a"))
    assert office.told(0.5) == []
    office.see(incident("b", level="high"), incident("a", revision=2, count=50))
    told = office.told(1)
    assert told == [("ops", [("b", "open"), ("a", "open")]), ("boss", [("b", "open"), ("a", "open")])]
    office = Office(route(group_by=["rule"]))
    office.see(incident("a", rule="x"), incident("b", rule="y"), incident("c", rule="x"))
    assert office.told() == [("ops", [("a", "open"), ("c", "open")]), ("ops", [("b", "open")])]


def test_too_many_messages_become_one() -> None:
    office = Office(route(group_s=Seconds(0), rate=RateConfig(messages=3, per_s=Seconds(3600))))
    for number in range(10):
        office.see(incident(f"i{number}"))
        office.flush(1)
    assert len(office.flush(40)) == 0
    ((target, message),) = office.flush(15)
    assert target == "ops" and message.total == 7
    assert "Held back: r sends 3 messages in 1h at most" in message.text


def test_quiet_hours_are_summed_up_afterwards() -> None:
    quiet = QuietConfig(begin=Clock.parse("22:00"), end=Clock.parse("07:00"))
    office = Office(route(quiet=quiet, group_s=Seconds(10)))
    office.now += 10 * 60 * MINUTE  # 22:00
    office.see(incident("a"))
    office.flush(60)
    office.see(incident("b"), incident("grave", level="critical"))
    assert office.told(60) == [("ops", [("grave", "open")])]
    assert office.told(6 * 60 + 59) == []
    ((_target, message),) = office.flush(2)
    assert {i["incident_id"] for i in message.incidents} == {"a", "b"}
    assert "Held back during quiet hours (22:00-07:00)" in message.text


def test_nobody_acknowledges() -> None:
    steps = [
        EscalationConfig(after_s=Seconds(600), targets=["boss"]),
        EscalationConfig(after_s=Seconds(1200), targets=["chief"]),
    ]
    office = Office(route(escalate=steps))
    office.see(incident("a"), incident("b"))
    office.flush(1)
    assert office.flush(8) == []
    (one,) = office.flush(3, {"b": "acknowledged"})
    assert one[0] == "boss"
    assert [(i["incident_id"], i["kind"]) for i in one[1].incidents] == [("a", "escalation")]
    assert "not acknowledged" in one[1].subject
    ((target, _message),) = office.flush(10, {"a": "new"})
    assert target == "chief"
    office.see(incident("c"))
    office.flush(1)
    assert office.flush(30, {"c": "closed"}) == []


def test_a_full_outbox_drops_and_says_so() -> None:
    office = Office(route(group_s=Seconds(600)), max_waiting=10)
    assert office.see(*(incident(f"i{n}") for n in range(15))) == 5
    _last, records = outbox.records(office.db, 100)
    assert [(one.incident_id, one.status, one.target) for one in records] == [
        (f"i{n}", "dropped", "ops") for n in range(10, 15)
    ]
    assert outbox.counters(office.db)["lost_incidents"] == 5


def test_messages_are_bounded_too() -> None:
    office = Office(route(group_s=Seconds(0), rate=RateConfig(messages=1000)), max_waiting=10)
    for number in range(12):
        office.see(incident(f"i{number}"))
        office.flush(0.2)
    queued = office.db.execute("SELECT count(*) FROM message WHERE status = 'queued'").fetchone()[0]
    assert queued == 10
    _last, records = outbox.records(office.db, 100)
    assert [(one.incident_id, one.status) for one in records] == [("i0", "dropped"), ("i1", "dropped")], "the oldest"


def test_a_route_that_is_gone() -> None:
    office = Office(route(group_s=Seconds(600)))
    office.see(incident())
    office.config.routes[0].name = "renamed"
    assert office.told(20) == []
    _last, records = outbox.records(office.db, 10)
    assert [(one.incident_id, one.status, one.detail) for one in records] == [
        ("i1", "dropped", "its route is no longer configured")
    ]


steps_of_time = st.tuples(st.integers(0, 90), st.integers(0, 6), st.sampled_from(["low", "medium", "critical"]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(steps_of_time, max_size=30),
    st.integers(1, 4),
    st.sampled_from([0, 10, 120]),
    st.booleans(),
    st.sampled_from([[], ["rule"], ["level"]]),
)
def test_whatever_comes_each_incident_is_told_once_and_never_too_often(
    events: list[tuple[int, int, str]], most: int, group_s: int, with_quiet: bool, group_by: list[Any]
) -> None:
    """A model of an hour's rate: no stretch of it holds more messages, and nothing is lost or told twice."""
    quiet = QuietConfig(begin=Clock.parse("12:30"), end=Clock.parse("13:30")) if with_quiet else None
    one = route(
        match=MatchConfig(level="low"), on=["open"], group_s=Seconds(group_s), group_by=group_by, quiet=quiet,
        rate=RateConfig(messages=most, per_s=Seconds(1200)),
    )  # fmt: skip
    office = Office(one)
    with closing(office.db):
        for number, (minutes, rule, level) in enumerate(events):
            office.flush(minutes)
            office.see(incident(f"i{number}", rule=f"rule{rule}", level=level))
        office.flush(180)
        made = [row[0] for row in office.db.execute("SELECT made_us FROM batch ORDER BY made_us")]
        for first, beyond in zip(made, made[most:], strict=False):
            assert beyond - first >= 1_200_000_000
        rows = office.db.execute("SELECT id, payload FROM message").fetchall()
        told = [(office._message(number), number) for number, _payload in rows]
        counts = Counter(i["incident_id"] for message, _number in told for i in message.incidents)
        assert counts == Counter(f"i{number}" for number in range(len(events)))
        if with_quiet:
            for message, _number in told:
                at = datetime.fromtimestamp(message.time_us / 1e6, UTC)
                if (at.hour, at.minute) >= (12, 30) and (at.hour, at.minute) < (13, 30):
                    assert message.level == "critical"


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    office = Office(route(group_s=Seconds(60)))
    office.see(incident("a"))
    office.now -= 86_400_000_000
    assert office.told(10) == []
    outbox.mend_clock(office.db, office.now)
    assert office.told(1) == [("ops", [("a", "open")])]
    queued = outbox.next_queued(office.db, "ops", office.now - 86_400_000_000)
    assert queued is not None and queued.next_us <= office.now - 86_400_000_000


def test_the_oldest_that_is_due_goes_first() -> None:
    office = Office(route(group_s=Seconds(0)))
    for name in ("a", "b", "c"):
        office.see(incident(name))
        office.flush()
    first, second, third = (row[0] for row in office.db.execute("SELECT id FROM message ORDER BY id"))
    outbox.postpone(office.db, first, office.now + 60_000_000, "not now")
    outbox.postpone(office.db, second, office.now, "all wait")

    def next_id(later_us: int = 0) -> int:
        queued = outbox.next_queued(office.db, "ops", office.now + later_us)
        assert queued is not None
        return queued.id

    assert next_id() == second
    assert next_id(61_000_000) == first
    outbox.settle(office.db, second, "sent", "", "webhook", office.now)
    outbox.settle(office.db, third, "sent", "", "webhook", office.now)
    assert next_id() == first, "what waits longest is known, though it is not due"
    assert outbox.settle(office.db, third, "dead", "", "webhook", office.now) == 0, "it has ended once"
