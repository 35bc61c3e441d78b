"""Live capture on real interfaces in a network namespace of the test's own."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from siemd.channel import Channel
from siemd.events import NetworkEvent, now_us
from siemd.health import ComponentHealth
from siemd.outlet import Outlet
from siemd.sources.sniffer import Sniffer, SnifferConfig
from siemd.sources.sniffer.capture import Backend, Capture, CaptureError, Frames, interfaces
from siemd.sources.sniffer.decode import Decoder
from siemd.sources.sniffer.packet import Frame, Packet
from siemd.sources.sniffer.packet_socket import SNAP_BYTES
from siemd.sources.sniffer.ring import SLOT_BYTES
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from siemd.sources.sniffer.stop import Stop
from siemd.sources.sniffer.worker import Report, Worker
from siemd.units import Bytes
from support.needs import is_root, need
from support.own_network import connect, ip
from support.waiting import wait_until

UDP_FRAME = bytes.fromhex(
    "020000000002020000000001 0800 45000020000100004011 0000 0a000001 0a000002 3039 0035 000c 0000 61626364"
)


@pytest.fixture(params=["ring", "raw"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Both ways of Linux."""
    made: Backend = request.param
    return made


def tagged(*tags: tuple[int, int]) -> bytes:
    """The frame with VLAN tags of (ethertype, id)."""
    return UDP_FRAME[:12] + b"".join(struct.pack(">HH", *tag) for tag in tags) + UDP_FRAME[12:]


@contextmanager
def capturing(choice: str, backend: Backend = "auto", **options: Any) -> Iterator[Capture]:
    capture = Capture(choice, backend, **{"buffer_bytes": 4 << 20, **options})
    capture.open()
    assert backend in ("auto", capture.backend)
    try:
        yield capture
    finally:
        capture.close()


@contextmanager
def sending(interface: str) -> Iterator[Callable[[bytes], int]]:
    """Frames out of an interface, from one processor: from several the kernel may deliver them in another order."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        with _sender(interface) as send:
            yield send
    finally:
        os.sched_setaffinity(0, processors)


@contextmanager
def _sender(interface: str) -> Iterator[Callable[[bytes], int]]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((interface, 0))
        yield sender.send


@contextmanager
def tunnel(name: str) -> Iterator[int]:
    """A TUN device, up; what is written to its descriptor comes in by it."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("no /dev/net/tun")
    device = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", name.encode(), 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        ip("link", "set", name, "up")
        yield device
    finally:
        os.close(device)


def listed(frames: Frames) -> list[Frame]:
    """Frames by themselves, whatever the capture gave."""
    return frames if isinstance(frames, list) else frames.frames()


def received(interface: str) -> int:
    """How many frames came in by it."""
    [link] = json.loads(ip("-s", "-j", "link", "show", interface))
    return int(link["stats64"]["rx"]["packets"])


def read_until(capture: Capture, count: int) -> list[Frame]:
    """At least `count` frames, and what comes with them."""
    frames: list[Frame] = []
    wait_until(lambda: frames.extend(listed(capture.read(0.2))) or len(frames) >= count, f"{count} frames", step_s=0)
    frames.extend(listed(capture.read(0.1)))
    return frames


