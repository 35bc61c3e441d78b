"""The journal source against a real journald and a real journalctl."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from siemd.sources.journal import MAX_LINE_BYTES, Journal, JournalConfig
from support.collector import collecting
from support.journald import Journald, running_journald


@pytest.fixture(scope="module")
def journald() -> Iterator[Journald]:
    with running_journald() as journald:
        yield journald


def messages(events: list, start: str) -> list[str]:  # type: ignore[type-arg]
    return [event.message for event in events if event.message.startswith(start)]


def journalctls() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if is_journalctl(p)]


def is_journalctl(process: psutil.Process) -> bool:
    try:
        return process.name() == "journalctl"
    except psutil.NoSuchProcess:  # it ended meanwhile
        return False


def config(journald: Journald, newest: int = 1000) -> JournalConfig:
    return JournalConfig(directory=str(journald.directory), newest=newest)


async def test_logins_and_tables(journald: Journald, tmp_path: Path) -> None:
    journald.syslog(
        "authpriv.info",
        "sshd",
        "Failed password for invalid user tables from 203.0.113.9 port 4711 ssh2",
        "Accepted publickey for bob from 2001:db8::7 port 50022 ssh2: ED25519 SHA256:" + "a" * 43,
    )
    journald.syslog("daemon.err", "tables", "tables daemon")
    journald.syslog("user.warning", "tables", "tables user")
    async with collecting(Journal, config(journald), tmp_path) as run:
        await run.until(lambda events: messages(events, "tables user"), "the last record")
        by_message = {event.message: event for event in run.events}
        failed, accepted = (by_message[m] for m in by_message if " ssh2" in m and ("tables" in m or "bob" in m))
        assert (failed.table, failed.channel, failed.provider) == ("security_logs", "authpriv", "sshd")
        assert (failed.user_name, failed.source_ip) == ("tables", "203.0.113.9")
        assert failed.fields["event_type"] == "ssh_auth"
        assert (failed.fields["outcome"], failed.fields["attempts"], failed.fields["source_port"]) == (
            "failure",
            1,
            4711,
        )
        assert (accepted.fields["outcome"], accepted.fields["method"]) == ("success", "publickey")
        assert accepted.source_ip == "2001:db8::7"
        daemon, user = by_message["tables daemon"], by_message["tables user"]
        assert (daemon.table, daemon.level, daemon.channel) == ("system_logs", "error", "daemon")
        assert (user.table, user.level, user.channel) == ("application_logs", "warning", "user")
        assert user.platform == "linux" and user.computer and user.host == "test"


async def test_a_program_that_the_audit_system_tells(journald: Journald, tmp_path: Path) -> None:
    start = "msg=audit(1767225600.1:77):"
    journald.syslog(
        "user.info",
        "audisp-syslog",
        f'type=SYSCALL {start} arch=c000003e syscall=59 success=yes ppid=1 pid=4242 uid=0 exe="/usr/bin/nc"',
        f'type=EXECVE {start} argc=2 a0="nc" a1="-l"',
    )
    async with collecting(Journal, config(journald), tmp_path) as run:
        await run.until(lambda events: messages(events, f"type=EXECVE {start}"), "the record of the program")
        (made,) = (event for event in run.events if event.message.startswith(f"type=EXECVE {start}"))
        assert (made.fields["Image"], made.fields["CommandLine"]) == ("/usr/bin/nc", "nc -l")


async def test_odd_fields(journald: Journald, tmp_path: Path) -> None:
    journald.log(
        ("MESSAGE", "odd " + "x" * 9000),
        ("MULTI", "a"),
        ("MULTI", "b"),
        ("BINARY", b"\xff\x00\x01z"),
        ("LINES", "one\ntwo"),
        ("PRIORITY", "2"),
    )
    async with collecting(Journal, config(journald), tmp_path) as run:
        await run.until(lambda events: messages(events, "odd "), "the odd record")
        event = next(event for event in run.events if event.message.startswith("odd "))
        assert len(event.message) == 4096 and len(event.fields["MESSAGE"]) == 9004
        assert event.fields["MULTI"] == ["a", "b"]
        assert event.fields["BINARY"] == "\ufffd\ufffd\x01z".replace("\x01", "\ufffd")
        assert event.fields["LINES"] == "one\ntwo"
        assert event.level == "critical"


async def test_only_the_newest_at_first(journald: Journald, tmp_path: Path) -> None:
    for number in range(30):
        journald.log(("MESSAGE", f"newest {number}"))
    async with collecting(Journal, config(journald, newest=5), tmp_path) as run:
        await run.until(lambda events: "newest 29" in messages(events, "newest"), "the newest record")
        journald.log(("MESSAGE", "newest after"))
        await run.until(lambda events: "newest after" in messages(events, "newest"), "a record written later")
        assert messages(run.events, "newest") == [f"newest {n}" for n in range(25, 30)] + ["newest after"]


async def test_journalctl_killed_and_restarted(journald: Journald, tmp_path: Path) -> None:
    """Killed again and again while records are written: each record comes exactly once, in order."""
    expected = [f"killed {number}" for number in range(300)]
    async with collecting(Journal, config(journald), tmp_path) as run:
        for number, message in enumerate(expected):
            journald.log(("MESSAGE", message))
            if number in (100, 200):
                await run.until(lambda events: messages(events, "killed"), "some records")
                for process in journalctls():
                    process.send_signal(signal.SIGKILL)
        await run.until(lambda events: expected[-1] in messages(events, "killed"), "the last record")
        assert messages(run.events, "killed") == expected
        assert run.health.errors >= 1
    assert not journalctls()


async def test_restart_from_checkpoint(journald: Journald, tmp_path: Path) -> None:
    """Stopped at any moment and started from what the store had: nothing lost, nothing twice."""
    expected: list[str] = []
    stored: list[str] = []
    checkpoint: bytes | None = None
    for round_number in range(4):
        for number in range(50):
            expected.append(f"restart {round_number} {number}")
            journald.log(("MESSAGE", expected[-1]))
        async with collecting(Journal, config(journald, newest=100_000), tmp_path, checkpoint) as run:
            wanted = 20 if round_number == 2 else 50

            def enough(events: list, wanted: int = wanted) -> bool:  # type: ignore[type-arg]
                return len(messages(events, "restart")) >= wanted

            await run.until(enough, "the round's records")
        checkpoint = run.checkpoint
        stored += messages(run.events, "restart")
    assert stored == expected


async def test_a_damaged_cursor_is_a_gap(journald: Journald, tmp_path: Path) -> None:
    journald.log(("MESSAGE", "cursor record"))
    async with collecting(Journal, config(journald), tmp_path, b'{"cursor":"s=zz;i=nonsense"}') as run:
        await run.until(lambda events: messages(events, "cursor record"), "records in spite of the cursor")
        assert [event.provider for event in run.events if event.fields.get("event_type") == "log_gap"] == ["siemd"]


async def test_records_deleted_meanwhile_are_a_gap(tmp_path: Path) -> None:
    """A first start learns a cursor; a restart meets a record whose number is not the next one."""
    line = '{{"__REALTIME_TIMESTAMP":"17","__CURSOR":"s=abcdef;i={};b=1","MESSAGE":"m{}"}}'
    first, later = line.format("a", 1), line.format("f", 2)
    program = script(
        tmp_path / "journalctl", f"case \"$*\" in *cursor*) echo '{later}';; *) echo '{first}';; esac; sleep 100"
    )
    settings = JournalConfig(enabled=True, journalctl=program)
    async with collecting(Journal, settings, tmp_path) as run:
        await run.until(lambda events: events, "the first record")
    async with collecting(Journal, settings, tmp_path, run.checkpoint) as run:
        await run.until(lambda events: len(events) == 2, "the gap and the later record")
        assert run.events[0].fields["event_type"] == "log_gap" and run.events[0].fields["lost_records"] == 4
        assert run.events[1].message == "m2"


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1", "systemd-journal"),
        ("echo 'kaboom' >&2; exit 7", "ended with code 7: kaboom"),
    ],
)
async def test_what_to_do_is_in_the_status(tmp_path: Path, text: str, detail: str) -> None:
    settings = JournalConfig(enabled=True, journalctl=script(tmp_path / "journalctl", text))
    async with collecting(Journal, settings, tmp_path) as run:
        await run.until(lambda _: detail in run.health.detail, detail)
        assert run.health.status == "failed"


async def test_lines_that_are_no_record_are_lost_and_told(tmp_path: Path) -> None:
    good = '{"__REALTIME_TIMESTAMP":"1700000000000000","__CURSOR":"s=abcdef;i=1;","MESSAGE":"good"}'
    text = f"echo garbage; echo '[1,2]'; echo '{{}}'; printf '\\377\\n'; echo '{good}'; sleep 100"
    settings = JournalConfig(enabled=True, journalctl=script(tmp_path / "journalctl", text))
    async with collecting(Journal, settings, tmp_path) as run:
        await run.until(lambda events: events, "the good record")
        assert run.health.extra["unreadable_records"] == run.health.dropped == 4
        assert (run.batches[0].dropped, run.events[0].seq) == (4, 5)
        assert run.checkpoint == b'{"cursor":"s=abcdef;i=1;"}'


async def test_a_record_beyond_the_limit_is_lost_and_told(tmp_path: Path) -> None:
    """Otherwise `sudo` with two megabytes of arguments would leave no trace."""
    good = '{"__REALTIME_TIMESTAMP":"1700000000000000","__CURSOR":"s=abcdef;i=1;","MESSAGE":"good"}'
    text = f"head -c {MAX_LINE_BYTES + 1} /dev/zero | tr '\\0' x; echo; echo '{good}'; sleep 100"
    settings = JournalConfig(enabled=True, journalctl=script(tmp_path / "journalctl", text))
    async with collecting(Journal, settings, tmp_path) as run:
        await run.until(lambda events: events, "the good record")
        assert (run.batches[0].dropped, run.health.dropped) == (1, 1)
        assert run.health.extra["oversized_records"] == 1


async def test_no_journalctl(tmp_path: Path) -> None:
    async with collecting(Journal, JournalConfig(journalctl="no-such-journalctl"), tmp_path) as run:
        await run.until(lambda _: run.health.status == "stopped", "auto gives up without a journal")
    async with collecting(Journal, JournalConfig(enabled=True, journalctl="no-such-journalctl"), tmp_path) as run:
        await run.until(lambda _: "not installed" in run.health.detail, "the status says what is missing")


async def test_the_same_trouble_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siemd.sources.journal.RETRY_MAX_S", 0.01)
    with structlog.testing.capture_logs() as logged:
        async with collecting(Journal, JournalConfig(enabled=True, journalctl="no-such-journalctl"), tmp_path) as run:
            await run.until(lambda _: run.health.errors >= 5, "it has tried five times")
    assert [line["event"] for line in logged] == ["journal.interrupted"]


async def test_own_records_are_left_out(tmp_path: Path) -> None:
    own = f'{{"__REALTIME_TIMESTAMP":"17","__CURSOR":"s=abcdef;i=1;","_PID":"{os.getpid()}","MESSAGE":"own"}}'
    other = '{"__REALTIME_TIMESTAMP":"17","__CURSOR":"s=abcdef;i=2;","_PID":"1","MESSAGE":"other"}'
    settings = JournalConfig(
        enabled=True, journalctl=script(tmp_path / "journalctl", f"echo '{own}'; echo '{other}'; sleep 100")
    )
    async with collecting(Journal, settings, tmp_path) as run:
        await run.until(lambda events: events, "the other record")
        assert [event.message for event in run.events] == ["other"]
        assert run.health.extra["own_records"] == 1


@pytest.mark.parametrize("other", [{"_EXE": "/usr/lib/systemd/systemd"}, {"_BOOT_ID": "0" * 32}])
async def test_records_of_others_with_the_same_process_id_are_read(other: dict[str, str], tmp_path: Path) -> None:
    """Of an earlier boot, or, when siemd runs in a container, of a process outside."""
    record = {"__REALTIME_TIMESTAMP": "17", "__CURSOR": "s=abcdef;i=1;", "_PID": str(os.getpid()), **other}
    line = json.dumps({**record, "MESSAGE": "other"})
    settings = JournalConfig(enabled=True, journalctl=script(tmp_path / "journalctl", f"echo '{line}'; sleep 100"))
    async with collecting(Journal, settings, tmp_path) as run:
        await run.until(lambda events: events, "the other record")
