"""Process creations as a busy Windows host logs them: recorded attacks among written everyday ones, and variations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siemd.events import LogEvent
from siemd.sources.evtxfile import read_events

SYSMON = "Microsoft-Windows-Sysmon/Operational"
# image, command line, parent's image, parent's command line
EVERYDAY = [
    (
        r"C:\Windows\System32\svchost.exe",
        r"C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule",
        r"C:\Windows\System32\services.exe",
        r"C:\Windows\system32\services.exe",
    ),
    (
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        r'"C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --lang=en-US --client-id=12',
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        r'"C:\Program Files\Google\Chrome\Application\chrome.exe"',
    ),
    (
        r"C:\Windows\System32\cmd.exe",
        r'C:\Windows\system32\cmd.exe /d /s /c "npm run build"',
        r"C:\Program Files\nodejs\node.exe",
        r'"C:\Program Files\nodejs\node.exe" C:\work\build.js',
    ),
    (
        r"C:\Program Files\Git\bin\git.exe",
        "git.exe -c core.quotepath=false status -z -u --ignore-submodules",
        r"C:\Users\ann\AppData\Local\Programs\Microsoft VS Code\Code.exe",
        r'"C:\Users\ann\AppData\Local\Programs\Microsoft VS Code\Code.exe"',
    ),
    (
        r"C:\Windows\System32\conhost.exe",
        r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1",
        r"C:\Windows\System32\cmd.exe",
        "cmd.exe",
    ),
    (
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        r"powershell.exe -NoProfile -ExecutionPolicy RemoteSigned -File C:\ops\inventory.ps1 -Site north",
        r"C:\Windows\System32\svchost.exe",
        r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
    ),
    (
        r"C:\Windows\System32\wbem\WmiPrvSE.exe",
        r"C:\Windows\system32\wbem\wmiprvse.exe -secured -Embedding",
        r"C:\Windows\System32\svchost.exe",
        r"C:\Windows\system32\svchost.exe -k DcomLaunch -p",
    ),
    (
        r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
        r'"C:\Program Files\Microsoft Office\Root\Office16\EXCEL.EXE" "C:\Users\ann\Documents\budget.xlsx"',
        r"C:\Windows\explorer.exe",
        r"C:\Windows\Explorer.EXE",
    ),
]


def recorded_creations(corpus: Path) -> list[LogEvent]:
    """Every Sysmon process creation of the recorded samples, nearly all of them attacks."""
    files = sorted(corpus.rglob("*.evtx"))
    events = (event for file in files for batch in read_events(file) for event in batch)
    return [event for event in events if event.channel == SYSMON and event.event_id == 1]


def process_creations(
    samples: list[LogEvent], unique: float, *, attacks: float = 0.1, seed: int = 1
) -> Iterator[LogEvent]:
    """Endless process creations: `attacks` of them as recorded, the rest everyday; `unique` with a new command line."""
    source = random.Random(seed)
    number = 0
    while True:
        number += 1
        sample = source.choice(samples)
        fields: dict[str, Any] = dict(sample.fields)
        if source.random() >= attacks:
            image, line, parent, parent_line = source.choice(EVERYDAY)
            fields |= {"Image": image, "CommandLine": line, "ParentImage": parent, "ParentCommandLine": parent_line}
            fields |= {"OriginalFileName": image.rsplit("\\", 1)[-1], "Description": "A program"}
        if source.random() < unique:
            name = f"C:\\Users\\u{source.randrange(99)}\\{source.getrandbits(40):x}.txt"
            fields["CommandLine"] += f" --id {source.getrandbits(32):08x} {name}"
        fields["ProcessGuid"] = f"0197231E-4A83-694D-9E0E-{number:012}"
        fields["ProcessId"] = str(source.randrange(60_000))
        fields["UtcTime"] = f"2026-01-01 10:{number // 60 % 60:02}:{number % 60:02}.{source.randrange(1000):03}"
        fields["EventRecordID"] = number
        yield LogEvent(
            time_us=sample.time_us + number * 10_000,
            table=sample.table,
            platform="windows",
            channel=SYSMON,
            provider=sample.provider,
            event_id=1,
            record_id=number,
            computer=sample.computer,
            fields=fields,
            host="bench",
        )
