"""One daemon for a data directory: a lock file that ends with its process, however that ends."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from siemd.errors import UserError

_TRIES, _BETWEEN_TRIES_S = 10, 0.02


class DataDirLock:
    """Held from `acquire` until `release` or the end of the process; the file holds the owner's process id."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "siemd.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock; raises UserError when another siemd holds it or the directory can't be written."""
        try:
            file = self._path.open("a+", encoding="ascii")
        except OSError as error:
            hint = "give siemd the right to write there, or set data_dir in siemd.yaml"
            raise UserError(f"{self._path} cannot be written: {error.strerror}", hint) from None
        if not _try_lock_for_a_while(file):
            owner = _read_pid(self._path)
            file.close()
            raise UserError(
                f"siemd already runs on {self._path.parent} (process {owner or 'unknown'})",
                "stop it first, or give this one a data_dir of its own",
            )
        self._file = file
        with suppress(OSError):  # a full disk: the lock is held all the same
            file.truncate(0)
            os.write(file.fileno(), b"%d\n" % os.getpid())

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def running_pid(data_dir: Path) -> int | None:
    """The process id of the siemd that runs on data_dir (0 when it can't be read), None if none does."""
    path = data_dir / "siemd.lock"
    try:
        with path.open("r+", encoding="ascii") as file:
            if try_lock(file):
                return None
    except FileNotFoundError:
        return None
    except OSError:
        return _read_pid(path) if _alive(_read_pid(path)) else None
    return _read_pid(path) or 0


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def _alive(pid: int | None) -> bool:
    import psutil

    return pid is not None and psutil.pid_exists(pid)


def _try_lock_for_a_while(file: IO[str]) -> bool:
    """Try again for a moment, because `running_pid` holds the lock while it looks."""
    for _ in range(_TRIES):
        if try_lock(file):
            return True
        time.sleep(_BETWEEN_TRIES_S)
    return try_lock(file)


def try_lock(file: IO[str]) -> bool:
    """Lock an open file until it is closed; False when another process holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 20)  # beyond the text, which others may then still read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
