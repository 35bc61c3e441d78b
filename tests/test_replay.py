"""siemd replay: by content, deterministic, every file on its own, and honest about what it could not read."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.config import Config
from siemd.detection import Ruleset, load_ruleset
from siemd.events import LogEvent
from siemd.replay import replay

START_US = 1_790_000_000_000_000


@pytest.fixture(scope="session")
def ruleset() -> Ruleset:
    return load_ruleset(Config().detection)


def failed_logins(count: int, source_ip: str = "192.0.2.7") -> bytes:
    lines = []
    for number in range(count):
        event = LogEvent(
            time_us=START_US + number * 1_000_000,
            table="security_logs",
            platform="linux",
            channel="authpriv",
            provider="sshd",
            source_ip=source_ip,
            user_name="root",
            fields={
                "event_type": "ssh_auth",
                "outcome": "failure",
                "attempts": 1,
                "source_ip": source_ip,
                "user_name": "root",
            },
        )
        lines.append(msgspec.json.encode(event))
    return b"\n".join(lines) + b"\n"


def run(paths: list[Path], ruleset: Ruleset) -> tuple[int, list[dict[str, object]], str]:
    out, err = io.StringIO(), io.StringIO()
    code = replay(paths, Config(), ruleset, out, err)
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_alerts_are_json_lines_with_the_promised_keys(tmp_path: Path, ruleset: Ruleset) -> None:
    path = tmp_path / "auth.whatever"
    path.write_bytes(failed_logins(60))
    code, alerts, summary = run([path], ruleset)
    assert code == 0
    assert [alert["rule"] for alert in alerts] == ["ssh_bruteforce"]
    wanted = "rule rule_id title level first_seen last_seen count group tags source_file reason"
    assert set(wanted.split()) <= set(alerts[0])
    assert alerts[0]["source_file"] == str(path)
    assert str(alerts[0]["first_seen"]).startswith("2026-09-21T")
    assert "60 events, 1 alerts" in summary


def test_same_input_same_answer_whatever_stands_beside_it(tmp_path: Path, ruleset: Ruleset) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_bytes(failed_logins(60))
    _, both, _ = run(paths, ruleset)
    _, again, _ = run(paths, ruleset)
    _, alone, _ = run(paths[:1], ruleset)
    assert both == again
    assert [alert for alert in both if alert["source_file"] == str(paths[0])] == alone


def test_what_cannot_be_read_is_named_and_the_others_are_done(tmp_path: Path, ruleset: Ruleset) -> None:
    (tmp_path / "good").write_bytes(failed_logins(60))
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    names = ["missing", "noise", "empty", "folder", "good"]
    code, alerts, summary = run([tmp_path / name for name in names], ruleset)
    assert code == 2
    assert [alert["rule"] for alert in alerts] == ["ssh_bruteforce"]
    for name, reason in [
        ("missing", "No such file"),
        ("noise", "neither a capture"),
        ("empty", "empty"),
        ("folder", "directory"),
    ]:
        (line,) = [line for line in summary.splitlines() if line.startswith(f"{tmp_path / name}:")]
        assert reason in line
    assert "4 not (wholly) read" in summary


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", b"\xd4\xc3\xb2\xa1", b"\n\r\r\n", b"ElfFile\x00", b"{", b'{"type":"log",']), st.binary())
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(head + rest)
    out, err = io.StringIO(), io.StringIO()
    assert replay([path], Config(), Ruleset([]), out, err) in (0, 2)


def test_a_file_name_does_not_command_the_terminal(tmp_path: Path, ruleset: Ruleset) -> None:
    path = tmp_path / "\x1b[2Jcleared.pcap"
    path.write_bytes(b"x")
    err = io.StringIO()
    assert replay([path], Config(), ruleset, io.StringIO(), err) == 2
    assert "\\x1b[2Jcleared.pcap" in err.getvalue()
    assert "\x1b" not in err.getvalue()


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def test_the_bar_moves_while_a_quiet_capture_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quiet.pcap"
    frame = struct.pack("<IIII", 1_790_000_000, 0, 60, 60) + bytes(12) + b"\x88\xb5" + bytes(46)  # local experiments
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1) + frame * 100_000)
    screen = Terminal()
    assert replay([path], Config(), Ruleset([]), io.StringIO(), screen) == 0
    shown = re.findall(r"\] +(\d+)%", screen.getvalue())
    assert shown
    assert int(shown[0]) < 100, "the first bar is drawn when the first part is read, events or not"


def test_explain_tells_how_close_it_came(tmp_path: Path, ruleset: Ruleset) -> None:
    path = tmp_path / "auth.jsonl"
    path.write_bytes(failed_logins(6))
    out, err = io.StringIO(), io.StringIO()
    assert replay([path], Config(), ruleset, out, err, explain=True) == 0
    assert out.getvalue() == ""
    (line, *_) = [line for line in err.getvalue().splitlines() if " ssh_bruteforce (" in line]
    assert line.startswith(
        "    60 %  ssh_bruteforce (SSH brute force (log)): 6 of 10 attempts (sum) within 10m: source_ip"
    )


def test_without_explain_nothing_of_it_is_told(tmp_path: Path, ruleset: Ruleset) -> None:
    path = tmp_path / "auth.jsonl"
    path.write_bytes(failed_logins(6))
    assert " % " not in run([path], ruleset)[2]


def test_compressed_files_are_read_as_far_as_they_go(tmp_path: Path, ruleset: Ruleset) -> None:
    path, lines = tmp_path / "auth.json.gz", failed_logins(60)
    whole = gzip.compress(lines[: len(lines) // 2]) + gzip.compress(lines[len(lines) // 2 :])
    path.write_bytes(whole + bytes(100))  # padding, as tapes have it
    code, alerts, told = run([path], ruleset)
    assert (code, [alert["rule"] for alert in alerts]) == (0, ["ssh_bruteforce"]), told
    path.write_bytes(whole[:-30])
    code, alerts, told = run([path], ruleset)
    assert (code, [alert["rule"] for alert in alerts]) == (2, ["ssh_bruteforce"])
    assert "the compressed data ends early" in told
    path.write_bytes(whole[:-8] + b"\1" * 8)
    code, alerts, told = run([path], ruleset)
    assert (code, [alert["rule"] for alert in alerts]) == (2, ["ssh_bruteforce"])
    assert "the compressed data is damaged" in told
    path.write_bytes(gzip.compress(b"ElfFile\0" + bytes(4096)))
    assert "decompress it first" in run([path], ruleset)[2]
    path.write_bytes(gzip.compress(b""))
    assert run([path], ruleset)[0] == 2


def test_a_capture_of_a_link_that_is_not_supported(tmp_path: Path, ruleset: Ruleset) -> None:
    path = tmp_path / "wireless.pcap"
    records = b"".join(struct.pack("<IIII", 1_790_000_000, number, 40, 40) + bytes(40) for number in range(3))
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 127) + records)
    code, alerts, told = run([path], ruleset)
    assert (code, alerts) == (2, [])
    assert "3 packets" in told and "link type that is not supported (127)" in told
