"""Matching plain rules in several processes: the daemon's own thread and workers beside it take parts of a batch.

Only matching is shared out, which is stateless and the expensive part. What matched comes back in the order of the
events, so windows and incidents see exactly what they would see without workers.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence

from siemd.detection.framereader import FrameReader
from siemd.detection.framewriter import FrameWriter
from siemd.detection.matcher import Matcher
from siemd.detection.matching import Matches, match, relevant
from siemd.detection.worker import (
    BYTES_TO_MATCHES,
    EVENTS_TO_BYTES,
    SWITCH_S,
    Kind,
    frame_of,
)
from siemd.events import Event
from siemd.logger import get_logger

PART_EVENTS = 128
BITE_EVENTS = 32  # after so many this thread sees whether a worker has nothing to do
AHEAD_PARTS = 3  # what a worker may have before it: it never waits for the daemon, nor the daemon long at the end
FULL_PIPE_S = 0.001
STUCK_S = 30.0  # a part that takes longer is taken away from its worker, which is ended
RESTART_S = 5.0  # at most one start of a worker in this time

Part = tuple[Sequence[Event], Matches]


class _Work:
    """One part of a batch: which events it spans, which of them have to be matched, and what came of it."""

    __slots__ = ("end", "matches", "positions", "start", "waiting")

    def __init__(self, start: int, end: int, positions: list[int], waiting: deque[_Work]) -> None:
        self.start = start
        self.end = end
        self.positions = positions
        self.matches: Matches | None = None
        self.waiting = waiting  # its batch's parts that nobody has begun
        waiting.append(self)


class _Worker:
    """One process; writing to it waits for nothing, and its answers go to `answers`.

    ready: it has compiled the newest rules that it was given. Raises OSError when no process can be started.
    """

    def __init__(self, answers: FrameReader[_Worker], rules: bytes) -> None:
        self._compiling = 0
        self.busy: deque[tuple[float, _Work]] = deque()
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "siemd.detection.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=flags,
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._frames = FrameWriter(self._process.stdin)
        try:
            answers.listen(self, self._process.stdout, f"worker {self.pid}")
        except RuntimeError:
            self.end()
            raise
        self.use(rules)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it can be given parts."""
        return self._compiling == 0

    def use(self, rules: bytes) -> None:
        """Compile other rules; not ready until it says so."""
        self._compiling += 1
        self._frames.put(frame_of(Kind.RULES, rules))

    def compiled(self) -> None:
        """It said that it has compiled a set of rules; another one may have been sent since."""
        self._compiling -= 1

    def send(self, work: _Work, payload: bytes) -> None:
        """Give it a part."""
        self.busy.append((time.monotonic(), work))
        self._frames.put(frame_of(Kind.EVENTS, payload))

    def flush(self) -> bool:
        """Go on with writing; whether all that it was sent is on its way."""
        return self._frames.flush()

    def end(self) -> None:
        """End it now."""
        self._frames.close()
        self._process.kill()
        self._process.wait()