def send_datagrams(count: int, port: int = 4000) -> None:
    """UDP over loopback, to a port where nobody listens to it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", port))
        for number in range(count):
            sender.sendto(b"datagram %d" % number, ("127.0.0.1", port))


class TestFrames:
    def test_what_is_sent_is_read_whole_with_the_kernels_time(self, cable: tuple[str, str], backend: Backend) -> None:
        before = now_us()
        with capturing("far", backend) as capture, sending("near") as send:
            for _ in range(300):
                send(UDP_FRAME)
            frames = read_until(capture, 300)
            assert capture.drops() == 0
        assert [frame.data for frame in frames] == [UDP_FRAME] * 300
        assert {(frame.length, frame.link_type) for frame in frames} == {(len(UDP_FRAME), 1)}
        assert all(before - 1 <= frame.time_us <= now_us() for frame in frames)
        assert frames == sorted(frames, key=lambda frame: frame.time_us)

    def test_a_long_frame_is_cut_and_its_length_known(self, cable: tuple[str, str], backend: Backend) -> None:
        for name in cable:
            ip("link", "set", name, "mtu", "9000")
        with capturing("far", backend) as capture, sending("near") as send:
            send(UDP_FRAME[:14] + bytes(8000))
            [frame] = read_until(capture, 1)
        assert frame.length == 8014
        assert len(frame.data) == (SNAP_BYTES if backend == "raw" else SLOT_BYTES - 66)  # behind what the kernel says

    @pytest.mark.parametrize(
        "tags", [[(0x8100, 5)], [(0x8100, 0x6FFF)], [(0x88A8, 7), (0x8100, 9)], [(0x8100, 7), (0x8100, 9)]]
    )
    def test_tags_that_the_kernel_moved_are_put_back(
        self, cable: tuple[str, str], tags: list[tuple[int, int]], backend: Backend
    ) -> None:
        with capturing("far", backend) as capture, sending("near") as send:
            send(tagged(*tags))
            [frame] = read_until(capture, 1)
        assert frame.data == tagged(*tags)
        assert frame.length == len(frame.data)
        [packet] = Decoder().decode([frame])
        assert (packet.vlan, packet.destination_port) == (tags[-1][1] & 0xFFF, 53)

    @pytest.mark.parametrize("choice", ["lo", "any", "auto"])
    def test_loopback_shows_each_packet_once(self, own_network: None, choice: str, backend: Backend) -> None:
        with capturing(choice, backend) as capture:
            send_datagrams(50)
            packets = Decoder().decode(read_until(capture, 50))
        assert [packet.payload for packet in packets] == [b"datagram %d" % number for number in range(50)]
        assert {packet.source_ip for packet in packets} == {bytes((127, 0, 0, 1))}

    def test_any_sees_all_interfaces_now_and_later(self, own_network: None, backend: Backend) -> None:
        with capturing("any", backend) as capture:
            send_datagrams(1)
            assert len(read_until(capture, 1)) == 1
            connect("near", "far")
            with sending("near") as send:
                send(UDP_FRAME)
                read_until(capture, 1)

    @pytest.mark.parametrize("choice", ["tunnel", "any"])
    def test_a_tunnel_without_ethernet_is_raw_ip(self, own_network: None, choice: str, backend: Backend) -> None:
        with tunnel("tunnel") as device, capturing(choice, backend) as capture:
            os.write(device, UDP_FRAME[14:])
            frames = [frame for frame in read_until(capture, 1) if frame.data == UDP_FRAME[14:]]
        assert [(frame.link_type, frame.length) for frame in frames] == [(101, len(UDP_FRAME) - 14)]
        [packet] = Decoder().decode(frames)
        assert (packet.destination_port, packet.payload) == (53, b"abcd")

    def test_promiscuous_mode_ends_with_the_capture(self, cable: tuple[str, str], backend: Backend) -> None:
        def is_promiscuous() -> bool:
            return "promiscuity 1" in ip("-d", "link", "show", "far")

        with capturing("far", backend, promiscuous=False):
            assert not is_promiscuous()
        with capturing("far", backend):
            assert is_promiscuous()
        assert not is_promiscuous()

    def test_what_does_not_fit_is_counted(self, cable: tuple[str, str], backend: Backend) -> None:
        with capturing("far", backend, buffer_bytes=64 << 10) as capture, sending("near") as send:
            for _ in range(2000):
                send(UDP_FRAME)
            frames = read_until(capture, 1)
            assert capture.drops() == 2000 - len(frames) > 0
            assert capture.drops() == 2000 - len(frames)  # asking twice changes nothing

    def test_the_buffer_is_as_large_as_asked(self, own_network: None) -> None:
        with capturing("lo", buffer_bytes=8 << 20) as capture:
            assert capture.buffer_bytes == 8 << 20

    def test_a_raw_socket_is_all_the_right_it_needs(self, own_network: None) -> None:
        need("setpriv")
        code = """
import socket
from siemd.sources.sniffer.capture import Capture
for backend in ("raw", "ring"):
    capture = Capture("lo", backend, buffer_bytes=64 << 20)
    capture.open()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"datagram", ("127.0.0.1", 4000))
    print(len(capture.read(10)) > 0, capture.buffer_bytes < capture.wanted_bytes == 64 << 20)
    capture.close()
