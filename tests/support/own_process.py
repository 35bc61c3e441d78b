"""A process of its own for what is to be measured, and its memory as the system counts it."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).resolve().parent.parent
_CALL = """
import importlib, json, sys
module, function, arguments = sys.argv[1:]
print(json.dumps(getattr(importlib.import_module(module), function)(**json.loads(arguments))))
"""


def resident_bytes() -> int:
    """The memory of this process, less what only waits to be collected."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def tests_path() -> dict[str, str]:
    """The environment in which a fresh Python finds siemd and what tests share."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}


def in_own_process(module: str, function: str, **arguments: Any) -> dict[str, Any]:
    """What a function says in a fresh process; arguments and result are JSON."""
    done = subprocess.run(
        [sys.executable, "-c", _CALL, module, function, json.dumps(arguments)],
        env=tests_path(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-10_000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
