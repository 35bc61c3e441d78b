"""Windows event logs: asks one long-lived PowerShell for what is new in each log, and never loses its place.

Every request begins with the record that was read last (the anchor). When that is what comes first, nothing is
missing; when it is not, the log was cleared, has rolled over or was replaced, and is read again from its oldest record.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from siemd.events import now_us
from siemd.logger import get_logger
from siemd.outlet import Outlet
from siemd.sources.windows_log import Mark, Reading, WindowsLog
from siemd.sources.windows_powershell import Broken, PowerShell, find_powershell
from siemd.units import Seconds

RETRY_MAX_S = 60.0
MAIN_CHANNELS = ("Security", "System", "Application")

_CHANNELS = {
    "Security": 50,
    "System": 50,
    "Application": 20,
    "Microsoft-Windows-Sysmon/Operational": 0,
    "Microsoft-Windows-PowerShell/Operational": 0,
    "Windows PowerShell": 0,
    "Microsoft-Windows-TaskScheduler/Operational": 0,
    "Microsoft-Windows-Windows Defender/Operational": 0,
    "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational": 0,
    "Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational": 0,
    "Microsoft-Windows-WMI-Activity/Operational": 0,
    "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall": 0,
    "Microsoft-Windows-Bits-Client/Operational": 0,
    "Microsoft-Windows-CodeIntegrity/Operational": 0,
    "Microsoft-Windows-AppLocker/EXE and DLL": 0,
    "Microsoft-Windows-NTLM/Operational": 0,
    "OpenSSH/Operational": 0,
}


class WindowsEventsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The event logs of a Windows host, read by PowerShell."""

    enabled: Annotated[
        Literal["auto"] | bool, Meta(description="Whether to read event logs; auto: when this host runs Windows.")
    ] = "auto"
    powershell: Annotated[
        str,
        Meta(description="The PowerShell to start (5.1 or 7): a name or path; auto: Windows PowerShell, else pwsh."),
    ] = "auto"
    channels: Annotated[
        dict[str, Annotated[int, Meta(ge=0, le=10_000)]],
        Meta(
            description="The logs to read, and how many of the newest records to take at the first start. "
            "A log that this host does not have is looked for again from time to time."
        ),
    ] = msgspec.field(default_factory=_CHANNELS.copy)
    interval_s: Annotated[Seconds, Meta(description="Time between two looks at the logs.")] = msgspec.field(
        name="interval", default=Seconds(2)
    )
    batch_records: Annotated[int, Meta(ge=1, le=4096, description="How many records to ask for at once, at most.")] = (
        256
    )
    timeout_s: Annotated[
        Seconds, Meta(description="How long PowerShell may be silent before it is ended and started anew.")
    ] = msgspec.field(name="timeout", default=Seconds(60))
    render_messages: Annotated[
        bool, Meta(description="Whether Windows shall render each record's message; that takes milliseconds a record.")
    ] = False


class _Checkpoint(msgspec.Struct):
    channels: dict[str, Mark] = {}


class WindowsEvents:
    """The source of Windows event records. The checkpoint holds the mark of every log, as JSON."""

    name: ClassVar[str] = "windows_events"
    Config: ClassVar[type[msgspec.Struct]] = WindowsEventsConfig

    def __init__(self, config: WindowsEventsConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._health = outlet.health
        marks = _read_checkpoint(outlet.checkpoint)
        self._logs = [
            WindowsLog(channel, newest, marks.get(channel), config.batch_records, render=config.render_messages)
            for channel, newest in config.channels.items()
        ]
        self._progress = False
        self._interval_s = max(0.05, float(config.interval_s))

    async def run(self) -> None:
        """Poll until cancelled; PowerShell is started again, ever more patiently, when it breaks."""
        if self._config.enabled == "auto" and sys.platform != "win32":
            self._health.set("stopped", "this host does not run Windows")
            return
        delay_s = 1.0
        while True:
            self._progress = False
            reason = await self._session()
            delay_s = 1.0 if self._progress else min(delay_s * 2, RETRY_MAX_S)
            self._health.error("degraded" if self._progress else "failed", f"{reason} (next try in {delay_s:g} s)")
            self._health.add("restarts")
            get_logger("siemd.windows_events").warning("windows_events.interrupted", reason=reason, retry_s=delay_s)
            await asyncio.sleep(delay_s)

    async def _session(self) -> str:
        """One PowerShell from start to end; the reason why it ended."""
        program = find_powershell(self._config.powershell)
        if program is None:
            return f"no PowerShell ({self._config.powershell}) found; set sources.windows_events.powershell to its path"
        powershell = PowerShell(program, max(0.1, float(self._config.timeout_s)))
        try:
            await powershell.start()
            get_logger("siemd.windows_events").info(
                "windows_events.started", program=program, version=str(powershell.hello.get("version"))
            )
            while True:
                busy = await self._round(powershell)
                self._say(powershell)
                if not busy:
                    await asyncio.sleep(self._interval_s)
        except Broken as error:
            return str(error)
        finally:
            await powershell.stop()

    async def _round(self, powershell: PowerShell) -> bool:
        """Ask for each log that is due once; whether any of them has more to give."""
        busy = False
        for log in tuple(self._logs):
            if not log.is_due():
                continue
            request = log.request(bookmarks=powershell.hello.get("bookmarks") is True)
            try:
                answer = await powershell.ask(request)
            except Broken as error:
                log.broke(str(error))
                self._logs.remove(log)
                self._logs.append(log)  # the others go first next time, so that one log cannot starve them
                raise
            reading = await asyncio.to_thread(log.read, request, answer)
            await self._outlet.send(reading.events, self._checkpoint(log, reading))
            log.accept(reading)
            self._progress = True
            self._health.add("unreadable_records", reading.unreadable)
            self._health.add("missing_records", reading.missing)
            self._health.errors += reading.unreadable + (reading.problem != "")
            if reading.events:
                self._health.lag_s = max(0.0, (now_us() - reading.events[-1].time_us) / 1e6) if reading.more else 0.0
            busy = busy or reading.more
        return busy

    def _checkpoint(self, log: WindowsLog, reading: Reading) -> bytes | None:
        """The marks of all logs as they will be once this reading is accepted; None when nothing changes."""
        if reading.mark is None:
            return None
        marks = {other.channel: other.stored_mark(reading if other is log else None) for other in self._logs}
        return msgspec.json.encode(_Checkpoint({name: mark for name, mark in marks.items() if mark is not None}))

    def _say(self, powershell: PowerShell) -> None:
        """The status: which logs are read, which are not there, which have trouble and what to do about it."""
        self._health.extra["garbage_lines"] = powershell.garbage_lines
        troubled = [log for log in self._logs if log.problem and not (log.missing and log.channel not in MAIN_CHANNELS)]
        absent = [log.channel for log in self._logs if log.missing]
        reading = len(self._logs) - len([log for log in self._logs if log.problem])
        detail = f"reading {reading} of {len(self._logs)} logs"
        if absent:
            detail += f"; not on this host: {', '.join(absent)}"
        if troubled:
            detail = "; ".join(f"{log.channel}: {log.problem}" for log in troubled[:4]) + f"; {detail}"
        status: Literal["ok", "degraded", "failed"] = "ok"
        if troubled or reading == 0:
            status = "degraded" if reading else "failed"
        self._health.set(status, detail)


def _read_checkpoint(data: bytes | None) -> dict[str, Mark]:
    """The marks in a checkpoint; none when there is no checkpoint or it is damaged."""
    try:
        return msgspec.json.decode(data or b"{}", type=_Checkpoint).channels
    except msgspec.DecodeError:
        return {}
