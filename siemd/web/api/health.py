"""How siemd itself fares, and what it is."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import get

from siemd import __version__
from siemd.web.access.roles import Right
from siemd.web.services import TheServices
from siemd.web.state import status_of


class ComponentState(msgspec.Struct):
    """A component: starting, ok, degraded, failed or stopped."""

    name: str
    status: str


class HealthState(msgspec.Struct):
    """The siemd on the data directory of this server. running false: it is stopped, or runs elsewhere."""

    running: bool
    components: list[ComponentState]


class About(msgspec.Struct):
    """What answers. store: the kind of database."""

    name: str
    version: str
    host: str
    store: str


@get("/api/v1/health", opt={"right": Right.READ_HEALTH}, tags=["health"])
async def show_health(services: TheServices) -> HealthState:
    """Every component's status."""
    status = await asyncio.to_thread(status_of, services.data_dir) or {}
    parts = [ComponentState(str(part["name"]), str(part["status"])) for part in status.get("components", [])]
    return HealthState(bool(status.get("running")), parts)


@get("/api/v1/health/detail", opt={"right": Right.READ_HEALTH_DETAIL}, tags=["health"])
async def show_health_detail(services: TheServices) -> dict[str, Any]:
    """The same with counters, channels, paths and words; empty when no siemd ever ran there."""
    return await asyncio.to_thread(status_of, services.data_dir) or {}


@get("/api/v1/about", opt={"right": Right.SELF}, tags=["health"], sync_to_thread=False)
def show_about(services: TheServices) -> About:
    """Name and version."""
    return About("siemd", __version__, services.config.host_name(), services.database.dialect)


HANDLERS = [show_health, show_health_detail, show_about]
