"""siemd status: what the daemon is doing, what it lost, and the newest alerts, for a person or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from siemd.config import Config
from siemd.errors import UserError
from siemd.events import now_us
from siemd.logs import printable
from siemd.status import read_status
from siemd.storage import open_store, queries

NOT_RUNNING = 3
QUERY_TIMEOUT_S = 10.0


def run(options: argparse.Namespace, config: Config) -> int:
    """Print the status; returns 0 when siemd runs, 3 when it does not (as systemctl does)."""
    data_dir = config.data_path()
    status = read_status(data_dir) or {"running": False}
    try:
        status |= asyncio.run(_stored(config, options.alerts))
    except UserError as error:
        status["store_problem"] = str(error)
    except TimeoutError:
        status["store_problem"] = f"the store did not answer within {QUERY_TIMEOUT_S:g} s"
    if options.json:
        print(json.dumps(status, default=str))
    else:
        print("\n".join(_lines(status, str(data_dir))))
    return 0 if status["running"] else NOT_RUNNING


async def _stored(config: Config, alerts: int) -> dict[str, Any]:
    """The newest alerts and the ledger, read from the store beside the daemon."""
    store = open_store(config.storage, config.data_path())
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            return {
                "store": store.description,
                "alerts": await queries.newest_alerts(store, alerts),
                "ledger": await queries.ledger(store),
            }
    finally:
        await store.close()


def _lines(status: dict[str, Any], data_dir: str) -> list[str]:
    lines = []
    if status["running"]:
        up_s = max(0, now_us() - status["started_us"]) / 1e6
        lines.append(f"siemd {status['version']} runs on {status['host']} (process {status['pid']}) for {_span(up_s)}")
    else:
        lines.append(f"siemd does not run on {data_dir}; what follows is from its last run" if status.get("components")
                     else f"siemd has not run on {data_dir}; start it with `siemd run`")  # fmt: skip
    for name, path in status.get("paths", {}).items():
        lines.append(f"  {name:<10} {path}")
    if "store" in status:
        lines.append(f"  {'store':<10} {status['store']}")
    if status.get("components"):
        counts = f"{'received':>10} {'sent':>10} {'dropped':>8} {'errors':>7}"
        lines += ["", f"{'component':<16} {'status':<9} {counts}  detail"]
    for part in status.get("components", []):
        counts = f"{part['received']:>10} {part['sent']:>10} {part['dropped']:>8} {part['errors']:>7}"
        lines.append(f"{part['name']:<16} {part['status']:<9} {counts}  {printable(part['detail'])}")
    lines += _suppression_lines(status.get("components", []))
    for channel in status.get("channels", []):
        if channel["events"] or channel["refused_events"]:
            lines.append(
                f"channel {channel['name']}: {channel['events']} of {channel['capacity_events']} events waiting, "
                f"{channel['refused_events']} refused"
            )
    lines += _ledger_lines(status.get("ledger", []))
    lines += _alert_lines(status.get("alerts", []))
    if "store_problem" in status:
        lines += ["", f"the store could not be read: {printable(status['store_problem'])}"]
    return lines


def _suppression_lines(components: list[dict[str, Any]]) -> list[str]:
    """How many matches each suppression hid in this run."""
    hidden = {
        name.removeprefix("hidden_by."): count
        for part in components
        for name, count in part.get("extra", {}).items()
        if name.startswith("hidden_by.")
    }
    if not hidden:
        return []
    return ["", "suppressions hid: " + ", ".join(f"{name} {count} matches" for name, count in hidden.items())]


def _ledger_lines(rows: list[dict[str, Any]]) -> list[str]:
    lost = [row for row in rows if row.get("dropped") or row.get("missing")]
    if not rows:
        return []
    if not lost:
        return ["", f"ledger: no event lost in {len(rows)} runs of sources"]
    lines = ["", "ledger: events lost"]
    return lines + [f"  {row}" for row in lost]


def _alert_lines(alerts: list[dict[str, Any]]) -> list[str]:
    if not alerts:
        return ["", "no alerts"]
    lines = ["", "newest alerts"]
    for alert in alerts:
        head = f"{alert['last_seen']}  {alert['level']:<13} {alert['rule']:<22} x{alert['count']:<6}"
        lines.append(f"  {head} {printable(str(alert['reason']))[:160]}")
    return lines


def _span(seconds: float) -> str:
    """A duration for people: 3 d 4 h, 5 h 12 min, 40 s."""
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"
