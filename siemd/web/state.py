"""What the siemd beside the store does, out of the status file in its data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from siemd.errors import UserError
from siemd.status import read_status


def status_of(data_dir: Path) -> dict[str, Any] | None:
    """The last status of the siemd on data_dir; None when none ever ran there, or it may not be read."""
    try:
        return read_status(data_dir)
    except UserError:
        return None


def counter_sums(data_dir: Path, prefix: str) -> dict[str, int] | None:
    """Counters of every component whose name begins so, without that beginning; None when no siemd runs there."""
    status = status_of(data_dir)
    if status is None or not status.get("running"):
        return None
    sums: dict[str, int] = {}
    for component in status.get("components", []):
        for name, value in {**component, **(component.get("extra") or {})}.items():
            if name.startswith(prefix) and isinstance(value, int):
                key = name.removeprefix(prefix)
                sums[key] = sums.get(key, 0) + value
    return sums
