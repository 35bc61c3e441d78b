"""The Windows event source, its real poller and protocol, against a stand-in PowerShell over a folder of logs."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from evtx import PyEvtxParser

from siemd.events import LogEvent
from siemd.sources.windows_events import WindowsEvents, WindowsEventsConfig
from siemd.sources.windows_powershell import SCRIPT, Request
from siemd.units import Seconds
from support.collector import collecting
from support.windows import StandIn, event_xml


@pytest.fixture
def standin(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path / "windows")


def records(first: int, last: int, **more: Any) -> list[tuple[int, str]]:
    return [
        (n, event_xml(n, TargetUserName=f"user{n}", IpAddress="203.0.113.5", **more)) for n in range(first, last + 1)
    ]


def settings(standin: StandIn, **more: Any) -> WindowsEventsConfig:
    more = {"channels": {"Security": 1000}, "interval_s": Seconds(0.05), "timeout_s": Seconds(20)} | more
    return WindowsEventsConfig(enabled=True, powershell=standin.program, **more)


def ids(events: list[Any], channel: str = "Security") -> list[int]:
    return [event.record_id for event in events if event.channel == channel and event.platform == "windows"]


def running(standin: StandIn) -> list[psutil.Process]:
    """The PowerShells that read this folder; one that ended between two looks is none of them."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # ZombieProcess is one
            if str(standin.folder) in process.cmdline():
                found.append(process)
    return found


def notices(events: list[Any]) -> list[dict[str, Any]]:
    return [event.fields for event in events if event.platform == "siemd"]


async def test_newest_first_then_everything(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 200))
    standin.write("System", records(1, 200, channel="System"))
    standin.write("Quiet", records(1, 3, channel="Quiet"))
    config = settings(standin, channels={"Security": 50, "System": 20, "Quiet": 0}, batch_records=16)
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda events: len(events) == 70, "the newest 50 and 20")
        assert ids(run.events) == list(range(151, 201))
        assert ids(run.events, "System") == list(range(181, 201))
        standin.write("Security", records(1, 300))
        standin.write("Quiet", records(1, 4, channel="Quiet"))
        await run.until(lambda events: len(events) == 171, "what came later")
        assert ids(run.events) == list(range(151, 301))
        assert ids(run.events, "Quiet") == [4]
        assert run.health.status == "ok", run.health
        event = run.events[0]
        assert isinstance(event, LogEvent)
        assert (event.table, event.user_name, event.source_ip) == ("security_logs", "user151", "203.0.113.5")
    assert not notices(run.events)


async def test_an_empty_log_loses_nothing_when_it_fills(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", [])
    async with collecting(WindowsEvents, settings(standin, channels={"Security": 5}), tmp_path) as run:
        await run.until(lambda _: len(standin.asked()) > 2, "some polls of the empty log")
        standin.write("Security", records(1, 60))
        await run.until(lambda events: len(events) == 60, "all of them, although only 5 are wanted at first")


async def test_rendered_messages(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 2))
    async with collecting(WindowsEvents, settings(standin, render_messages=True), tmp_path) as run:
        await run.until(lambda events: len(events) == 2, "both records")
        assert [event.message for event in run.events] == ["Meldung ü 1", "Meldung ü 2"]


@pytest.mark.parametrize("bookmarks", [True, False])
async def test_restart_from_checkpoint(standin: StandIn, tmp_path: Path, bookmarks: bool) -> None:
    """Whatever batch the store had last: the next run begins right behind it."""
    if not bookmarks:
        (standin.folder / "mode").write_text("--no-bookmarks")
    standin.write("Security", records(1, 10))
    config = settings(standin, batch_records=7)
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda events: len(events) == 10, "the first records")
        standin.write("Security", records(1, 40))
        await run.until(lambda events: len(events) == 40, "the later records")
    standin.write("Security", records(1, 50))
    stored: list[int] = []
    for batch in run.batches:
        stored += [event.record_id for event in batch.events]
        assert batch.checkpoint is not None
        async with collecting(WindowsEvents, config, tmp_path, batch.checkpoint) as again:
            await again.until(lambda events: 50 in ids(events), "everything up to the end")
        assert stored + ids(again.events) == list(range(1, 51))
        assert not notices(again.events)


