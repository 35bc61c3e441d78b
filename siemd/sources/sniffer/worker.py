"""The sniffer's thread: capture, decode, observe, report; it outlives a lost interface and a bug in an observer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from siemd.backoff import Backoff
from siemd.events import NetworkEvent, now_us
from siemd.health import Status
from siemd.logger import get_logger
from siemd.sources.sniffer.capture import Capture, CaptureError, Frames
from siemd.sources.sniffer.sensor import Sensor
from siemd.sources.sniffer.stop import Stop
from siemd.sources.sniffer.stream import Stream

QUIET_S = 0.2  # silence after which the clock on the wall moves event time
REPORT_S = 1.0  # how often it is told what came, and the longest wait for frames
SILENT_REPORT_S = 10.0  # while none came only what the sensor holds can change, and that it forgets some of it
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 30.0
_LAST_READS = 4096  # at a stop, should the clock be set back meanwhile: millions of frames, more than wait anywhere
_DECODER_COUNTERS = ("malformed", "truncated", "unknown", "duplicates", "fragments")


class Report(NamedTuple):
    """What the thread tells the loop: facts, and how it is. counters: totals since the thread began, by name."""

    facts: list[NetworkEvent]
    status: Status
    detail: str
    errors: int
    lost_facts: int
    counters: dict[str, int | float | str]


class Worker:
    """Runs in a thread of its own from `run` until `stop` is set; touches nothing that belongs to the loop."""

    def __init__(self, capture: Capture, sensor: Sensor, send: Callable[[Report], bool], stop: Stop) -> None:
        """send: takes a report to the loop; False when that is too far behind (the facts are then lost, counted)."""
        self._capture = capture
        self._sensor = sensor
        self._send = send
        self.lost_facts = 0
        self._stop = stop
        self._stream = Stream(sensor)
        self._log = get_logger("siemd.sniffer")
        self._status: Status = "starting"
        self._detail = "opening the capture"
        self._errors = 0
        self._frames = 0
        self._drops_before = 0  # of captures that are closed
        self._drops = 0
        self._reported: Report | None = None
        self._reported_frames = -1
        self._reported_s = 0.0
        self._last_bug = ""

    def run(self) -> None:
        """Capture until told to stop, then state what is still held."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_MAX_S, spread=0)
        while not self._stop.is_set():
            opened_s = time.monotonic()
            try:
                self._capture_until_stopped()
            except CaptureError as error:
                self._failed(str(error))
            except Exception as error:  # a bug in the capture must not end the daemon's eyes
                self._bug(error)
                self._failed(f"{type(error).__name__}: {error}")
            finally:
                self._close()
            if time.monotonic() - opened_s > RETRY_MAX_S:
                backoff.reset()
            self._rest(backoff.next_s())
        self._observe(self._sensor.finish)
        self._status, self._detail = "stopped", ""
        self._report([])

    def _capture_until_stopped(self) -> None:
        capture = self._capture
        capture.open(self._stop)
        names = ", ".join(capture.interfaces)
        backend, granted = capture.backend, capture.buffer_bytes
        self._log.info("sniffer.started", interfaces=capture.interfaces, backend=backend, buffer_bytes=granted)
        if capture.no_ring:
            self._log.warning(
                "sniffer.no_ring", reason=capture.no_ring, hint="set a smaller `buffer`; slower until then"
            )
            names += f", without a packet ring ({capture.no_ring})"
        self._warn_of_small_buffer()
        self._status, self._detail = "ok", f"watching {names}"
        self._report([])
        while not self._stop.is_set():
            self._take(capture.read(self._silence_s()))
            if self._report_is_due():
                self._report(self._new_drops(names))
        self._take_what_waits()
        self._report(self._new_drops(names))

    def _report_is_due(self) -> bool:
        silent = self._status == "ok" and self._frames == self._reported_frames
        return time.monotonic() - self._reported_s >= (SILENT_REPORT_S if silent else REPORT_S)

    def _silence_s(self) -> float:
        """How long to wait for frames: until time alone gives the sensor something to do."""
        return min(max(QUIET_S, self._sensor.until_tick_us(now_us()) / 1e6), REPORT_S)

    def _take_what_waits(self) -> None:
        """At a stop: all that came before it. On a busy wire there is always more, which came too late."""
        stopped_us = now_us()
        for _ in range(_LAST_READS):
            frames = self._capture.read(0)
            if not len(frames):
                break
            self._take(frames)
            if _last_us(frames) > stopped_us:
                break

    def _warn_of_small_buffer(self) -> None:
        granted, wanted = self._capture.buffer_bytes, self._capture.wanted_bytes
        if granted < wanted:
            hint = f"run `sudo sysctl -w net.core.rmem_max={wanted}`, or a burst of traffic will cost frames"
            self._log.warning("sniffer.small_buffer", granted_bytes=granted, wanted_bytes=wanted, hint=hint)

    def _take(self, frames: Frames) -> None:
        self._frames += len(frames)
        packets = self._stream.packets
        self._observe(lambda: self._stream.feed(frames))
        if self._stream.packets == packets:  # by the clock on the wall only in silence: behind these frames the kernel
            time_us = _last_us(frames) if len(frames) else now_us()  # may hold answers that are waited for
            self._observe(lambda: self._sensor.advance(time_us))

    def _observe(self, step: Callable[[], list[NetworkEvent]]) -> None:
        """Report the facts of one step of the sensor; a bug in it costs that step's facts, and is counted."""
        try:
            facts = step()
        except Exception as error:
            self._bug(error)
            return
        if facts:
            self._report(facts)

    def _new_drops(self, names: str) -> list[NetworkEvent]:
        """A fact about the frames that the kernel dropped since the last look."""
        total = self._drops_before + self._capture.drops()
        count, self._drops = total - self._drops, total
        if not count:
            self._status, self._detail = "ok", f"watching {names}"
            return []
        self._status = "degraded"
        self._detail = f"watching {names}; too busy: {count} frames dropped by the kernel, {total} in all"
        message = f"the kernel dropped {count} frames on {names} before siemd could read them"
        fields: dict[str, Any] = {"interfaces": list(self._capture.interfaces)}
        return [NetworkEvent(time_us=now_us(), event_type="capture_drops", count=count, message=message, fields=fields)]

    def _report(self, facts: list[NetworkEvent]) -> None:
        self._reported_s, self._reported_frames = time.monotonic(), self._frames
        counters: dict[str, int | float | str] = {
            "interfaces": ", ".join(self._capture.interfaces),
            "backend": self._capture.backend,
            "buffer_bytes": self._capture.buffer_bytes,
            "frames": self._frames,
            "packets": self._stream.packets,
            "settled_packets": self._stream.settled_packets,
            "kernel_drops": self._drops,
        }
        counters.update((name, getattr(self._stream.decoder, name)) for name in _DECODER_COUNTERS)
        counters["fragments_evicted"] = self._stream.decoder.cut_headers.evicted
        counters.update(self._sensor.counters())
        report = Report(facts, self._status, self._detail, self._errors, self.lost_facts, counters)
        if report == self._reported and not facts:
            return
        self._reported = report
        if not self._send(report):
            self._reported = None
            self.lost_facts += len(facts)

    def _failed(self, reason: str) -> None:
        self._errors += 1
        if reason != self._detail:  # once for each reason, not for each try
            self._log.warning("sniffer.capture_failed", reason=reason)
        self._status = "failed" if not self._frames else "degraded"
        self._detail = reason
        self._report([])

    def _bug(self, error: Exception) -> None:
        self._errors += 1
        text = f"{type(error).__name__}: {error}"
        if text != self._last_bug:
            self._last_bug = text
            self._log.error("sniffer.bug", error=text, exc_info=error)

    def _close(self) -> None:
        try:
            self._drops_before = self._drops = self._drops_before + self._capture.drops()
        except OSError:
            self._drops_before = self._drops  # the socket is gone, and its last count with it
        self._capture.close()

    def _rest(self, seconds: float) -> None:
        """Wait before another try, while event time goes on for what the sensor holds."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and not self._stop.wait(min(left_s, self._silence_s())):
            self._observe(lambda: self._sensor.advance(now_us()))


def _last_us(frames: Frames) -> int:
    return frames[-1].time_us if isinstance(frames, list) else int(frames.times_us[-1])
