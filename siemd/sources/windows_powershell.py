"""The Python side of windows_events.ps1: starts PowerShell, asks for records of one log, checks the answers."""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from siemd.sources.lineprocess import LineProcess, ProcessEnded

SCRIPT = Path(__file__).with_name("windows_events.ps1")
MAX_LINE_BYTES = 16 << 20
MAX_GARBAGE_LINES = 50

_decoder = msgspec.json.Decoder()


class Broken(Exception):
    """PowerShell cannot be started, died, hung or spoke nonsense: it has to be started anew."""


class Request(msgspec.Struct, kw_only=True):
    """What to read of one log; see windows_events.ps1. `newest` and `bookmark` both None: from the oldest record."""

    channel: str
    max: int
    query: str = "*"
    bookmark: str | None = None
    offset: int = 0
    newest: int | None = None
    batch: int = 64
    render: bool = False
    id: int = 0


class Failure(msgspec.Struct, kw_only=True):
    """Why reading a log ended early: the Windows error code, the .NET type and its (localised) text."""

    code: int = 0
    type: str = ""
    text: str = ""


class Record(msgspec.Struct, kw_only=True):
    """One record: its XML, and its message when that was asked for."""

    xml: str
    message: str = ""


class Answer(msgspec.Struct, kw_only=True):
    """All that came for one request. bookmark: of the newest record (base64), "" without any.

    lost: records whose lines were beyond the limit. oldest, records: the log's oldest record id and its size.
    """

    found: list[Record] = []
    bookmark: str = ""
    oldest: int | None = None
    records: int | None = None
    error: Failure | None = None
    lost: int = 0


def find_powershell(choice: str) -> str | None:
    """The program to start: for `auto` Windows PowerShell, else PowerShell 7; None when there is none."""
    if choice != "auto":
        return shutil.which(choice)
    root = os.environ.get("SYSTEMROOT", r"C:\Windows")
    built_in = Path(root) / "System32" / "WindowsPowerShell" / "v1.0" / "powershell.exe"
    if sys.platform == "win32" and built_in.exists():
        return str(built_in)
    return shutil.which("powershell") or shutil.which("pwsh")


class PowerShell:
    """One running PowerShell. Every failure raises Broken, after which only `stop` may be called."""

    def __init__(self, program: str, timeout_s: float) -> None:
        """timeout_s: how long it may be silent before it counts as hung."""
        self.hello: dict[str, Any] = {}
        self.garbage_lines = 0
        self._timeout_s = timeout_s
        self._number = 0
        # -InputFormat None: the host would read our requests from stdin itself, as input of the script's pipeline.
        argv = [program, "-NoLogo", "-NoProfile", "-NonInteractive", "-InputFormat", "None", "-OutputFormat", "Text"]
        argv += ["-ExecutionPolicy", "Bypass", "-File", str(SCRIPT)]
        self._process = LineProcess(argv, max_line_bytes=MAX_LINE_BYTES)

    async def start(self) -> None:
        """Start it and wait for its greeting."""
        try:
            await self._process.start()
        except OSError as error:
            raise Broken(f"PowerShell cannot be started: {error.strerror or error}") from None
        while not self.hello:
            for answer in await self._answers():
                if "hello" in answer:
                    self.hello = answer

    async def ask(self, request: Request) -> Answer:
        """Send a request and collect its answer."""
        self._number += 1
        request.id = self._number
        oversized = self._process.oversized
        try:
            self._process.write(msgspec.json.encode(request) + b"\n")
        except ProcessEnded as error:
            raise Broken(f"PowerShell {error}") from None
        found: list[Record] = []
        while True:
            for answer in await self._answers():
                if answer.get("id") != request.id:
                    self._garbage()
                elif "record" in answer:
                    found.append(Record(xml=_text(answer["record"]), message=_text(answer.get("message"))))
                elif answer.get("end") is True:
                    return self._complete(answer, found, self._process.oversized - oversized)
            if len(found) > max(request.max, request.newest or 0):
                raise Broken("PowerShell sent more records than it was asked for")

    async def stop(self) -> None:
        """End it, whatever it is doing."""
        await self._process.stop()

    def _complete(self, end: dict[str, Any], found: list[Record], lost: int) -> Answer:
        if end.get("count") != len(found) + lost:
            raise Broken(f"PowerShell's answer is not whole: {len(found)} of {end.get('count')} records arrived")
        fields = {name: end.get(name) for name in ("oldest", "records", "error")}
        try:
            answer = msgspec.convert({**fields, "bookmark": end.get("bookmark") or "", "lost": lost}, Answer)
        except msgspec.ValidationError as error:
            raise Broken(f"PowerShell's answer is not valid: {error}") from None
        answer.found = found
        return answer

    async def _answers(self) -> list[dict[str, Any]]:
        try:
            lines = await self._process.read_lines(self._timeout_s)
        except TimeoutError:
            raise Broken(f"PowerShell has been silent for {self._timeout_s:g} s") from None
        except ProcessEnded as error:
            raise Broken(f"PowerShell {error}") from None
        answers: list[dict[str, Any]] = []
        for line in lines:
            try:
                answer = _decoder.decode(line.strip().removeprefix(b"\xef\xbb\xbf"))
            except (msgspec.DecodeError, RecursionError):
                answer = None
            if isinstance(answer, dict):
                answers.append(answer)
            elif line.strip():
                self._garbage()
        return answers

    def _garbage(self) -> None:
        self.garbage_lines += 1
        if self.garbage_lines > MAX_GARBAGE_LINES:
            raise Broken(f"PowerShell wrote more than {MAX_GARBAGE_LINES} lines that are no answers")


def _text(encoded: Any) -> str:
    """Base64 of UTF-8 as text; "" for nothing. Raises Broken for anything else."""
    if encoded is None or encoded == "":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except (binascii.Error, TypeError, ValueError):
        raise Broken("PowerShell sent a record that is not base64") from None
