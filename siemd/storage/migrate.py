"""Numbered SQL files brought into a database: which there are, which are applied, and whether they still agree.

A file holds idempotent statements, each ended by `;` at a line's end, because MySQL commits each DDL by itself: a
migration that was interrupted is simply run again. A file that was applied must never change; a later number corrects.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from siemd.errors import UserError
from siemd.resources import resource
from siemd.sqlite_file import transaction
from siemd.storage.store import Migration
from siemd.storage.tables import time_text

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
CREATE_TABLE = {
    "sqlite": "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "checksum TEXT NOT NULL, applied TEXT NOT NULL)",
    "mysql": "CREATE TABLE IF NOT EXISTS schema_migrations (number INT PRIMARY KEY, name VARCHAR(191) NOT NULL, "
    "checksum CHAR(64) NOT NULL, applied DATETIME(6) NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4",
}
SELECT_APPLIED = "SELECT number, name, checksum, applied FROM schema_migrations ORDER BY number"


class Script:
    """A migration's file: its number, name, checksum and statements."""

    def __init__(self, path: Path) -> None:
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise UserError(f"{path} is not named like 0001_name.sql")
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")  # a checkout on Windows is the same script
        self.number, self.name = int(match[1]), match[2]
        self.checksum = hashlib.sha256(text.encode()).hexdigest()
        code = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("--"))
        self.statements = [part.strip() for part in re.split(r";\s*\n", code + "\n") if part.strip()]


def scripts(dialect: str, folder: Path | None = None) -> list[Script]:
    """The migrations of `sqlite` or `mysql` in their order; UserError when numbers are missing or stand twice."""
    folder = folder or resource(f"sql/{dialect}")
    found = sorted((Script(path) for path in folder.glob("*.sql")), key=lambda script: script.number)
    if not found or [script.number for script in found] != list(range(1, len(found) + 1)):
        raise UserError(f"the migrations in {folder} are not numbered 0001, 0002, …", "install siemd again")
    return found


def tables_made(dialect: str) -> list[str]:
    """The names of the tables that the migrations make."""
    text = "\n".join(statement for script in scripts(dialect) for statement in script.statements)
    return sorted(set(re.findall(r"^CREATE TABLE IF NOT EXISTS (\w+)", text, re.MULTILINE)))


def pending(wanted: Iterable[Script], applied: Mapping[int, Migration], where: str) -> list[Script]:
    """The scripts still to apply; UserError when the database's history is not ours."""
    wanted = list(wanted)
    newest = max(applied, default=0)
    if newest > len(wanted):
        raise UserError(
            f"the schema of {where} is at step {newest}, this siemd knows {len(wanted)}",
            "a newer siemd made it: run that version, or point storage.url at another database",
        )
    for script in wanted:
        known = applied.get(script.number)
        if known is not None and known.checksum != script.checksum:
            raise UserError(
                f"step {script.number:04d}_{script.name} of {where} was applied from a different file",
                "install the siemd that made this database, or clear it: siemd db reset",
            )
    return [script for script in wanted if script.number not in applied]


def overview(wanted: Iterable[Script], applied: Mapping[int, Migration]) -> list[Migration]:
    """Every migration, known or applied, for `siemd db status`."""
    known = {script.number: Migration(script.number, script.name, script.checksum) for script in wanted}
    return [entry for _number, entry in sorted({**known, **applied}.items())]


def sqlite_applied(connection: sqlite3.Connection) -> dict[int, Migration]:
    """What is applied in a SQLite file."""
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone()
    rows = connection.execute(SELECT_APPLIED).fetchall() if exists else []
    return {row[0]: Migration(*row) for row in rows}


def migrate_sqlite(connection: sqlite3.Connection, wanted: list[Script], where: str, now_us: int) -> int:
    """Bring a SQLite file up to date; how many migrations were applied. Those who come at the same time wait."""
    if not pending(wanted, sqlite_applied(connection), where):
        return 0
    with transaction(connection, "EXCLUSIVE"):
        return apply_sqlite(connection, wanted, where, now_us)


def apply_sqlite(connection: sqlite3.Connection, wanted: list[Script], where: str, now_us: int) -> int:
    """The same within the caller's transaction."""
    connection.execute(CREATE_TABLE["sqlite"])
    todo = pending(wanted, sqlite_applied(connection), where)  # again, now that nobody else can change it
    for script in todo:
        for statement in script.statements:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
            (script.number, script.name, script.checksum, time_text(now_us)),
        )
    return len(todo)