"""
        only_raw = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all"]
        assert python(code, *only_raw).splitlines() == ["True True", "True False"]

    def test_it_can_be_opened_again(self, own_network: None) -> None:
        capture = Capture("lo")
        for _ in range(3):
            capture.open()
            send_datagrams(1)
            assert len(read_until(capture, 1)) == 1
            capture.close()

    def test_several_interfaces_at_once_in_the_order_of_time(self, cable: tuple[str, str], backend: Backend) -> None:
        with capturing("auto", backend) as capture, sending("near") as send:
            assert capture.interfaces == ["far", "lo", "near"]
            for number in range(30):
                send(UDP_FRAME)
                send_datagrams(1, port=5000 + number)
            frames = read_until(capture, 90)  # near shows what leaves by it, too
        times = [frame.time_us for frame in frames]
        assert times == sorted(times)
        ports = [packet.destination_port for packet in Decoder().decode(frames)]
        assert [port for port in ports if port != 53] == list(range(5000, 5030))
        assert ports.count(53) == 60

    def test_a_ring_goes_round(self, cable: tuple[str, str], backend: Backend) -> None:
        """Many times more frames than there are slots, and some of them with a tag to be put back."""
        with capturing("far", backend, buffer_bytes=128 << 10) as capture, sending("near") as send:
            for number in range(1000):
                frame = UDP_FRAME[:-4] + struct.pack(">I", number)
                send(frame if number % 3 else frame[:12] + struct.pack(">HH", 0x8100, 7) + frame[12:])
                if number % 20 == 19:
                    packets = Decoder().decode(read_until(capture, 20))
                    assert [int.from_bytes(packet.payload) for packet in packets] == list(
                        range(number - 19, number + 1)
                    )
                    assert [packet.vlan for packet in packets] == [
                        0 if at % 3 else 7 for at in range(number - 19, number + 1)
                    ]
            assert capture.drops() == 0

    def test_a_burst_is_read_whole_and_in_order(self, cable: tuple[str, str], backend: Backend) -> None:
        with capturing("far", backend, buffer_bytes=16 << 20) as capture, sending("near") as send:
            for number in range(5000):
                send(UDP_FRAME[:-4] + struct.pack(">I", number) + bytes(number % 7 * 100))
            frames = read_until(capture, 5000)
            assert capture.drops() == 0
        assert [int.from_bytes(frame.data[42:46]) for frame in frames] == list(range(5000))
        assert {len(frame.data) - len(UDP_FRAME) - number % 7 * 100 for number, frame in enumerate(frames)} == {0}

    @pytest.mark.parametrize("choice", ["far", "any"])
    def test_a_filter_is_the_kernels(self, cable: tuple[str, str], backend: Backend, choice: str) -> None:
        with capturing(choice, backend, expression="udp port 53 and dst host 10.0.0.2") as capture:
            with sending("near") as send:
                other = bytearray(UDP_FRAME)
                other[37] = 54
                for frame in (bytes(other), UDP_FRAME, bytes(other), UDP_FRAME):
                    send(frame)
            frames = [frame.data for frame in read_until(capture, 2)]
        assert set(frames) == {UDP_FRAME}

    def test_a_filter_on_a_tunnel_knows_that_it_has_no_ethernet(self, own_network: None, backend: Backend) -> None:
        with tunnel("tunnel") as device, capturing("tunnel", backend, expression="udp port 53") as capture:
            other = bytearray(UDP_FRAME)
            other[37] = 54
            os.write(device, other[14:])
            os.write(device, UDP_FRAME[14:])
            assert [frame.data for frame in read_until(capture, 1)] == [UDP_FRAME[14:]]

    def test_a_wrong_filter_is_told(self, own_network: None, backend: Backend) -> None:
        with pytest.raises(
            CaptureError, match=r"not a capture filter: .*syntax error; the language is that of tcpdump"
        ):
            Capture("lo", backend, expression="udp prt 53").open()

    def test_a_ring_that_is_refused_gives_way_to_raw(self, own_network: None) -> None:
        """Here by a limit on the process's memory."""
        code = """
import resource, socket
from siemd.sources.sniffer import packet_socket, ring
from siemd.sources.sniffer.capture import Capture, CaptureError
limit = int(open("/proc/self/statm").read().split()[0]) * 4096 + (16 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    Capture("lo", "ring", buffer_bytes=64 << 20).open()
except CaptureError as error:
    print(error, end="|")
capture = Capture("lo", buffer_bytes=64 << 20)
capture.open()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"datagram", ("127.0.0.1", 4000))
print(len(capture.read(10)) > 0, capture.backend, capture.no_ring, sep="|")
"""
        why = "64 MiB for each interface: [Errno 12] Cannot allocate memory"
        assert python(code).split("|") == [
            f"no packet ring: {why}; set a smaller `buffer`, or `backend: raw`",
            "True",
            "raw",
            why,
        ]


