"""SSH guessing seen on the wire, in the log, or in both is one incident; a try seen twice counts once."""

from __future__ import annotations

from siemd.detection import DetectionConfig, Detector
from siemd.events import Event, LogEvent
from support.conversation import START_US, Wire, facts_of, shipped_rules

SOURCE = "192.0.2.66"


def logged(outcome: str, number: int, user: str = "root") -> LogEvent:
    fields = {"event_type": "ssh_auth", "outcome": outcome, "attempts": 1, "source_ip": SOURCE, "user_name": user}
    return LogEvent(
        time_us=START_US + number * 1_000_000,
        table="security_logs",
        platform="linux",
        channel="authpriv",
        provider="sshd",
        source_ip=SOURCE,
        user_name=user,
        fields=fields,
    )


def on_the_wire(tries: int) -> list[Event]:
    wire = Wire()
    for _ in range(tries):
        wire.ssh([(148, 52)], source=SOURCE)
        wire.wait(1)
    return [*facts_of(wire.packets)]


def raised(events: list[Event]) -> list[str]:
    detector = Detector(shipped_rules(), DetectionConfig(), "host")
    alerts = detector.process(sorted(events, key=lambda event: event.time_us)) + detector.finish()
    last = {alert.incident_id: alert for alert in alerts if alert.level != "informational"}
    return sorted(alert.rule for alert in last.values())


def test_log_alone() -> None:
    assert raised([logged("failure", number) for number in range(12)]) == ["ssh_bruteforce"]
    guessed = [*(logged("failure", number) for number in range(12)), logged("success", 13)]
    assert raised(guessed) == ["ssh_bruteforce", "ssh_bruteforce_success"]


def test_wire_and_log_are_one_incident() -> None:
    assert raised([*on_the_wire(12), *(logged("failure", number) for number in range(12))]) == ["ssh_bruteforce"]


def test_a_try_seen_twice_counts_once() -> None:
    assert raised([*on_the_wire(6), *(logged("failure", number) for number in range(6))]) == []


def test_guesses_on_the_wire_and_the_success_in_the_log() -> None:
    assert raised([*on_the_wire(12), logged("success", 60)]) == ["ssh_bruteforce", "ssh_bruteforce_success"]


def test_guesses_for_many_users_are_a_spray() -> None:
    found = raised([logged("failure", number, f"user{number}") for number in range(12)])
    assert found == ["ssh_bruteforce", "ssh_password_spray"]
    assert raised([logged("failure", number, f"user{number % 3}") for number in range(9)]) == []
