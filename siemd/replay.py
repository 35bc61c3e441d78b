"""Recorded input (captures, EVTX, JSON lines, told by content) through the very same detector, on event time."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import msgspec

from siemd.config import Config
from siemd.detection import Detector, Ruleset
from siemd.detection.matcher import Matcher
from siemd.detection.reached import Reached
from siemd.errors import UserError
from siemd.events import Alert, Event, alert_json
from siemd.gunzip import MAGIC as GZIP
from siemd.gunzip import Gunzip
from siemd.logs import printable
from siemd.sources.evtxfile import is_evtx
from siemd.sources.evtxfile import read_events as read_evtx
from siemd.sources.jsonlines import is_jsonlines
from siemd.sources.jsonlines import read_events as read_json_lines
from siemd.sources.sniffer.pcapfile import is_capture, read_batches
from siemd.sources.sniffer.sensor import Sensor
from siemd.sources.sniffer.stream import Stream


class FileResult(msgspec.Struct, kw_only=True):
    """What came of one file: its incidents in their last state, and what could not be read."""

    path: str
    kind: str = ""
    events: int = 0
    packets: int = 0
    alerts: list[Alert] = []
    problem: str = ""
    notes: dict[str, int] = {}
    elapsed_s: float = 0.0
    reached: list[Reached] = []


def replay_file(
    path: Path,
    config: Config,
    ruleset: Ruleset,
    progress: Progress | None = None,
    matcher: Matcher | None = None,
    *,
    explain: bool = False,
) -> FileResult:
    """Read one file to its end, or as far as it can be read, through a detector of its own.

    A file is judged by itself, so its answer does not depend on what else is replayed. Same file, same rules, same
    answer: nothing here looks at the clock (but elapsed_s). matcher: the compiled rules, to share them among files.
    explain: whether to find out how close the events came to each threshold.
    """
    result = FileResult(path=str(path))
    detector = Detector(ruleset, config.detection, "", matcher=matcher)
    if explain:
        detector.measure()
    hidden_before = ruleset.suppressions.hidden()
    incidents: dict[str, Alert] = {}
    started_s = time.perf_counter()
    try:
        with path.open("rb") as file:
            if progress:
                progress.start(path, file)
            for events in _events(file, config, result):
                result.events += len(events)
                for event in events:
                    event.source = event.source or result.kind
                for alert in detector.process(events):
                    incidents[alert.incident_id] = alert
                if progress:
                    progress.show()
    except OSError as error:
        result.problem = f"cannot be read: {error.strerror or error}"
    except (ValueError, UserError) as error:
        result.problem = str(error)
    for alert in detector.finish():
        incidents[alert.incident_id] = alert
    for name, count in ruleset.suppressions.hidden().items():
        result.notes = {**result.notes, f"hidden by {name}": count - hidden_before[name]}
    result.alerts = sorted(incidents.values(), key=lambda alert: (alert.first_seen_us, alert.rule, alert.incident_id))
    result.reached = detector.reached()
    result.elapsed_s = time.perf_counter() - started_s
    if progress:
        progress.end()
    return result


def replay(
    paths: Sequence[Path], config: Config, ruleset: Ruleset, out: TextIO, err: TextIO, *, explain: bool = False
) -> int:
    """Replay files one after the other; alerts as JSON lines to `out`, a summary to `err`.

    explain: tell there too how close the events came to each threshold.

    Returns the exit code: 0 when every file was read whole, 2 when one was not.
    """
    progress = Progress(err) if err.isatty() else None
    failed = 0
    totals = FileResult(path="")
    matcher = Matcher(ruleset.plain)
    for path in paths:
        result = replay_file(path, config, ruleset, progress, matcher, explain=explain)
        out.writelines(msgspec.json.encode(_line(alert, result.path)).decode() + "\n" for alert in result.alerts)
        out.flush()
        err.write(printable(_summary(result)) + "\n")
        err.writelines(f"  {printable(one.sentence())}\n" for one in result.reached)
        if explain and not result.reached:
            err.write("  no event that any threshold counts\n")
        failed += bool(result.problem)
        totals.events += result.events
        totals.packets += result.packets
        totals.elapsed_s += result.elapsed_s
        totals.alerts += result.alerts
    if len(paths) > 1:
        unread = f", {failed} not (wholly) read" if failed else ""
        err.write(
            f"{len(paths)} files{unread}: {totals.packets:,} packets, {totals.events:,} events, "
            f"{len(totals.alerts):,} alerts in {totals.elapsed_s:.1f} s\n"
        )
    return 2 if failed else 0


def _events(file: BinaryIO, config: Config, result: FileResult) -> Iterator[Sequence[Event]]:
    """The events of a file, whatever it is; raises ValueError for what no reader knows or what is damaged."""
    head = file.read(4096)
    file.seek(0)
    if not head.startswith(GZIP):
        yield from _plain_events(file, head, config, result)
        return
    content = Gunzip(file)
    buffered = io.BufferedReader(content)
    try:
        yield from _plain_events(buffered, buffered.peek(4096), config, result)
    except ValueError as error:
        raise ValueError(content.problem or str(error)) from error  # why a reader found the end too early
    if content.problem:
        raise ValueError(content.problem)


def _plain_events(file: BinaryIO, head: bytes, config: Config, result: FileResult) -> Iterator[Sequence[Event]]:
    if is_capture(head):
        result.kind = "pcap"
        yield from _capture_events(file, config, result)
    elif is_evtx(head) and not file.seekable():
        raise ValueError("a compressed event log; decompress it first")
    elif is_evtx(head):
        result.kind = "evtx"
        yield from read_evtx(file)
    elif not head:
        raise ValueError("the file is empty")
    elif is_jsonlines(head):
        result.kind = "json"
        yield from read_json_lines(file)
    else:
        raise ValueError("neither a capture (pcap, pcapng) nor EVTX nor JSON lines")


def _capture_events(file: BinaryIO, config: Config, result: FileResult) -> Iterator[Sequence[Event]]:
    sensor = Sensor(config.sources.sniffer.sensor)  # type: ignore[attr-defined]
    stream = Stream(sensor)
    decoder = stream.decoder
    damage: ValueError | None = None
    try:
        for frames in read_batches(file):
            result.packets += len(frames)
            yield stream.feed(frames)  # also when nothing is due, so that the bar moves
    except ValueError as error:  # what was readable before the damage still counts
        damage = error
    yield sensor.finish()
    result.notes = {"malformed": decoder.malformed, "truncated": decoder.truncated, "unknown": decoder.unknown}
    if damage:
        raise damage
    if decoder.foreign_links and decoder.unknown == result.packets:
        links = ", ".join(map(str, sorted(decoder.foreign_links)))
        raise ValueError(f"packets of a link type that is not supported ({links})")


def _line(alert: Alert, path: str) -> dict[str, Any]:
    return {**alert_json(alert), "source_file": path}


def _summary(result: FileResult) -> str:
    path = printable(result.path)
    if result.problem and not result.events and not result.packets:
        return f"{path}: not read: {result.problem}"
    counts = f"{result.events:,} events, {len(result.alerts):,} alerts"
    if result.packets:
        counts = f"{result.packets:,} packets, {counts}"
    odd = ", ".join(f"{count:,} {name}" for name, count in result.notes.items() if count)
    problem = f"; not read to the end: {result.problem}" if result.problem else ""
    return f"{path}: {counts} in {result.elapsed_s:.1f} s" + (f" ({odd})" if odd else "") + problem


class Progress:
    """A bar on a terminal: how far into the file, redrawn at most ten times a second."""

    WIDTH = 30

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s = 0.0

    def start(self, path: Path, file: BinaryIO) -> None:
        """Begin with a file that has just been opened."""
        self._name, self._file = printable(path.name), file
        self._size = max(1, path.stat().st_size)

    def show(self) -> None:
        """Redraw if it is time."""
        now_s = time.monotonic()
        if now_s < self._next_s or self._file.closed:
            return
        self._next_s = now_s + 0.1
        part = min(1.0, self._file.tell() / self._size)
        bar = "#" * int(part * self.WIDTH)
        self._stream.write(f"\r{self._name[:40]:<40} [{bar:<{self.WIDTH}}] {part:4.0%}")
        self._stream.flush()

    def end(self) -> None:
        """Clear the bar."""
        self._stream.write("\r\x1b[K")
        self._stream.flush()


def stdout_text() -> TextIO:
    """Standard output that can carry any text (hostile names included), whatever the locale is."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(encoding="utf-8", errors="backslashreplace")
    return sys.stdout
