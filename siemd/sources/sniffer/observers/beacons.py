"""Beacons: how regularly a host opens connections to another, and how alike they are."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.apps.gathering import About, Pair
from siemd.sources.sniffer.facts import address, fact
from siemd.sources.sniffer.packet import ACK, Packet
from siemd.sources.sniffer.state import Aging

RING = 64  # contacts remembered for each source, destination and port
FIRST, EVERY = 12, 4  # contacts after which the first fact is stated, and each further one
TOGETHER_US = 250_000  # connections begun within this time are one contact
REGULAR = 60  # the score from which others count as regular too
FEW = 8  # contacts that suffice for that
FLOOR = 50  # a lower score is not stated
MAX_PAIRS = 16_384
MAX_BESIDE = 32
GENERATION_US = 6 * 3600 * 1_000_000

_WRAP = 1 << 32
_LARGEST = _WRAP - 1

Pings = Callable[[bytes, bytes, int], int]  # how many of a host (in a VLAN) another one lately answered


class Regularity(NamedTuple):
    """score: 0 to 100. interval_us: median. skew: Bowley's, -1 to 1. mads: in percent of the medians."""

    score: int
    interval_us: int
    interval_skew: float
    interval_mad_percent: int
    bytes_mad_percent: int


class _Contacts(msgspec.Struct, gc=False):
    """The latest contacts of a pair: begin, bytes of both sides, duration. total: all of them, forgotten ones too.

    judged: how many there were when their regularity was last computed.
    """

    times_us: array[int]
    up: array[int]
    down: array[int]
    durations_ms: array[int]
    total: int = 0
    judged: int = 0
    regularity: Regularity | None = None


class BeaconObserver:
    """States `periodicity`."""

    def __init__(self, cap: int, about: Callable[[Pair], About], pings: Pings) -> None:
        """about: what is known of a pair's conversations. pings: how many of a host another one lately answered."""
        cap = min(cap, MAX_PAIRS)
        self._about = about
        self._pings = pings
        self._contacts: Aging[Pair, _Contacts] = Aging(cap)
        self._of_source: Aging[tuple[bytes, int], dict[Pair, None]] = Aging(cap)
        self._of_target: Aging[tuple[bytes, int, int], dict[Pair, None]] = Aging(cap)
        self._due: dict[Pair, int] = {}
        self._cap = cap
        self._next_age_us = 0

    def ended(self, pair: Pair, begun_us: int, numbers: tuple[int, int], packet: Packet, forward: bool) -> None:
        """A connection ends with this packet; how much was sent is told by its numbers and the first ones of both."""
        ours, theirs = numbers if forward else reversed(numbers)
        said = (packet.seq + packet.payload_length - ours - 1) % _WRAP
        heard = (packet.ack - theirs - 1) % _WRAP if packet.flags & ACK else 0
        up, down = (said, heard) if forward else (heard, said)
        half = _WRAP // 2
        self.contact(pair, begun_us, packet.time_us, up if up < half else 0, down if down < half else 0)

    def contact(self, pair: Pair, begun_us: int, ended_us: int, up: int, down: int) -> None:
        """A connection ended, with so many bytes of the client and of the server."""
        contacts = self._contacts.get(pair)
        if contacts is None:
            contacts = _Contacts(array("q"), array("Q"), array("Q"), array("Q"))
            self._contacts.put(pair, contacts)
            self._index(pair)
        times = contacts.times_us
        duration_ms = min(max(0, ended_us - begun_us) // 1000, _LARGEST)
        if times and abs(begun_us - times[-1]) < TOGETHER_US:
            contacts.up[-1] = min(contacts.up[-1] + up, _LARGEST)
            contacts.down[-1] = min(contacts.down[-1] + down, _LARGEST)
            contacts.durations_ms[-1] = max(contacts.durations_ms[-1], duration_ms)
            return
        for ring, value in ((times, begun_us), (contacts.up, up), (contacts.down, down)):
            ring.append(value)
        contacts.durations_ms.append(duration_ms)
        if len(times) > RING:
            for ring in (times, contacts.up, contacts.down, contacts.durations_ms):
                del ring[0]
        contacts.total += 1
        if contacts.total >= FIRST and contacts.total % EVERY == 0 and len(self._due) < self._cap:
            self._due[pair] = ended_us

    def _index(self, pair: Pair) -> None:
        source, destination, port, vlan = pair
        of_source, of_target = self._of_source.get((source, vlan)), self._of_target.get((destination, port, vlan))
        if of_source is None:
            of_source = {}
            self._of_source.put((source, vlan), of_source)
        if of_target is None:
            of_target = {}
            self._of_target.put((destination, port, vlan), of_target)
        for pairs in (of_source, of_target):
            pairs[pair] = None
            if len(pairs) > MAX_BESIDE:
                del pairs[next(iter(pairs))]

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        if now_us >= self._next_age_us:
            self._next_age_us = now_us + GENERATION_US
            self._contacts.age()
            self._of_source.age()
            self._of_target.age()
        due, self._due = self._due, {}
        facts = []
        for pair, time_us in due.items():
            contacts = self._contacts.get(pair)
            if contacts is None:
                continue
            regularity = _judged(contacts, 0)
            if regularity.score >= FLOOR:
                facts.append(self._fact(pair, contacts, regularity, time_us))
        return facts

    def _regular(self, pairs: dict[Pair, None] | None) -> int:
        """How many of the pairs are in regular contact."""
        found = 0
        for pair in pairs or ():
            contacts = self._contacts.get(pair)
            if contacts is not None and len(contacts.times_us) >= FEW:
                found += _judged(contacts, EVERY).score >= REGULAR
        return found

    def _fact(self, pair: Pair, contacts: _Contacts, regularity: Regularity, time_us: int) -> NetworkEvent:
        source, destination, port, vlan = pair
        about = self._about(pair)
        interval_s = round(regularity.interval_us / 1_000_000, 1)
        return fact(
            "periodicity",
            time_us,
            {
                "score": regularity.score,
                "contacts": contacts.total,
                "interval_s": interval_s,
                "interval_skew": regularity.interval_skew,
                "interval_mad_percent": regularity.interval_mad_percent,
                "bytes_mad_percent": regularity.bytes_mad_percent,
                "bytes_up": _quartile(sorted(contacts.up), 2),
                "bytes_down": _quartile(sorted(contacts.down), 2),
                "duration_ms": _quartile(sorted(contacts.durations_ms), 2),
                "periodic_targets": max(1, self._regular(self._of_source.get((source, vlan)))),
                "periodic_sources": max(1, self._regular(self._of_target.get((destination, port, vlan)))),
                "pings": self._pings(source, destination, vlan),
                "service": about.service,
                "method": about.method,
                "user_agent": about.user_agent,
                "name": about.name,
                "refused_paths": about.refused_paths,
                "vlan": vlan,
            },
            source_ip=address(source),
            destination_ip=address(destination),
            destination_port=port,
            protocol="tcp",
            message=f"{address(source)} contacts {address(destination)} port {port} every {interval_s} s, "
            f"{contacts.total} times so far (score {regularity.score})",
        )

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"contacts_held": len(self._contacts), "contacts_forgotten": self._contacts.evicted}


