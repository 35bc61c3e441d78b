"""Host metrics: CPU, RAM, disk, network and load by psutil, one sample every interval, into `usage_data`."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from siemd.events import UsageSample, now_us
from siemd.outlet import Outlet
from siemd.units import Seconds


class MetricsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """CPU, RAM, disk, network and load of this host."""

    enabled: Annotated[bool, Meta(description="Whether to measure this host.")] = True
    interval_s: Annotated[Seconds, Meta(description="Time between two samples.")] = msgspec.field(
        name="interval", default=Seconds(10)
    )


class Metrics:
    """The source of UsageSamples; rates are what changed since the sample before."""

    name: ClassVar[str] = "metrics"
    Config: ClassVar[type[msgspec.Struct]] = MetricsConfig

    def __init__(self, config: MetricsConfig, outlet: Outlet) -> None:
        self._interval_s = max(0.1, float(config.interval_s))
        self._outlet = outlet
        self._before: tuple[float, Any, Any] | None = None

    async def run(self) -> None:
        """Sample until cancelled; a sample that fails is counted and the next one tried."""
        import psutil

        psutil.cpu_percent()  # the first call has nothing to compare with and would say 0
        health = self._outlet.health
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                sample = self._sample(psutil)
            except (OSError, psutil.Error, RuntimeError) as error:
                health.error("degraded", f"cannot measure: {error}")
                continue
            health.set("ok", f"one sample every {self._interval_s:g} s")
            await self._outlet.send([sample])

    def _sample(self, psutil: Any) -> UsageSample:
        now = time.monotonic()
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        sample = UsageSample(
            time_us=now_us(),
            cpu_percent=psutil.cpu_percent(),
            ram_percent=psutil.virtual_memory().percent,
            disk_percent=psutil.disk_usage(os.path.abspath(os.sep)).percent,  # noqa: PTH100 - the root of any system
            load_1m=psutil.getloadavg()[0],
        )
        if self._before is not None:
            before, disk_before, network_before = self._before
            elapsed_s = max(now - before, 1e-3)
            if disk and disk_before:
                sample.disk_read_bytes_s = max(0, disk.read_bytes - disk_before.read_bytes) / elapsed_s
                sample.disk_write_bytes_s = max(0, disk.write_bytes - disk_before.write_bytes) / elapsed_s
            if network and network_before:
                sample.network_received_bytes_s = max(0, network.bytes_recv - network_before.bytes_recv) / elapsed_s
                sample.network_sent_bytes_s = max(0, network.bytes_sent - network_before.bytes_sent) / elapsed_s
        self._before = (now, disk, network)
        return sample
