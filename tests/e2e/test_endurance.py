"""Stops, crashes and outages under load: what was accepted is stored, once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.daemon import MariaRows, Siemd, SqliteRows, exactly_once
from support.journald import Journald, running_journald
from support.mariadb import MariaServer
from support.needs import need
from support.netlab import Lab
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

MakeSiemd = Callable[..., Siemd]
Store = SqliteRows | MariaRows
SOURCES = ("sniffer", "journal", "metrics")
BACKLOG = 20_000  # more than a second's work
EVENTS = "SELECT COUNT(*) AS n FROM logs"


class Load:
    """Two scanners that go on and on across the wire, and a journal of numbered lines, with many there already."""

    def __init__(self, lab: Lab, journald: Journald) -> None:
        self.lines = 0
        self.journald = journald
        self._put(BACKLOG)
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write)
        command = "nmap -n -Pn -sS -p- --max-rate 3000 10.66.0.10-59"
        self._scans = [
            subprocess.Popen(host.command(*command.split()), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for host in (lab.attacker, lab.client)
        ]
        self._writer.start()

    def stop(self) -> None:
        """No more load."""
        for scan in self._scans:
            scan.kill()
            scan.wait(10)
        self._ended.set()
        self._writer.join()

    def _write(self) -> None:
        while not self._ended.is_set():
            self._put(20)
            self._ended.wait(0.02)  # about a thousand lines a second

    def _put(self, lines: int) -> None:
        for _ in range(lines):
            self.lines += 1
            line = ("MESSAGE", f"line {self.lines} of the load")
            self.journald.log(line, ("SYSLOG_IDENTIFIER", "load"), ("SYSLOG_FACILITY", "3"), ("PRIORITY", "6"))


@pytest.fixture
def load(lab: Lab) -> Iterator[Load]:
    """Load until the test ends it."""
    need("nmap")
    with running_journald() as journald:
        made = Load(lab, journald)
        yield made
        made.stop()


@pytest.fixture
def settings(load: Load) -> dict[str, Any]:
    """Every source of a Linux host, with facts as fine as they come."""
    return {
        "sources": {
            "sniffer": {"interface": "eth0", "sensor": {"tick": "20ms"}},
            "journal": {"directory": str(load.journald.directory), "newest": 1_000_000},
            "metrics": {"interval": "100ms"},
        }
    }


def events(siemd: Siemd) -> int:
    """How many facts are stored."""
    return sum(row["n"] for row in siemd.rows(EVENTS))


def journal_numbers(siemd: Siemd) -> Counter[int]:
    """How often each line of the load is stored."""
    rows = siemd.rows("SELECT message FROM system_logs WHERE provider = 'load'")
    return Counter(int(row["message"].split()[1]) for row in rows)


def test_a_stop_under_load_stores_everything_accepted(
    lab: Lab, load: Load, settings: dict[str, Any], store: Store, make_siemd: MakeSiemd
) -> None:
    siemd = make_siemd(settings, store, host=lab.server).start().sniffing()
    wait_until(lambda: events(siemd) > 500, "facts are stored")
    wait_until(lambda: len(journal_numbers(siemd)) > 500, "lines are stored")

    assert siemd.stop() == 0

    assert siemd.log("siemd.stopped")[-1]["lost_events"] == 0
    assert not siemd.status()["running"]
    for source in SOURCES:
        (run,) = (stored := siemd.stored(source)).values()
        exactly_once(stored)
        health = siemd.component(source)
        assert (len(run), health["dropped"]) == (health["sent"], 0), source
    numbers = journal_numbers(siemd)
    assert set(numbers.values()) == {1}
    assert set(numbers) == set(range(1, max(numbers) + 1))


def test_a_stop_in_the_middle_of_a_backlog_goes_on_there(
    load: Load, settings: dict[str, Any], store: Store, make_siemd: MakeSiemd
) -> None:
    settings["sources"]["sniffer"] = {"enabled": False}
    siemd = make_siemd(settings, store).start()
    wait_until(lambda: journal_numbers(siemd), "lines are stored", step_s=0.01)
    assert siemd.stop() == 0
    first = journal_numbers(siemd)
    assert set(first) == set(range(1, max(first) + 1)), "no gap, wherever it was stopped"
    load.stop()
    siemd.start()
    wait_until(lambda: max(journal_numbers(siemd), default=0) == load.lines, "the last line is stored", deadline_s=60)
    assert siemd.stop() == 0
    numbers = journal_numbers(siemd)
    assert set(numbers.values()) == {1}
    assert set(numbers) == set(range(1, load.lines + 1))


def test_killed_again_and_again_it_loses_nothing_accepted(
    lab: Lab, load: Load, settings: dict[str, Any], store: Store, make_siemd: MakeSiemd
) -> None:
    siemd = make_siemd(settings, store, host=lab.server)
    for _ in range(3):
        lines, facts = len(journal_numbers(siemd)), events(siemd)
        siemd.start()
        wait_until(lambda lines=lines: len(journal_numbers(siemd)) > lines + 1500, "lines are stored")
        wait_until(lambda facts=facts: events(siemd) > facts + 300, "facts are stored")
        siemd.kill()
    load.stop()
    siemd.start()
    wait_until(lambda: max(journal_numbers(siemd), default=0) == load.lines, "the last line is stored", deadline_s=60)
    assert siemd.stop() == 0

    numbers = journal_numbers(siemd)
    assert set(numbers.values()) == {1}, "the bookmark and the lines are one transaction"
    assert set(numbers) == set(range(1, load.lines + 1))
    for source in SOURCES:
        exactly_once(siemd.stored(source))
    assert len(siemd.stored("sniffer")) >= 3, "each run has stored facts"


def test_the_database_is_away_for_ten_seconds(
    lab: Lab, load: Load, settings: dict[str, Any], mariadb: MariaServer, mysql_database: str, make_siemd: MakeSiemd
) -> None:
    siemd = make_siemd(settings, MariaRows(mariadb, mysql_database), host=lab.server).start().sniffing()
    wait_until(lambda: events(siemd) > 200, "facts are stored")
    mariadb.kill()
    away_s = time.monotonic() + 10
    with contextlib.ExitStack() as always:
        always.callback(mariadb.start)
        wait_until(lambda: siemd.component("store")["status"] == "degraded", "siemd says that the database is away")
        assert siemd.component("writer")["status"] == "ok", "what comes is accepted all the same"
        wait_until(lambda: time.monotonic() > away_s, "the outage is over")
    wait_until(lambda: siemd.component("store")["status"] == "ok", "siemd has come back", deadline_s=60)
    load.stop()
    wait_until(lambda: max(journal_numbers(siemd), default=0) == load.lines, "the last line is stored", deadline_s=60)
    assert siemd.stop() == 0

    assert siemd.log("siemd.stopped")[-1]["lost_events"] == 0
    numbers = journal_numbers(siemd)
    assert set(numbers.values()) == {1}
    assert set(numbers) == set(range(1, load.lines + 1))
    for source in SOURCES:
        stored = siemd.stored(source)
        exactly_once(stored)
        health = siemd.component(source)
        assert (sum(map(len, stored.values())), health["dropped"]) == (health["sent"], 0), source


def test_it_starts_while_the_database_is_away(
    lab: Lab, mariadb: MariaServer, mysql_database: str, make_siemd: MakeSiemd
) -> None:
    settings = {"sources": {"sniffer": {"enabled": False}, "metrics": {"interval": "100ms"}}}
    siemd = make_siemd(settings, MariaRows(mariadb, mysql_database), host=lab.server)
    mariadb.stop()
    with contextlib.ExitStack() as always:
        always.callback(mariadb.start)
        siemd.start()
        wait_until(lambda: siemd.component("store").get("status") == "degraded", "siemd says that the database is away")
        wait_until(lambda: siemd.component("metrics").get("sent", 0) > 5, "siemd measures all the same")
    wait_until(lambda: siemd.component("store")["status"] == "ok", "siemd has found the database", deadline_s=60)
    assert siemd.stop() == 0
    exactly_once(siemd.stored("metrics"))
    assert len(*siemd.stored("metrics").values()) == siemd.component("metrics")["sent"]
