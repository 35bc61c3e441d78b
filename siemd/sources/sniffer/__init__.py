"""The sniffer: watches the wire in a thread of its own and passes on the facts that its observers state."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from siemd.channel import ThreadBridge
from siemd.outlet import Outlet
from siemd.sources.sniffer.capture import BUFFER_BYTES, Backend, Capture
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stop import Stop
from siemd.sources.sniffer.worker import Report, Worker
from siemd.units import Bytes

_MAX_BUFFER_BYTES = (1 << 30) - 1  # Linux doubles it, and keeps it in 32 bits


class SnifferConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The network traffic that this host sees."""

    enabled: Annotated[bool, Meta(description="Whether to watch the network.")] = True
    interface: Annotated[
        str,
        Meta(
            description="Where to listen: an interface's name; `any` for all of them; `auto` for loopback and the"
            " interfaces of the default routes, or all that are up if there is no default route.",
            min_length=1,
            max_length=200,
        ),
    ] = "auto"
    backend: Annotated[
        Backend,
        Meta(
            description="How to capture: `ring` reads frames where the kernel put them (Linux), `raw` packet sockets"
            " (Linux) or Npcap (Windows); `auto` takes the ring where there is one."
        ),
    ] = "auto"
    promiscuous: Annotated[
        bool, Meta(description="Whether to see frames for other hosts too, where the network shows them.")
    ] = True
    filter: Annotated[
        str,
        Meta(
            description="Which frames to see, in tcpdump's language (`man pcap-filter`); empty for all. It does not see"
            " VLAN tags.",
            max_length=10_000,
        ),
    ] = ""
    buffer_bytes: Annotated[
        Bytes, Meta(description="The kernel's room for frames that wait to be read, for each interface.")
    ] = msgspec.field(name="buffer", default=Bytes(BUFFER_BYTES))
    queue_batches: Annotated[
        int,
        Meta(
            description="Batches of facts that may wait for the daemon; more are dropped and counted.", ge=8, le=1 << 20
        ),
    ] = 1024
    sensor: Annotated[
        SensorConfig, Meta(description="How packets become facts, and how much the sensor may remember.")
    ] = msgspec.field(default_factory=SensorConfig)

    def problem(self) -> tuple[str, str, str] | None:
        """The key, what is wrong with it and what to do; None when all is well."""
        if not self.filter:
            return None
        from siemd.sources.sniffer import bpf

        try:
            bpf.compile_filter(self.filter)
        except bpf.FilterError as error:
            return "filter", error.message, error.hint
        return None


class Sniffer:
    """The source of NetworkEvents from the wire."""

    name: ClassVar[str] = "sniffer"
    Config: ClassVar[type[msgspec.Struct]] = SnifferConfig

    def __init__(self, config: SnifferConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._errors = 0
        self._lost_facts = 0

    async def run(self) -> None:
        """Watch until cancelled; then pass on what the thread still holds."""
        config, loop = self._config, asyncio.get_running_loop()
        self._errors = self._lost_facts = 0
        bridge = ThreadBridge(self._deliver, config.queue_batches)
        stop, ended = Stop(), asyncio.Event()
        capture = Capture(
            config.interface,
            config.backend,
            promiscuous=config.promiscuous,
            buffer_bytes=min(int(config.buffer_bytes), _MAX_BUFFER_BYTES),
            expression=config.filter,
        )
        worker = Worker(capture, Sensor(config.sensor), bridge.send, stop)

        failures: list[BaseException] = []

        def work() -> None:
            try:
                worker.run()
            except BaseException as error:  # a bug: it belongs to whoever awaits this source
                failures.append(error)
            finally:
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=work, name="siemd-sniffer", daemon=True).start()
        try:
            await ended.wait()
        finally:
            stop.set()
            await ended.wait()
            bridge.flush()
            self._count_lost(worker.lost_facts)
        if failures:
            raise failures[0]

    def _deliver(self, report: Report) -> None:
        """In the loop: the thread's facts into the pipeline, its state into health."""
        outlet, health = self._outlet, self._outlet.health
        self._count_lost(report.lost_facts)
        health.errors += report.errors - self._errors
        self._errors = report.errors
        health.extra.update(report.counters)
        health.set(report.status, report.detail)
        outlet.offer(report.facts)

    def _count_lost(self, total: int) -> None:
        if total > self._lost_facts:
            self._outlet.lost(total - self._lost_facts)
            self._lost_facts = total