@pytest.mark.parametrize(
    "deed",
    [
        {"do": "crash", "after": 5},
        {"do": "crash", "after": 0},
        {"do": "partial", "after": 3},
        {"do": "garbage", "after": 4},
        {"do": "babble", "after": 4},
        {"do": "hang", "after": 6},
    ],
    ids=lambda deed: f"{deed['do']}-{deed['after']}",
)
async def test_powershell_misbehaves(standin: StandIn, tmp_path: Path, deed: dict[str, Any]) -> None:
    standin.write("Security", records(1, 10))
    config = settings(standin, timeout_s=Seconds(2), batch_records=8)
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda events: len(events) == 10, "the first records")
        standin.misbehave({**deed, "times": 2})
        standin.write("Security", records(1, 30))
        await run.until(lambda events: len(events) >= 30, "all records in spite of it")
        assert ids(run.events) == list(range(1, 31))
        if deed["do"] == "garbage":
            assert run.health.extra["garbage_lines"] and standin.starts() == 1
        else:
            assert standin.starts() > 1 and run.health.extra["restarts"]
        await run.until(lambda _: run.health.status == "ok", "a good status again")


async def test_killed_mid_record(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 10))
    async with collecting(WindowsEvents, settings(standin, batch_records=8), tmp_path) as run:
        await run.until(lambda events: len(events) == 10, "the first records")
        for last in (40, 70, 100):
            standin.write("Security", records(1, last))
            for process in running(standin):
                process.send_signal(signal.SIGKILL)
            await run.until(lambda events, last=last: last in ids(events), "records after the kill")
        assert ids(run.events) == list(range(1, 101)) and not notices(run.events)
    assert not running(standin)


async def test_one_log_that_breaks_powershell_does_not_stop_the_others(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Bad", records(1, 5, channel="Bad"))
    standin.write("Good", records(1, 5, channel="Good"))
    standin.misbehave({"do": "crash", "channel": "Bad", "times": 1000})
    async with collecting(WindowsEvents, settings(standin, channels={"Bad": 5, "Good": 5}), tmp_path) as run:
        await run.until(lambda events: ids(events, "Good") == [1, 2, 3, 4, 5], "the good log")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ({"code": 5, "type": "UnauthorizedAccessException"}, "Event Log Readers"),
        ({"code": 1722}, "service does not answer"),
        ({"code": 4711}, "error 4711"),
    ],
)
async def test_a_log_in_trouble(standin: StandIn, tmp_path: Path, error: dict[str, Any], says: str) -> None:
    standin.write("Security", records(1, 5))
    standin.write("System", records(1, 5, channel="System"))
    standin.misbehave({"do": "error", "channel": "Security", "times": 1, **error})
    config = settings(standin, channels={"Security": 5, "System": 5, "Missing": 0})
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda events: ids(events, "System") == [1, 2, 3, 4, 5], "the other log")
        await run.until(lambda _: says in run.health.detail, "what to do")
        assert run.health.status == "degraded"
        assert "not on this host: Missing" in run.health.detail
        if error["code"] != 5:  # a refusal is tried again after a minute only
            await run.until(lambda events: ids(events) == [1, 2, 3, 4, 5], "the log, later")
            await run.until(lambda _: run.health.status == "ok", "a good status again")


async def test_stale_query_is_opened_again(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 5))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 5, "the first records")
        standin.misbehave({"do": "error", "code": 15011, "type": "EventLogReadingException", "after": 2, "times": 2})
        standin.write("Security", records(1, 20))
        await run.until(lambda events: len(events) == 20, "the rest")
        assert ids(run.events) == list(range(1, 21)) and standin.starts() == 1


async def test_a_bookmark_that_stays_stale_starts_from_the_oldest(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 5))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 5, "the first records")
        standin.misbehave({"do": "error", "code": 15011, "times": 4})
        standin.write("Security", records(1, 20))
        await run.until(lambda events: 20 in ids(events), "the rest")
        assert ids(run.events) == list(range(1, 21))


