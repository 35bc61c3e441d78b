"""The systemd journal of a Linux host: one `journalctl` that follows it, from the cursor that was stored last."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from siemd.events import Event
from siemd.logger import get_logger
from siemd.outlet import Outlet
from siemd.sources.audit_process import AuditProcesses
from siemd.sources.journal_record import event_from_journal, text_of
from siemd.sources.lineprocess import LineProcess, ProcessEnded
from siemd.sources.notice import notice

MAX_LINE_BYTES = 4 << 20
SLICE_LINES = 256
RETRY_MAX_S = 60.0
GROUP_HINT = "add siemd's account to the group systemd-journal (usermod -aG systemd-journal ACCOUNT) and restart siemd"

_CURSOR = re.compile(r"[\x21-\x7e]{8,512}")
_SEQUENCE = re.compile(r"s=([0-9a-f]{1,32});i=([0-9a-f]{1,16});")
_PLACES = ("/run/systemd/journal", "/var/log/journal", "/run/log/journal")
_decoder = msgspec.json.Decoder()


class JournalConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The systemd journal: logins to security_logs, kernel and daemons to system_logs, the rest to application_logs."""

    enabled: Annotated[
        Literal["auto"] | bool, Meta(description="Whether to read the journal; auto: when this host has one.")
    ] = "auto"
    newest: Annotated[
        int, Meta(ge=0, le=1_000_000, description="How many of the newest records to read at the first start.")
    ] = 100
    directory: Annotated[
        str, Meta(description="Read the journal files in this directory (journalctl -D) instead of this host's.")
    ] = ""
    journalctl: Annotated[str, Meta(description="The journalctl program: its name or path.")] = "journalctl"


