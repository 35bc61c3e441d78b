"""A sniffer's thread as `siemd run` has it, in a process of its own: watches until SIGTERM, then tells all it saw."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.capture import Capture
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stop import Stop
from siemd.sources.sniffer.worker import Report, Worker
from support.netlab import Namespace
from support.own_process import tests_path
from support.waiting import wait_until


class Seen(msgspec.Struct):
    """What was seen when the watch is over: the counters of the last report, and every fact."""

    counters: dict[str, int | float | str] = {}
    facts: list[NetworkEvent] = []


@contextmanager
def watching(interface: str, output: Path, *, buffer_bytes: int, host: Namespace | None = None) -> Iterator[Seen]:
    """Watches an interface (of a host) while the block runs; afterwards what was yielded is filled."""
    seen = Seen()
    command = [sys.executable, "-W", "ignore", "-m", "support.watch", interface, str(buffer_bytes)]
    with output.open("wb") as file:
        process = subprocess.Popen(
            host.command(*command) if host else command, stdin=subprocess.DEVNULL, stdout=file, env=tests_path()
        )
    try:
        wait_until(lambda: "ready" in output.read_text() or process.poll() is not None, "the capture is open")
        assert process.poll() is None, output.read_text()
        yield seen
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    told = msgspec.json.decode(output.read_bytes().splitlines()[-1], type=Seen)
    seen.counters, seen.facts = told.counters, told.facts


def main(interface: str, buffer_bytes: str) -> None:
    """The process itself."""
    stop, last = Stop(), Seen()

    def send(report: Report) -> bool:
        if not last.counters and report.status == "ok":
            print("ready", flush=True)
        last.counters = report.counters
        last.facts += report.facts
        return True

    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    capture = Capture(interface, "ring", buffer_bytes=int(buffer_bytes))
    thread = Thread(target=Worker(capture, Sensor(SensorConfig()), send, stop).run)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    print(msgspec.json.encode(last).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
