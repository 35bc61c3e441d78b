"""The `detection:` part of siemd.yaml: which rules, what is switched off, and the limits of what is remembered."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from siemd.detection.rule import Level
from siemd.units import Seconds

BUILTIN, IMPORTED = "builtin", "imported"


class ImportedConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The rules that `siemd rules import` brought here, and which of them alert; an overlay decides otherwise."""

    folder: Annotated[str, Meta(description="Where imported rules are kept; auto: rules in data_dir.")] = "auto"
    min_level: Annotated[
        Level,
        Meta(description="The lowest level that alerts. By Sigma's own words, informational rules should not."),
    ] = "low"
    statuses: Annotated[
        list[str],
        Meta(description="Rules of these statuses alert; without experimental there are fewer, surer alerts."),
    ] = msgspec.field(default_factory=lambda: ["stable", "test", "experimental"])


class DetectionConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Sigma rules, and how much detection may remember."""

    rules: Annotated[
        list[str],
        Meta(
            description='Folders or files of rules; "builtin" stands for the rules that ship with siemd, "imported" '
            "for those that `siemd rules import` brought."
        ),
    ] = msgspec.field(default_factory=lambda: [BUILTIN, IMPORTED])
    disabled: Annotated[
        list[str], Meta(description="Rules that are switched off: names, ids or tags, such as attack.t1110.")
    ] = []
    overlay: Annotated[
        list[str],
        Meta(description="Files (or folders of files) that switch rules on or off and tune them: see docs/rules.md."),
    ] = []
    suppressions: Annotated[
        list[str],
        Meta(description="Files (or folders of files) of what must not open incidents, each with owner and expiry."),
    ] = []
    managed: Annotated[
        str,
        Meta(
            description="Where the API keeps what people tune and suppress through it: overlay.yml and "
            "suppressions.yml, used after the files above; auto: data_dir."
        ),
    ] = "auto"
    imported: ImportedConfig = msgspec.field(default_factory=ImportedConfig)
    placeholders: Annotated[
        dict[str, list[str | int]],
        Meta(
            description="Values for what rules with the modifier expand name: servers: [dc01, dc02] fills in %servers%."
        ),
    ] = {}
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
    workers: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Processes that match rules, the daemon's own included; more than the cores that are there is "
            "no use. Windows and incidents are kept in one place whatever it is, so alerts are the same.",
        ),
    ] = 1
    rebuild_events: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="After a restart: events that are read back at most to fill correlation windows and go on "
            "counting open incidents, the newest first.",
        ),
    ] = 50_000
    rebuild_time_s: Annotated[
        Seconds, Meta(description="After a restart: how long reading them back may take before the sources start.")
    ] = msgspec.field(name="rebuild_time", default=Seconds(10))
