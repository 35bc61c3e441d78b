"""siemd audit: the log of what was done by whom, read and checked from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys

import msgspec

from siemd.config import Config
from siemd.storage.database import open_database
from siemd.web.access.audit import Audit, Witness


def run(options: argparse.Namespace, config: Config) -> int:
    """Do what the command line asks; 1 when the chain is broken."""
    return asyncio.run(_act(options, config))


async def _act(options: argparse.Namespace, config: Config) -> int:
    database = open_database(config.storage, config.data_path())
    audit = Audit(database)
    try:
        if options.action == "verify":
            return await _verify(audit, Witness(audit, database.description, config.data_path()), database.description)
        entries = await audit.entries(limit=max(1, options.limit), actor=options.actor, action=options.kind)
    finally:
        await database.close()
    for entry in reversed(entries):
        if options.json:
            print(msgspec.json.encode(entry).decode())
        else:
            detail = msgspec.json.encode(entry.detail).decode() if entry.detail else ""
            who = f"{entry.actor} ({entry.actor_kind}{' ' if entry.address else ''}{entry.address})"
            print(f"{entry.seq:>7} {entry.time} {entry.action:<24} {entry.target:<20} {who} {detail}".rstrip())
    return 0


async def _verify(audit: Audit, witness: Witness, store: str) -> int:
    verdict = await audit.verify(await witness.read())
    if verdict.broken:
        print(f"{store}: the audit log is broken at row {verdict.broken}: {verdict.reason}", file=sys.stderr)
        return 1
    print(f"{store}: {verdict.rows} rows, each follows from the one before")
    return 0
