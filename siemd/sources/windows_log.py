"""One Windows event log: what to ask for next, what an answer means, and how to go on after trouble."""

from __future__ import annotations

import hashlib
import re
import time

import msgspec

from siemd.events import LogEvent
from siemd.sources.notice import notice
from siemd.sources.windows_powershell import Answer, Failure, Record, Request
from siemd.sources.windows_record import event_from_xml
from siemd.sources.windows_xml import RecordError

READ_BATCH = 64
STALE_TRIES = 3
MAX_SKIPPED = 16
RETRY_MAX_S = 60.0
MISSING_RETRY_S = 300.0
READERS = (
    'add the account that runs siemd to the group Event Log Readers (net localgroup "Event Log Readers" ACCOUNT /add)'
)

_NOT_FOUND = (2, 3, 15007, 15027, 15028)
_STALE = (15011, 15012)  # the query's result is stale; its position is invalid
_RECORD_GONE = 1168
_BATCH_TOO_LARGE = 1734
_RECORD_ID = re.compile(r"<EventRecordID>(\d{1,18})</EventRecordID>")
_SERVICE = (6, 1717, 1722, 1723, 1726, 1727, 1753, 1062)


class Mark(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The last record read from a log; empty (no record id and no digest) means: go on from the oldest record.

    bookmark: its bookmark, base64 of Windows' XML. digest: of its XML, so that another record under the same id is
    told apart.
    """

    bookmark: str = ""
    record_id: int = 0
    time_us: int = 0
    digest: str = ""


class Reading(msgspec.Struct, kw_only=True):
    """What one answer means. mark: where to go on from, to be stored with the events; None when unchanged.

    more: whether to ask again at once. unreadable: records that could not be parsed. missing: records known lost.
    problem: what went wrong, with what to do about it.
    """

    events: list[LogEvent] = []
    mark: Mark | None = None
    more: bool = False
    unreadable: int = 0
    missing: int = 0
    problem: str = ""
    absent: bool = False
    retry_s: float = 0.0
    batch: int = READ_BATCH
    skip: int = 0
    stale_tries: int = 0
    lost: Mark | None = None


class WindowsLog:
    """The place in one log. `request`, ask, `read` the answer (pure), send its events, then `accept` the reading."""

    def __init__(self, channel: str, newest: int, mark: Mark | None, max_records: int, *, render: bool) -> None:
        self.channel = channel
        self.mark = mark
        self.problem = ""
        self.missing = False
        self._newest = newest
        self._max_records = max_records
        self._render = render
        self._retry_s = 0.0
        self._due_s = 0.0
        self._batch = READ_BATCH
        self._skip = 0  # records behind the anchor that cannot be read
        self._stale_tries = 0
        self._lost: Mark | None = None  # the anchor that is gone, while the log is read again from its oldest record

    def is_due(self) -> bool:
        """Whether to ask now; after trouble a log waits, the others go on."""
        return time.monotonic() >= self._due_s

    def request(self, *, bookmarks: bool) -> Request:
        """What to ask for. bookmarks: whether this PowerShell can use them; otherwise record ids serve."""
        request = Request(channel=self.channel, max=self._max_records, batch=self._batch, render=self._render)
        if self.mark is None:
            request.newest = max(1, self._newest)  # with 0 the newest record still says where to go on from
        elif self.mark.bookmark and bookmarks:
            request.bookmark = self.mark.bookmark
            request.offset = 1 + self._skip if self._skip else 0
            request.max += 1
        elif self.mark.record_id:
            first = self.mark.record_id + (1 + self._skip if self._skip else 0)
            request.query = f"*[System[EventRecordID >= {first}]]"
            request.max += 1
        return request

    def stored_mark(self, reading: Reading | None = None) -> Mark | None:
        """The mark for the checkpoint. While an anchor is lost that is the old one, so that no restart hides a gap."""
        if reading is None:
            return self._lost or self.mark
        return reading.lost or reading.mark or self.mark

    def read(self, request: Request, answer: Answer) -> Reading:
        """What the answer means; changes nothing here, so that it can be read off the event loop and not accepted."""
        reading = Reading(batch=self._batch, lost=self._lost)
        if answer.error is not None:
            self._failed(answer.error, answer, reading)
        if answer.lost:
            text = f"{answer.lost} records were too large to be read"
            reading.events.append(notice(text, channel=self.channel, event_type="log_gap", lost_records=answer.lost))
            reading.missing += answer.lost
        found = answer.found
        if self.mark is None:
            found = found[::-1]
            if answer.error is None or found:
                reading.mark = Mark()  # an empty log: whatever comes is new
        elif self._has_anchor():
            if not found:
                if answer.error is None or answer.error.code == _RECORD_GONE:
                    self._anchor_gone(reading)
                return reading
            if not self._is_anchor(found[0]):
                self._anchor_gone(reading)
                return reading
            found = found[1:]
        self._take(found, answer, reading)
        if answer.error is None:
            reading.more = len(answer.found) >= request.max and self.mark is not None
            reading.skip = 0 if found else self._skip
            reading.batch = min(READ_BATCH, self._batch * 2)
        if self.mark is None and self._newest == 0:
            reading.events.clear()
        return reading

    def accept(self, reading: Reading) -> None:
        """Go on from what was read, after its events were passed on."""
        if reading.mark is not None:
            self.mark = reading.mark
        self._lost = reading.lost
        self._batch, self._skip, self._stale_tries = reading.batch, reading.skip, reading.stale_tries
        self.problem, self.missing = reading.problem, reading.absent
        if reading.problem and not reading.more:
            self._retry_s = reading.retry_s or min(max(1.0, self._retry_s * 2), RETRY_MAX_S)
            self._due_s = time.monotonic() + self._retry_s
        else:
            self._retry_s = self._due_s = 0.0

    def broke(self, reason: str) -> None:
        """PowerShell broke while it was asked for this log: leave it alone for a while."""
        self.problem = reason
        self._retry_s = min(max(1.0, self._retry_s * 2), MISSING_RETRY_S)
        self._due_s = time.monotonic() + self._retry_s

    def _has_anchor(self) -> bool:
        return self.mark is not None and self.mark.digest != "" and self._skip == 0

    def _is_anchor(self, record: Record) -> bool:
        assert self.mark is not None
        if _digest(record.xml) == self.mark.digest:
            return True
        try:
            event = event_from_xml(record.xml)
        except RecordError:
            return False
        return event.record_id == self.mark.record_id and event.time_us == self.mark.time_us

    def _anchor_gone(self, reading: Reading) -> None:
        """The record read last is not there any more: start again from the oldest."""
        reading.lost = self._lost or self.mark
        reading.mark = Mark()
        reading.more = True
        reading.problem = ""

    def _take(self, found: list[Record], answer: Answer, reading: Reading) -> None:
        """Turn records into events, leaving out those from before the lost anchor."""
        last: tuple[Record, LogEvent | None] | None = None
        for record in found:
            event: LogEvent | None = None
            try:
                event = event_from_xml(record.xml, record.message)
            except RecordError:
                reading.unreadable += 1
            if event is not None and reading.lost is not None:
                if self._was_read(event, reading.lost):
                    last = (record, event)
                    continue
                reading.events.append(self._explain_gap(event, reading))
                reading.lost = None
            last = (record, event)
            if event is not None:
                reading.events.append(event)
        if last is not None:
            record, event = last
            reading.mark = Mark(
                bookmark=answer.bookmark,
                record_id=event.record_id if event else _record_id(record.xml),
                time_us=event.time_us if event else 0,
                digest=_digest(record.xml),
            )

    def _was_read(self, event: LogEvent, lost: Mark) -> bool:
        return not self._is_forwarded(event) and event.record_id <= lost.record_id and event.time_us <= lost.time_us

    def _is_forwarded(self, event: LogEvent) -> bool:
        """Whether record ids mean nothing here: forwarded records keep the ids that other computers gave them."""
        return event.channel.lower() != self.channel.lower()

    def _explain_gap(self, event: LogEvent, reading: Reading) -> LogEvent:
        """Say what it means that the log now begins with this record."""
        assert reading.lost is not None
        missing = event.record_id - reading.lost.record_id - 1
        if self._is_forwarded(event):
            text = f"{self.channel}: the record read last is gone; records may be missing before this one"
            return notice(text, channel=self.channel, event_type="log_gap")
        if missing > 0:
            reading.missing += missing
            text = f"{self.channel}: {missing} records are missing: the log was cleared or rolled over unread"
            return notice(text, channel=self.channel, event_type="log_gap", lost_records=missing)
        if missing == 0:
            text = f"{self.channel}: the log was cleared; all of its records had been read"
            return notice(text, channel=self.channel, event_type="log_cleared")
        text = f"{self.channel}: the log was cleared and its record ids began anew; records before may be missing"
        return notice(text, channel=self.channel, event_type="log_cleared")

    def _failed(self, error: Failure, answer: Answer, reading: Reading) -> None:
        """What to do about an error; the records that came before it count."""
        code, text = error.code, f"{error.text.strip()[:200]} (error {error.code})"
        if code == _BATCH_TOO_LARGE:
            self._halve(answer, reading)
        elif code in _STALE or (error.type == "EventLogReadingException" and code not in _SERVICE):
            reading.stale_tries = self._stale_tries + 1
            reading.more = reading.stale_tries <= STALE_TRIES  # opening the log again is all it takes
            reading.problem = f"the log changed while it was read: {text}"
            if not reading.more and self._has_anchor() and not answer.found:
                self._anchor_gone(reading)
                reading.stale_tries = 0
        elif code == 5 or error.type == "UnauthorizedAccessException":
            reading.problem = f"access denied; {READERS}"
            reading.retry_s = RETRY_MAX_S
        elif code in _NOT_FOUND or error.type == "EventLogNotFoundException":
            reading.problem = "there is no such log on this host"
            reading.absent = True
            reading.retry_s = MISSING_RETRY_S
        elif code in _SERVICE:
            reading.problem = f"the Windows Event Log service does not answer: {text}"
        else:
            reading.problem = text

    def _halve(self, answer: Answer, reading: Reading) -> None:
        """Error 1734: the records of one read do not fit. Read fewer at once; at last leave the giant out."""
        reading.problem = "a batch of records was too large to be read at once (error 1734)"
        reading.more = True
        if answer.found[1 if self._has_anchor() else 0 :] or self._batch > 1:
            reading.batch = max(1, self._batch // 2)
            return
        reading.skip = self._skip
        if self._skip >= MAX_SKIPPED:
            reading.more = False
            return
        reading.skip += 1
        reading.missing = 1
        text = f"{self.channel}: a record is too large to be read and was left out (error 1734)"
        reading.events.append(notice(text, channel=self.channel, event_type="log_gap", lost_records=1))


def _record_id(xml: str) -> int:
    """The id of a record that can't be parsed."""
    match = _RECORD_ID.search(xml)
    return int(match[1]) if match else 0


def _digest(xml: str) -> str:
    return hashlib.sha256(xml.encode("utf-8", "replace")).hexdigest()[:16]
