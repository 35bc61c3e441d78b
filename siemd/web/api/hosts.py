"""The hosts that report, and the account of what each of their sources sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from siemd.storage.hosts import Host, hosts_overview, ledger
from siemd.web.access.roles import Right
from siemd.web.services import TheServices

READ = {"right": Right.READ_HOSTS}


class LedgerEntry(msgspec.Struct):
    """One run of a source (epoch), in events: produced is stored, dropped, rejected and missing together."""

    host: str
    source: str
    epoch: int
    produced: int
    stored: int
    dropped: int
    rejected: int
    missing: int
    updated: str


@get("/api/v1/hosts", opt=READ, tags=["hosts"])
async def list_hosts(services: TheServices) -> list[Host]:
    """Every host, the one heard of last first: its sources, its load, what it sent and what is open."""
    return await hosts_overview(services.database)


@get("/api/v1/ledger", opt=READ, tags=["hosts"])
async def list_ledger(
    services: TheServices, limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000
) -> list[LedgerEntry]:
    """The account of every source's runs, the newest first."""
    rows = await ledger(services.database, limit=limit)
    return [msgspec.convert({**row, "missing": int(row["missing"])}, LedgerEntry) for row in rows]


HANDLERS = [list_hosts, list_ledger]
