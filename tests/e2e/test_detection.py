"""Real tools attack across a real (virtual) wire; the alerts and the facts are read from the stores."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.daemon import MariaRows, Siemd, SqliteRows, exactly_once
from support.journald import Journald, running_journald
from support.needs import need
from support.netlab import Lab
from support.sshd import PASSWORD, USER, Sshd
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

ON_THE_SERVER: dict[str, Any] = {"sources": {"sniffer": {"interface": "eth0"}, "journal": {"enabled": False}}}
MakeSiemd = Callable[..., Siemd]
Store = SqliteRows | MariaRows


class Scan(NamedTuple):
    rule: str
    fact: str
    command: str
    beside: frozenset[str] = frozenset()


ONE_HOST = "nmap -n -Pn --max-retries 1 -p 1-400"
SCANS = [
    Scan("port_scan_syn", "tcp_probe", f"{ONE_HOST} -sS 10.66.0.10"),
    Scan("port_scan_connect", "tcp_probe", f"{ONE_HOST} -sT 10.66.0.10"),
    Scan("port_scan_fin", "tcp_probe", f"{ONE_HOST} -sF 10.66.0.10"),
    Scan("port_scan_null", "tcp_probe", f"{ONE_HOST} -sN 10.66.0.10"),
    Scan("port_scan_xmas", "tcp_probe", f"{ONE_HOST} -sX 10.66.0.10"),
    Scan("port_scan_ack", "tcp_probe", f"{ONE_HOST} -sA 10.66.0.10"),
    Scan("port_scan_udp", "udp_probe", "nmap -n -Pn --max-retries 1 -sU -p 1000-1060 10.66.0.10"),
    Scan("ping_sweep", "ping", "nmap -n -sn -PE --disable-arp-ping 10.66.0.10-59"),
    Scan("arp_sweep", "arp_request", "nmap -n -sn -PR 10.66.0.10-120"),
    Scan("host_sweep", "tcp_probe", "nmap -n -Pn -p 2222 10.66.0.10-59", frozenset({"arp_sweep"})),
]


@pytest.mark.parametrize("scan", SCANS, ids=lambda scan: scan.rule)
def test_a_scan_raises_its_alert_and_no_other(scan: Scan, lab: Lab, store: Store, make_siemd: MakeSiemd) -> None:
    need("nmap")
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()

    lab.attacker.run(*scan.command.split())

    wait_until(lambda: siemd.alerts(scan.rule), f"{scan.rule} in alerts.jsonl")
    (row, *_) = siemd.wait_rows(f"SELECT * FROM alerts WHERE rule = '{scan.rule}'", "the alert is stored")
    assert lab.attacker.address in row["reason"]
    assert siemd.stop() == 0
    assert {alert["rule"] for alert in siemd.alerts()} - scan.beside == {scan.rule}
    facts = siemd.rows(f"SELECT source_ip, count FROM logs WHERE event_type = '{scan.fact}'")
    assert lab.attacker.address in {fact["source_ip"] for fact in facts}
    opened = [line for line in siemd.log("alert.opened") if line["rule"] == scan.rule]
    assert opened, "a person reads it in the log as well"


def test_a_ping_is_noted_and_no_more(lab: Lab, store: Store, make_siemd: MakeSiemd) -> None:
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()
    lab.client.run("ping", "-c", "5", "-i", "0.2", lab.server.address)
    siemd.wait_rows("SELECT * FROM alerts WHERE rule = 'ping' AND level = 'informational'", "the ping is stored")
    assert siemd.stop() == 0
    pings = siemd.rows("SELECT * FROM logs WHERE event_type = 'ping'")
    assert {(ping["source_ip"], ping["destination_ip"]) for ping in pings} == {("10.66.0.3", "10.66.0.10")}
    assert sum(ping["count"] for ping in pings) == 5
    assert siemd.alerts() == []


def test_ipv6_is_watched_too(lab: Lab, store: Store, make_siemd: MakeSiemd) -> None:
    need("nmap")
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()
    lab.attacker.run(*["nmap", "-6", "-n", "-Pn", "--max-retries", "1", "-p", "1-400", "-sS", "fd66::10"])
    (row, *_) = siemd.wait_rows("SELECT * FROM alerts WHERE rule = 'port_scan_syn'", "the alert is stored")
    assert "fd66::2" in row["reason"]


def test_a_stranger_scans_the_machine_with_the_defaults(lab: Lab, make_siemd: MakeSiemd) -> None:
    """The first minute with siemd: no settings, `auto` finds the interface, and `siemd status` tells of the scan."""
    need("nmap")
    siemd = make_siemd({}, host=lab.server).start().sniffing()
    lab.attacker.run("nmap", "-n", lab.server.address)
    wait_until(lambda: siemd.alerts("port_scan_syn"), "the alert")
    wait_until(lambda: "port_scan_syn" in siemd.command("status"), "siemd status shows the alert")
    text = siemd.command("status")
    assert str(siemd.data_dir / "alerts.jsonl") in text
    assert siemd.stop() == 0


def hydra(lab: Lab, sshd: Sshd, folder: Path, passwords: list[str]) -> str:
    """Guess alice's password; hydra's output."""
    need("hydra")
    words = folder / "passwords"
    words.write_text("".join(f"{password}\n" for password in passwords))
    target = f"ssh://{sshd.host.address}:{sshd.port}"
    return lab.attacker.run("hydra", "-I", "-t", "8", "-l", USER, "-P", words, target, check=False, cwd=folder)


# With 8 tasks no connection uses up its tries, after which hydra would wait for half a minute.
GUESSES = [f"guess{number}" for number in range(24)]


def test_guessing_ssh_passwords_is_seen_on_the_wire(
    lab: Lab, sshd: Sshd, store: Store, make_siemd: MakeSiemd, tmp_path: Path
) -> None:
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()
    assert "0 valid password" in hydra(lab, sshd, tmp_path, GUESSES)
    (row, *_) = siemd.wait_rows("SELECT * FROM alerts WHERE rule = 'ssh_bruteforce'", "the alert is stored")
    assert lab.attacker.address in row["reason"]
    assert siemd.stop() == 0
    assert {alert["rule"] for alert in siemd.alerts()} == {"ssh_bruteforce"}


def test_a_guess_that_succeeds_is_critical(
    lab: Lab, sshd: Sshd, store: Store, make_siemd: MakeSiemd, tmp_path: Path
) -> None:
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()
    assert "1 valid password" in hydra(lab, sshd, tmp_path, [*GUESSES, PASSWORD])
    (row, *_) = siemd.wait_rows("SELECT * FROM alerts WHERE rule = 'ssh_bruteforce_success'", "the alert is stored")
    assert row["level"] == "critical"
    assert siemd.stop() == 0
    assert {alert["rule"] for alert in siemd.alerts()} == {"ssh_bruteforce", "ssh_bruteforce_success"}


def test_honest_sessions_raise_nothing(lab: Lab, sshd: Sshd, store: Store, make_siemd: MakeSiemd) -> None:
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()
    lab.client.run("ping", "-c", "10", "-i", "0.1", lab.server.address)
    assert not sshd.login(lab.client, "a typo")
    assert sshd.login(lab.client, PASSWORD)
    for _ in range(20):
        assert sshd.login(lab.client), "the key opens"
    assert siemd.stop() == 0, "which also has every pending fact stated and stored"
    tries = siemd.rows("SELECT * FROM logs WHERE event_type = 'ssh_auth' AND source_ip = '10.66.0.3'")
    assert sum(row["count"] for row in tries) >= 22
    assert siemd.alerts() == []
    sessions = siemd.rows("SELECT * FROM connections WHERE source_ip = '10.66.0.3' AND destination_port = 22")
    assert len(sessions) >= 22
    for session in sessions:
        assert session["state"].startswith(("closed", "reset_by_")), session
        assert min(session["source_bytes"], session["destination_bytes"]) > 1000, "the key exchange alone is more"
        assert min(session["source_packets"], session["destination_packets"]) > 5
        assert 0 < session["duration_s"] < 60
        assert json.loads(session["fields"])["service"] == "ssh"


@pytest.fixture
def journald() -> Iterator[Journald]:
    with running_journald() as running:
        yield running


def test_the_log_knows_the_user_whose_password_is_guessed(
    lab: Lab, sshd: Sshd, store: Store, journald: Journald, make_siemd: MakeSiemd, tmp_path: Path
) -> None:
    """The lines of the real sshd in a real journal."""
    settings = {"sources": {"sniffer": {"enabled": False}, "journal": {"directory": str(journald.directory)}}}
    siemd = make_siemd(settings, store, host=lab.server).start()
    seen = len(sshd.words())
    hydra(lab, sshd, tmp_path, [*GUESSES[:12], PASSWORD])
    assert not sshd.login(lab.client, "a typo")
    for line in sshd.words()[seen:].splitlines():
        journald.log(("MESSAGE", line), ("SYSLOG_IDENTIFIER", "sshd"), ("SYSLOG_FACILITY", "4"), ("PRIORITY", "6"))
    (row, *_) = siemd.wait_rows("SELECT * FROM alerts WHERE rule = 'ssh_bruteforce'", "the alert is stored")
    assert lab.attacker.address in row["reason"]
    siemd.wait_rows("SELECT * FROM security_logs WHERE message LIKE 'Failed password%10.66.0.3%'", "all is stored")
    assert siemd.stop() == 0
    failures = siemd.rows("SELECT user_name, source_ip FROM security_logs WHERE message LIKE 'Failed password%'")
    attacked = [row for row in failures if row["source_ip"] == lab.attacker.address]
    assert len(attacked) == 12
    assert {row["user_name"] for row in failures} == {USER}
    assert {alert["rule"] for alert in siemd.alerts()} <= {"ssh_bruteforce", "ssh_bruteforce_success"}
    assert lab.client.address not in "".join(alert["reason"] for alert in siemd.alerts())


def test_many_tools_at_once(lab: Lab, store: Store, make_siemd: MakeSiemd) -> None:
    """Two attackers in parallel are two incidents of one rule, and one attacker's two scans two rules."""
    need("nmap")
    siemd = make_siemd(ON_THE_SERVER, store, host=lab.server).start().sniffing()
    commands = [
        lab.attacker.command(*f"{ONE_HOST} -sS 10.66.0.10".split()),
        lab.attacker.command(*f"{ONE_HOST} -sX 10.66.0.11".split()),
        lab.client.command(*f"{ONE_HOST} -sS 10.66.0.12".split()),
    ]
    threads = [
        threading.Thread(target=subprocess.run, args=(command,), kwargs={"stdout": subprocess.DEVNULL})
        for command in commands
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(siemd.alerts()) >= 3, "three incidents")
    assert siemd.stop() == 0
    found = {(alert["rule"], address) for alert in siemd.alerts() for address in alert["group"].values()}
    assert {("port_scan_syn", "10.66.0.2"), ("port_scan_syn", "10.66.0.3"), ("port_scan_xmas", "10.66.0.2")} <= found
    assert len(siemd.alerts()) == 3


def test_a_reload_in_the_middle_of_a_scan_forgets_nothing(lab: Lab, make_siemd: MakeSiemd) -> None:
    """Ten ports before and ten after; only together they are a scan."""
    need("nmap")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    half = "nmap -n -Pn --max-retries 1 -sS 10.66.0.10 -p"
    lab.attacker.run(*half.split(), "101-110")
    siemd.wait_rows("SELECT * FROM logs WHERE event_type = 'tcp_probe'", "the first half is seen")
    assert siemd.alerts() == []
    siemd.reload()
    wait_until(lambda: siemd.log("rules.loaded"), "the rules are loaded anew")
    lab.attacker.run(*half.split(), "111-120")
    (row, *_) = siemd.wait_rows("SELECT * FROM alerts WHERE rule = 'port_scan_syn'", "the alert is stored")
    assert lab.attacker.address in row["reason"]
    assert siemd.stop() == 0
    exactly_once(siemd.stored("sniffer"))
