"""siemd status reads what the daemon wrote, and says so when it may not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from siemd.channel import Channel
from siemd.commands.status import _ledger_lines
from siemd.config import Config
from siemd.health import Health
from siemd.lock import DataDirLock
from siemd.service.systemd import Notifier
from siemd.status import StatusReporter, read_status
from siemd.units import Bytes


def reporter(tmp_path: Path, health: Health) -> StatusReporter:
    config = Config(data_dir=str(tmp_path))
    return StatusReporter(config, tmp_path, health, [Channel("events", 100)], Notifier({}))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    health = Health()
    health.component("sniffer").extra["buffer"] = Bytes(1 << 20)
    asyncio.run(reporter(tmp_path, health).write(running=True))
    status = read_status(tmp_path)
    assert status is not None
    assert status["running"] is False, "nobody holds the lock"
    assert status["components"][0]["name"] == "sniffer"
    assert status["channels"][0]["capacity_events"] == 100
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_name_that_is_no_utf_8_stops_no_report(tmp_path: Path) -> None:
    """The watchdog is fed by the reporter: one broken rule with an odd name must not get siemd killed."""
    health = Health()
    health.component("rules").error("degraded", os.fsdecode(b"rules/\xff.yml:1:1: wrong"))
    asyncio.run(reporter(tmp_path, health).write(running=True))
    status = read_status(tmp_path)
    assert status is not None
    assert status["components"][0]["detail"] == "rules/?.yml:1:1: wrong"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_file_is_no_status(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "status.json").write_bytes(content)
    assert read_status(tmp_path) is None


def test_a_full_disk_is_counted_not_raised(tmp_path: Path) -> None:
    health = Health()
    writer = reporter(tmp_path / "missing", health)
    asyncio.run(writer.write(running=True))
    assert health.component("status").status == "degraded"
    assert health.component("status").errors == 1


def test_two_who_write_at_once_do_no_harm(tmp_path: Path) -> None:
    """At the start the daemon writes before it tells that it is ready, and so does the reporter that has just begun."""
    health = Health()

    async def write() -> None:
        writer = reporter(tmp_path, health)
        await asyncio.gather(*(writer.write(running=True) for _ in range(20)))

    asyncio.run(write())
    assert (health.component("status").status, health.component("status").errors) == ("ok", 0)


def test_what_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    health = Health()
    health.component("sniffer").set("ok")
    writer = reporter(tmp_path, health)
    asyncio.run(writer.write(running=True))  # which itself is news: that it can write
    asyncio.run(writer.write(running=True))
    assert not writer._is_due()
    health.component("sniffer").extra["frames"] = 1
    assert writer._is_due()


@pytest.mark.root
def test_another_user_is_told_to_use_sudo(tmp_path: Path) -> None:
    private = tmp_path / "data"
    private.mkdir()
    (private / "status.json").write_text("{}")
    private.chmod(0o700)
    code = (
        "import os, sys, pathlib; from siemd.status import read_status; os.setuid(65534)\n"
        "read_status(pathlib.Path(sys.argv[1]))"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
        if folder.name.startswith("pytest-of"):
            break
    done = subprocess.run([sys.executable, "-c", code, private], capture_output=True, text=True, check=False)
    assert "may not be read" in done.stderr


def shown(tmp_path: Path) -> str:
    command = [Path(sys.executable).with_name("siemd"), "status", "--data-dir", tmp_path]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_a_run_that_was_killed_is_told_from_one_that_stopped(tmp_path: Path) -> None:
    writer = reporter(tmp_path, Health())
    writer._health.component("sniffer").set("ok")
    asyncio.run(writer.write(running=True))
    assert "it was killed" in shown(tmp_path)
    asyncio.run(writer.write(running=False))
    assert "it stopped in order" in shown(tmp_path)


def test_a_daemon_that_hangs_is_noticed(tmp_path: Path) -> None:
    writer = reporter(tmp_path, Health())
    writer._health.component("sniffer")
    asyncio.run(writer.write(running=True))
    lock = DataDirLock(tmp_path)
    lock.acquire()
    assert "WARNING" not in shown(tmp_path)
    path = tmp_path / "status.json"
    status = json.loads(path.read_text())
    path.write_text(json.dumps(status | {"written_us": status["written_us"] - 90_000_000}))
    assert "it last told its status 1 min 3" in shown(tmp_path)  # 30 s, or a few more on a busy machine
    lock.release()


def test_what_was_lost_and_what_waits_is_shown(tmp_path: Path) -> None:
    health = Health()
    sniffer = health.component("sniffer")
    sniffer.set("degraded", "too busy")
    sniffer.since_us -= 3 * 3600 * 1_000_000
    sniffer.extra = {"frames": 7, "kernel_drops": 12, "malformed": 0}
    sniffer.lag_s = 65
    asyncio.run(reporter(tmp_path, health).write(running=True))
    text = shown(tmp_path)
    assert re.search(r"sniffer +degraded +3 h 0 min .* too busy\n +behind by 1 min 5 s, kernel_drops 12\n", text)


def test_the_ledger_is_told_in_words() -> None:
    row = {"source": "sniffer", "host": "web", "updated": "2026-01-02 03:04:05.000006", "produced": 10}
    told = _ledger_lines([row | {"stored": 7, "dropped": 2, "rejected": 0, "missing": 1}])
    assert told[-1] == (
        "  sniffer          on web, last stored 2026-01-02 03:04:05: "
        "10 produced, 7 stored, 2 dropped, 0 rejected, 1 missing"
    )


def test_the_status_of_the_run_before_is_not_that_of_a_siemd_that_starts(tmp_path: Path) -> None:
    asyncio.run(reporter(tmp_path, Health()).write(running=True))
    code = (
        "import pathlib, sys; from siemd.lock import DataDirLock\n"
        "lock = DataDirLock(pathlib.Path(sys.argv[1])); lock.acquire(); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starting:
        assert starting.stdout is not None
        starting.stdout.readline()
        assert read_status(tmp_path) == {"running": True, "pid": starting.pid, "starting": True}
        starting.communicate()
