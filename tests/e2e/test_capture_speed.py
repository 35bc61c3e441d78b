"""As fast as frames can be sent: the ring sees each, or tells how many it did not; the facts are those of the file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from siemd.events import NetworkEvent
from siemd.sources.sniffer.packet import Frame
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stream import Stream
from support.conversation import raised_by
from support.mixture import looped, mixture, summed, timeless
from support.needs import need
from support.netlab import Lab
from support.own_network import connect, fresh_network
from support.traffic import batch_of, write_capture
from support.watch import Seen, watching

pytestmark = pytest.mark.root

BUFFER_BYTES = 64 << 20  # larger than by default: other tests run on the same cores
AGAIN = ("--loop=0", "--duration=10")
STEADY_PPS = 20_000  # what two cores that other tests share hold for sure; one that is idle holds ten times as much
KINDS = {
    *("arp_request", "connection", "dns_query", "http_errors", "http_request", "login", "ping"),
    *("ssh_auth", "tcp_probe", "tls_hello", "udp_probe"),
}
RULES = {"port_scan_syn", "port_scan_connect", "port_scan_udp"}


def test_a_scan_of_every_port_is_seen_whole(lab: Lab, tmp_path: Path) -> None:
    need("nmap", "ip")
    server = lab.server

    def passed() -> int:
        text = server.run(
            "cat", "/sys/class/net/eth0/statistics/rx_packets", "/sys/class/net/eth0/statistics/tx_packets"
        )
        return sum(map(int, text.split()))

    with watching("eth0", tmp_path / "watch", buffer_bytes=BUFFER_BYTES, host=server) as seen:
        before = passed()
        lab.attacker.run(
            "nmap", "-sS", "-n", "-Pn", "-p-", "-T5", "--min-rate", "1000000", "--max-retries", "0", server.address
        )
        frames = passed() - before
    probes = [fact for fact in seen.facts if fact.event_type == "tcp_probe"]
    probed = {port for probe in probes for port in probe.fields["destination_ports"]}
    assert seen.counters["kernel_drops"] == 0
    assert frames >= 2 * 65_535
    assert 0 <= int(seen.counters["frames"]) - frames <= 20  # (a neighbour may speak before and after)
    assert len(probed) >= 65_535 - 100  # ports where something of another test listens


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return mixture()


@pytest.fixture
def capture(frames: list[Frame], tmp_path: Path) -> Iterator[Path]:
    """The mixture as a file of some 30 MB."""
    path = tmp_path / "mixture.pcap"
    write_capture(path, frames)
    yield path
    path.unlink()


def replayed(capture: Path, *options: str) -> tuple[int, Seen]:
    """tcpreplay sends the file over a cable into a network of its own; frames sent, and what was seen."""
    need("tcpreplay", "ip")
    command = ["tcpreplay", "-i", "near", "-K", *options, str(capture)]
    with fresh_network():
        connect("near", "far")
        with watching("far", capture.with_suffix(".seen"), buffer_bytes=BUFFER_BYTES) as seen:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    sent = re.search(r"Successful packets:\s+(\d+)", done.stdout)
    assert sent and done.returncode == 0, done.stdout + done.stderr
    print(sent[0], *options, seen.counters["kernel_drops"], "dropped by the kernel")
    return int(sent[1]), seen


def of_the_file(frames: list[Frame], count: int) -> list[NetworkEvent]:
    """The facts of so many frames of the file, again and again, by no clock but theirs."""
    stream = Stream(Sensor(SensorConfig()))
    facts: list[NetworkEvent] = []
    again = looped(frames, count, step_us=10)
    while batch := list(islice(again, 500)):
        facts += stream.feed(batch_of(batch))
    return facts + stream.sensor.finish()


def check_alike(seen: list[NetworkEvent], expected: list[NetworkEvent]) -> None:
    """The same facts, whatever the ticks were in which they were stated, and the same incidents."""
    seen, expected = timeless(seen), timeless(expected)
    assert {fact.event_type for fact in expected} >= KINDS
    assert summed(seen) == summed(expected)
    raised = [(alert.rule, alert.group) for alert in raised_by(expected)]
    assert {rule for rule, _ in raised} >= RULES
    assert sorted(map(str, raised)) == sorted(str((alert.rule, alert.group)) for alert in raised_by(seen))


def test_a_replay_at_a_steady_rate_gives_the_facts_of_the_file(frames: list[Frame], capture: Path) -> None:
    sent, seen = replayed(capture, "--loop=1", f"--pps={STEADY_PPS}")
    assert seen.counters["kernel_drops"] == 0
    assert seen.counters["frames"] == sent == len(frames)
    check_alike(seen.facts, of_the_file(frames, sent))


def test_a_replay_again_and_again_gives_the_facts_of_the_file(frames: list[Frame], capture: Path) -> None:
    sent, seen = replayed(capture, *AGAIN, f"--pps={STEADY_PPS}")
    assert seen.counters["kernel_drops"] == 0
    assert seen.counters["frames"] == sent
    check_alike(seen.facts, of_the_file(frames, sent))


def test_a_replay_at_top_speed_loses_nothing_in_silence(frames: list[Frame], capture: Path) -> None:
    """Faster than one thread looks at frames; where it is quick enough none is dropped, and then all is seen."""
    sent, seen = replayed(capture, *AGAIN, "--topspeed")
    drops = seen.counters["kernel_drops"]
    assert int(seen.counters["frames"]) + int(drops) == sent
    assert sum(fact.count for fact in seen.facts if fact.event_type == "capture_drops") == drops
    if not drops:
        check_alike(seen.facts, of_the_file(frames, sent))
