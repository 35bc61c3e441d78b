"""An ordinary day of a few hosts, by real programs and many at once: nothing that siemd sees of it is an incident.

A minute of it by default, an hour with --soak.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.daemon import Siemd
from support.needs import need
from support.netlab import Lab, Namespace
from support.sshd import PASSWORD, Sshd
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

ON_THE_SERVER: dict[str, Any] = {"sources": {"sniffer": {"interface": "eth0"}, "journal": {"enabled": False}}}
MINUTE_S, HOUR_S = 60, 3600
PAGES = [f"page{number}.html" for number in range(40)]
PACKAGES = [f"pool/main/p/package{number}_1.{number}_amd64.deb" for number in range(25)]
LISTS = ["InRelease", "main/binary-amd64/Packages.xz", "main/i18n/Translation-en.xz", "main/Contents-amd64.xz"]
NAMES = [
    f"{name}.example.org" for name in ("www", "mail", "git", "deb", "ntp", "cdn", "api", "static", "login", "wiki")
]
APT = "Debian APT-HTTP/1.3 (2.6.1)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COUNTS = "SELECT event_type, SUM(count) AS n FROM logs GROUP BY event_type"
CHECKER = "check_http/v2.3 (monitoring-plugins 2.3)"


class Scene(NamedTuple):
    """Who acts: a server of everything, somebody at work, a monitoring host; until `ended`."""

    server: Namespace
    worker: Namespace
    monitor: Namespace
    sshd: Sshd
    ended: threading.Event
    chance: random.Random

    def rests(self, shortest_s: float, longest_s: float) -> bool:
        """Pause as people and timers do; whether the day goes on."""
        return not self.ended.wait(self.chance.uniform(shortest_s, longest_s))

    def fetches(self, host: Namespace, paths: list[str], agent: str, *options: str) -> None:
        """One curl, which keeps its connection, for all of the paths."""
        urls = [f"http://{self.server.address}/{path}" for path in paths]
        host.run("curl", "-sS", "-A", agent, *options, *itertools.chain(*(("-o", "/dev/null", url) for url in urls)))


def browses(scene: Scene) -> None:
    """A few pages of a site, now and then one that is gone, and what browsers ask for by themselves."""
    while scene.rests(0.3, 3):
        pages = scene.chance.sample(PAGES, scene.chance.randint(1, 8))
        scene.fetches(scene.worker, [*pages, "favicon.ico"], BROWSER, "--parallel")
        if scene.chance.random() < 0.1:
            scene.fetches(scene.worker, ["an/old/bookmark.html"], BROWSER)


def downloads(scene: Scene) -> None:
    """An image of 30 MB at 20 MB/s."""
    while scene.rests(5, 15):
        scene.fetches(scene.worker, ["image.iso"], BROWSER, "--limit-rate", "20M")


def updates(scene: Scene) -> None:
    """A package manager: lists, some of which the mirror does not have, then many files in one connection."""
    while scene.rests(5, 20):
        scene.fetches(scene.worker, [f"dists/stable/{name}" for name in LISTS], APT)
        scene.fetches(scene.worker, scene.chance.sample(PACKAGES, 15), APT)


def logs_in(scene: Scene) -> None:
    """Automation with a key, a person with a password, and a backup."""
    while scene.rests(1, 5):
        assert scene.sshd.login(scene.worker)
        if scene.chance.random() < 0.3:
            assert scene.sshd.login(scene.worker, PASSWORD)
        if scene.chance.random() < 0.1:
            assert scene.sshd.login(scene.worker, command="head -c 20000000 /dev/zero | gzip -1 >/dev/null")


def mistypes(scene: Scene) -> None:
    """A wrong password, and at once the right one; again after some minutes, as it happens to people."""
    goes_on = scene.rests(5, 20)
    while goes_on:
        assert not scene.sshd.login(scene.worker, PASSWORD[:-1])
        assert scene.sshd.login(scene.worker, PASSWORD)
        goes_on = scene.rests(4 * MINUTE_S, 8 * MINUTE_S)


def resolves(scene: Scene) -> None:
    """Names of the day for IPv4 and IPv6, the same with a search domain that does not have them, one by TCP."""
    while scene.rests(0.2, 2):
        name = scene.chance.choice(NAMES)
        ask = ("dig", f"@{scene.server.address}", "+tries=1")
        scene.worker.run(*ask, name, "A", name, "AAAA")
        if scene.chance.random() < 0.2:
            scene.worker.run(*ask, f"{name}.office.lan", "A")
        if scene.chance.random() < 0.05:
            scene.worker.run(*ask, "+tcp", "example.org", "TXT")


def monitors(scene: Scene) -> None:
    """Every three seconds the same: pings, a page, a banner, a port where the service is down."""
    address = scene.server.address
    script = (
        f"import socket; print(socket.create_connection(('{address}', 22), 5).recv(100)); "
        f"socket.socket().connect_ex(('{address}', 8443))"
    )
    while scene.rests(3, 3):
        scene.monitor.run("ping", "-c", "1", "-W", "5", address)
        scene.monitor.run("ping", "-6", "-c", "1", "-W", "5", "fd66::10")
        scene.fetches(scene.monitor, ["page1.html"], CHECKER)
        scene.monitor.run(sys.executable, "-c", script)


def looks_for_trouble(scene: Scene) -> None:
    """An administrator with traceroute and mtr."""
    while scene.rests(10, 30):
        scene.worker.run("traceroute", "-n", scene.server.address)
        scene.worker.run("mtr", "-n", "-r", "-c", "3", "-i", "0.2", scene.server.address)


ACTIVITIES: list[Callable[[Scene], None]] = [
    browses,
    downloads,
    updates,
    logs_in,
    mistypes,
    resolves,
    monitors,
    looks_for_trouble,
]


@pytest.fixture
def servers(lab: Lab, tmp_path: Path) -> Iterator[None]:
    """A web server with what is asked for, and a name server."""
    need("dnsmasq", "ss")
    site = tmp_path / "site"
    sizes = dict.fromkeys(PAGES, 20_000) | dict.fromkeys(PACKAGES, 300_000) | {"image.iso": 30_000_000}
    for path, size in (sizes | {f"dists/stable/{name}": 50_000 for name in LISTS[:2]}).items():
        file = site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
    web = (sys.executable, "-m", "http.server", "80", "--directory", site, "--protocol", "HTTP/1.1")
    dns = (
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"),
        *("--pid-file=", "--bind-interfaces", f"--listen-address={lab.server.address}", "--local=/lan/"),
        *(f"--address=/example.org/{lab.server.address}", "--txt-record=example.org,v=spf1 -all"),
    )
    with ExitStack() as always:
        for name, command in (("web", web), ("dns", dns)):
            process = lab.server.start(*command, output=tmp_path / name)
            always.callback(process.wait, 10)
            always.callback(process.terminate)
        for port in (":80 ", ":53 "):
            wait_until(lambda port=port: port in lab.server.run("ss", "-lnt"), f"a server listens on {port}")
        yield
    (site / "image.iso").unlink()


@pytest.mark.parametrize("day_s", [MINUTE_S, pytest.param(HOUR_S, marks=pytest.mark.soak)])
def test_an_ordinary_day_raises_nothing(
    day_s: int, lab: Lab, sshd: Sshd, servers: None, make_siemd: Callable[..., Siemd]
) -> None:
    need("curl", "dig", "ssh", "ping", "traceroute", "mtr")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    ended = threading.Event()
    with ThreadPoolExecutor(len(ACTIVITIES)) as pool:
        scenes = [
            Scene(lab.server, lab.client, lab.attacker, sshd, ended, random.Random(n)) for n in range(len(ACTIVITIES))
        ]
        acts = [pool.submit(act, scene) for act, scene in zip(ACTIVITIES, scenes, strict=True)]
        wait(acts, timeout=day_s, return_when=FIRST_COMPLETED)  # none ends by itself unless it fails
        ended.set()
        for act in acts:
            act.result()
    assert siemd.stop() == 0
    assert siemd.component("sniffer")["errors"] == 0

    assert siemd.alerts() == []
    minutes = day_s / MINUTE_S
    seen = Counter({row["event_type"]: row["n"] for row in siemd.rows(COUNTS)})
    print(dict(seen))  # told by `pytest -rA`
    for kind, least in {"http_request": 30, "ssh_auth": 8, "dns_query": 30, "ping": 8, "http_errors": 1}.items():
        assert seen[kind] >= least * minutes, (kind, seen)
