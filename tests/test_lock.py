"""One daemon for a data directory, told from outside by the lock."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from siemd.errors import UserError
from siemd.lock import DataDirLock, running_pid

HOLD = """
import sys; from pathlib import Path; from siemd.lock import DataDirLock
lock = DataDirLock(Path(sys.argv[1])); lock.acquire(); print("held", flush=True)
import time; time.sleep(60)
"""


def test_free_without_a_daemon(tmp_path: Path) -> None:
    assert running_pid(tmp_path) is None
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.release()
    assert running_pid(tmp_path) is None


def test_held_by_another_process_until_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert running_pid(tmp_path) == holder.pid
        with pytest.raises(UserError, match=f"process {holder.pid}"):
            DataDirLock(tmp_path).acquire()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert running_pid(tmp_path) is None
    DataDirLock(tmp_path).acquire()


def test_an_unwritable_directory_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data_dir"):
        DataDirLock(tmp_path / "missing").acquire()


def test_a_look_from_outside_keeps_no_daemon_from_starting(tmp_path: Path) -> None:
    """`siemd status` holds the lock for the moment in which it looks."""
    path = tmp_path / "siemd.lock"
    path.touch()
    with path.open("r+") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        threading.Timer(0.05, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        lock = DataDirLock(tmp_path)
        lock.acquire()
    lock.release()


def test_held_on_a_full_disk(tmp_path: Path) -> None:
    """The process id can't be written then, but the lock is held, and is seen to be held."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); {HOLD}"
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + code
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert running_pid(tmp_path) == 0
        with pytest.raises(UserError, match="process unknown"):
            DataDirLock(tmp_path).acquire()
        holder.kill()
