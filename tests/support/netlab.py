"""A small network of our own: namespaces on one switch, in which real tools attack real servers, and nothing leaks.

Everything has a name that starts with `siemd-<pid>-`; what a crashed run left behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_numbers = itertools.count(1)
PREFIX = "siemd"
ETC = Path("/etc/netns")  # `ip netns exec` shows the files of /etc/netns/NAME/ in place of those in /etc


class Namespace:
    """One host of the lab."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.interface = "eth0"

    def command(self, *command: str | Path) -> list[str]:
        """The command line that runs a command in here; its process is the command itself, so signals reach it."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command: str | Path, check: bool = True, timeout_s: float = 120, **options: Any) -> str:
        """Run a command to its end; its output (both streams). With check a failure is an AssertionError."""
        done = subprocess.run(
            self.command(*command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            **options,
        )
        assert not check or done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, *command: str | Path, output: Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command that goes on running; both its streams go into the file `output`."""
        with output.open("ab") as file:
            return subprocess.Popen(
                self.command(*command), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **options
            )

    def etc(self, name: str) -> Path:
        """The file that this namespace sees as /etc/NAME."""
        folder = ETC / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def pids(self) -> list[int]:
        """The processes in here."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(pid) for pid in listed.stdout.split()]


class Lab:
    """Hosts on one Ethernet switch.

    server: 10.66.0.10 and, for sweeps, .11 to .59 as well, and fd66::10; siemd watches its eth0 in most tests.
    attacker: 10.66.0.2 and fd66::2. client: 10.66.0.3, who is up to no harm.
    """

    def __init__(self) -> None:
        remove_stale()
        self._stem = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        self._switch = self._make("switch", "")
        _in(self._switch, "ip link add name br0 type bridge")
        _in(self._switch, "ip link set br0 up")
        self.attacker = self._host("attacker", "10.66.0.2")
        self.client = self._host("client", "10.66.0.3")
        self.server = self._host("server", "10.66.0.10")
        # Otherwise a scan of UDP ports takes a second for each closed one.
        _call(self.server.command("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"))
        for last in range(11, 60):
            _in(self.server, f"ip address add 10.66.0.{last}/24 dev eth0")
        for host, address in ((self.attacker, "fd66::2"), (self.server, "fd66::10")):
            _in(host, f"ip -6 address add {address}/64 dev eth0 nodad")

    def close(self) -> None:
        """Remove the network and end what still runs in it."""
        for name in _namespaces():
            if name.startswith(f"{self._stem}-"):
                _remove(name)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, role: str, address: str) -> Namespace:
        namespace = Namespace(f"{self._stem}-{role}", address)
        _ip("netns", "add", namespace.name)
        _in(namespace, "ip link set lo up")
        return namespace

    def _host(self, role: str, address: str) -> Namespace:
        host = self._make(role, address)
        port = f"p-{role}"
        _ip("-n", self._switch.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _in(self._switch, f"ip link set {port} master br0 up")
        _in(host, f"ip address add {address}/24 dev eth0")
        _in(host, "ip link set eth0 up")
        return host


def remove_stale() -> None:
    """Remove the networks of runs whose process is gone."""
    for name in _namespaces():
        parts = name.split("-")
        if parts[0] == PREFIX and len(parts) > 1 and parts[1].isdigit() and not Path("/proc", parts[1]).exists():
            _remove(name)


def _namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]


def _remove(name: str) -> None:
    """End every process in the namespace, politely at first, and remove it with its files in /etc/netns."""
    namespace = Namespace(name, "")
    for number, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        pids = namespace.pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end_s = time.monotonic() + patience_s
        while pids and namespace.pids() and time.monotonic() < end_s:
            time.sleep(0.05)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    shutil.rmtree(ETC / name, ignore_errors=True)


def _ip(*arguments: str) -> None:
    _call(["ip", *arguments])


def _in(namespace: Namespace, line: str) -> None:
    _call(namespace.command(*line.split()))


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
