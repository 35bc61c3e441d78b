"""The sensor: turns packets into coalesced facts; every threshold stands in a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from siemd.events import NetworkEvent
from siemd.sources.sniffer.packet import Packet
from siemd.units import Seconds


class SensorConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the sensor turns packets into facts, and how much it may remember."""

    tick_s: Annotated[
        Seconds, Meta(description="Facts of one kind between the same two hosts are stated at most once in this time.")
    ] = msgspec.field(name="tick", default=Seconds(1))
    answer_timeout_s: Annotated[
        Seconds, Meta(description="A probe without an answer for this long counts as unanswered.")
    ] = msgspec.field(name="answer_timeout", default=Seconds(5))
    max_flows: Annotated[
        int, Meta(ge=1024, description="Connections and probes remembered at once; the oldest go first, counted.")
    ] = 262_144
    max_hosts: Annotated[
        int, Meta(ge=256, description="Pairs of hosts remembered at once; the oldest go first, counted.")
    ] = 65_536


class Sensor:
    """All observers behind one interface. Deterministic: the same packets give the same facts."""

    def __init__(self, config: SensorConfig) -> None:
        self.config = config

    def feed(self, packets: Sequence[Packet]) -> list[NetworkEvent]:
        """Observe packets in the order of capture; returns the facts that became due."""
        return []

    def advance(self, now_us: int) -> list[NetworkEvent]:
        """Let event time pass without packets; returns the facts that became due."""
        return []

    def finish(self) -> list[NetworkEvent]:
        """End of input: state everything still held."""
        return []

    def counters(self) -> dict[str, int]:
        """What the sensor forgot because of its caps, and how much it holds, by name."""
        return {}
