"""What siemd collects on this host, told from the configuration and the platform: which rules can fire at all."""

from __future__ import annotations

import sys

from siemd.config import Config
from siemd.detection.reach import NETWORK, USAGE, Collected
from siemd.sources.sniffer.facts import FACTS


def collected_here(config: Config, platform: str = sys.platform) -> Collected:
    """Which kinds of events come in when siemd runs on this host (or one of that sys.platform) as it is configured."""
    sources = config.sources
    windows = sources.windows_events  # type: ignore[attr-defined]
    journal = sources.journal  # type: ignore[attr-defined]
    sensor = sources.sniffer.sensor  # type: ignore[attr-defined]
    unwanted = {"dns_query": not sensor.dns_queries, "connection": not sensor.connections}
    missing = {
        NETWORK: "" if sources.sniffer.enabled else "sources.sniffer is switched off",  # type: ignore[attr-defined]
        USAGE: "" if sources.metrics.enabled else "sources.metrics is switched off",  # type: ignore[attr-defined]
        "windows": _missing("windows_events", windows.enabled, platform == "win32", "run Windows"),
        "linux": _missing("journal", journal.enabled, platform.startswith("linux"), "run Linux"),
    }
    return Collected(
        missing={platform: reason for platform, reason in missing.items() if reason},
        channels=frozenset(name.lower() for name in windows.channels),
        facts=frozenset(kind for kind in FACTS if not unwanted.get(kind, False)),
    )


def _missing(source: str, enabled: bool | str, here: bool, what: str) -> str:
    if enabled is False:
        return f"sources.{source} is switched off"
    return f"the host does not {what}" if enabled == "auto" and not here else ""
