"""A producer's way into the pipeline: stamps, counts, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from siemd.channel import Channel
from siemd.events import Batch, Event, new_epoch
from siemd.health import ComponentHealth


class Outlet:
    """A source's way into the pipeline: stamps host, source and sequence number, counts, and keeps the checkpoint.

    checkpoint: what the store saved last for this source (bytes the source made itself), None on a first start.
    data_dir: where a source may keep files of its own.
    """

    def __init__(
        self,
        *,
        host: str,
        source: str,
        channel: Channel,
        health: ComponentHealth,
        data_dir: Path,
        checkpoint: bytes | None = None,
    ) -> None:
        self.host = host
        self.source = source
        self.channel = channel
        self.health = health
        self.data_dir = data_dir
        self.checkpoint = checkpoint
        self.epoch = new_epoch()
        self._seq = 0
        self._dropped = 0

    async def send(self, events: Sequence[Event], checkpoint: bytes | None = None) -> None:
        """Pass events on, waiting while the pipeline is full. The checkpoint is stored with them, never before them."""
        if not events and checkpoint is None:
            return
        await self._put(self._batch(events, checkpoint))

    def offer(self, events: Sequence[Event]) -> bool:
        """Pass events on if there is room; otherwise drop them, counted, and tell the store with the next batch."""
        if not events:
            return True
        batch = self._batch(events, None)
        if self.channel.offer(batch):
            self.health.sent += len(batch.events)
            return True
        self._dropped += batch.dropped + len(events)
        self.health.dropped += len(events)
        return False

    def lost(self, count: int) -> None:
        """Account for events that existed but could not even be offered (their numbers stay missing for ever)."""
        self._seq += count
        self._dropped += count
        self.health.dropped += count

    async def report_losses(self) -> None:
        """Tell the store of drops that no later batch has told of; called when the source has ended."""
        if self._dropped:
            await self._put(self._batch([], None))

    def _batch(self, events: Sequence[Event], checkpoint: bytes | None) -> Batch:
        """Number the events; the losses so far go with this batch, and with no other that waits beside it."""
        dropped, self._dropped = self._dropped, 0
        for event in events:
            self._seq += 1
            event.host = self.host
            event.source = self.source
            event.seq = self._seq
        self.health.received += len(events)
        return Batch(
            host=self.host,
            source=self.source,
            epoch=self.epoch,
            events=list(events),
            dropped=dropped,
            last_seq=self._seq,
            checkpoint=checkpoint,
        )

    async def _put(self, batch: Batch) -> None:
        try:
            await self.channel.put(batch)
        except BaseException:  # cancelled or closed while waiting: a later batch must tell of the losses instead
            self._dropped += batch.dropped
            raise
        self.health.sent += len(batch.events)