class TestErrors:
    def test_an_unknown_interface_names_the_known(self, own_network: None) -> None:
        with pytest.raises(CaptureError, match=r"no network interface 'eht0'; choose one of auto, any, lo"):
            Capture("eht0").open()

    def test_no_right_says_the_command(self) -> None:
        user = os.geteuid()
        if is_root():
            os.seteuid(65534)
        try:
            with pytest.raises(CaptureError) as caught:
                Capture("lo").open()
        finally:
            os.seteuid(user)
        assert "sudo setcap cap_net_raw+eip /" in caught.value.hint
        assert "sudo siemd run" in caught.value.hint

    def test_an_interface_that_goes_down(self, cable: tuple[str, str], backend: Backend) -> None:
        with capturing("far", backend) as capture:
            ip("link", "set", "far", "down")
            with pytest.raises(CaptureError, match="far is down; run `sudo ip link set far up`"):
                read_until(capture, 1)

    def test_frames_before_the_end_are_not_lost(self, cable: tuple[str, str], backend: Backend) -> None:
        with capturing("far", backend) as capture, sending("near") as send:
            send(UDP_FRAME)
            ip("link", "set", "far", "down")
            assert len(capture.read(1)) == 1
            with pytest.raises(CaptureError):
                capture.read(1)

    def test_an_interface_that_is_removed(self, cable: tuple[str, str], backend: Backend) -> None:
        with capturing("far", backend) as capture:
            ip("link", "delete", "near")
            with pytest.raises(CaptureError):
                read_until(capture, 1)


class TestInterfaces:
    def test_auto_without_a_default_route(self, cable: tuple[str, str]) -> None:
        assert interfaces("auto") == ["far", "lo", "near"]
        ip("link", "set", "near", "down")
        assert interfaces("auto") == ["far", "lo"]
        ip("link", "delete", "near")
        assert interfaces("auto") == ["lo"]
        ip("link", "set", "lo", "down")
        with pytest.raises(CaptureError, match="no network interface is up"):
            interfaces("auto")

    def test_auto_takes_the_default_routes_interface(self, cable: tuple[str, str]) -> None:
        ip("address", "add", "192.0.2.1/24", "dev", "near")
        ip("route", "add", "default", "via", "192.0.2.9")
        assert interfaces("auto") == ["lo", "near"]

    def test_a_name_and_any(self, cable: tuple[str, str]) -> None:
        assert interfaces("far") == ["far"]
        assert interfaces("any") == ["any"]


class Recorder(Sensor):
    """A sensor that remembers its packets and states a fact for each batch; `fail` makes it a broken one."""

    def __init__(self, *, fail: bool = False) -> None:
        super().__init__(SensorConfig())
        self.fail = fail
        self.seen: list[Packet] = []
        self.advanced: list[int] = []
        self.go_on = Event()
        self.go_on.set()

    def feed(self, packets: Sequence[Packet]) -> list[NetworkEvent]:
        self.go_on.wait(30)
        self.seen += packets
        if self.fail:
            raise ZeroDivisionError("a bug")
        return [NetworkEvent(time_us=packets[-1].time_us, event_type="batch", count=len(packets))]

    def advance(self, now: int) -> list[NetworkEvent]:
        self.go_on.wait(30)
        self.advanced.append(now)
        return []

    def finish(self) -> list[NetworkEvent]:
        return [NetworkEvent(time_us=0, event_type="finished")]


@contextmanager
def working(
    capture: Capture, sensor: Sensor, send: Callable[[Report], bool], stop: Stop | None = None
) -> Iterator[Worker]:
    """A worker in its thread, stopped and awaited at the end."""
    stop = stop or Stop()
    worker = Worker(capture, sensor, send, stop)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def accept(reports: list[Report]) -> Callable[[Report], bool]:
    def send(report: Report) -> bool:
        reports.append(report)
        return True

    return send


