"""siemd web: the API as a process of its own, without the right to capture, beside a running siemd or alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from siemd import logs
from siemd.commands.run import OTHERS_MAY_NOT
from siemd.config import Config, require_data_dir
from siemd.errors import UserError
from siemd.health import Health
from siemd.logger import get_logger

STOP_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]


def run(config: Config) -> int:
    """Serve until a signal; 0 then. Raises UserError for what a person must mend."""
    os.umask(os.umask(OTHERS_MAY_NOT) | OTHERS_MAY_NOT)
    data_dir = require_data_dir(config)
    path = data_dir / "web.log"
    try:
        logs.setup(config.log.level, path, max_bytes=config.log.max_bytes, keep_files=config.log.keep_files)
    except OSError as error:
        raise UserError(f"the log {path} cannot be written: {error.strerror}", "give siemd the right to") from None
    asyncio.run(_serve(config))
    return 0


async def _serve(config: Config) -> None:
    from siemd.web.server import WebServer

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(stop.set))
    health = Health().component("web")
    server = WebServer(config, config.data_path(), health, lambda text: print(text, file=sys.stderr, flush=True))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run(), name="web")
        watching = group.create_task(_say_changes(health), name="health")
        await stop.wait()
        serving.cancel()
        watching.cancel()


async def _say_changes(health: object) -> None:
    """Log each change of the server's health, as `siemd run` does for all components."""
    log, said = get_logger("siemd.web"), ""
    while True:
        now = f"{getattr(health, 'status', '')}: {getattr(health, 'detail', '')}"
        if now != said and getattr(health, "status", "") != "starting":
            level = {"degraded": 30, "failed": 40}.get(getattr(health, "status", ""), 20)
            log.log(level, "component.status", component="web", status=now)
            said = now
        await asyncio.sleep(0.5)
