"""The audit log: rows chained by hashes, written in the transaction of what they tell, so that nothing is told twice.

Each row's hash covers its content and the hash of the row before; `audit_head` says where the chain ends. Whoever
changes or removes a row in the middle breaks the chain. Whoever can write to the database could make the chain anew
from there on; against that each siemd keeps the newest hash that it saw in a file of its own (`Witness`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from siemd.events import now_us
from siemd.storage.database import Database, Transaction
from siemd.storage.reading import time_us
from siemd.storage.tables import time_text
from siemd.storage.values import clean_text, json_text
from siemd.web.access.principal import Actor
from siemd.web.times import rfc3339

PAGE_ROWS = 1000
DETAIL_MAX_BYTES = 256 << 10  # the names of 1,000 rules that were switched at once, whole
_COLUMNS = ("seq", "time", "actor", "actor_kind", "address", "request_id", "action", "target", "detail")
_LIMITS = {"actor": 191, "actor_kind": 16, "address": 64, "request_id": 64, "action": 64, "target": 255}
_SELECT = f"SELECT {', '.join(_COLUMNS)}, previous, hash FROM audit_log"  # noqa: S608 - our own names


class AuditEntry(msgspec.Struct):
    """One thing that was done. detail: what a person needs to understand it; never a secret."""

    seq: int
    time: str
    actor: str
    actor_kind: str
    address: str
    request_id: str
    action: str
    target: str
    detail: dict[str, Any]
    hash: str


class Verdict(msgspec.Struct):
    """What a check of the chain found. broken: the number of the first row that is wrong, 0 when all is right."""

    rows: int
    broken: int = 0
    reason: str = ""


class Head(msgspec.Struct):
    """Where the chain ends."""

    seq: int
    hash: str


class Audit:
    """Writes, reads and checks the log; several processes may do so at once, because the head's row is locked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = " FOR UPDATE" if database.dialect == "mysql" else ""  # SQLite locks the file

    async def append(
        self, transaction: Transaction, actor: Actor, action: str, target: str = "", **detail: Any
    ) -> None:
        """Add a row within a transaction, as its last statement, so that the head is locked for a moment only."""
        head = (await transaction.fetch(f"SELECT seq, hash FROM audit_head WHERE id = 1{self._lock}"))[0]  # noqa: S608
        row: dict[str, Any] = {
            "seq": int(head["seq"]) + 1,
            "time": time_text(now_us()),
            "actor": actor.name,
            "actor_kind": actor.kind,
            "address": actor.address,
            "request_id": actor.request_id,
            "action": action,
            "target": target,
            "detail": json_text(detail, DETAIL_MAX_BYTES)[0],
        }
        for name, limit in _LIMITS.items():
            row[name] = clean_text(row[name])[:limit]
        chained = row_hash(row, head["hash"])
        marks = ", ".join("?" * (len(_COLUMNS) + 2))
        await transaction.execute(
            f"INSERT INTO audit_log ({', '.join(_COLUMNS)}, previous, hash) VALUES ({marks})",  # noqa: S608
            (*(row[name] for name in _COLUMNS), head["hash"], chained),
        )
        await transaction.execute("UPDATE audit_head SET seq = ?, hash = ? WHERE id = 1", (row["seq"], chained))

    async def record(self, actor: Actor, action: str, target: str = "", **detail: Any) -> None:
        """Add a row for what changes nothing in the database itself."""
        async with self._database.transaction() as transaction:
            await self.append(transaction, actor, action, target, **detail)

    async def entries(
        self, *, before: int = 0, limit: int = 100, actor: str = "", action: str = "", since: str = "", until: str = ""
    ) -> list[AuditEntry]:
        """The newest rows before number `before` (0: of all), newest first; action may be a prefix such as `user.`."""
        conditions, parameters = ["1 = 1"], []
        for condition, value in (
            ("seq < ?", before),
            ("actor = ?", actor),
            ("time >= ?", since),
            ("time < ?", until),
        ):
            if value:
                conditions.append(condition)
                parameters.append(value)
        if action:
            conditions.append("SUBSTR(action, 1, ?) = ?")
            parameters += [len(action), action]
        rows = await self._database.fetch(
            f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?", (*parameters, limit)
        )
        return [_entry(row) for row in rows]

    async def head(self) -> Head:
        """Where the chain ends."""
        row = (await self._database.fetch("SELECT seq, hash FROM audit_head WHERE id = 1"))[0]
        return Head(int(row["seq"]), row["hash"])

    async def hash_of(self, seq: int) -> str | None:
        """The hash that a row says it has; None when there is no such row."""
        rows = await self._database.fetch("SELECT hash FROM audit_log WHERE seq = ?", (seq,))
        return str(rows[0]["hash"]) if rows else None

    async def verify(self, witness: Head | None = None) -> Verdict:
        """Read the whole chain and say where it is first broken; witness: the newest row that was seen before."""
        head = await self.head()  # first: rows that come meanwhile are beyond it
        number, previous, seen = 0, "", witness
        while number < head.seq:
            rows = await self._database.fetch(
                f"{_SELECT} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", (number, head.seq, PAGE_ROWS)
            )
            for row in rows:
                number += 1
                if reason := _fault(row, number, previous):
                    return Verdict(number - 1, number, reason)
                if seen is not None and seen.seq == number and seen.hash != row["hash"]:
                    return Verdict(number - 1, number, "it is another row than the one that siemd noted in its file")
                previous = row["hash"]
            if not rows:
                return Verdict(number, number + 1, f"the rows from here to {head.seq} are missing")
        return await self._verify_end(number, previous, head, seen)

    async def _verify_end(self, number: int, previous: str, head: Head, witness: Head | None) -> Verdict:
        if head.hash != previous:
            return Verdict(number, number, "the chain's end is not the one that audit_head holds")
        if witness is not None and witness.seq > number:
            return Verdict(
                number, number + 1, f"siemd noted rows up to {witness.seq}; those after {number} are missing"
            )
        beyond = await self._database.fetch("SELECT seq FROM audit_log WHERE seq < 1 OR seq > ? LIMIT 2", (head.seq,))
        now = await self.head()
        strays = [int(row["seq"]) for row in beyond if not 1 <= int(row["seq"]) <= now.seq]
        if strays:
            return Verdict(number, strays[0], "it stands outside of the chain")
        return Verdict(number)