async def test_cleared_and_ids_begin_anew(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 20))
    async with collecting(WindowsEvents, settings(standin, batch_records=4), tmp_path) as run:
        await run.until(lambda events: len(events) == 20, "the first records")
        fresh = [
            (n, event_xml(n, event_id=1102 if n == 1 else 4624, time=f"2026-04-01T00:00:{n:02}Z")) for n in range(1, 31)
        ]
        standin.write("Security", fresh)
        await run.until(lambda events: 30 in ids(events), "the new records")
        assert ids(run.events) == [*range(1, 21), *range(1, 31)]
        assert [fields["event_type"] for fields in notices(run.events)] == ["log_cleared"]


async def test_cleared_and_empty_for_a_while(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 20))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 20, "the first records")
        standin.write("Security", [])
        count = len(standin.asked())
        await run.until(lambda _: len(standin.asked()) > count + 3, "polls of the empty log")
        standin.write("Security", records(21, 40))
        await run.until(lambda events: 40 in ids(events), "the new records")
        assert ids(run.events) == list(range(1, 41))
        assert [fields["event_type"] for fields in notices(run.events)] == ["log_cleared"]


async def test_rolled_over_between_two_runs(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 20))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 20, "the first records")
    standin.write("Security", records(100, 120))
    async with collecting(WindowsEvents, settings(standin), tmp_path, run.checkpoint) as run:
        await run.until(lambda events: 120 in ids(events), "what the log still holds")
        assert ids(run.events) == list(range(100, 121))
        assert [(f["event_type"], f["lost_records"]) for f in notices(run.events)] == [("log_gap", 79)]
        assert run.health.extra["missing_records"] == 79


async def test_giant_records(standin: StandIn, tmp_path: Path) -> None:
    """Error 1734: the batch is halved until the giant stands alone, and then only the giant is left out."""
    standin.write("Security", records(1, 5))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 5, "the first records")
        log = records(1, 30)
        log[17] = (18, event_xml(18, Data="GIANT"))
        standin.write("Security", log)
        await run.until(lambda events: 30 in ids(events), "the rest")
        assert ids(run.events) == [n for n in range(1, 31) if n != 18]
        assert [(f["event_type"], f["lost_records"]) for f in notices(run.events)] == [("log_gap", 1)]
        assert len(standin.asked()) < 200 and standin.starts() == 1
        await run.until(lambda _: run.health.status == "ok", "a good status again")


async def test_a_giant_at_the_end_is_reported_once(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 5))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 5, "the first records")
        standin.write("Security", [*records(1, 5), (6, event_xml(6, Data="GIANT"))])
        await run.until(notices, "the report")
        count = len(standin.asked())
        await run.until(lambda _: len(standin.asked()) > count + 5, "some more polls")
        standin.write("Security", [*records(1, 5), (6, event_xml(6, Data="GIANT")), *records(7, 9)])
        await run.until(lambda events: 9 in ids(events), "the rest")
        assert ids(run.events) == [1, 2, 3, 4, 5, 7, 8, 9]
        assert len(notices(run.events)) == 1


async def test_a_line_beyond_the_limit_is_reported(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", records(1, 5))
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 5, "the first records")
        standin.misbehave({"do": "oversized", "after": 2})
        standin.write("Security", records(1, 9))
        await run.until(lambda events: 9 in ids(events), "the rest")
        assert ids(run.events) == list(range(1, 10))
        assert [f["lost_records"] for f in notices(run.events)] == [1]


async def test_forwarded_records_have_ids_of_many_computers(standin: StandIn, tmp_path: Path) -> None:
    forwarded = [(n, event_xml(n * 7 % 13, time=f"2026-03-01T00:00:{n:02}Z")) for n in range(1, 31)]
    config = settings(standin, channels={"ForwardedEvents": 100}, batch_records=4)
    standin.write("ForwardedEvents", forwarded[:10])
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda events: len(events) == 10, "the first records")
        standin.write("ForwardedEvents", forwarded)
        await run.until(lambda events: len(events) == 30, "the rest")
    assert [event.fields["TimeCreated"][-3:-1] for event in run.events] == [f"{n:02}" for n in range(1, 31)]
    assert {event.table for event in run.events} == {"security_logs"} and not notices(run.events)
    standin.write("ForwardedEvents", forwarded[:0])
    async with collecting(WindowsEvents, config, tmp_path, run.checkpoint) as run:
        count = len(standin.asked())
        await run.until(lambda _: len(standin.asked()) > count + 2, "polls of the empty log")
        standin.write("ForwardedEvents", forwarded[:3])
        await run.until(lambda events: len(events) == 4, "a report and three records")
        assert [f["event_type"] for f in notices(run.events)] == ["log_gap"]


