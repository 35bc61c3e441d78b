"""The lab that end-to-end tests share, and the daemons they start in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.daemon import MariaRows, Siemd, SqliteRows
from support.needs import need
from support.netlab import Lab
from support.sshd import Sshd


@pytest.fixture(scope="session")
def lab(netns: None) -> Iterator[Lab]:
    """Three hosts on a switch: server, attacker, client."""
    with Lab() as made:
        yield made


@pytest.fixture(scope="session")
def sshd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real sshd on the server's port 22."""
    need("sshd", "ssh", "ssh-keygen")
    server = Sshd(lab.server, tmp_path_factory.mktemp("sshd"))
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteRows | MariaRows:
    """Where siemd stores and the test looks: once SQLite, once a database of a real MariaDB."""
    if request.param == "sqlite":
        return SqliteRows(tmp_path / "siemd.db")
    return MariaRows(request.getfixturevalue("mariadb"), request.getfixturevalue("mysql_database"))


@pytest.fixture
def make_siemd(tmp_path: Path) -> Iterator[Callable[..., Siemd]]:
    """Make daemons, each in a folder of its own; whatever still runs at the end is killed, and none may have a bug."""
    made: list[Siemd] = []

    def make(settings: dict[str, Any], store: Any = None, **options: Any) -> Siemd:
        made.append(Siemd(tmp_path / f"siemd{len(made)}", settings, store, **options))
        return made[-1]

    yield make
    for siemd in made:
        siemd.kill()
    for siemd in made:
        siemd.assert_no_traceback()