class Witness:
    """A file beside the store with the newest row of the chain that this siemd saw, one for each store.

    It is moved on only while the row that it holds is still there, so that it keeps showing what is missing.
    """

    def __init__(self, audit: Audit, store: str, data_dir: Path) -> None:
        self._audit = audit
        self._store = store
        self._path = data_dir / "audit.head"

    async def read(self) -> Head | None:
        """What was noted, None when nothing was."""
        return (await asyncio.to_thread(self._read_all)).get(self._store)

    async def advance(self) -> Verdict:
        """Note the newest row; a Verdict with `broken` set when what was noted before is not there any more."""
        noted, head = await self.read(), await self._audit.head()
        if noted is not None:
            if noted == head:
                return Verdict(head.seq)
            if noted.seq and await self._audit.hash_of(noted.seq) != noted.hash:
                return Verdict(head.seq, noted.seq, "the row that siemd noted in its file is missing or another one")
        await asyncio.to_thread(self._write, head)
        return Verdict(head.seq)

    def _read_all(self) -> dict[str, Head]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Head])
        except (OSError, msgspec.DecodeError):
            return {}

    def _write(self, head: Head) -> None:
        known = self._read_all() | {self._store: head}
        temporary = self._path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(known))
        temporary.replace(self._path)


def row_hash(row: Mapping[str, Any], previous: str) -> str:
    """The hash of a row: SHA-256 over the hash before it and its values as one JSON array, in the columns' order."""
    moment = time_text(time_us(row["time"]))  # MySQL leaves out a fraction of zero
    values = [int(row["seq"]), moment, *(str(row[name]) for name in _COLUMNS[2:])]
    return hashlib.sha256(previous.encode() + b"\n" + msgspec.json.encode(values)).hexdigest()


def _fault(row: Mapping[str, Any], number: int, previous: str) -> str:
    if int(row["seq"]) != number:
        return "this row is missing"
    if row["previous"] != previous:
        return "it does not follow the row before"
    try:
        expected = row_hash(row, previous)
    except ValueError:  # a time that is none
        expected = ""
    if row["hash"] != expected:
        return "its content is not what its hash says"
    return ""


def _entry(row: Mapping[str, Any]) -> AuditEntry:
    try:
        detail = msgspec.json.decode(row["detail"])
    except msgspec.DecodeError:
        detail = {"unreadable": row["detail"][:1000]}
    return msgspec.convert(
        {
            **{name: row[name] for name in (*_COLUMNS, "hash")},
            "time": rfc3339(row["time"]),
            "detail": detail if isinstance(detail, dict) else {"value": detail},
        },
        AuditEntry,
    )
