"""Being told, as a part of the daemon: gives the messenger its configuration and the store, if there are routes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from siemd.config import Config
from siemd.errors import StoreError
from siemd.events import Alert, Batch
from siemd.health import Health
from siemd.logger import get_logger
from siemd.storage import Store, Writer, open_store
from siemd.supervise import supervise

if TYPE_CHECKING:
    from siemd.notify.messenger import Messenger


class Telling:
    """`open` before detection starts, `run` beside the flow, `finish` when that has ended. Does nothing without routes.

    epoch: of the run of detection that begins. The store is a connection of its own: it waits for nobody.
    """

    def __init__(self, config: Config, data_dir: Path, health: Health, epoch: int) -> None:
        self._messenger: Messenger | None = None
        self._store: Store | None = None
        self._epoch = epoch
        self._health = health.component("notify")
        if not config.notify.enabled:
            self._health.set("stopped", "nobody is to be told: there are no routes in siemd.yaml")
            return
        from siemd.notify.messenger import Messenger  # costs nothing where nobody is to be told
        from siemd.storage.told import ToldStore

        self._store = open_store(config.storage, data_dir)
        self._messenger = Messenger(
            config=config.notify,
            data_dir=data_dir,
            incidents=ToldStore(self._store, config.host_name()),
            health=health,
            host=config.host_name(),
            epoch=epoch,
        )

    async def open(self, writer: Writer) -> None:
        """From here on no incident that the writer accepts goes untold; a disk that says no now must not stop siemd."""
        if self._messenger is None:
            return
        writer.on_accepted = self.accepted
        try:
            await self._messenger.open()
        except StoreError as error:
            self._health.error("degraded", str(error))
            get_logger("siemd.notify").error("notify.outbox", reason=error.message, hint=error.hint)

    def accepted(self, batches: Sequence[Batch]) -> None:
        """Batches that are on disk."""
        if self._messenger is None:
            return
        for batch in batches:
            if batch.epoch == self._epoch and (alerts := [one for one in batch.events if isinstance(one, Alert)]):
                self._messenger.accepted(alerts)

    async def run(self) -> None:
        """Until `finish`."""
        if self._messenger is not None:
            await supervise(self._messenger.run, self._health)

    def finish(self) -> None:
        """Tell what can be told at once, and end."""
        if self._messenger is not None:
            self._messenger.finish()

    async def close(self) -> None:
        """Let go of everything."""
        if self._messenger is not None and self._store is not None:
            await self._messenger.close()
            await self._store.close()