class WorkerPool:
    """`match` for one thread at a time. restarts: workers that died and were replaced; redone: parts done again.

    failed_starts: how often the system could not start one.
    """

    def __init__(self, processes: int, stuck_s: float = STUCK_S) -> None:
        """processes: how many match, the calling thread among them: one less is started."""
        self.processes = processes
        self._stuck_s = stuck_s
        self.restarts = self.redone = self.failed_starts = 0
        self._wanted = processes - 1
        self._workers: list[_Worker] = []
        self._answers: FrameReader[_Worker] = FrameReader()
        self._rules = b""
        self._matcher = Matcher(())
        self._next_start_s = 0.0
        self._closed = False
        sys.setswitchinterval(SWITCH_S)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._workers]

    @property
    def ready(self) -> int:
        """How many workers have compiled the rules."""
        self._hear()
        return sum(worker.ready for worker in self._workers)

    def counters(self) -> dict[str, int]:
        """What health shows."""
        return {
            "workers": len(self._workers),
            "worker_restarts": self.restarts,
            "redone_parts": self.redone,
            "failed_worker_starts": self.failed_starts,
        }

    def use(self, matcher: Matcher) -> None:
        """Match by these rules from the next batch on; workers compile them too, and help as soon as they have."""
        self._matcher = matcher
        self._rules = pickle.dumps(matcher.rules)
        self._hear()
        for worker in self._workers:
            worker.use(self._rules)
        while len(self._workers) < self._wanted and not self._closed and self._start():
            pass

    def match(self, events: Sequence[Event]) -> Iterator[Part]:
        """What matches in each part of a batch, in order; a part that a worker dies on is done again."""
        waiting: deque[_Work] = deque()
        for work in self._share_out(events, waiting):
            self._serve(events, waiting)
            while work.matches is None:
                self._advance(events, work, waiting)
            yield events[work.start : work.end], work.matches

    def close(self) -> None:
        """End the workers."""
        self._closed = True
        for worker in self._workers:
            worker.end()
        self._workers = []
        self._answers.close()

    def _share_out(self, events: Sequence[Event], waiting: deque[_Work]) -> list[_Work]:
        """Parts of about as many events that have to be matched; together they span all events."""
        positions = relevant(self._matcher, events)
        works: list[_Work] = []
        start = 0
        for first in range(0, len(positions), PART_EVENTS):
            chosen = positions[first : first + PART_EVENTS]
            works.append(_Work(start, chosen[-1] + 1, chosen, waiting))
            start = chosen[-1] + 1
        if not works:
            works.append(_Work(0, 0, [], waiting))
        works[-1].end = len(events)
        return works

    def _advance(self, events: Sequence[Event], work: _Work, waiting: deque[_Work]) -> None:
        """Do whatever brings this part on: give workers enough to do, else match a part here, else wait for them."""
        self._serve(events, waiting)
        if work.matches is not None:
            return
        if waiting:
            mine = waiting.popleft()
            found: Matches = []
            for start in range(0, len(mine.positions), BITE_EVENTS):
                found += self._match(events, mine, start, start + BITE_EVENTS)
                self._serve(events, waiting)
            mine.matches = found
        else:
            self._hear(wait_s=min(1.0, self._stuck_s))
            self._end_stuck()

    def _serve(self, events: Sequence[Event], waiting: deque[_Work]) -> None:
        """See to it that no worker waits for this thread."""
        self._hear()
        self._feed(events, waiting)

    def _feed(self, events: Sequence[Event], waiting: deque[_Work]) -> None:
        """Give every worker enough to do, the one with least first; keep one part for this thread."""
        self._replace_dead()
        while len(waiting) > 1:
            able = [worker for worker in self._workers if worker.ready and len(worker.busy) < AHEAD_PARTS]
            if not able:
                return
            work = waiting.popleft()
            try:
                payload = EVENTS_TO_BYTES.encode([events[position] for position in work.positions])
            except (TypeError, ValueError, OverflowError, RecursionError):  # values that bytes can't hold
                work.matches = self._match(events, work, 0, len(work.positions))
                return
            min(able, key=lambda worker: len(worker.busy)).send(work, payload)

    def _match(self, events: Sequence[Event], work: _Work, start: int, end: int) -> Matches:
        """Match those of a part's events here that stand between two places."""
        positions = work.positions[start:end]
        return _spread(work, positions, match(self._matcher, [events[position] for position in positions]))

    def _hear(self, wait_s: float = 0.0) -> None:
        """Go on writing to workers and take what they have answered; with wait_s, wait so long for the first of it."""
        if not all([worker.flush() for worker in self._workers]):  # noqa: C419 - every one of them
            wait_s = min(wait_s, FULL_PIPE_S)
        for worker, kind, payload in self._answers.take(wait_s):
            if kind is Kind.READY:
                worker.compiled()
            elif kind is Kind.MATCHES:
                _, work = worker.busy.popleft()
                work.matches = _spread(work, work.positions, BYTES_TO_MATCHES.decode(payload))
            elif kind is Kind.FAILED:
                if worker.busy:
                    self._do_again(worker, 1)
            elif worker in self._workers:
                self._lost(worker)

    def _lost(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.end()
        self.restarts += 1
        get_logger("siemd.detection").error("detection.worker_died", pid=worker.pid, unfinished_parts=len(worker.busy))
        self._do_again(worker, len(worker.busy))

    def _do_again(self, worker: _Worker, parts: int) -> None:
        """Put a worker's first parts back in front of what waits."""
        self.redone += parts
        for work in reversed([worker.busy.popleft()[1] for _ in range(parts)]):
            work.waiting.appendleft(work)

    def _end_stuck(self) -> None:
        now_s = time.monotonic()
        for worker in self._workers:
            if worker.busy and now_s - worker.busy[0][0] > self._stuck_s:
                worker.end()  # its answers then end, which tells that it is lost

    def _replace_dead(self) -> None:
        if len(self._workers) < self._wanted and time.monotonic() >= self._next_start_s:
            self._next_start_s = time.monotonic() + RESTART_S
            self._start()

    def _start(self) -> bool:
        """Start a worker. When the system has no room for one, the others do its work, and it is tried again later."""
        try:
            self._workers.append(_Worker(self._answers, self._rules))
        except (OSError, RuntimeError) as error:  # RuntimeError: no room for a thread
            self.failed_starts += 1
            get_logger("siemd.detection").error("detection.worker_not_started", error=str(error))
            return False
        return True


def _spread(work: _Work, positions: Sequence[int], matches: Matches) -> Matches:
    """Places among the events that were matched as positions among all of the part."""
    return [(positions[place] - work.start, indices) for place, indices in matches]
