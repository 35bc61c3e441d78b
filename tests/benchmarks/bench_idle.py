"""What siemd costs when nothing happens: the time to import it and the memory it holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SETTLE_S = 5.0


def _import_s(statement: str) -> float:
    """The best of five fresh interpreters."""
    times = []
    for _ in range(5):
        started_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - started_s)
    return min(times)


def _idle() -> tuple[int, float]:
    """(RSS in bytes of `siemd run` and its children, CPU share in percent) some seconds after the start, on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "output")
        with log.open("wb") as output:
            command = [str(Path(sys.executable).with_name("siemd")), "run", "--data-dir", folder]
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            time.sleep(SETTLE_S)
            if process.poll() is not None:
                raise RuntimeError(f"siemd run ended: {log.read_text(errors='replace')[-300:]}")
            parent = psutil.Process(process.pid)
            family = [parent, *parent.children(recursive=True)]
            before = sum(sum(member.cpu_times()[:2]) for member in family)
            time.sleep(SETTLE_S)
            after = sum(sum(member.cpu_times()[:2]) for member in family)
            return sum(member.memory_info().rss for member in family), 100 * (after - before) / SETTLE_S
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def run() -> list[tuple[str, str]]:
    """Import time against a bare interpreter's, and the idle daemon."""
    bare_s, cli_s, app_s = _import_s("pass"), _import_s("import siemd.cli"), _import_s("import siemd.app")
    figures = [
        ("python, nothing imported", f"{1e3 * bare_s:.0f} ms"),
        ("import siemd.cli", f"{1e3 * (cli_s - bare_s):.0f} ms more, {cli_s / bare_s:.1f} times"),
        ("import siemd.app (the whole daemon)", f"{1e3 * (app_s - bare_s):.0f} ms more, {app_s / bare_s:.1f} times"),
    ]
    rss_bytes, cpu_percent = _idle()
    who = "sniffing" if hasattr(os, "geteuid") and os.geteuid() == 0 else "without the right to sniff"
    figures.append(
        (f"siemd run, idle on SQLite, {who}", f"{rss_bytes / (1 << 20):.0f} MiB, {cpu_percent:.1f} % of a core")
    )
    return figures