class TestWorker:
    def test_it_feeds_reports_and_finishes(self, own_network: None) -> None:
        reports: list[Report] = []
        sensor = Recorder()
        with working(Capture("lo"), sensor, accept(reports)):
            wait_until(lambda: reports and reports[-1].status == "ok", "the capture is open")
            send_datagrams(20)
            wait_until(lambda: len(sensor.seen) == 20, "all packets are seen")
            wait_until(lambda: sensor.advanced, "silence moves the time")
        facts = [fact for report in reports for fact in report.facts]
        assert sum(fact.count for fact in facts if fact.event_type == "batch") == 20
        assert facts[-1].event_type == "finished"
        assert reports[-1].counters["frames"] == reports[-1].counters["packets"] == 20
        assert reports[-1].status == "stopped"

    def test_frames_that_are_no_packets_move_time_to_their_own(self, cable: tuple[str, str]) -> None:
        """Not to the wall clock's: behind them the kernel may hold answers that are waited for."""
        sensor, reports = Recorder(), list[Report]()
        with working(Capture("far"), sensor, accept(reports)), sending("near") as send:
            wait_until(lambda: reports and reports[-1].status == "ok", "the capture is open")
            before = now_us()
            send(bytes(12) + b"\x88\xcc" + bytes(50))  # LLDP
            after = now_us()
            wait_until(lambda: any(before <= time_us <= after for time_us in sensor.advanced), "its time is taken")

    def test_a_bug_in_an_observer_is_counted_and_survived(self, own_network: None) -> None:
        reports: list[Report] = []
        sensor = Recorder(fail=True)
        with working(Capture("lo"), sensor, accept(reports)):
            wait_until(lambda: reports and reports[-1].status == "ok", "the capture is open")
            send_datagrams(1)
            wait_until(lambda: reports[-1].errors == 1, "the bug is counted")
            sensor.fail = False
            send_datagrams(1)
            wait_until(lambda: any(report.facts for report in reports), "the next batch is observed")
            assert reports[-1].status == "ok"

    def test_facts_that_are_refused_are_counted(self, own_network: None) -> None:
        sensor = Recorder()
        with working(Capture("lo"), sensor, lambda report: not report.facts) as worker:
            wait_until(lambda: send_datagrams(1) or worker.lost_facts, "a fact is lost")
        assert worker.lost_facts >= 2  # the last one too

    def test_dropped_frames_become_a_fact(self, cable: tuple[str, str]) -> None:
        reports: list[Report] = []
        sensor = Recorder()
        with working(Capture("far", buffer_bytes=64 << 10), sensor, accept(reports)), sending("near") as send:
            wait_until(lambda: reports and reports[-1].status == "ok", "the capture is open")
            sensor.go_on.clear()
            for _ in range(2000):  # more than fits while the sensor is held up
                send(UDP_FRAME)
            sensor.go_on.set()

            def drops() -> list[NetworkEvent]:
                return [fact for report in reports for fact in report.facts if fact.event_type == "capture_drops"]

            [fact] = wait_until(drops, "dropped frames are told of")
            wait_until(lambda: reports[-1].status == "ok", "the status recovers")
        assert fact.count == 2000 - len(sensor.seen) == reports[-1].counters["kernel_drops"]
        assert fact.fields == {"interfaces": ["far"]}
        assert any(report.status == "degraded" and "dropped" in report.detail for report in reports)

    def test_a_silent_wire_costs_no_reports(self, cable: tuple[str, str]) -> None:
        """What was said once is not said again, and the thread sleeps until the sensor's next tick."""
        reports: list[Report] = []
        sensor = Sensor(SensorConfig())
        with working(Capture("far"), sensor, accept(reports)), sending("near") as send:
            wait_until(lambda: sensor.clock().now_us, "silence moves the time")
            for _ in range(3):
                ticked_us = sensor.clock().now_us
                wait_until(lambda before=ticked_us: sensor.clock().now_us > before, "it goes on")  # type: ignore[misc]
            assert len(reports) == 1, "that the capture is open"
            send(UDP_FRAME)
            wait_until(lambda: reports[-1].counters["packets"] == 1, "a frame is told of")

    def test_a_stop_ends_the_wait_for_frames(self, cable: tuple[str, str]) -> None:
        stop, capture = Stop(), Capture("far")
        capture.open(stop)
        reading = Thread(target=capture.read, args=(3_600.0,), daemon=True)
        reading.start()
        stop.set()
        reading.join(30)
        assert not reading.is_alive()
        assert len(capture.read(0)) == 0, "what is left can be read"
        capture.close()

    def test_what_waits_at_a_stop_is_read_to_its_end(self, cable: tuple[str, str]) -> None:
        """However much it is: what would be left is counted nowhere."""
        count, stop, reports = 70_000, Stop(), list[Report]()
        capture = Capture("far", "ring", buffer_bytes=(count + 1000) * SLOT_BYTES)

        def held_up(report: Report) -> bool:
            reports.append(report)
            return stop.wait(60)

        with working(capture, Sensor(SensorConfig()), held_up, stop), sending("near") as send:
            wait_until(lambda: reports and reports[-1].status == "ok", "the capture is open")
            for _ in range(count):
                send(UDP_FRAME)
            wait_until(lambda: received("far") >= count, "all have arrived")
        assert reports[-1].counters["kernel_drops"] == 0
        assert reports[-1].counters["frames"] == count