async def test_unreadable_records_are_counted(standin: StandIn, tmp_path: Path) -> None:
    standin.write("Security", [(1, "<Event><not xml"), *records(2, 3), (4, "<!DOCTYPE x []><Event/>")])
    async with collecting(WindowsEvents, settings(standin), tmp_path) as run:
        await run.until(lambda events: len(events) == 2, "the readable ones")
        await run.until(lambda _: run.health.extra.get("unreadable_records") == 2, "the count of the others")
        standin.write(
            "Security", [(1, "<Event><not xml"), *records(2, 3), (4, "<!DOCTYPE x []><Event/>"), *records(5, 6)]
        )
        await run.until(lambda events: 6 in ids(events), "later records")
        assert ids(run.events) == [2, 3, 5, 6]


def corpus_xml(corpus: Path) -> list[str]:
    return [record["data"] for path in sorted(corpus.rglob("*.evtx")) for record in PyEvtxParser(str(path)).records()]


async def test_real_records(corpus: Path, standin: StandIn, tmp_path: Path) -> None:
    xml = corpus_xml(corpus)
    standin.write("Mixed", list(enumerate(xml[:60], 1)))
    config = settings(standin, channels={"Mixed": 1000}, batch_records=10)
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda events: len(events) == 60, "the first records")
        standin.write("Mixed", list(enumerate(xml, 1)))
        await run.until(lambda events: len(events) == len(xml), "the rest")
        assert not notices(run.events)
        assert all(event.event_id and event.provider and event.message for event in run.events)


async def test_no_powershell(tmp_path: Path) -> None:
    async with collecting(WindowsEvents, WindowsEventsConfig(), tmp_path) as run:
        await run.until(lambda _: run.health.status == "stopped", "auto is off where this is not Windows")
    config = WindowsEventsConfig(enabled=True, powershell="no-such-powershell")
    async with collecting(WindowsEvents, config, tmp_path) as run:
        await run.until(lambda _: "no-such-powershell" in run.health.detail, "what is missing")
        assert run.health.status == "failed"


def test_the_script_parses() -> None:
    """A syntax gate: no PowerShell is at hand, but its grammar is."""
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_pwsh")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    tree = parser.parse(SCRIPT.read_bytes())
    wrong: list[str] = []

    def walk(node: Any) -> None:
        if node.is_error or node.is_missing:
            wrong.append(f"line {node.start_point[0] + 1}: {node.text[:80]!r}")
        for child in node.children:
            walk(child)

    walk(tree.root_node)
    assert not wrong
    assert SCRIPT.read_bytes().isascii(), "PowerShell 5.1 reads scripts as ANSI"
    assert parser.parse(b"function Foo( { if }").root_node.has_error, "the gate sees errors"


def test_both_sides_use_the_same_keys() -> None:
    script = SCRIPT.read_text()
    asked = set(re.findall(r"\$request\.(\w+)", script))
    assert asked == {field.encode_name for field in msgspec.structs.fields(Request)}
    header = re.search(r"# request:  \{(.*?)\}", script, re.DOTALL)
    assert header and set(re.findall(r'"(\w+)"', header[1])) == asked
    end = re.search(r"\$end = @\{(.*?)\}", script, re.DOTALL)
    assert end and set(re.findall(r"(\w+) =", end[1])) == {
        "id",
        "end",
        "count",
        "bookmark",
        "oldest",
        "records",
        "error",
    }
    python = SCRIPT.with_name("windows_powershell.py").read_text()
    for key in ("id", "record", "message", "end", "count", "bookmark", "oldest", "records", "error", "hello"):
        assert f'"{key}"' in python, key
