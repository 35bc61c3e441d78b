"""What goes wrong for people: mistakes, missing rights, disks. siemd says what to do, and the rest goes on."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.daemon import SIEMD, Siemd, exactly_once
from support.needs import need
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

MakeSiemd = Callable[..., Siemd]
QUIET: dict[str, Any] = {"sources": {"sniffer": {"enabled": False}, "journal": {"enabled": False}}}
FAST: dict[str, Any] = {"sources": {**QUIET["sources"], "metrics": {"interval": "100ms"}}}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("sources:\n  snifer:\n    interface: lo\n", "2:3", "did you mean `sniffer`?"),
        ("sources:\n  metrics:\n    interval: soon\n", "3:15", "expected a duration"),
        ("sources:\n  metrics: {interval: 1s}\n  metrics: {}\n", "3:3", "twice"),
        ("storage: {url: 'mysql://u:${NO_SUCH_NAME}@h/d'}\n", "1:16", "the environment has no NO_SUCH_NAME"),
        ("storage: [\n", "2:1", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_configuration_is_shown_where_it_is(tmp_path: Path, text: str, place: str, words: str) -> None:
    config = tmp_path / "siemd.yaml"
    config.write_text(text)
    command = [SIEMD, "run", "--config", config, "--data-dir", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert f"{config}:{place}: " in done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, "one line, no traceback"


@pytest.mark.root
@pytest.mark.parametrize("who", ["root without the capability", "nobody"])
def test_without_the_right_to_capture_the_rest_runs(who: str, tmp_path: Path, make_siemd: MakeSiemd) -> None:
    need("setpriv")
    prefix = ["setpriv", "--bounding-set", "-net_raw"]
    if who == "nobody":
        prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all"]
        if not _nobody_can_read(SIEMD):
            pytest.skip("the virtual environment or its Python lies in a folder that only root may enter")
    settings = {"sources": {"sniffer": {"interface": "lo"}, "metrics": {"interval": "100ms"}}}
    siemd = make_siemd(settings, prefix=prefix)
    for folder in (siemd.folder, *siemd.folder.parents):
        if folder.stat().st_uid == os.geteuid() and tmp_path.parents[2] in (folder, *folder.parents):
            folder.chmod(0o777)
    siemd.start()

    wait_until(lambda: siemd.component("sniffer").get("status") == "failed", "the sniffer says that it can't")
    detail = siemd.component("sniffer")["detail"]
    assert "no right to capture" in detail
    assert "setcap cap_net_raw" in detail
    assert detail in siemd.words()
    siemd.wait_rows("SELECT * FROM usage_data", "the host is measured all the same")
    assert siemd.stop() == 0


def _nobody_can_read(path: Path) -> bool:
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", path, "version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_an_interface_that_is_not_there(make_siemd: MakeSiemd) -> None:
    siemd = make_siemd({"sources": {"sniffer": {"interface": "eth99"}, "metrics": {"interval": "100ms"}}}).start()
    wait_until(lambda: siemd.component("sniffer").get("status") == "failed", "the sniffer says that it can't")
    assert "'eth99'" in siemd.component("sniffer")["detail"]
    siemd.wait_rows("SELECT * FROM usage_data", "the host is measured all the same")
    assert siemd.stop() == 0


@pytest.fixture
def small_disk(netns: None, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """A file system of two megabytes where siemd0 keeps its data; call it with options of `mount -o remount`."""
    folder = tmp_path / "siemd0" / "data"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    yield remount
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.root
def test_a_full_disk_loses_nothing(small_disk: Callable[[str], None], make_siemd: MakeSiemd) -> None:
    siemd = make_siemd(FAST).start()
    siemd.wait_rows("SELECT * FROM usage_data", "samples are stored")
    _fill(siemd.data_dir / "filler")
    wait_until(lambda: "writer.refused" in siemd.words(), "siemd says that the store takes no more")
    assert "disk" in siemd.words()
    waiting = len(siemd.rows("SELECT * FROM usage_data"))
    small_disk("size=64m")
    siemd.wait_rows(f"SELECT * FROM usage_data WHERE seq > {waiting + 10}", "samples are stored again")
    assert siemd.stop() == 0
    stored = siemd.stored("metrics")
    exactly_once(stored)
    assert len(*stored.values()) == siemd.component("metrics")["sent"]


def _fill(path: Path) -> None:
    """Write until the file system is full."""
    try:
        with path.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
    except OSError:
        pass


@pytest.mark.root
def test_a_store_that_is_read_only_from_the_start(small_disk: Callable[[str], None], make_siemd: MakeSiemd) -> None:
    siemd = make_siemd(QUIET)
    small_disk("ro")
    siemd.start(ready=False)
    assert siemd.process
    assert siemd.process.wait(30) == 2
    assert "cannot be written" in siemd.words()
    assert "data_dir" in siemd.words()


def test_a_store_that_is_locked_at_the_start_is_tried_again(make_siemd: MakeSiemd) -> None:
    """By the service manager, which leaves siemd alone after exit status 2."""
    siemd = make_siemd(QUIET)
    siemd.data_dir.mkdir()
    with closing(sqlite3.connect(siemd.data_dir / "siemd.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        siemd.start(ready=False)
        assert siemd.process
        assert siemd.process.wait(30) == 1
    assert "is locked by another program" in siemd.words()
    assert "Traceback" not in siemd.words()


def test_others_may_not_read_what_siemd_writes(make_siemd: MakeSiemd) -> None:
    """Not even in a folder that they may enter."""
    siemd = make_siemd(FAST)
    siemd.data_dir.mkdir(mode=0o755)
    siemd.start()
    siemd.wait_rows("SELECT * FROM usage_data", "samples are stored")
    assert siemd.stop() == 0
    names = {path.name for path in siemd.data_dir.iterdir()}
    assert {"siemd.db", "siemd.log", "siemd.lock", "status.json"} <= names
    assert [path.name for path in siemd.data_dir.iterdir() if path.stat().st_mode & 0o007] == []


def test_two_daemons_do_not_share_a_data_directory(make_siemd: MakeSiemd) -> None:
    siemd = make_siemd(QUIET).start()
    second = subprocess.run([SIEMD, "run", "--config", siemd.config], capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "already runs" in second.stderr
    assert siemd.stop() == 0


RULE = """\
title: Much memory
name: much_memory
id: 6f0a1c3e-7a34-4f0e-9d1a-2f6f8f4b1d11
status: test
level: high
logsource: {product: siemd, category: usage}
detection:
  selection:
    ram_percent|gte: 101
  condition: selection
