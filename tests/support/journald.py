"""A real systemd-journald of the test's own, in a mount namespace, writing into a folder that journalctl can read."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.needs import is_root, need
from support.waiting import wait_until

JOURNALD = "/lib/systemd/systemd-journald"
_SCRIPT = """
set -e
mount --make-rprivate /
echo 0123456789abcdef0123456789abcdef > "$1/machine-id"
mkdir -p "$1/run/systemd/journal" "$1/run/log/journal" "$1/etc/journald.conf.d"
printf '[Journal]\\nStorage=volatile\\nRateLimitIntervalSec=0\\nReadKMsg=no\\nAudit=no\\n' > "$1/journald.conf"
test -e /etc/machine-id || touch /etc/machine-id
mount --bind "$1/machine-id" /etc/machine-id
test -e /etc/systemd/journald.conf || touch /etc/systemd/journald.conf
mount --bind "$1/journald.conf" /etc/systemd/journald.conf
mount --bind "$1/run" /run
exec "$2"
"""
_WRITER = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    for line in sys.stdin:
        sock.sendto(bytes.fromhex(line), sys.argv[1])
        print(flush=True)
"""


class Journald:
    """A journald: `log` writes a record by its native protocol, as another process than the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "run" / "log" / "journal"
        self._socket = folder / "run" / "systemd" / "journal" / "socket"
        self._writer: subprocess.Popen[str] | None = None
        script = folder / "start.sh"
        script.write_text(_SCRIPT)
        self._process = subprocess.Popen(["unshare", "-m", "sh", str(script), str(folder), JOURNALD])

    def wait(self) -> None:
        def ready() -> bool:
            assert self._process.poll() is None, "systemd-journald ended"
            return self._socket.exists() and any(self.directory.glob("*/*.journal"))

        wait_until(ready, "systemd-journald is up")

    def log(self, *fields: tuple[str, str | bytes]) -> None:
        """Write one record: (name, value) pairs; names may stand several times."""
        payload = b""
        for name, value in fields:
            data = value.encode() if isinstance(value, str) else value
            payload += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        if self._writer is None:  # not from this process: the source leaves out what its own process logs
            argv = [sys.executable, "-c", _WRITER, str(self._socket)]
            self._writer = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._writer.stdin is not None and self._writer.stdout is not None
        self._writer.stdin.write(payload.hex() + "\n")
        self._writer.stdin.flush()
        assert self._writer.stdout.readline() == "\n", "the writer of records ended"

    def syslog(self, facility: str, tag: str, *messages: str) -> None:
        """Write records as programs do that use syslog(3), by logger(1)."""
        for message in messages:
            device = self.folder / "run" / "systemd" / "journal" / "dev-log"
            subprocess.run(["logger", "-u", str(device), "-p", facility, "-t", tag, "--", message], check=True)

    def stop(self) -> None:
        if self._writer is not None:
            self._writer.communicate()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running_journald() -> Iterator[Journald]:
    """Start a journald, or skip with the reason."""
    need("journalctl", "unshare", "logger")
    if not is_root():
        pytest.skip("needs root to run systemd-journald in a mount namespace")
    if not Path(JOURNALD).exists():
        pytest.skip(f"not installed: {JOURNALD} (package systemd)")
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"mount namespaces can't be made here: {probe.stderr.strip()}")
    folder = Path(tempfile.mkdtemp(prefix="jd", dir="/tmp"))  # a socket's path may have 107 characters only
    journald = Journald(folder)
    try:
        journald.wait()
        yield journald
    finally:
        journald.stop()
        shutil.rmtree(folder, ignore_errors=True)
