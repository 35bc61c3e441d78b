"""siemd user and siemd audit, on both stores, as a person or a script calls them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.daemon import SIEMD, MariaRows, Siemd

PASSWORD = "correct horse battery"


@pytest.fixture(params=["sqlite", "mariadb"])
def siemd(request: pytest.FixtureRequest, tmp_path: Path) -> Siemd:
    """A data directory and a store; nothing runs."""
    store: Any = None
    if request.param == "mariadb":
        store = MariaRows(request.getfixturevalue("mariadb"), request.getfixturevalue("mysql_database"))
    return Siemd(tmp_path, {}, store)


def call(siemd: Siemd, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Exit status and output of a command."""
    done = subprocess.run(
        [str(SIEMD), *arguments, "--config", str(siemd.config)],
        input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_accounts_from_the_command_line(siemd: Siemd) -> None:
    assert call(siemd, "user", "list") == (0, "")
    assert call(siemd, "user", "add", "Ada", "--role", "admin", "--stdin", stdin=PASSWORD + "\n") == (0, "")
    code, words = call(siemd, "user", "add", "bob", "--link")
    assert code == 0 and "/setup#" in words
    code, words = call(siemd, "user", "list")
    assert "ada" in words and "never logged in" in words and "no password yet" in words
    listed = [json.loads(line) for line in call(siemd, "user", "list", "--json")[1].splitlines()]
    assert [(user["name"], user["role"]) for user in listed] == [("ada", "admin"), ("bob", "viewer")]
    assert call(siemd, "user", "passwd", "ada", "--stdin", "--reset-totp", stdin="another fine password\n")[0] == 0
    assert call(siemd, "user", "disable", "bob")[0] == 0
    assert "disabled" in call(siemd, "user", "list")[1]
    assert call(siemd, "user", "enable", "bob")[0] == 0
    code, words = call(siemd, "audit", "list")
    actions = [line.split()[2] for line in words.splitlines()]
    assert actions == [
        "user.added", "user.added", "link.made", "user.password", "totp.removed", "user.changed", "user.changed",
    ]  # fmt: skip
    assert "(cli)" in words and "lab" in words
    assert len(call(siemd, "audit", "list", "--action", "user.", "--limit", "2")[1].splitlines()) == 2
    assert json.loads(call(siemd, "audit", "list", "--json", "--limit", "1")[1])["action"] == "user.changed"
    assert PASSWORD not in words and "argon2" not in words


def test_a_token_from_the_command_line(siemd: Siemd) -> None:
    assert call(siemd, "user", "add", "ada", "--role", "analyst", "--stdin", stdin=PASSWORD + "\n")[0] == 0
    code, token = call(siemd, "user", "token", "ada", "--label", "grafana")
    assert code == 0 and token.startswith("siemd_") and len(token.split()) == 1
    row = json.loads(call(siemd, "audit", "list", "--json", "--limit", "1")[1])
    assert (row["action"], row["target"]) == ("token.made", "grafana")
    assert "events:read" in str(row) and "alerts:triage" not in str(row)
    assert token.strip() not in str(row)
    for arguments, words in (
        (["--scopes", "users:manage"], "'users:manage' is no scope of a token"),
        (["--scopes", "rules:write"], "no token of ada may have the scope rules:write"),
        (["--days", "9999"], "days at most"),
    ):
        code, said = call(siemd, "user", "token", "ada", *arguments)
        assert code == 2 and words in said
    assert "there is no user eve" in call(siemd, "user", "token", "eve")[1]


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (("add", "x y"), "", "no name for a user"),
        (("add", "eve"), "", "no terminal to ask"),
        (("add", "eve", "--stdin"), "short\n", "at least 12"),
        (("add", "eve", "--stdin"), "", "at least 12"),
        (("add", "ada", "--stdin"), PASSWORD, "there is a user ada already"),
        (("passwd", "nobody", "--link"), "", "there is no user nobody"),
        (("disable", "nobody"), "", "there is no user nobody"),
        (("disable", "ada"), "", "only admin"),
    ],
)
def test_mistakes_are_told(siemd: Siemd, arguments: tuple[str, ...], stdin: str, expected: str) -> None:
    assert call(siemd, "user", "add", "ada", "--role", "admin", "--stdin", stdin=PASSWORD)[0] == 0
    code, words = call(siemd, "user", *arguments, stdin=stdin)
    assert code == 2 and expected in words


def test_verify_names_the_row_and_knows_a_cut_tail(siemd: Siemd, request: pytest.FixtureRequest) -> None:
    for name in ("ada", "bob", "eve"):
        assert call(siemd, "user", "add", name, "--link")[0] == 0
    code, words = call(siemd, "audit", "verify")
    assert code == 0 and "6 rows" in words
    change(siemd, "DELETE FROM audit_log WHERE seq > 4")
    change(siemd, "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit_log WHERE seq = 4)")
    code, words = call(siemd, "audit", "verify")
    assert code == 1 and "broken at row 5" in words and "missing" in words
    change(siemd, "UPDATE audit_log SET target = 'x' WHERE seq = 2")
    code, words = call(siemd, "audit", "verify")
    assert code == 1 and "broken at row 2" in words
    assert call(siemd, "db", "reset", "--yes")[0] == 0
    assert call(siemd, "audit", "verify")[0] == 0, "a reset begins anew, the note of where the log ended too"


def change(siemd: Siemd, sql: str) -> None:
    """What somebody with the database does."""
    if isinstance(siemd.store, MariaRows):
        siemd.store.server.execute(sql, database=siemd.store.database)
        return
    import sqlite3

    connection = sqlite3.connect(siemd.store.path)
    with connection:
        connection.execute(sql)
    connection.close()