"""


def test_signals_during_start_up_do_not_kill(tmp_path: Path) -> None:
    config = tmp_path / "siemd.yaml"
    config.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data"), **QUIET}))
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen([SIEMD, "run", "--config", config], stdout=file, stderr=file)
    try:
        lock = tmp_path / "data" / "siemd.lock"
        wait_until(lambda: lock.exists() and lock.read_text().strip(), "siemd takes its lock")
        while b"siemd.started" not in output.read_bytes():
            assert process.poll() is None, output.read_text()
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


def test_rules_are_reloaded_and_a_broken_one_changes_nothing(make_siemd: MakeSiemd) -> None:
    siemd = make_siemd({**FAST, "detection": {"rules": ["rules"]}})
    rule = siemd.folder / "rules" / "much_memory.yml"
    rule.parent.mkdir()
    rule.write_text(RULE)
    siemd.start()
    assert siemd.process
    siemd.wait_rows("SELECT * FROM usage_data", "samples are stored")
    assert siemd.alerts() == []

    rule.write_text(RULE.replace("selection\n", "selection and\n"))
    siemd.reload()
    (problem, *_) = wait_until(lambda: siemd.log("rules.problem"), "the broken rule is reported")
    assert f"{rule}:10:" in problem["problem"]
    wait_until(lambda: siemd.log("rules.kept"), "the old rules stay")
    wait_until(lambda: siemd.component("rules")["status"] == "degraded", "siemd status shows it")

    rule.write_text(RULE.replace("gte: 101", "gte: 0"))
    siemd.reload()
    wait_until(lambda: siemd.log("rules.loaded"), "the new rules are used")
    (alert, *_) = wait_until(lambda: siemd.alerts("much_memory"), "the new threshold alerts")
    assert alert["level"] == "high"
    assert siemd.stop() == 0
    exactly_once(siemd.stored("metrics"))


def test_a_changed_rule_file_is_seen_without_a_signal(make_siemd: MakeSiemd) -> None:
    siemd = make_siemd({**FAST, "detection": {"rules": ["rules"]}})
    rule = siemd.folder / "rules" / "much_memory.yml"
    rule.parent.mkdir()
    rule.write_text(RULE)
    siemd.start()
    siemd.wait_rows("SELECT * FROM usage_data", "samples are stored")
    rule.write_text(RULE.replace("gte: 101", "gte: 0"))
    wait_until(lambda: siemd.alerts("much_memory"), "the new threshold alerts")
    assert siemd.stop() == 0


def test_the_service_manager_hears_of_life_and_end(tmp_path: Path) -> None:
    name = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(name))
        listening.settimeout(30)
        environment = os.environ | {"NOTIFY_SOCKET": str(name), "WATCHDOG_USEC": "2000000"}
        config = tmp_path / "siemd.yaml"
        config.write_text(yaml.safe_dump(FAST))
        command = [SIEMD, "run", "--config", config, "--data-dir", tmp_path / "data"]
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            heard: list[bytes] = []
            while b"READY=1" not in heard or heard.count(b"WATCHDOG=1") < 3:
                heard.append(listening.recv(4096))
            assert any(message.startswith(b"STATUS=") and b"metrics ok" in message for message in heard)
            process.send_signal(signal.SIGHUP)
            heard.clear()
            while b"READY=1" not in heard:
                heard.append(listening.recv(4096))
            assert any(message.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for message in heard)
            process.terminate()
            while b"STOPPING=1" not in heard:
                heard.append(listening.recv(4096))
            assert process.wait(30) == 0
        finally:
            process.kill()


NO_NEW_CODE = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit("not here")
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.root
def test_it_runs_without_writable_executable_memory(make_siemd: MakeSiemd) -> None:
    """What MemoryDenyWriteExecute=yes of the systemd unit forbids, forbidden by the kernel."""
    prefix = [sys.executable, "-c", NO_NEW_CODE]
    if subprocess.run([*prefix, "/bin/true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3 and later do)")
    siemd = make_siemd({"sources": {"metrics": {"interval": "100ms"}}}, prefix=prefix).start().sniffing()
    siemd.wait_rows("SELECT * FROM usage_data", "samples are stored")
    assert siemd.stop() == 0
