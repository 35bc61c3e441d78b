"""What siemd is doing, for `siemd status` and the service manager: a file, lines in the log, the watchdog."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from siemd import __version__
from siemd.beat import until_beat_s
from siemd.channel import Channel
from siemd.config import Config
from siemd.errors import UserError
from siemd.events import now_us
from siemd.health import Health
from siemd.lock import running_pid
from siemd.logger import get_logger
from siemd.service.systemd import Notifier

FILE_NAME = "status.json"
STEP_S = 1.0
WRITE_EVERY_STEPS = 2
KEEP_S = 10.0  # a file that says the same is written again after this time: its age tells that siemd lives


class StatusReporter:
    """Writes the status file every two seconds if there is news, else every ten; logs each change of a status."""

    def __init__(
        self, config: Config, data_dir: Path, health: Health, channels: Sequence[Channel], notifier: Notifier
    ) -> None:
        self._host = config.host_name()
        self._path = data_dir / FILE_NAME
        self._paths = {
            "data_dir": str(data_dir),
            "log": str(config.log_path()),
            "alerts": str(config.alerts_path()),
        }
        self._health = health
        self._channels = channels
        self._notifier = notifier
        self._started_us = now_us()
        self._said: dict[str, tuple[str, str]] = {}
        self._writing = asyncio.Lock()  # all writers share the name of one temporary file
        self._written: dict[str, Any] = {}
        self._written_s = float("-inf")

    async def run(self) -> None:
        """Report until cancelled; the watchdog is fed from here, so it barks when the event loop hangs."""
        log = get_logger("siemd.status")
        step_s = min(STEP_S, (self._notifier.watchdog_interval_s or STEP_S * 4) / 4)
        step = 0
        while True:
            self._say_changes(log)
            if self._notifier.is_heard:
                self._notifier.status(", ".join(f"{part.name} {part.status}" for part in self._health.components()))
                self._notifier.watchdog()
            if step % WRITE_EVERY_STEPS == 0 and self._is_due():
                await self.write(running=True)
            step += 1
            await asyncio.sleep(until_beat_s(step_s))

    async def write(self, *, running: bool) -> None:
        """Replace the status file; a failure is counted and does no harm."""
        async with self._writing:
            snapshot = self._snapshot(running=running)
            try:
                await asyncio.to_thread(_replace, self._path, _encoded(snapshot | {"written_us": now_us()}))
            except OSError as error:
                self._health.component("status").error("degraded", f"cannot write {self._path}: {error.strerror}")
            else:
                self._health.component("status").set("ok", str(self._path))
                self._written, self._written_s = snapshot, time.monotonic()

    def _is_due(self) -> bool:
        return time.monotonic() - self._written_s >= KEEP_S or self._snapshot(running=True) != self._written

    def _snapshot(self, *, running: bool) -> dict[str, Any]:
        return {
            "running": running,
            "pid": os.getpid(),
            "version": __version__,
            "host": self._host,
            "started_us": self._started_us,
            "paths": self._paths,
            "components": self._health.snapshot(),
            "channels": [
                {
                    "name": channel.name,
                    "events": channel.events,
                    "capacity_events": channel.capacity_events,
                    "received_events": channel.received_events,
                    "refused_events": channel.refused_events,
                }
                for channel in self._channels
            ],
        }

    def _say_changes(self, log: Any) -> None:
        for component in self._health.components():
            if component.status == "starting":
                continue  # said when it has started, or has not
            now = (component.status, component.detail if component.status in ("degraded", "failed") else "")
            if self._said.get(component.name) != now:
                self._said[component.name] = now
                level = {"degraded": 30, "failed": 40}.get(component.status, 20)
                log.log(
                    level,
                    "component.status",
                    component=component.name,
                    status=component.status,
                    detail=component.detail,
                )


def read_status(data_dir: Path) -> dict[str, Any] | None:
    """The last status of the siemd on data_dir with `running` as it is now; None if none ever ran there.

    `starting` stands alone with the process id while a siemd has not written its first status.
    `stopped_in_order`: whether the last word of that siemd was that it ended.

    Raises UserError when the reader may not look.
    """
    path = data_dir / FILE_NAME
    try:
        status = msgspec.json.decode(path.read_bytes())
    except PermissionError:
        raise UserError(f"{path} may not be read by this user", "try it with sudo, or as siemd's own user") from None
    except (OSError, msgspec.DecodeError):
        return None
    if not isinstance(status, dict):
        return None
    status["stopped_in_order"] = status.get("running") is False  # the last thing that a run writes
    pid = running_pid(data_dir)
    if pid and pid != status.get("pid"):
        return {"running": True, "pid": pid, "starting": True}  # the file still tells of the run before
    status["running"] = pid is not None
    return status


def _encoded(snapshot: dict[str, Any]) -> bytes:
    """As JSON for people too; names of files may hold what is no UTF-8."""
    try:
        return msgspec.json.format(msgspec.json.encode(snapshot), indent=1)
    except UnicodeEncodeError:
        return json.dumps(snapshot, indent=1, ensure_ascii=False).encode("utf-8", "replace")


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
