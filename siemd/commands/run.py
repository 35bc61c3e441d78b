"""siemd run: the daemon in the foreground, as a service manager or a person starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from siemd import logs
from siemd.app import App
from siemd.config import Config, require_data_dir
from siemd.errors import StoreError, UserError
from siemd.lock import DataDirLock
from siemd.logger import get_logger

FAILED = 1  # a service manager starts siemd again; a person's mistake (2) it leaves alone
OTHERS_MAY_NOT = 0o027  # neither write what siemd writes, nor, but for its group, read it


def run(config: Config) -> int:
    """Run until stopped; 0 when every accepted event is stored.

    1 when a forced stop, a bug or a store that can't be used ended it. Raises UserError for what a person must mend.
    """
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the app listens: its default would end siemd
    # numpy's library for matrices, of which siemd has none, would start a thread for each core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.umask(os.umask(OTHERS_MAY_NOT) | OTHERS_MAY_NOT)
    data_dir = require_data_dir(config)
    lock = DataDirLock(data_dir)
    lock.acquire()
    try:
        _start_logs(config)
        lost = asyncio.run(App(config, data_dir).run())
    except Exception as error:
        cause = _first(error)
        if isinstance(cause, UserError):
            get_logger("siemd").error("siemd.refused", reason=cause.message, hint=cause.hint)
            if not isinstance(cause, StoreError):
                raise cause from None
            print(f"siemd: {cause}", file=sys.stderr)  # a full disk, a locked file: it may pass by itself
            return FAILED
        get_logger("siemd").critical("siemd.bug", exc_info=error)
        print(f"siemd: a bug ended siemd ({cause!r}); please report it with {config.log_path()}", file=sys.stderr)
        return FAILED
    finally:
        lock.release()
    return FAILED if lost else 0


def _start_logs(config: Config) -> None:
    path, settings = config.log_path(), config.log
    try:
        logs.setup(settings.level, path, max_bytes=settings.max_bytes, keep_files=settings.keep_files)
    except OSError as error:
        hint = "give siemd the right to write there, or set log.file in siemd.yaml"
        raise UserError(f"the log {path} cannot be written: {error.strerror}", hint) from None


def _first(error: BaseException) -> BaseException:
    """The cause inside nested task groups' errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
