"""The daemon with two processes that match: they do, they are replaced when they die, and they end with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from support.daemon import Siemd, exactly_once
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

RULE = """\
title: Load
name: load
logsource: {product: siemd, category: usage}
detection: {s: {ram_percent|gte: 0}, condition: s}
"""


def workers(siemd: Siemd) -> list[psutil.Process]:
    assert siemd.process
    found = psutil.Process(siemd.process.pid).children(recursive=True)
    return [child for child in found if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "siemd.detection.worker" in process.cmdline()
    except psutil.NoSuchProcess:  # it ended meanwhile; ZombieProcess is one of these
        return False


def test_workers_live_and_end_with_the_daemon(make_siemd: Callable[..., Siemd]) -> None:
    sources: dict[str, Any] = {"sniffer": {"enabled": False}, "journal": {"enabled": False}}
    sources["metrics"] = {"interval": "50ms"}
    siemd = make_siemd({"sources": sources, "detection": {"rules": ["rules"], "workers": 2}})
    (siemd.folder / "rules").mkdir()
    (siemd.folder / "rules" / "load.yml").write_text(RULE)
    siemd.start()
    (first,) = workers(siemd)
    wait_until(lambda: siemd.alerts("load"), "the rule alerts")
    first.kill()
    wait_until(lambda: workers(siemd) and first not in workers(siemd), "it is replaced", deadline_s=60)
    wait_until(lambda: siemd.component("detection")["extra"].get("worker_restarts") == 1, "siemd status shows it")
    (second,) = workers(siemd)
    assert siemd.stop() == 0
    wait_until(lambda: not is_worker(second), "no worker outlives a stop")
    exactly_once(siemd.stored("metrics"))

    siemd.start()
    (third,) = workers(siemd)
    siemd.kill()
    wait_until(lambda: not is_worker(third), "nor a kill")
