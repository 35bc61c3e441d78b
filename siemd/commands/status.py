"""siemd status: what the daemon is doing, what it lost, and the newest alerts, for a person or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import Any

from siemd.config import ENVIRONMENT_NAME, Config
from siemd.errors import UserError
from siemd.events import now_us
from siemd.logs import printable
from siemd.status import read_status
from siemd.storage import open_store, queries
from siemd.storage.tables import time_text

NOT_RUNNING = 3
QUERY_TIMEOUT_S = 10.0
SILENT_S = 30.0  # a daemon that told nothing for so long is not well; it tells every ten at the latest
# Names of counters that an operator should see when they are not zero.
_NOTED = re.compile(
    r"damag|dead_letters|drops|evicted|lost|forgotten|malformed|missing|oversized|spooled|unreadable|waiting"
)


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
    if unset := ENVIRONMENT_NAME.search(config.storage.url):
        hint = "alerts and the ledger are shown when it has it"
        raise UserError(f"storage.url names {unset[1]}, which the environment of this command lacks", hint)
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
    now = now_us()
    lines = _headline(status, data_dir, now)
    for name, path in status.get("paths", {}).items():
        lines.append(f"  {name:<10} {path}")
    if "store" in status:
        lines.append(f"  {'store':<10} {status['store']}")
    lines += _component_lines(status.get("components", []), now)
    for channel in status.get("channels", []):
        if channel["events"] or channel["refused_events"]:
            lines.append(
                f"channel {channel['name']}: {channel['events']} of {channel['capacity_events']} events waiting, "
                f"{channel['refused_events']} refused"
            )
    lines += _ledger_lines(status.get("ledger", []))
    if "alerts" in status:
        lines += _alert_lines(status["alerts"])
    if "store_problem" in status:
        lines += ["", f"the store could not be read: {printable(status['store_problem'])}"]
    return lines


def _headline(status: dict[str, Any], data_dir: str, now: int) -> list[str]:
    """Whether siemd runs, since when; if it does not, when and how it ended."""
    if status.get("starting"):
        return [f"siemd (process {status['pid']}) is starting on {data_dir}, or cannot write its status there"]
    if not status.get("components"):
        return [f"siemd has not run on {data_dir}; start it with `siemd run`, or name the data_dir where it runs"]
    silent_s = (now - status["written_us"]) / 1e6
    ago = f"{_span(silent_s)} ago, {time_text(status['written_us'])[:19]} UTC"
    if not status["running"]:
        how = "it stopped in order" if status["stopped_in_order"] else "it was killed, or the machine went down,"
        return [f"siemd does not run on {data_dir}: {how} {ago}; what follows is from its last run"]
    up = _span((now - status["started_us"]) / 1e6)
    lines = [f"siemd {status['version']} runs on {status['host']} (process {status['pid']}) for {up}"]
    if silent_s > SILENT_S:
        lines.append(f"WARNING: it last told its status {ago}: it hangs, or cannot write to {data_dir}")
    return lines


def _component_lines(components: list[dict[str, Any]], now: int) -> list[str]:
    """A table; below a component's line, its counters that tell of losses or of work that waits."""
    if not components:
        return []
    counts = f"{'received':>10} {'sent':>10} {'dropped':>8} {'errors':>7}"
    lines = ["", f"{'component':<16} {'status':<9} {'for':<11} {counts}  detail"]
    for part in components:
        counts = f"{part['received']:>10} {part['sent']:>10} {part['dropped']:>8} {part['errors']:>7}"
        since = _span((now - part["since_us"]) / 1e6)
        lines.append(
            f"{part['name']:<16} {part['status']:<9} {since:<11} {counts}  {printable(part['detail'])}".rstrip()
        )
        noted = [f"{name} {value}" for name, value in part["extra"].items() if value and _NOTED.search(name)]
        if part["lag_s"] >= 1:
            noted.insert(0, f"behind by {_span(part['lag_s'])}")
        if noted:
            lines.append(f"{'':<16} {printable(', '.join(noted))}")
    return lines


def _ledger_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Every run of a source that did not store all it produced, from the store's account."""
    if not rows:
        return []
    lost = [row for row in rows if row["dropped"] or row["rejected"] or row["missing"]]
    if not lost:
        return ["", f"ledger: no event lost in {len(rows)} runs of sources"]
    lines = ["", f"ledger: {len(lost)} of {len(rows)} runs of sources lost events (times are UTC)"]
    return lines + [
        f"  {row['source']:<16} on {printable(row['host'])}, last stored {row['updated'][:19]}: "
        f"{row['produced']} produced, {row['stored']} stored, {row['dropped']} dropped, {row['rejected']} rejected, "
        f"{row['missing']} missing"
        for row in lost
    ]


def _alert_lines(alerts: list[dict[str, Any]]) -> list[str]:
    if not alerts:
        return ["", "no alerts"]
    lines = ["", "newest alerts (times are UTC)"]
    for alert in alerts:
        head = f"{alert['last_seen'][:19]}  {alert['level']:<13} {alert['rule']:<22} x{alert['count']:<6}"
        lines.append(f"  {head} {printable(str(alert['reason']))[:160]}")
    return lines


def _span(seconds: float) -> str:
    """A duration for people: 3 d 4 h, 5 h 12 min, 40 s."""
    seconds = max(0.0, seconds)
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"
