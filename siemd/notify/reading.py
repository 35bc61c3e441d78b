"""What is new: states of incidents as this run accepts them and, where one is missing, from the store by its number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from siemd.errors import StoreError
from siemd.events import Alert, now_us
from siemd.health import ComponentHealth
from siemd.logger import get_logger
from siemd.notify import outbox
from siemd.notify.config import NotifyConfig
from siemd.notify.intake import adopt, take
from siemd.notify.outboxfile import OutboxFile
from siemd.notify.routing import Router
from siemd.notify.source import Incidents

PAGE = 200
MAX_ACCEPTED = 5_000


class Reader:
    """Turns what is new into notices; the cursor moves in the transaction that brings them."""

    def __init__(
        self, config: NotifyConfig, router: Router, incidents: Incidents, file: OutboxFile, health: ComponentHealth,
        found: Callable[[], None],
    ) -> None:  # fmt: skip
        """found: called when there are new notices."""
        self._config = config
        self._router = router
        self._incidents = incidents
        self._file = file
        self._health = health
        self._found = found
        self._accepted: deque[Alert] = deque(maxlen=MAX_ACCEPTED)

    def accepted(self, alerts: Iterable[Alert]) -> None:
        """States that this run has got onto disk.

        This is only the shorter way: what is missed here (a kill, an overflow) is found in the store by its number.
        """
        self._accepted.extend(alerts)

    async def read_accepted(self) -> bool:
        """Take what this run has accepted, as far as nothing is missing before it; whether that was anything, and all.

        What is missing stands in the store, and what is taken from there need not be taken here.
        """
        if not self._accepted:
            return False
        seq = (await self._file.run(outbox.cursors)).get(self._file.epoch, self._file.reached)
        alerts: list[Alert] = []
        while self._accepted and self._accepted[0].seq <= seq + 1:
            alert = self._accepted.popleft()
            if alert.seq == seq + 1:
                alerts.append(alert)
                seq += 1
        if alerts:
            try:
                await self._take(self._file.epoch, alerts, seq)
            except StoreError:
                self._accepted.extendleft(reversed(alerts))
                raise
        return bool(alerts) and not self._accepted

    async def read_store(self) -> bool:
        """Take everything that is new in the store; whether there was anything."""
        heads = await self._incidents.heads()
        known = {self._file.epoch: self._file.reached} | await self._file.run(outbox.cursors)
        unknown = {epoch: seq for epoch, seq in heads.items() if epoch not in known}
        if unknown:  # runs without notifications, or before there were any
            opened = await self._incidents.open_of(list(unknown))
            await self._file.run(lambda db: adopt(db, unknown, opened, now_us()))
            known |= unknown
        if gone := set(known) - set(heads) - {self._file.epoch}:
            await self._file.run(lambda db: outbox.forget_cursors(db, gone))
        found = False
        for epoch, head in heads.items():
            if head > known[epoch]:
                found = await self._read_run(epoch, known[epoch], head) or found
        return found

    async def _read_run(self, epoch: int, seq: int, head: int) -> bool:
        found = False
        while True:
            alerts = await self._incidents.after(epoch, seq, PAGE)
            # Up to head all is stored; a state that is not there any more was replaced by a newer one.
            seq = max(seq, alerts[-1].seq) if len(alerts) == PAGE else max(seq, head, alerts[-1].seq if alerts else 0)
            await self._take(epoch, alerts, seq)
            found = found or bool(alerts)
            if len(alerts) < PAGE:
                return found

    async def _take(self, epoch: int, alerts: list[Alert], seq: int) -> None:
        dropped = await self._file.run(lambda db: take(db, self._config, self._router, epoch, alerts, seq, now_us()))
        self._health.received += len(alerts)
        if epoch == self._file.epoch:
            self._file.reached = max(self._file.reached, seq)
        if dropped:
            self._health.dropped += dropped
            get_logger("siemd.notify").error("notify.dropped", incidents=dropped, reason="notify.max_waiting")
        if alerts:
            self._found()
