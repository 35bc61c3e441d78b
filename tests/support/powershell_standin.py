"""Stands in for PowerShell running windows_events.ps1: the same protocol, over logs kept in a folder.

Behaves as Windows does where that matters: a bookmark whose record is gone seeks to the nearest one behind it, a
cleared log is empty or begins anew, a read that cannot take in a giant record fails with error 1734.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
Log = list[tuple[int, str]]


class Fail(Exception):
    def __init__(self, code: int, kind: str = "EventLogException", text: str = "Etwas ging schief: größer als möglich"):
        super().__init__(text)
        self.answer = {"code": code, "type": kind, "text": text}


def say(answer: Any) -> None:
    sys.stdout.buffer.write((answer if isinstance(answer, str) else json.dumps(answer)).encode() + b"\n")


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def load(channel: str) -> Log:
    path = FOLDER / "logs" / (channel.replace("/", "%") + ".jsonl")
    if not path.exists():
        raise Fail(15007, "EventLogNotFoundException", "Der angegebene Kanal wurde nicht gefunden.")
    return [(record[0], record[1]) for record in map(json.loads, path.read_text(encoding="utf-8").splitlines())]


def next_deed(channel: str) -> dict[str, Any]:
    path = FOLDER / "deeds.json"
    deeds = json.loads(path.read_text())
    for deed in deeds:
        if deed.get("channel") in (None, channel) and deed.get("times", 1) > 0:
            deed["times"] = deed.get("times", 1) - 1
            path.with_suffix(".tmp").write_text(json.dumps(deeds))
            path.with_suffix(".tmp").replace(path)
            return dict(deed)
    return {}


def select(request: dict[str, Any], log: Log) -> Log:
    if request["bookmark"] is not None:
        text = base64.b64decode(request["bookmark"]).decode()
        match = re.search(r"RecordId='(\d+)'", text)
        assert match, text
        index = next((i for i, (record_id, _) in enumerate(log) if record_id >= int(match[1])), len(log))
        return log[index + request["offset"] :]
    if match := re.fullmatch(r"\*\[System\[EventRecordID >= (\d+)\]\]", request["query"]):
        return [record for record in log if record[0] >= int(match[1])]
    assert request["query"] == "*"
    return log[::-1] if request["newest"] is not None else log


def misbehave(deed: dict[str, Any], request: dict[str, Any]) -> None:
    do = deed["do"]
    if do == "crash":
        print("Unhandled exception. System.OutOfMemoryException", file=sys.stderr)
        sys.stdout.flush()
        sys.exit(3)
    if do == "partial":
        sys.stdout.write(json.dumps({"id": request["id"], "record": "A" * 5000})[:3000])
        sys.stdout.flush()
        sys.exit(0)
    if do == "hang":
        sys.stdout.flush()
        time.sleep(1000)
    if do == "garbage":
        sys.stdout.buffer.write(b'WARNING: something\n\xff\xfe\x00\n{"id": 99999}\n[1, 2]\n\n')
    if do == "babble":
        sys.stdout.buffer.write(b"blah\n" * 100_000)
    if do == "oversized":
        say(json.dumps({"id": request["id"], "record": "A" * (17 << 20)}))
    if do == "error":
        raise Fail(deed["code"], deed.get("type", "EventLogException"))


def answer(request: dict[str, Any], deed: dict[str, Any]) -> None:
    end: dict[str, Any] = {
        "id": request["id"], "end": True, "count": 0, "bookmark": None, "oldest": None, "records": None, "error": None,
    }  # fmt: skip
    last: int | None = None
    reverse = request["bookmark"] is None and request["newest"] is not None
    try:
        log = load(request["channel"])
        end["oldest"], end["records"] = (log[0][0] if log else None), len(log)
        wanted = select(request, log)
        limit = request["newest"] if reverse else request["max"]
        for number, (record_id, xml) in enumerate(wanted[:limit]):
            if deed and number == deed.get("after", 0):
                misbehave(deed, request)
                end["count"] += deed["do"] == "oversized"
            batch = wanted[number - number % request["batch"] :][: request["batch"]]
            if any("GIANT" in text for _, text in batch) and ("GIANT" in xml or number % request["batch"] == 0):
                raise Fail(1734, text="Die Arraygrenzen sind ungültig.")
            record = {"id": request["id"], "record": encode(xml)}
            if request["render"]:
                record["message"] = encode(f"Meldung ü {record_id}")
            say(record)
            end["count"] += 1
            if last is None or not reverse:
                last = record_id
        if deed and deed.get("after", 0) >= len(wanted[:limit]):
            misbehave(deed, request)
    except Fail as failure:
        end["error"] = failure.answer
    if last is not None and "--no-bookmarks" not in Path(FOLDER / "mode").read_text():
        channel = request["channel"]
        text = (
            f"<BookmarkList>\r\n  <Bookmark Channel='{channel}' RecordId='{last}' IsCurrent='true'/>\r\n</BookmarkList>"
        )
        end["bookmark"] = encode(text)
    say(end)
    sys.stdout.flush()


def main() -> None:
    arguments = sys.argv[2:]
    for needed in ("-NoProfile", "-NonInteractive", "-File"):
        assert needed in arguments, needed
    assert arguments[arguments.index("-InputFormat") + 1] == "None"
    assert arguments[arguments.index("-ExecutionPolicy") + 1] == "Bypass"
    assert Path(arguments[arguments.index("-File") + 1]).read_bytes().isascii()
    with (FOLDER / "starts").open("a") as file:
        file.write("x")
    if not (FOLDER / "mode").exists():
        (FOLDER / "mode").write_text("")
    bookmarks = "--no-bookmarks" not in (FOLDER / "mode").read_text()
    say({"hello": 1, "version": "5.1.0", "edition": "Desktop", "language": "FullLanguage", "bookmarks": bookmarks})
    sys.stdout.flush()
    while line := sys.stdin.readline():
        request = json.loads(line)
        with (FOLDER / "asked.jsonl").open("a") as file:
            file.write(line)
        answer(request, next_deed(request["channel"]))


main()
