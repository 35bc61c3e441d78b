"""A scan of every port as fast as nmap can: the ring sees each frame, and the kernel drops none."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from support.needs import need
from support.netlab import Lab
from support.waiting import wait_until

pytestmark = pytest.mark.root

# A sniffer's thread as `siemd run` has it. Says what it counted when it is told to stop.
_WATCH = """
import json, signal, sys
from threading import Event, Thread
from siemd.sources.sniffer.capture import Capture
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.worker import Worker
stop, reports, probed = Event(), [], set()
def send(report):
    if not reports and report.status == "ok":
        print("ready", flush=True)
        reports.append(report)
    reports[1:] = [report]
    for fact in report.facts:
        if fact.event_type == "tcp_probe":
            probed.update(fact.fields["destination_ports"])
    return True
signal.signal(signal.SIGTERM, lambda *_: stop.set())
# A larger ring than by default: other tests run on the same two cores.
capture = Capture("eth0", "ring", buffer_bytes=64 << 20)
thread = Thread(target=Worker(capture, Sensor(SensorConfig()), send, stop).run)
thread.start()
while thread.is_alive():
    thread.join(0.1)
print(json.dumps({**reports[-1].counters, "probed": len(probed)}), flush=True)
"""


def test_a_scan_of_every_port_is_seen_whole(lab: Lab, tmp_path: Path) -> None:
    need("nmap", "ip")
    output = tmp_path / "watch"
    server = lab.server

    def passed() -> int:
        text = server.run(
            "cat", "/sys/class/net/eth0/statistics/rx_packets", "/sys/class/net/eth0/statistics/tx_packets"
        )
        return sum(map(int, text.split()))

    watch = server.start(sys.executable, "-W", "ignore", "-c", _WATCH, output=output)
    try:
        wait_until(lambda: "ready" in output.read_text(), "the capture is open")
        before = passed()
        lab.attacker.run(
            "nmap", "-sS", "-n", "-Pn", "-p-", "-T5", "--min-rate", "1000000", "--max-retries", "0", server.address
        )
        frames = passed() - before
        watch.send_signal(signal.SIGTERM)
        watch.wait(30)
    finally:
        watch.kill()
        watch.wait()
    counters = json.loads(output.read_text().splitlines()[-1])
    assert counters["kernel_drops"] == 0
    assert frames >= 2 * 65_535
    assert 0 <= counters["frames"] - frames <= 20  # (a neighbour may speak before and after)
    assert counters["probed"] >= 65_535 - 100  # ports where something of another test listens
