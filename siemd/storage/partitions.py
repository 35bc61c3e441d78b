"""Which partitions a MySQL table needs, and the statements that make and drop them.

A partition holds one day, or, where a table keeps more than 45 days, so many weeks that there stay fewer than 50:
more of them slow every statement down. The oldest one also takes whatever is older; `pmax` takes what is to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

DAILY_UP_TO_DAYS = 45
MOST = 45
FOREVER_WIDTH_DAYS = 28
AHEAD = 3  # partitions made in advance


class Partition(NamedTuple):
    """A partition of events before `upper`; None: without a bound (pmax)."""

    name: str
    upper: date | None


def width_days(keep_days: float) -> int:
    """How many days one partition holds, given how many the table keeps (0: all)."""
    if not keep_days:
        return FOREVER_WIDTH_DAYS
    if keep_days <= DAILY_UP_TO_DAYS:
        return 1
    weeks = -(-int(keep_days) // 7)
    return 7 * -(-weeks // MOST)


def statements(table: str, existing: Sequence[Partition], keep_days: float, today: date) -> list[str]:
    """The ALTER TABLEs that bring a table's partitions up to date; none when they are."""
    result = []
    dated = [partition for partition in existing if partition.upper is not None]
    if keep_days:
        oldest_kept = today - timedelta(days=int(keep_days))
        old = [partition.name for partition in dated if partition.upper is not None and partition.upper <= oldest_kept]
        if old:
            result.append(f"ALTER TABLE {table} DROP PARTITION {', '.join(old)}")
    edges = _edges(max((partition.upper for partition in dated if partition.upper), default=None), keep_days, today)
    if edges:
        parts = [f"PARTITION p{edge:%Y%m%d} VALUES LESS THAN ('{edge}')" for edge in edges]
        parts.append("PARTITION pmax VALUES LESS THAN (MAXVALUE)")
        result.append(f"ALTER TABLE {table} REORGANIZE PARTITION pmax INTO ({', '.join(parts)})")
    return result


def _edges(last: date | None, keep_days: float, today: date) -> list[date]:
    """The upper bounds still missing up to AHEAD partitions from today's."""
    width = width_days(keep_days)
    start = today.toordinal() // width * width  # aligned, so that every host of a shared database wants the same
    wanted = [date.fromordinal(start + step * width) for step in range(AHEAD + 2)]
    return [edge for edge in wanted if last is None or edge > last]
