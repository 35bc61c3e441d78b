"""People are told by the real daemon, which is killed again and again: each incident once, and none is lost."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.daemon import MariaRows, Siemd, SqliteRows
from support.hook import Hook
from support.journald import Journald, running_journald
from support.mariadb import MariaServer
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

MakeSiemd = Callable[..., Siemd]
RULE = """\
title: A failed login
name: failed_login
level: medium
logsource: {product: linux, service: sshd}
detection: {s: {event_type: ssh_auth}, condition: s}
siemd: {group: [source_ip], reason: "{source_ip} failed to log in"}
"""


@pytest.fixture
def journald() -> Iterator[Journald]:
    with running_journald() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as listening:
        yield listening


def settings(journald: Journald, hook: Hook, **route: Any) -> dict[str, Any]:
    return {
        "sources": {
            "sniffer": {"enabled": False},
            "metrics": {"enabled": False},
            "journal": {"directory": str(journald.directory)},
        },
        "detection": {"rules": ["rules"]},
        "notify": {
            "targets": {"hook": {"channel": "webhook", "url": hook.url, "timeout": "2s"}},
            "routes": [{"name": "ops", "targets": ["hook"], "group": 0, "rate": {"messages": 10_000}} | route],
        },
    }


def fail(journald: Journald, *numbers: int) -> None:
    """One failed login from each of these addresses."""
    for number in numbers:
        line = f"Failed password for root from 192.0.2.{number} port 50022 ssh2"
        journald.log(("MESSAGE", line), ("SYSLOG_IDENTIFIER", "sshd"), ("SYSLOG_FACILITY", "4"), ("PRIORITY", "6"))


def told(hook: Hook) -> set[str]:
    """The addresses that people heard of."""
    return {one["group"]["source_ip"] for body in hook.bodies() for one in body["incidents"]}


def with_rule(siemd: Siemd) -> Siemd:
    (siemd.folder / "rules").mkdir()
    (siemd.folder / "rules" / "failed_login.yml").write_text(RULE)
    return siemd


def test_killed_again_and_again_each_incident_is_told(
    journald: Journald, hook: Hook, store: SqliteRows | MariaRows, make_siemd: MakeSiemd
) -> None:
    siemd = with_rule(make_siemd(settings(journald, hook), store)).start()
    number = 0
    for round_ in range(6):
        hook.answers = [["silent"], [503], [], ["close"], ["half", 500], []][round_]
        before = len(hook.bodies())
        for _ in range(5):
            number += 1
            fail(journald, number)
        wanted = f"SELECT 1 FROM alerts WHERE reason LIKE '192.0.2.{number} %'"
        if round_ % 2:
            wait_until(lambda b=before: len(hook.bodies()) > b, "the server was asked")  # type: ignore[misc]
        else:
            siemd.wait_rows(wanted, "the incident is stored")
        siemd.kill()
        hook.released.set()
        siemd.start()
    wait_until(lambda: len(told(hook)) == number, "all are told", deadline_s=60)
    assert siemd.stop() == 0
    messages = {body["id"]: body for body in hook.bodies()}
    counts = Counter(one["incident_id"] for body in messages.values() for one in body["incidents"])
    assert len(counts) == number
    assert set(counts.values()) == {1}, "only under the same id may a message come twice"
    assert told(hook) == {f"192.0.2.{n}" for n in range(1, number + 1)}
    recorded = siemd.rows("SELECT incident_id, status FROM alert_notifications WHERE kind = 'open'")
    assert Counter(row["incident_id"] for row in recorded) == counts
    assert {row["status"] for row in recorded} == {"sent"}
    assert siemd.component("notify")["status"] == "stopped"


def test_the_pipeline_does_not_wait_for_a_server_that_hangs(
    journald: Journald, hook: Hook, make_siemd: MakeSiemd
) -> None:
    hook.answers = ["silent"] * 100
    siemd = with_rule(make_siemd(settings(journald, hook))).start()
    fail(journald, 1)
    wait_until(lambda: hook.bodies(), "the server was asked")
    fail(journald, *range(2, 40))
    siemd.wait_rows("SELECT 1 FROM alerts WHERE reason LIKE '192.0.2.39 %'", "detection and storage go on")
    wait_until(lambda: siemd.component("notify.hook")["status"] == "degraded", "siemd status says what is wrong")
    assert siemd.stop() == 0
    waiting = siemd.command("notify", "list")
    assert "ops > hook" in waiting and "queued" in waiting


def test_told_while_the_database_is_away(
    journald: Journald, hook: Hook, mariadb: MariaServer, mysql_database: str, make_siemd: MakeSiemd
) -> None:
    siemd = with_rule(make_siemd(settings(journald, hook), MariaRows(mariadb, mysql_database))).start()
    fail(journald, 1)
    wait_until(lambda: told(hook) == {"192.0.2.1"}, "the first is told")
    mariadb.stop()
    try:
        fail(journald, 2)
        wait_until(lambda: len(told(hook)) == 2, "what lies in the spool is told, too")
        siemd.kill()
        siemd.start()
        fail(journald, 3)
        wait_until(lambda: len(told(hook)) == 3, "even by a run that never saw the database")
    finally:
        mariadb.start()
    fail(journald, 4)
    wait_until(lambda: len(told(hook)) == 4, "the fourth is told")
    siemd.wait_rows("SELECT 1 FROM alert_notifications HAVING COUNT(*) >= 4", "all are recorded when it is back")
    assert siemd.stop() == 0
    assert Counter(hook.incidents()) == dict.fromkeys(hook.incidents(), 1)
