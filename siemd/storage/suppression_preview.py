"""What a suppression would have hidden: past incidents put to the real matcher, and what people had made of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

import msgspec

from siemd.detection.rule import AnyRule
from siemd.detection.suppressions import Suppression
from siemd.detection.view import MISSING, View
from siemd.events import Alert, Event, now_us
from siemd.storage.database import Database
from siemd.storage.reading import alert_of
from siemd.storage.tables import time_text

DAY_US = 86_400_000_000
SAMPLES = 20
PAGE_ROWS = 50  # with up to 256 KiB of evidence each


class Preview(msgspec.Struct):
    """hidden: incidents that would not have been opened, of `examined` in `days`; the next two: of those hidden, closed
    with this verdict. unknown_rules: incidents of rules that are no longer loaded, which can't be judged.
    samples: the ids of the newest that were hidden, those closed as true first.
    """

    days: int
    examined: int = 0
    hidden: int = 0
    true_positives: int = 0
    false_positives: int = 0
    unknown_rules: int = 0
    samples: list[str] = []


async def preview_suppression(
    database: Database,
    suppression: Suppression,
    rules: Iterable[AnyRule],
    *,
    days: int = 30,
    until_us: int | None = None,
    timeout_s: float = 60.0,
) -> Preview:
    """Put the incidents of the last days to a suppression. rules: the loaded ones. Its expiry is not looked at.

    An incident is judged as when it was opened: its group, host and first time; other fields by its first evidence.
    """
    end_us = now_us() if until_us is None else until_us
    lasting = msgspec.structs.replace(suppression, expires_us=1 << 62)
    by_name: dict[str, list[AnyRule]] = {}
    for rule in rules:
        by_name.setdefault(rule.name, []).append(rule)
    result = Preview(days)
    hidden: list[tuple[bool, str]] = []
    sql = (
        "SELECT alerts.*, COALESCE(state, '') AS triage_state, COALESCE(verdict, '') AS triage_verdict FROM alerts "
        "LEFT JOIN alert_triage ON alert_triage.incident_id = alerts.incident_id "
        "WHERE last_seen >= ? AND last_seen <= ? ORDER BY last_seen DESC"
    )
    bounds = (time_text(end_us - days * DAY_US), time_text(end_us))
    async with aclosing(database.stream(sql, bounds, page_rows=PAGE_ROWS, timeout_s=timeout_s)) as pages:
        async for page in pages:
            for row in page:
                result.examined += 1
                alert = alert_of(row)
                found = by_name.get(alert.rule)
                if found is None:
                    result.unknown_rules += 1
                elif _hides(lasting, found, alert):
                    is_true = row["triage_state"] == "closed" and row["triage_verdict"] == "true_positive"
                    result.hidden += 1
                    result.true_positives += is_true
                    result.false_positives += row["triage_verdict"] == "false_positive"
                    hidden.append((not is_true, alert.incident_id))
    result.samples = [incident_id for _order, incident_id in sorted(hidden, key=lambda one: one[0])[:SAMPLES]]
    return result


def _hides(suppression: Suppression, rules: Iterable[AnyRule], alert: Alert) -> bool:
    if not any(suppression.selector.matches(rule) for rule in rules):
        return False
    first = _event(alert.evidence[0]) if alert.evidence else None
    view = None if first is None else View(first)

    def field(name: str) -> Any:
        return MISSING if view is None else view.get(name)

    host = (first.host if first is not None else "") or alert.host
    return suppression.covers(alert.group, host, alert.first_seen_us, field)


def _event(evidence: Any) -> Event | None:
    """Evidence is an event as JSON; what was cut to fit its column may no longer be one."""
    try:
        event: Event = msgspec.convert(evidence, Event)
        return event
    except msgspec.ValidationError:
        return None