def _judged(contacts: _Contacts, since: int) -> Regularity:
    """The regularity, computed anew when there were more than so many contacts since it was."""
    if contacts.regularity is None or contacts.total - contacts.judged > since:
        contacts.regularity = regularity_of(contacts.times_us, contacts.up, contacts.down, contacts.durations_ms)
        contacts.judged = contacts.total
    return contacts.regularity


def regularity_of(
    times_us: Sequence[int], up: Sequence[int], down: Sequence[int], durations_ms: Sequence[int]
) -> Regularity:
    """How much contacts look like a program's on a timer: 100 for perfect regularity.

    After RITA's beacon analysis: Bowley skew and median absolute deviation of the intervals, and the latter of the
    sizes and durations. Both are robust: a pause (the host slept) or one large transfer changes little.
    """
    ordered = sorted(times_us)
    intervals = sorted(after - before for before, after in pairwise(ordered))
    if len(intervals) < 4:
        return Regularity(0, 0, 0.0, 0, 0)
    low, median, high = (_quartile(intervals, quarter) for quarter in (1, 2, 3))
    skew = (high + low - 2 * median) / (high - low) if high > low else 0.0
    spread = _relative_mad(intervals)
    sizes = (_relative_mad(sorted(up)), _relative_mad(sorted(down)))
    score = (
        40 * (1 - spread)
        + 20 * (1 - abs(skew) * min(1.0, 4 * spread))  # skew of next to nothing means nothing
        + 15 * (1 - sizes[0])
        + 15 * (1 - sizes[1])
        + 10 * (1 - _relative_mad(sorted(durations_ms), 50))
    )
    return Regularity(round(score), median, round(skew, 2), round(100 * spread), round(100 * max(sizes)))


def _quartile(ordered: Sequence[int], quarter: int) -> int:
    return ordered[min(len(ordered) - 1, quarter * len(ordered) // 4)] if ordered else 0


def _relative_mad(ordered: Sequence[int], least: int = 1) -> float:
    """The median absolute deviation, as a part of the median (or of `least`, if that is more), at most 1."""
    median = _quartile(ordered, 2)
    deviation = _quartile(sorted(abs(value - median) for value in ordered), 2)
    return min(1.0, deviation / max(median, least))
