"""siemd db: apply, show or clear the schema of the store."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from siemd.config import Config, require_data_dir
from siemd.errors import UserError
from siemd.lock import running_pid
from siemd.storage import Store, open_store, queries


def run(options: argparse.Namespace, config: Config) -> int:
    """Do what the command line asks; returns the exit code."""
    data_dir = config.data_path() if options.action == "status" else require_data_dir(config)
    if options.action == "reset":
        if (pid := running_pid(data_dir)) is not None:
            raise UserError(f"siemd runs on {data_dir} (process {pid or 'unknown'})", "stop it before a reset")
        _confirm(options, config)
    store = open_store(config.storage, data_dir)
    return asyncio.run(_act(store, options.action, data_dir))


def _confirm(options: argparse.Namespace, config: Config) -> None:
    """Ask before everything is deleted."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise UserError("a reset deletes every stored event and alert", "say that you mean it with --yes")
    store = open_store(config.storage, config.data_path())
    if input(f"Delete every event and alert in {store.description}? Type yes: ").strip() != "yes":
        raise UserError("nothing was deleted")


async def _act(store: Store, action: str, data_dir: Path) -> int:
    try:
        if action == "migrate":
            await store.open()
        elif action == "reset":
            await store.reset()
            (data_dir / "audit.head").unlink(missing_ok=True)  # or the audit log that begins anew would seem cut off
            print(f"{store.description}: every table is empty")
            return 0
        for migration in await store.schema():
            print(f"{migration.number:04} {migration.name:<30} {migration.applied or 'not applied'}")
        if action == "status":
            for table in await queries.table_counts(store):
                print(f"{table['name']:<20} {table['rows']:>12} rows  {table['first'] or '-'} … {table['last'] or '-'}")
    finally:
        await store.close()
    return 0
