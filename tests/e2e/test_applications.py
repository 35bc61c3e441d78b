"""Real programs talk across a real (virtual) wire, and the sensor reads what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from siemd.resources import resource
from support.daemon import Siemd
from support.needs import need
from support.netlab import Lab
from support.sshd import PASSWORD, USER, Sshd
from support.vsftpd import Vsftpd
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

ON_THE_SERVER: dict[str, Any] = {"sources": {"sniffer": {"interface": "eth0"}, "journal": {"enabled": False}}}
MakeSiemd = Callable[..., Siemd]


@pytest.fixture(scope="module")
def ftp(lab: Lab, sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vsftpd]:
    need("vsftpd", "ss")
    server = Vsftpd(lab.server, tmp_path_factory.mktemp("vsftpd"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def pages(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A web server on port 80 with a few pages; their paths."""
    folder = tmp_path_factory.mktemp("www")
    for number in range(30):
        (folder / f"page{number}.html").write_text(f"<p>{'x' * 97 * number}")
    command = (sys.executable, "-m", "http.server", "80", "--directory", folder)
    process = lab.server.start(*command, output=folder / "log")
    wait_until(lambda: ":80 " in lab.server.run("ss", "-lnt"), "the web server listens")
    yield [f"/page{number}.html" for number in range(30)]
    process.kill()
    process.wait()


def hydra(lab: Lab, folder: Path, passwords: list[str]) -> str:
    need("hydra")
    words = folder / "passwords"
    words.write_text("".join(f"{password}\n" for password in passwords))
    command = ("hydra", "-I", "-t", "8", "-l", USER, "-P", words, f"ftp://{lab.server.address}")
    return lab.attacker.run(*command, check=False, cwd=folder)


def names(siemd: Siemd) -> list[str]:
    return sorted(alert["rule"] for alert in siemd.alerts())


GUESSES = [f"guess{number}" for number in range(14)]


def test_guessing_ftp_passwords(lab: Lab, ftp: Vsftpd, make_siemd: MakeSiemd, tmp_path: Path) -> None:
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    assert "1 valid password" in hydra(lab, tmp_path, [*GUESSES, PASSWORD])
    wait_until(lambda: siemd.alerts("ftp_bruteforce_success"), "the success after the failures")
    assert siemd.stop() == 0
    assert names(siemd) == ["ftp_bruteforce", "ftp_bruteforce_success"]
    (row, *_) = siemd.rows("SELECT * FROM alerts WHERE rule = 'cleartext_credentials'")
    assert (row["level"], USER in row["reason"]) == ("informational", True)
    for table in ("logs", "alerts"):
        for row in siemd.rows(f"SELECT * FROM {table}"):
            assert PASSWORD not in repr(row) and "guess1" not in repr(row)


def test_a_web_scan(lab: Lab, pages: list[str], make_siemd: MakeSiemd) -> None:
    need("nmap")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    lab.attacker.run(*f"nmap -n -Pn -p 80 --script http-enum {lab.server.address}".split())
    wait_until(lambda: siemd.alerts("web_scan"), "the scan in alerts.jsonl")
    assert siemd.stop() == 0
    # Its script also asks as nmap's version detection does, which is a rule of its own.
    assert set(names(siemd)) - {"service_version_scan"} == {"web_scan"} and names(siemd).count("web_scan") == 1


def test_a_beacon(lab: Lab, pages: list[str], make_siemd: MakeSiemd, tmp_path: Path) -> None:
    """The shipped rule with a shorter interval, so that nobody waits for minutes."""
    need("curl")
    shipped = resource("config/rules") / "network" / "beacon.yml"
    quick = tmp_path / "beacon.yml"
    quick.write_text(shipped.read_text().replace("interval_s|gte: 3", "interval_s|gte: 0.3"))
    siemd = make_siemd(ON_THE_SERVER | {"detection": {"rules": [str(quick)]}}, host=lab.server).start().sniffing()
    call = f"curl -s -o {tmp_path}/out http://{lab.server.address}{pages[3]}; sleep 0.$((40 + $(date +%N | cut -c 8)))"
    lab.client.run("sh", "-c", f"for i in $(seq 26); do {call}; done")
    wait_until(lambda: siemd.alerts("beacon"), "the beacon in alerts.jsonl")
    assert siemd.stop() == 0
    assert names(siemd) == ["beacon"]


def test_honest_programs_raise_nothing(
    lab: Lab, sshd: Sshd, ftp: Vsftpd, pages: list[str], make_siemd: MakeSiemd, tmp_path: Path
) -> None:
    need("curl")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    web = f"http://{lab.server.address}"
    lab.client.run("curl", "-s", "--output-dir", tmp_path, *(part for page in pages for part in ("-O", web + page)))
    for absent in ("favicon.ico", "robots.txt", "old.html"):
        lab.client.run("curl", "-s", f"{web}/{absent}")
    for _ in range(5):
        assert sshd.login(lab.client)
        lab.client.run("curl", "-s", "--user", f"{USER}:{PASSWORD}", f"ftp://{lab.server.address}/", check=False)
    assert siemd.stop() == 0
    assert siemd.alerts() == []
    requests = siemd.rows("SELECT fields FROM logs WHERE event_type = 'http_request'")
    assert len(requests) >= len(pages)
    logins = siemd.rows("SELECT user_name, count FROM logs WHERE event_type = 'login'")
    assert {row["user_name"] for row in logins} == {USER}
    assert sum(row["count"] for row in logins) == 5
