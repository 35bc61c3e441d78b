"""Which routes an incident takes at a moment: by level, rule, tag, host and hour."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from fnmatch import fnmatchcase

from siemd.events import Alert
from siemd.notify.config import LEVELS, MatchConfig, NotifyConfig, RouteConfig
from siemd.notify.schedule import zone_of


class Router:
    """The routes of a configuration, in their order."""

    def __init__(self, config: NotifyConfig) -> None:
        self._routes = config.routes
        self.zone = zone_of(config.zone)

    def routes(self, alert: Alert, now_us: int) -> Iterator[RouteConfig]:
        """The routes that match, up to the first that stops."""
        for route in self._routes:
            if matches(route.match, alert, now_us, self.zone):
                yield route
                if route.then == "stop":
                    return


def rank(level: str) -> int:
    """A level as a number that grows with it; what no level is counts as the lowest."""
    return LEVELS.index(level) if level in LEVELS else 0


def matches(match: MatchConfig, alert: Alert, now_us: int, zone: tzinfo) -> bool:
    """Whether all that is given holds."""
    if rank(alert.level) < rank(match.level):
        return False
    return (
        _any(match.rules, [alert.rule, alert.rule_id])
        and _any(match.tags, alert.tags)
        and _any(match.hosts, [alert.host])
        and (match.times is None or match.times.contains(now_us, zone))
    )


def _any(patterns: list[str], values: list[str]) -> bool:
    if not patterns:
        return True
    lower = [str(value).lower() for value in values]
    return any(fnmatchcase(value, pattern.lower()) for pattern in patterns for value in lower)
