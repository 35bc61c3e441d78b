"""Where events come from. A new source is one file here and one line in SOURCES."""

from __future__ import annotations

from siemd.sources.base import Outlet, Source
from siemd.sources.journal import Journal
from siemd.sources.metrics import Metrics
from siemd.sources.sniffer import Sniffer
from siemd.sources.windows_events import WindowsEvents

SOURCES: dict[str, type[Source]] = {source.name: source for source in (Sniffer, Journal, WindowsEvents, Metrics)}

__all__ = ["SOURCES", "Outlet", "Source"]