class Journal:
    """The source of the host's journal records. The checkpoint is the cursor of the last record, as JSON."""

    name: ClassVar[str] = "journal"
    Config: ClassVar[type[msgspec.Struct]] = JournalConfig

    def __init__(self, config: JournalConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._health = outlet.health
        self._own_pid, self._own = str(os.getpid()), _own_record()
        self._processes = AuditProcesses()
        self._cursor = _read_checkpoint(outlet.checkpoint)
        self._resumed_from = self._cursor  # until the first record shows whether something is missing between
        self._progress = False

    async def run(self) -> None:
        """Follow the journal until cancelled; restart journalctl, waiting longer and longer, when it dies."""
        program = shutil.which(self._config.journalctl)
        if self._config.enabled == "auto" and not self._has_journal(program):
            self._health.set("stopped", "this host has no systemd journal")
            return
        delay_s = 1.0
        said = ""
        while True:
            self._progress = False
            if program is None:
                reason = f"{self._config.journalctl!r} is not installed; install systemd or set sources.journal.enabled"
            else:
                reason = await self._follow(program)
            delay_s = 1.0 if self._progress else min(delay_s * 2, RETRY_MAX_S)
            self._health.error("degraded" if self._progress else "failed", f"{reason} (next try in {delay_s:g} s)")
            if self._progress or reason != said:  # once for each reason, not for each try
                get_logger("siemd.journal").warning("journal.interrupted", reason=reason, retry_s=delay_s)
            said = reason
            await asyncio.sleep(delay_s)
            program = shutil.which(self._config.journalctl)

    def _has_journal(self, program: str | None) -> bool:
        if not sys.platform.startswith("linux") or program is None:
            return False
        return bool(self._config.directory) or any(Path(place).is_dir() for place in _PLACES)

    async def _follow(self, program: str) -> str:
        """Run one journalctl to its end; the reason why it ended."""
        argv = [program, "--output=json", "--all", "--follow", "--no-pager"]
        if self._config.directory:
            argv.append(f"--directory={self._config.directory}")
        if self._cursor:
            argv += ["--no-tail", f"--after-cursor={self._cursor}"]
        else:
            argv.append(f"--lines={self._config.newest}")
        process = LineProcess(argv, max_line_bytes=MAX_LINE_BYTES, environment={"LC_ALL": "C"})
        self._resumed_from = self._cursor
        oversized = 0
        try:
            await process.start()
            self._health.set("ok", "following the journal")
            while True:
                lines = await process.read_lines(None)
                self._lost("oversized_records", process.oversized - oversized)
                oversized = process.oversized
                for start in range(0, len(lines), SLICE_LINES):
                    await self._pass_on(lines[start : start + SLICE_LINES])
                if "systemd-journal" in process.complaint:
                    self._health.set("degraded", f"sees only a part of the journal; {GROUP_HINT}")
        except OSError as error:
            return f"journalctl cannot be started: {error.strerror or error}"
        except ProcessEnded as error:
            return await self._explain(str(error), process.complaint)
        finally:
            await process.stop()

    async def _explain(self, reason: str, complaint: str) -> str:
        if "permission" in complaint.lower():
            return f"no right to read the journal; {GROUP_HINT}"
        if "cursor" in complaint and self._cursor:
            message = "the place in the journal where siemd stopped is not known any more; records may be missing"
            self._cursor = ""
            await self._outlet.send([notice(message, channel="journal", event_type="log_gap")])
            return message
        return f"journalctl {reason}"

    async def _pass_on(self, lines: Sequence[bytes]) -> None:
        """Send a slice of records with the cursor of its last one; parsing many runs beside the event loop."""
        if len(lines) > 16:
            events, cursor, unreadable = await asyncio.to_thread(self._parse, lines)
        else:
            events, cursor, unreadable = self._parse(lines)
        self._lost("unreadable_records", unreadable)
        if cursor:
            await self._outlet.send(events, msgspec.json.encode({"cursor": cursor}))
            self._cursor = cursor
            self._progress = True

    def _lost(self, counter: str, records: int) -> None:
        """Count records that can't become events, and tell the store with the next batch."""
        if records:
            self._health.add(counter, records)
            self._health.errors += records
            self._outlet.lost(records)

    def _parse(self, lines: Sequence[bytes]) -> tuple[list[Event], str, int]:
        """The events of the lines, the last cursor ("" if none), and how many lines are no record."""
        events: list[Event] = []
        last = ""
        unreadable = 0
        for line in lines:
            if not line.strip() or line.startswith(b"--"):  # "-- No entries --"
                continue
            try:
                record: Any = _decoder.decode(line)
                cursor = record.get("__CURSOR") if isinstance(record, dict) else None
                if not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor):
                    raise ValueError("no cursor")
                last = cursor
                if self._is_own(record):
                    self._health.add("own_records")
                    continue
                event = event_from_journal(record)
                self._processes.see(event)
            except (ValueError, RecursionError):  # msgspec.DecodeError is a ValueError
                unreadable += 1
                continue
            if self._resumed_from:
                events.extend(self._gap(self._resumed_from, cursor))
                self._resumed_from = ""
            events.append(event)
        return events, last, unreadable

    def _is_own(self, record: dict[str, Any]) -> bool:
        """Whether this process wrote it: reading one's own log would feed on itself."""
        if text_of(record.get("_PID")) != self._own_pid:
            return False
        return all(text_of(record.get(name, value)) == value for name, value in self._own.items())

    def _gap(self, before: str, after: str) -> list[Event]:
        """journald numbers its records: after a restart, a jump in the numbers is what was deleted meanwhile."""
        old, new = _SEQUENCE.match(before), _SEQUENCE.match(after)
        if not old or not new or old[1] != new[1]:
            return []
        missing = int(new[2], 16) - int(old[2], 16) - 1
        if missing <= 0:
            return []
        message = f"up to {missing} records are missing: the journal deleted them before siemd could read them"
        self._health.add("missing_records", missing)
        return [notice(message, channel="journal", event_type="log_gap", lost_records=missing)]


def _own_record() -> dict[str, str]:
    """What journald writes about this process beside its number, which may have been another's in an earlier boot."""
    own: dict[str, str] = {}
    with suppress(OSError):
        own["_EXE"] = str(Path("/proc/self/exe").readlink())
        own["_BOOT_ID"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    return own


def _read_checkpoint(data: bytes | None) -> str:
    """The cursor in a checkpoint, "" when there is none or it is damaged."""
    try:
        cursor = msgspec.json.decode(data or b"{}", type=dict[str, str]).get("cursor", "")
    except msgspec.DecodeError:
        return ""
    return cursor if _CURSOR.fullmatch(cursor) else ""