def outlet(tmp_path: Path) -> Outlet:
    health = ComponentHealth(name="sniffer")
    return Outlet(host="host", source="sniffer", channel=Channel("events", 10_000), health=health, data_dir=tmp_path)


async def wait_for(condition: Callable[[], object], what: str) -> None:
    """Like wait_until, for what happens in this event loop."""
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited 30 s in vain: {what}")


class TestSource:
    async def test_it_comes_back_with_the_interface(self, own_network: None, tmp_path: Path) -> None:
        out = outlet(tmp_path)
        health = out.health
        async with asyncio.TaskGroup() as group:
            task = group.create_task(Sniffer(SnifferConfig(interface="far"), out).run(), name="sniffer")
            await wait_for(lambda: health.status == "failed", "no such interface")
            assert "there is no network interface 'far'" in health.detail
            connect("near", "far")
            await wait_for(lambda: health.status == "ok", "it came up")
            with sending("near") as send:
                send(UDP_FRAME)
                await wait_for(lambda: health.extra["packets"], "a packet is seen")
            ip("link", "delete", "near")
            await wait_for(lambda: health.status == "degraded", "it went away")
            connect("near", "far")
            await wait_for(lambda: health.status == "ok", "it came back")
            task.cancel()
        assert health.status == "stopped"
        assert health.errors >= 2
        assert health.extra["interfaces"] == "far"

    async def test_facts_reach_the_pipeline_on_cancellation(self, own_network: None, tmp_path: Path) -> None:
        need("ping")
        out = outlet(tmp_path)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(Sniffer(SnifferConfig(interface="lo"), out).run(), name="sniffer")
            await wait_for(lambda: out.health.status == "ok", "it is open")
            await asyncio.to_thread(subprocess.run, ["ping", "-c1", "127.0.0.1"], capture_output=True, check=True)
            task.cancel()
        assert task.cancelled()
        out.channel.close()
        events = [event async for batch in out.channel for event in batch.events]
        assert "ping" in {event.event_type for event in events if isinstance(event, NetworkEvent)}
        assert [event.seq for event in events] == list(range(1, len(events) + 1))

    def test_defaults_and_names_in_yaml(self) -> None:
        config = SnifferConfig()
        assert (config.interface, config.backend, config.promiscuous) == ("auto", "auto", True)
        assert config.buffer_bytes == Bytes.parse("16MiB")


def python(code: str, *prefix: str) -> str:
    command = [*prefix, sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_sources_loads_neither_scapy_nor_ctypes() -> None:
    code = "import sys, siemd.sources.sniffer; print([m for m in ('scapy', 'ctypes') if m in sys.modules])"
    assert python(code) == "[]"


def test_the_way_of_windows_on_libpcap(own_network: None) -> None:
    """Npcap is not at hand; its code runs on Linux's libpcap, in a process of its own."""
    code = """
import ctypes.util, socket, time
if not ctypes.util.find_library("pcap"):
    print("no libpcap")
    raise SystemExit
from siemd.sources.sniffer import npcap
assert "lo" in npcap.interfaces("any") and npcap.interfaces("lo") == ["lo"] and npcap.interfaces("auto")
capture = npcap.PcapSocket("lo", promiscuous=True, buffer_bytes=1 << 20)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
frames = []
end = time.monotonic() + 20
while len(frames) < 10 and time.monotonic() < end:
    sender.sendto(b"datagram", ("127.0.0.1", 4000))
    capture.receive(frames)
    time.sleep(0.01)
assert capture.drops() == 0
capture.close()
print(all(frame.link_type == 1 and b"datagram" in frame.data for frame in frames[:2]), frames[0].length)
"""
    said = python(code)
    if said == "no libpcap":
        pytest.skip("not installed: libpcap")
    assert said == "True 50"
