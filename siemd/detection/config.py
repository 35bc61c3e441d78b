"""The `detection:` part of siemd.yaml: which rules, what is switched off, and the limits of what is remembered."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from siemd.units import Seconds


class DetectionConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Sigma rules, and how much detection may remember."""

    rules: Annotated[
        list[str], Meta(description='Folders or files of rules; "builtin" stands for the rules that ship with siemd.')
    ] = msgspec.field(default_factory=lambda: ["builtin"])
    disabled: Annotated[
        list[str], Meta(description="Rules that are switched off: names, ids or tags, such as attack.t1110.")
    ] = []
    incident_idle_s: Annotated[
        Seconds, Meta(description="An incident is closed when it has not grown for this long (or its rule's timespan).")
    ] = msgspec.field(name="incident_idle", default=Seconds(600))
    late_s: Annotated[
        Seconds, Meta(description="How far behind the newest event of its group an event still counts in its window.")
    ] = msgspec.field(name="late", default=Seconds(30))
    max_incidents: Annotated[
        int, Meta(ge=1, description="Open incidents at most; the longest untouched is closed to make room.")
    ] = 10_000
    max_groups: Annotated[
        int, Meta(ge=1, description="Groups a correlation remembers at most; the longest untouched is forgotten.")
    ] = 10_000
    max_values: Annotated[
        int, Meta(ge=1, description="Events or values a group remembers at most; the oldest are forgotten.")
    ] = 4_096
    max_entries: Annotated[
        int, Meta(ge=1, description="Events or values a correlation remembers at most, over all of its groups.")
    ] = 200_000
