"""A private MariaDB server that tests start, stop, kill and start again, on a port and a folder of its own."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import pytest

from support.needs import find, is_root, need

USER, PASSWORD = "siemd", "p:a/s@s%w?rd"
START_WITHIN_S = 60.0
_database_numbers = itertools.count(1)


class MariaServer:
    """One server. It dies with this process, however that ends (PR_SET_PDEATHSIG by setpriv)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.temporary = folder / "tmp"
        self.socket = folder / "s"
        self.log = folder / "mariadbd.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Make an empty server with the user that `url` names."""
        user = ["--user=root"] if is_root() else []
        self.temporary.mkdir()  # of its own: a server deletes temporary tables of others when it starts
        made = subprocess.run(
            [find("mariadb-install-db"), "--no-defaults", "--auth-root-authentication-method=normal",
             "--skip-test-db", f"--datadir={self.data}", f"--tmpdir={self.temporary}", *user],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        self.start()
        for host in ("localhost", "127.0.0.1"):
            self.execute(f"CREATE USER '{USER}'@'{host}' IDENTIFIED BY %s", (PASSWORD,))
            self.execute(f"GRANT ALL ON `siemd%%`.* TO '{USER}'@'{host}'", ())

    def start(self, *options: str) -> None:
        """Start the server and wait until it answers. Call it in the main thread: the server ends with its caller's."""
        user = ["--user=root"] if is_root() else []
        self.socket.unlink(missing_ok=True)  # of a server that was killed
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [find("setpriv"), "--pdeathsig", "KILL", find("mariadbd"), "--no-defaults", f"--datadir={self.data}",
                 f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve=0",
                 f"--pid-file={self.folder / 'pid'}", f"--tmpdir={self.temporary}",
                 "--innodb-flush-log-at-trx-commit=1", "--local-infile=1",
                 "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M", *user, *options],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            if self.socket.exists():
                try:
                    self.connect().close()
                    return
                except pymysql.Error:
                    pass
            alive = self._process.poll() is None
            assert alive and time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A connection as the server's root, autocommitting."""
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True, charset="utf8mb4", **options
        )

    def execute(self, sql: str, parameters: tuple[Any, ...] | None = None, database: str | None = None) -> list[Any]:
        """One statement's rows, as root."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def url(self, database: str, port: int | None = None) -> str:
        """What siemd.yaml says to use a database of this server."""
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> str:
        """An empty database with a name of its own."""
        name = f"siemd_{next(_database_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaServer]:
    """A running MariaDB server for this session; a test that stops or kills it starts it again."""
    need("mariadbd", "mariadb-install-db", "setpriv")
    folder = tmp_path_factory.mktemp("mariadb")
    server = MariaServer(folder)
    server.install()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mysql_database(mariadb: MariaServer) -> Iterator[str]:
    """The name of a fresh database on the `mariadb` server."""
    name = mariadb.new_database()
    yield name
    mariadb.execute(f"DROP DATABASE {name}")
