"""Status and counters of every component: what was received, sent, dropped, and what went wrong last."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from siemd.events import now_us

Status = Literal["starting", "ok", "degraded", "failed", "stopped"]


class ComponentHealth(msgspec.Struct, kw_only=True):
    """One component's state; its owner writes, everyone may read. Counters only grow within a run.

    received, sent, dropped: events. errors: failures of any kind. lag_s: how far behind it is, in seconds.
    detail: the newest sentence about the status, for people. extra: further counters by name, units in the name.
    """

    name: str
    status: Status = "starting"
    detail: str = ""
    received: int = 0
    sent: int = 0
    dropped: int = 0
    errors: int = 0
    lag_s: float = 0.0
    since_us: int = 0
    extra: dict[str, int | float | str] = {}

    def set(self, status: Status, detail: str = "") -> None:
        """Change the status; `since_us` is kept while it stays the same."""
        if status != self.status or not self.since_us:
            self.since_us = now_us()
        self.status = status
        self.detail = detail

    def error(self, status: Status, detail: str) -> None:
        """Count a failure and say it."""
        self.errors += 1
        self.set(status, detail)

    def add(self, counter: str, amount: int | float = 1) -> None:
        """Add to a named counter of `extra`."""
        value = self.extra.get(counter, 0)
        self.extra[counter] = amount if isinstance(value, str) else value + amount


class Health:
    """The components of one daemon, in the order in which they were made."""

    def __init__(self) -> None:
        self._components: dict[str, ComponentHealth] = {}

    def component(self, name: str) -> ComponentHealth:
        """The component of that name, made at the first call."""
        return self._components.setdefault(name, ComponentHealth(name=name, since_us=now_us()))

    def components(self) -> list[ComponentHealth]:
        """Every component, oldest first."""
        return list(self._components.values())

    def snapshot(self) -> list[dict[str, Any]]:
        """Every component as a JSON-ready dict."""
        return [msgspec.to_builtins(component, enc_hook=str) for component in self._components.values()]
