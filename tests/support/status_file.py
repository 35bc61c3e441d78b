"""The status of a siemd that runs, for tests of what shows it: the file as StatusReporter writes it, and the lock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from siemd.channel import Channel
from siemd.config import Config
from siemd.health import Health
from siemd.lock import DataDirLock
from siemd.service.systemd import Notifier
from siemd.status import StatusReporter


@asynccontextmanager
async def seeming_to_run(config: Config) -> AsyncIterator[Health]:
    """As if a siemd ran on the data directory: some components well, one degraded, one failed, and two queues."""
    health = Health()
    sniffer = health.component("sniffer")
    sniffer.set("ok", "eth0: ring of 64 MiB")
    sniffer.received, sniffer.sent = 184_202, 3_120
    sniffer.extra = {"frames": 184_202, "capture_drops": 0, "memory_bytes": 67_108_864, "decode_errors": 12}
    journal = health.component("journal")
    journal.error("degraded", "journalctl ended; once more in 2 s")
    syslog = health.component("syslog")
    syslog.error("failed", "cannot listen on 0.0.0.0:514: permission denied")
    syslog.dropped = 17
    detection = health.component("detection")
    detection.set("ok", "62 rules")
    detection.received, detection.sent, detection.lag_s = 3_544, 3_549, 0.2
    health.component("store").set("ok", "sqlite")
    channels = [Channel(name, capacity_events=10_000) for name in ("sources", "detected")]
    lock = DataDirLock(config.data_path())
    lock.acquire()
    try:
        await StatusReporter(config, config.data_path(), health, channels, Notifier({})).write(running=True)
        yield health
    finally:
        lock.release()
