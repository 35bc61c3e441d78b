"""Killed in the middle of an attack: the next run goes on counting where the last one ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.daemon import MariaRows, Siemd, SqliteRows
from support.journald import Journald, running_journald
from support.mariadb import MariaServer
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

MakeSiemd = Callable[..., Siemd]
Store = SqliteRows | MariaRows
FAILED = "SELECT seq FROM security_logs WHERE message LIKE 'Failed password%'"
INCIDENTS = "SELECT * FROM alerts WHERE rule = 'ssh_bruteforce'"


@pytest.fixture
def journald() -> Iterator[Journald]:
    with running_journald() as running:
        yield running


@pytest.fixture
def settings(journald: Journald) -> dict[str, Any]:
    sources = {"sniffer": {"enabled": False}, "journal": {"directory": str(journald.directory)}}
    return {"sources": sources, "detection": {"rules": ["builtin"]}}


def fail(journald: Journald, times: int) -> None:
    """So many failed logins from one address."""
    for _ in range(times):
        line = "Failed password for root from 192.0.2.77 port 50022 ssh2"
        journald.log(("MESSAGE", line), ("SYSLOG_IDENTIFIER", "sshd"), ("SYSLOG_FACILITY", "4"), ("PRIORITY", "6"))


def wait_stored(siemd: Siemd, failures: int) -> None:
    wait_until(lambda: len(siemd.rows(FAILED)) >= failures, f"{failures} failures are stored")


def told_count(siemd: Siemd) -> int:
    """The count that the one incident ends with, when it is told at last; it must be one."""
    (row,) = siemd.rows(INCIDENTS)
    assert {line["incident_id"] for line in siemd.alerts("ssh_bruteforce")} == {row["incident_id"]}
    return int(row["count"])


def test_killed_before_the_threshold_the_attack_is_seen_whole(
    settings: dict[str, Any], journald: Journald, store: Store, make_siemd: MakeSiemd
) -> None:
    siemd = make_siemd(settings, store).start()
    fail(journald, 9)
    wait_stored(siemd, 9)
    siemd.kill()
    assert siemd.rows(INCIDENTS) == []
    fail(journald, 1)
    siemd.start()
    siemd.wait_rows(INCIDENTS, "the tenth failure opens the incident")
    assert siemd.stop() == 0
    assert told_count(siemd) == 10
    rebuilt = siemd.log("history.rebuilt")[-1]
    assert (rebuilt["events"], rebuilt["incidents"]) == (9, 0)


def test_an_open_incident_goes_on_through_kills_and_stops(
    settings: dict[str, Any], journald: Journald, store: Store, make_siemd: MakeSiemd
) -> None:
    siemd = make_siemd(settings, store).start()
    fail(journald, 14)
    wait_stored(siemd, 14)
    siemd.kill()
    for total in (30, 60):
        fail(journald, total - len(siemd.rows(FAILED)))
        siemd.start()
        wait_stored(siemd, total)
        siemd.stop() if total == 30 else siemd.kill()
    fail(journald, 45)
    siemd.start()  # nothing new but what makes it a hundred and more
    wait_stored(siemd, 105)
    wait_until(lambda: told_count(siemd) >= 100, "the growth is told")
    assert siemd.stop() == 0
    assert told_count(siemd) == 100, "told at exactly a hundred: no event was counted twice or left out"
    opened = [line for line in siemd.log("alert.opened") if line["rule"] == "ssh_bruteforce"]
    assert len(opened) == 1, "a restart announces nothing again"


def test_an_incident_that_nothing_continues_is_closed_after_a_kill(
    settings: dict[str, Any], journald: Journald, store: Store, make_siemd: MakeSiemd
) -> None:
    rule = """\
title: t
name: burst
logsource: {product: linux, service: sshd}
detection: {s: {event_type: ssh_auth}, condition: s}
"""
    settings["detection"] = {"rules": ["rules"], "incident_idle": "2s"}
    siemd = make_siemd(settings, store)
    (siemd.folder / "rules").mkdir()
    (siemd.folder / "rules" / "burst.yml").write_text(rule)
    siemd.start()
    fail(journald, 7)
    wait_stored(siemd, 7)
    siemd.kill()
    siemd.start()
    (row,) = siemd.wait_rows("SELECT * FROM alerts WHERE status = 'closed'", "the incident is closed")
    assert (row["rule"], row["count"]) == ("burst", 7)
    assert siemd.stop() == 0
    assert len(siemd.rows("SELECT * FROM alerts")) == 1


def test_the_database_is_down_at_the_start(
    settings: dict[str, Any], journald: Journald, mariadb: MariaServer, mysql_database: str, make_siemd: MakeSiemd
) -> None:
    settings["detection"]["incident_idle"] = "2s"
    siemd = make_siemd(settings, MariaRows(mariadb, mysql_database)).start()
    fail(journald, 12)
    wait_stored(siemd, 12)
    (row,) = siemd.wait_rows(INCIDENTS, "the incident is stored")
    siemd.kill()
    mariadb.stop()
    try:
        siemd.start()
        assert siemd.component("history")["status"] == "degraded"
        assert siemd.log("history.unavailable")
        fail(journald, 9)
        wait_until(lambda: siemd.component("store").get("extra", {}).get("spooled_events", 0) >= 9, "they are spooled")
        siemd.kill()
        siemd.start()  # nine failures lie in the spool, and nobody can say what the server has
        assert siemd.log("history.unavailable")[-1]["events"] == 9
        fail(journald, 1)
        wait_until(lambda: len(siemd.log("alert.opened")) == 2, "the tenth failure since the outage opens an incident")
    finally:
        mariadb.start()
    wait_until(lambda: siemd.log("history.taken_up"), "the incidents of before the outage are taken up")
    siemd.wait_rows(f"{INCIDENTS} AND status = 'closed' AND incident_id = '{row['incident_id']}'", "the old one ends")
    wait_until(lambda: siemd.component("history")["status"] == "ok", "siemd status says that all is well")
    assert siemd.stop() == 0
