"""The audit log: what is done is in it, several may write at once, and whatever is changed afterwards shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from siemd.storage import StorageConfig
from siemd.storage.database import Database, open_database
from siemd.web.access.audit import Audit, Witness, row_hash
from siemd.web.access.principal import Actor
from support.web import PASSWORD, Web

ADA = Actor("ada", "session", "192.0.2.1", "abc")


async def fill(database: Database, rows: int = 5) -> Audit:
    audit = Audit(database)
    for number in range(rows):
        await audit.record(ADA, "test.done", f"thing {number}", number=number)
    return audit


async def test_a_whole_chain_is_right(database: Database) -> None:
    audit = await fill(database)
    verdict = await audit.verify()
    assert (verdict.rows, verdict.broken) == (5, 0)
    newest = (await audit.entries(limit=2))[0]
    assert newest.seq == 5 and newest.detail == {"number": 4} and newest.actor == "ada" and newest.time.endswith("Z")
    assert [entry.seq for entry in await audit.entries(before=3)] == [2, 1]
    assert len(await audit.entries(action="test.")) == 5 and not await audit.entries(action="other")
    assert not await audit.entries(actor="eve")


CHANGES: dict[str, tuple[str, int]] = {
    "content": ("UPDATE audit_log SET actor = 'eve' WHERE seq = 3", 3),
    "detail": ("UPDATE audit_log SET detail = '{}' WHERE seq = 2", 2),
    "time": ("UPDATE audit_log SET time = '2020-01-01 00:00:00.000000' WHERE seq = 4", 4),
    "removed": ("DELETE FROM audit_log WHERE seq = 3", 3),
    "first removed": ("DELETE FROM audit_log WHERE seq = 1", 1),
    "tail removed": ("DELETE FROM audit_log WHERE seq >= 4", 4),
    "all removed": ("DELETE FROM audit_log", 1),
    "hash": ("UPDATE audit_log SET hash = previous WHERE seq = 2", 2),
    "head": ("UPDATE audit_head SET hash = ''", 5),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_whatever_is_changed_shows_with_its_row(database: Database, change: str) -> None:
    audit = await fill(database)
    sql, row = CHANGES[change]
    await database.execute(sql)
    verdict = await audit.verify()
    assert verdict.broken == row and verdict.reason, verdict


async def test_rows_beyond_the_head_show(database: Database) -> None:
    audit = await fill(database)
    await database.execute("UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit_log WHERE seq = 3)")
    assert (await audit.verify()).broken == 4


async def rewrite(database: Database, audit: Audit, keep: int) -> None:
    """What an attacker with the database can do: cut the tail, or change a row and make every hash anew."""
    rows = await database.fetch("SELECT * FROM audit_log ORDER BY seq")
    previous = ""
    for row in rows[:keep]:
        changed: dict[str, Any] = {**row, "actor": "eve" if row["seq"] == 2 else row["actor"]}
        hashed = row_hash(changed, previous)
        await database.execute(
            "UPDATE audit_log SET actor = ?, previous = ?, hash = ? WHERE seq = ?",
            (changed["actor"], previous, hashed, row["seq"]),
        )
        previous = hashed
    await database.execute("DELETE FROM audit_log WHERE seq > ?", (keep,))
    await database.execute("UPDATE audit_head SET seq = ?, hash = ?", (keep, previous))
    assert (await audit.verify()).broken == 0, "the chain itself looks right"


async def test_a_chain_that_was_made_anew_shows_against_what_siemd_noted(database: Database, tmp_path: Path) -> None:
    audit = await fill(database)
    witness = Witness(audit, "store", tmp_path)
    assert (await witness.advance()).broken == 0
    await fill(database, 2)
    assert (await witness.advance()).broken == 0
    noted = await witness.read()
    assert noted and noted.seq == 7
    await rewrite(database, audit, keep=7)
    assert (await audit.verify(await witness.read())).broken == 7
    assert (await witness.advance()).broken == 7
    assert await witness.read() == noted, "the proof is kept"


async def test_a_tail_that_was_cut_shows_against_what_siemd_noted(database: Database, tmp_path: Path) -> None:
    audit = await fill(database)
    witness = Witness(audit, "store", tmp_path)
    await witness.advance()
    await database.execute("DELETE FROM audit_log WHERE seq > 3")
    await database.execute("UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit_log WHERE seq = 3)")
    assert (await audit.verify()).broken == 0
    verdict = await audit.verify(await witness.read())
    assert verdict.broken == 4 and "missing" in verdict.reason
    assert (await witness.advance()).broken == 5
    assert await Witness(audit, "another store", tmp_path).read() is None


async def test_several_processes_write_one_chain(storage: StorageConfig, tmp_path: Path) -> None:
    databases = [open_database(storage, tmp_path) for _ in range(3)]
    await databases[0].open()
    audits = [Audit(database) for database in databases]
    await asyncio.gather(*(audit.record(ADA, "test.done", str(n)) for n in range(10) for audit in audits))
    verdict = await audits[0].verify()
    assert (verdict.rows, verdict.broken) == (30, 0)
    for database in databases:
        await database.close()


async def test_a_change_that_fails_leaves_no_row(database: Database) -> None:
    audit = await fill(database)

    async def fail() -> None:
        async with database.transaction() as transaction:
            await audit.append(transaction, ADA, "test.done")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (await audit.verify()).rows == 5


@pytest.mark.parametrize("text", ["\0", "\ud800", "é" * 500, "a'; DROP TABLE users --", "🦀" * 300, "\u202e", " x "])
async def test_hostile_text_does_not_break_the_chain(database: Database, text: str) -> None:
    audit = Audit(database)
    actor = Actor(text, "nobody", text, text)
    await audit.record(actor, text, text, key=text, more=[text] * 3)
    await audit.record(actor, "big", "", blob=text * 20_000)
    assert (await audit.verify()).broken == 0
    assert len(await audit.entries()) == 2


async def test_what_people_do_is_in_the_log_with_where_from(web: Web) -> None:
    await web.user("ada", "admin", PASSWORD)
    client = web.client()
    await client.post("/api/v1/session", json={"name": "ada", "password": "wrong password"})
    login = await client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
    bob = (await client.post("/api/v1/users", json={"name": "bob", "role": "viewer"})).json()["user"]["user_id"]
    await client.patch(f"/api/v1/users/{bob}", json={"role": "analyst"})
    await client.post("/api/v1/account/tokens", json={"name": "t", "scopes": ["events:read"]})
    await client.delete("/api/v1/session")
    admin = await web.as_role("admin")
    entries = (await admin.get("/api/v1/audit", params={"actor": "ada"})).json()
    assert [entry["action"] for entry in reversed(entries)] == [
        "login.failed", "login.succeeded", "user.added", "link.made", "user.changed", "token.made", "logout",
    ]  # fmt: skip
    assert {entry["address"] for entry in entries} == {"127.0.0.1"}
    succeeded = next(entry for entry in entries if entry["action"] == "login.succeeded")
    assert succeeded["request_id"] == login.headers["x-request-id"]
    verdict = (await admin.get("/api/v1/audit/verify")).json()
    assert verdict["broken"] == 0 and verdict["rows"] >= 7


async def test_the_server_tells_in_health_that_the_log_was_changed(web: Web) -> None:
    await fill(web.services.database)
    await web.server.note_audit()
    assert (await web.services.witness.read()) == await web.services.audit.head()
    await web.services.database.execute("DELETE FROM audit_log")
    await web.services.database.execute("UPDATE audit_head SET seq = 0, hash = ''")
    await web.server.note_audit()
    assert web.server.health.status == "degraded" and "siemd audit verify" in web.server.health.detail
