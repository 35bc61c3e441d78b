"""Windows event records that the tests make themselves, and a stand-in `powershell` that serves them from a folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
STANDIN = Path(__file__).with_name("powershell_standin.py")


def event_xml(
    record_id: int,
    *,
    channel: str = "Security",
    event_id: int = 4625,
    provider: str = "Microsoft-Windows-Security-Auditing",
    time: str = "",
    level: int = 0,
    **data: str,
) -> str:
    """The XML of one record as `ToXml()` gives it."""
    moment = time or f"2026-03-01T{record_id // 3600 % 24:02}:{record_id // 60 % 60:02}:{record_id % 60:02}.1234567Z"
    items = "".join(f"<Data Name={quoteattr(name)}>{escape(value)}</Data>" for name, value in data.items())
    return (
        f"<Event xmlns='{NAMESPACE}'><System><Provider Name={quoteattr(provider)} "
        "Guid='{54849625-5478-4994-a5ba-3e3b0328c30d}'/>"
        f"<EventID>{event_id}</EventID><Version>0</Version><Level>{level}</Level><Task>12544</Task><Opcode>0</Opcode>"
        f"<Keywords>0x8010000000000000</Keywords><TimeCreated SystemTime='{moment}'/>"
        f"<EventRecordID>{record_id}</EventRecordID><Correlation/><Execution ProcessID='660' ThreadID='712'/>"
        f"<Channel>{escape(channel)}</Channel><Computer>pc1.example.org</Computer><Security/></System>"
        f"<EventData>{items}</EventData></Event>"
    )


class StandIn:
    """A folder of logs, and the program that serves it as PowerShell would; `misbehave` makes it fail on purpose."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "logs").mkdir(parents=True)
        self.program = str(folder / "powershell")
        Path(self.program).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}" "{folder}" "$@"\n')
        os.chmod(self.program, 0o755)  # noqa: PTH101
        self.misbehave()

    def write(self, channel: str, records: Iterable[tuple[int, str]]) -> None:
        """Replace a log's records: (the log's own record id, XML)."""
        text = "".join(json.dumps([record_id, xml]) + "\n" for record_id, xml in records)
        self._replace(self.folder / "logs" / (channel.replace("/", "%") + ".jsonl"), text)

    def misbehave(self, *deeds: dict[str, Any]) -> None:
        """What to do wrong, first match first: {"do": ..., "channel": ..., "after": records, "times": n}."""
        self._replace(self.folder / "deeds.json", json.dumps(list(deeds)))

    def asked(self) -> list[dict[str, Any]]:
        """Every request so far."""
        path = self.folder / "asked.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def starts(self) -> int:
        """How often it was started."""
        path = self.folder / "starts"
        return len(path.read_text()) if path.exists() else 0

    def _replace(self, path: Path, text: str) -> None:
        temporary = path.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
