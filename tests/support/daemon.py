"""`siemd run` as a test drives it: a configuration, a process, what it says, and what it left in its store."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import yaml

from support.mariadb import PASSWORD, USER, MariaServer
from support.netlab import Namespace
from support.waiting import wait_until

SIEMD = Path(sys.executable).with_name("siemd")
Rows = list[dict[str, Any]]
EVENT_TABLES = ("logs", "security_logs", "system_logs", "application_logs", "channel_logs", "usage_data")


class SqliteRows:
    """Reads a SQLite store from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:{path}"

    def rows(self, sql: str) -> Rows:
        """The result of a query; nothing before the store exists."""
        if not self.path.exists():
            return []
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()


class MariaRows:
    """Reads a database of the tests' MariaDB server; siemd reaches it by the socket file, from any namespace."""

    def __init__(self, server: MariaServer, database: str) -> None:
        self.server = server
        self.database = database
        self.url = (
            f"mysql://{USER}:{quote(PASSWORD, safe='')}@localhost/{database}?unix_socket={quote(str(server.socket))}"
        )

    def rows(self, sql: str) -> Rows:
        """The result of a query; nothing before the schema is there."""
        connection = self.server.connect(self.database, cursorclass=pymysql.cursors.DictCursor)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        except pymysql.err.ProgrammingError as error:
            if error.args[0] == pymysql.constants.ER.NO_SUCH_TABLE:
                return []
            raise
        finally:
            connection.close()


class Siemd:
    """One data directory and the daemon that runs on it, again and again if need be.

    settings: what siemd.yaml says, less data_dir and storage.url. store: has `url` and `rows(sql)`.
    host: the namespace to run in, None for the machine itself. prefix: a command that siemd's command is given to.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        store: Any = None,
        *,
        host: Namespace | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.config = folder / "siemd.yaml"
        self.output = folder / "output.log"
        self.store = store or SqliteRows(self.data_dir / "siemd.db")
        self.host = host
        self.prefix = list(prefix)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        settings = dict(settings)
        storage = {"url": self.store.url, **settings.pop("storage", {})}
        whole = {"host": "lab", "data_dir": str(self.data_dir), "storage": storage, **settings}
        self.config.write_text(yaml.safe_dump(whole))
        self._notify = folder / "notify"

    def start(self, *, ready: bool = True) -> Siemd:
        """Start `siemd run`; with ready, wait until it says so in the way systemd is told."""
        command = [*self.prefix, str(SIEMD), "run", "--config", str(self.config)]
        environment = os.environ | {"NOTIFY_SOCKET": str(self._notify)}
        self._notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(self._notify))
            self._notify.chmod(0o777)
            listening.settimeout(0.1)
            if self.host is not None:
                command = self.host.command(*command)
            with self.output.open("ab") as output:
                self.process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder
                )
            if ready:
                wait_until(lambda: _heard(listening, b"READY=1") or self._ended(), "siemd says that it is ready")
                assert not self._ended(), self.words()
        return self

    def sniffing(self) -> Siemd:
        """Wait until packets are captured."""

        def captures() -> bool:
            said = [line["status"] for line in self.log("component.status") if line["component"] == "sniffer"]
            return said[-1:] == ["ok"]

        wait_until(captures, "the sniffer captures")
        return self

    def stop(self, *, deadline_s: float = 60) -> int:
        """SIGTERM; the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(deadline_s)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def reload(self) -> None:
        """SIGHUP."""
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    def words(self) -> str:
        """What it printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def log(self, event: str = "") -> Rows:
        """siemd's own log, all or one kind of event; every line must be JSON."""
        return [line for line in _json_lines(self.data_dir / "siemd.log") if not event or line["event"] == event]

    def alerts(self, rule: str = "") -> Rows:
        """alerts.jsonl: the newest state of each incident above informational, or of one rule's."""
        newest = {line["incident_id"]: line for line in _json_lines(self.data_dir / "alerts.jsonl")}
        return [
            alert for alert in newest.values() if (alert["rule"] == rule if rule else alert["level"] != "informational")
        ]

    def status(self) -> dict[str, Any]:
        """The status file."""
        try:
            found: dict[str, Any] = json.loads((self.data_dir / "status.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def component(self, name: str) -> dict[str, Any]:
        """One component of the status file, empty when there is none."""
        return next((part for part in self.status().get("components", []) if part["name"] == name), {})

    def command(self, *arguments: str, check: bool = True) -> str:
        """Another siemd command with this configuration; its output."""
        command = [str(SIEMD), *arguments, "--config", str(self.config)]
        if self.host is not None:
            command = self.host.command(*command)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rows(self, sql: str) -> Rows:
        """A query on the store."""
        found: Rows = self.store.rows(sql)
        return found

    def wait_rows(self, sql: str, what: str, *, deadline_s: float = 30) -> Rows:
        """Wait until a query finds something."""
        return wait_until(lambda: self.rows(sql), f"{what}: {sql}", deadline_s=deadline_s, step_s=0.2)

    def stored(self, source: str) -> dict[int, list[int]]:
        """The numbers of every stored event of a source, by its runs (epochs), alerts aside."""
        found: dict[int, list[int]] = {}
        for table in EVENT_TABLES:
            for row in self.rows(f"SELECT epoch, seq FROM {table} WHERE source = '{source}'"):
                found.setdefault(row["epoch"], []).append(row["seq"])
        return {epoch: sorted(numbers) for epoch, numbers in sorted(found.items())}

    def assert_no_traceback(self) -> None:
        """Neither the terminal nor the log holds a traceback, and no component failed by a bug."""
        assert "Traceback" not in self.words(), self.words()
        bugs = [line for line in self.log() if "exception" in line or "Traceback" in str(line)]
        assert not bugs, bugs

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


def _heard(listening: socket.socket, message: bytes) -> bool:
    try:
        return message in listening.recv(4096).split(b"\n")
    except TimeoutError:
        return False


def _json_lines(path: Path) -> Rows:
    """Every whole line of a file of JSON lines."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def exactly_once(runs: dict[int, list[int]]) -> None:
    """Assert that each run's numbers (see Siemd.stored) are 1, 2, 3 … without a gap and without a double."""
    for epoch, found in runs.items():
        twice = [number for number, count in Counter(found).items() if count > 1]
        assert not twice, f"run {epoch}: {len(twice)} stored twice: {twice[:10]}"
        missing = sorted(set(range(1, max(found) + 1)) - set(found))
        assert not missing, f"run {epoch}: {len(missing)} not stored: {missing[:10]}"
