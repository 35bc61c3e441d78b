"""The log: one JSON object a line, stable keys, no secrets, and hostile text harmless on a terminal."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from siemd import logs


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "siemd.log"
    logs.setup("info", path, max_bytes=20_000, keep_files=2, terminal=False)
    yield path
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.handlers.RotatingFileHandler):
            root.removeHandler(handler)
            handler.close()
    structlog.reset_defaults()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_one_event_a_line_with_stable_keys(log_file: Path) -> None:
    structlog.get_logger("siemd.test").info("thing.happened", count=3, text="two\nlines")
    (line,) = lines(log_file)
    assert list(line)[:4] == ["time", "level", "logger", "event"]
    assert line["event"] == "thing.happened"
    assert line["text"] == "two\nlines"
    assert str(line["time"]).endswith("Z")


def test_library_logs_take_the_same_way(log_file: Path) -> None:
    logging.getLogger("aiomysql").warning("lost %s", "it")
    (line,) = lines(log_file)
    assert (line["logger"], line["event"], line["level"]) == ("aiomysql", "lost it", "warning")


def test_secrets_never_appear(log_file: Path) -> None:
    log = structlog.get_logger("siemd.test")
    log.info("store.open", url="mysql://siemd:hunter2@db:3306/siemd", password="hunter2", api_token="hunter2")
    log.info("store.open", detail="cannot reach mysql://siemd:hunt:er2@db/x and mysql://u:hunter2@e/y")
    logging.getLogger("other").error("mysql://siemd:hunter2@db/siemd is down")
    text = log_file.read_text()
    assert "hunter2" not in text
    assert "er2@" not in text
    assert "siemd:***@db" in text


def test_text_made_to_look_like_many_urls_is_logged(log_file: Path) -> None:
    """Looking for passwords in it must take no time that grows by the square: 300 KB took an hour."""
    structlog.get_logger("siemd.test").info("alert.opened", reason="://a:" * 60_000)
    assert lines(log_file)[-1]["reason"].startswith("://a:")


def test_a_bug_keeps_its_traceback_in_the_file(log_file: Path) -> None:
    try:
        raise RuntimeError("odd")
    except RuntimeError:
        structlog.get_logger("siemd.test").exception("component.bug")
    (line,) = lines(log_file)
    assert "Traceback" in str(line["exception"])


def test_the_file_rotates(log_file: Path) -> None:
    log = structlog.get_logger("siemd.test")
    for number in range(1000):
        log.info("thing.happened", number=number, filler="x" * 50)
    assert {path.name for path in log_file.parent.iterdir()} == {"siemd.log", "siemd.log.1", "siemd.log.2"}
    assert all(path.stat().st_size <= 20_000 for path in log_file.parent.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="an open file can't be moved on Windows")
@pytest.mark.parametrize("by", ["rename", "copytruncate", "remove"])
def test_logrotate_may_take_the_file_away(log_file: Path, by: str) -> None:
    log = structlog.get_logger("siemd.test")
    log.info("before")
    if by == "rename":
        log_file.rename(log_file.with_name("siemd.log-20260101"))
    elif by == "remove":
        log_file.unlink()
    else:
        os.truncate(log_file, 0)
    log.info("after")
    assert [line["event"] for line in lines(log_file)] == ["after"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_lines_that_a_full_disk_refused_are_told_of(tmp_path: Path, log_file: Path) -> None:
    full = tmp_path / "full.log"
    full.symlink_to("/dev/full")
    logs.setup("info", full, max_bytes=20_000, keep_files=2, terminal=False)
    log = structlog.get_logger("siemd.test")
    for _ in range(3):
        log.info("lost")
    full.unlink()
    log.info("written")
    first, told = lines(full)
    assert (first["event"], told["event"], told["lines"]) == ("written", "log.lines_failed", 3)


@given(st.text())
def test_hostile_text_stays_one_json_line(text: str) -> None:
    rendered = logs._render_json(None, "", {"event": text, text: "\ud800" + text})
    assert "\n" not in rendered
    assert json.loads(rendered)["event"] == text or text == "event"


@given(st.text())
def test_printable_has_no_control_characters(text: str) -> None:
    shown = logs.printable(text + "\x1b[31m\u202e")
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e" for c in shown)


def test_an_alert_is_short_on_a_terminal() -> None:
    event = {
        "time": "2026-01-02T03:04:05.000006Z",
        "event": "alert.opened",
        "rule": "ping",
        "reason": "x",
        "revision": 1,
    }
    assert logs._escape(None, "", event) == {
        "timestamp": "2026-01-02T03:04:05Z",
        "event": "alert.opened",
        "rule": "ping",
        "reason": "x",
    }
