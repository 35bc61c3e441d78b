"""What siemd costs when nothing happens: to import it, to start it, and then second by second.

The idle daemon is measured once its start is over. As root it has a network of its own, on which nobody speaks, so that
what it costs to look at this machine's traffic is not in it. How dear a wake-up is depends on the machine (an idle
virtual processor is slow to start and forgets its caches), so a Python that only wakes is measured beside it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from support.needs import is_root
from support.own_network import connect, fresh_network, ip

START_S = 20.0
MEASURED_S = 60.0
IMPORTS = 7
# Compiled modules are kept, as for everybody; else each start would compile them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
WAKES = "import time\nwhile True:\n    time.sleep(0.5)"


class Spent(NamedTuple):
    """What processes have used. wakeups: how often a thread went on after it had waited; 0 where it is not known."""

    cpu_s: float
    wakeups: int

    @property
    def wakeup_us(self) -> float:
        """What one of them cost."""
        return 1e6 * self.cpu_s / max(1, self.wakeups)

    def __str__(self) -> str:
        share, rate = 100 * self.cpu_s / MEASURED_S, self.wakeups / MEASURED_S
        return f"{share:.2f} % of a core" + (f", {rate:.1f} wake-ups/s of {self.wakeup_us:.0f} µs" if rate else "")


def run() -> list[tuple[str, str]]:
    """Importing against a bare interpreter, and the idle daemon against one that only wakes."""
    bare_s, help_s, app_s = _import_s("pass"), _import_s("import siemd.cli"), _import_s("import siemd.app")
    figures = [
        ("python, nothing imported, processor time", f"{1e3 * bare_s:.0f} ms"),
        ("import siemd.cli (help)", f"{1e3 * (help_s - bare_s):.0f} ms more, {help_s / bare_s:.1f} times"),
        ("import siemd.app (the whole daemon)", f"{1e3 * (app_s - bare_s):.0f} ms more, {app_s / bare_s:.1f} times"),
    ]
    with _silent_network(), _bare() as bare, _siemd() as daemon:
        time.sleep(START_S)
        started, before = _spent(daemon), (_spent(bare), _spent(daemon))
        time.sleep(MEASURED_S)
        wakes, idle = (_difference(old, _spent(of)) for old, of in zip(before, (bare, daemon), strict=True))
        family = _family(daemon)
        rss, rings = sum(one.memory_info().rss for one in family), _rings_bytes(family)
    sniffing = "on a silent network" if is_root() else "without the right to sniff"
    return [
        *figures,
        (f"siemd run on SQLite, {sniffing}: memory", f"{_mib(rss)} MiB, of these {_mib(rings)} the kernel's rings"),
        (f"its first {START_S:.0f} s", f"{started.cpu_s:.2f} s of a processor"),
        (f"the {MEASURED_S:.0f} s after that", f"{idle}, {idle.wakeup_us / max(1.0, wakes.wakeup_us):.1f} times"),
        ("a Python that only wakes, in the same time", str(wakes)),
    ]


def _import_s(statement: str) -> float:
    """Processor time of a fresh interpreter, the best of some; the first compiles what is not compiled yet."""
    command = [sys.executable, "-c", f"{statement}\nimport time; print(time.process_time())"]
    spent = [subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True).stdout for _ in range(IMPORTS)]
    return min(map(float, spent[1:]))


@contextlib.contextmanager
def _silent_network() -> Iterator[None]:
    """With the right to it: two interfaces, loopback one of them, on which nothing comes."""
    if not is_root():
        yield
        return
    with fresh_network():
        connect("near", "far")
        ip("address", "add", "192.0.2.1/24", "dev", "near")
        ip("route", "add", "default", "via", "192.0.2.9")
        yield


@contextlib.contextmanager
def _siemd() -> Iterator[psutil.Process]:
    """`siemd run` with everything at its default but the data directory."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "output")
        with log.open("wb") as output:
            command = [sys.executable, "-m", "siemd", "run", "--data-dir", folder]
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=ENVIRONMENT)
        try:
            yield psutil.Process(process.pid)
            if process.poll() is not None:
                raise RuntimeError(f"siemd run ended: {log.read_text(errors='replace')[-300:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@contextlib.contextmanager
def _bare() -> Iterator[psutil.Process]:
    """A Python that wakes twice a second and sleeps again."""
    process = subprocess.Popen([sys.executable, "-c", WAKES], env=ENVIRONMENT)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _spent(process: psutil.Process) -> Spent:
    """By a process and those that it started."""
    family = _family(process)
    threads = [thread for one in family for thread in Path(f"/proc/{one.pid}/task").glob("*")]
    if not threads:
        return Spent(sum(sum(one.cpu_times()[:2]) for one in family), 0)
    waits = [line for thread in threads for line in _read(thread / "status") if line.startswith("voluntary_ctxt_sw")]
    times = [line for thread in threads for line in _read(thread / "schedstat")]  # cpu_times knows hundredths only
    return Spent(sum(int(line.split()[0]) for line in times) / 1e9, sum(int(line.split()[1]) for line in waits))


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []  # it has just ended


def _difference(before: Spent, after: Spent) -> Spent:
    return Spent(after.cpu_s - before.cpu_s, after.wakeups - before.wakeups)


def _rings_bytes(family: list[psutil.Process]) -> int:
    """The part of their memory that is the kernel's, for frames that wait (Linux)."""
    if sys.platform != "linux":
        return 0
    return sum(part.rss for one in family for part in one.memory_maps() if part.path.startswith("socket:"))


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f}"
