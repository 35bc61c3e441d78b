"""A real journal that tests write: files as journald makes them, by systemd-journal-remote, in a folder of their own."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from support.needs import need

REMOTE = "/lib/systemd/systemd-journal-remote"
ID = "0123456789abcdef0123456789abcdef"


class Journal:
    """One journal in `folder` (for `journalctl --directory`); entries are readable as soon as they are put."""

    def __init__(self, folder: Path) -> None:
        need(REMOTE, "journalctl")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.folder = folder
        self._writer = subprocess.Popen(
            [REMOTE, "-o", str(folder / "lab.journal"), "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def put(self, message: str, identifier: str = "sshd", **fields: object) -> None:
        """Append an entry; the fields are journald's own names. Facility 4 (auth) unless said otherwise."""
        now_us = time.time_ns() // 1000
        entry = {
            "__REALTIME_TIMESTAMP": now_us,
            "__MONOTONIC_TIMESTAMP": time.monotonic_ns() // 1000,
            "_BOOT_ID": ID,
            "_MACHINE_ID": ID,
            "_HOSTNAME": "lab",
            "PRIORITY": 6,
            "SYSLOG_FACILITY": 4,
            "SYSLOG_IDENTIFIER": identifier,
            "MESSAGE": message,
            **fields,
        }
        assert self._writer.stdin
        self._writer.stdin.write(b"".join(f"{name}={value}\n".encode() for name, value in entry.items()) + b"\n")
        self._writer.stdin.flush()

    def close(self) -> None:
        """End the writer; the files stay."""
        assert self._writer.stdin
        self._writer.stdin.close()
        self._writer.wait(10)
