"""What the notifier asks of the store, as the app hands it in: incidents to tell of, who dealt with them, a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from siemd.events import Alert

Kind = Literal["open", "grow", "close", "escalation"]


class Told(msgspec.Struct, kw_only=True):
    """How telling one target of one state of an incident ended, for the table alert_notifications.

    status: sent, dead (given up after many tries) or dropped (there was no room). time_us: when that was.
    """

    incident_id: str
    revision: int
    kind: str
    route: str
    channel: str
    target: str
    status: str
    attempts: int
    time_us: int
    detail: str = ""


class Incidents(Protocol):
    """The store, as far as the notifier needs it. Every method raises StoreError while the store is away.

    Each run of detection numbers the states that it stores (`Alert.seq`, counted from 1 within its epoch), and they are
    stored in this order: so the pair is a cursor that misses nothing.
    """

    async def heads(self) -> dict[int, int]:
        """For each run of this host's detection, by its epoch, the highest number that is stored."""
        ...

    async def after(self, epoch: int, seq: int, most: int) -> list[Alert]:
        """States of that run with higher numbers, in their order; those that a newer state replaced are not there."""
        ...

    async def open_of(self, epochs: Sequence[int]) -> list[tuple[str, str]]:
        """Id and level of the open incidents whose state these runs stored."""
        ...

    async def triage(self, incident_ids: Sequence[str]) -> dict[str, str]:
        """The state of those incidents that somebody has dealt with: new, acknowledged or closed."""
        ...

    async def record(self, told: Sequence[Told]) -> None:
        """Keep what was told beside the incidents; what is recorded already is replaced."""
        ...
