"""The sensor: turns packets into coalesced facts; every threshold stands in a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from siemd.events import NetworkEvent
from siemd.sources.sniffer.observers.applications import ApplicationsConfig
from siemd.sources.sniffer.observers.arp import ArpObserver
from siemd.sources.sniffer.observers.attempts import Refusal
from siemd.sources.sniffer.observers.connections import ConnectionRecords, Traffic
from siemd.sources.sniffer.observers.cut_headers import CutHeaderObserver
from siemd.sources.sniffer.observers.dns import DNS_PORT
from siemd.sources.sniffer.observers.echo import EchoObserver
from siemd.sources.sniffer.observers.ip_protocols import IpProtocolObserver
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.os_probes import UDP_BYTES
from siemd.sources.sniffer.observers.sctp import SctpObserver
from siemd.sources.sniffer.observers.segment import PORTS, SegmentLimits, SegmentObserver
from siemd.sources.sniffer.observers.tcp import TcpObserver
from siemd.sources.sniffer.observers.udp import UdpObserver
from siemd.sources.sniffer.packet import ARP, ICMP, ICMPV6, SCTP, TCP, UDP, Packet
from siemd.sources.sniffer.state import UNSETTLED, Changes
from siemd.units import Seconds

_MICROSECONDS = 1_000_000
SET_BACK_US = 2 * _MICROSECONDS  # packets this much older than the newest hint at a clock that was set back …
_SET_BACK_PACKETS = 64  # … if that many come in a row; captures merged from two clocks have fewer
_LEAP_US = 3600 * _MICROSECONDS  # one packet alone does not move the clock further than this


class SensorConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the sensor turns packets into facts, and how much it may remember."""

    tick_s: Annotated[
        Seconds, Meta(description="Facts of one kind between the same two hosts are stated at most once in this time.")
    ] = msgspec.field(name="tick", default=Seconds(1))
    answer_timeout_s: Annotated[
        Seconds, Meta(description="A probe without an answer for this long counts as unanswered.")
    ] = msgspec.field(name="answer_timeout", default=Seconds(5))
    memory_s: Annotated[
        Seconds, Meta(description="What was not seen for this long is forgotten, at the latest after twice the time.")
    ] = msgspec.field(name="memory", default=Seconds(300))
    learning_s: Annotated[
        Seconds,
        Meta(description="So long after the start a network card seen for the first time is not new."),
    ] = msgspec.field(name="learning", default=Seconds(3600))
    dns_queries: Annotated[
        bool, Meta(description="Whether each DNS question is a fact of its own, for search and for Sigma's DNS rules.")
    ] = True
    connections: Annotated[
        bool,
        Meta(description="Whether each TCP connection and UDP exchange that ended is a record of its own."),
    ] = True
    max_flows: Annotated[
        int,
        Meta(
            ge=1024,
            description="Connections and probes remembered at once, for each of TCP and UDP; about 1 KB each.",
        ),
    ] = 131_072
    max_hosts: Annotated[
        int,
        Meta(ge=256, description="Hosts and pairs of hosts remembered at once, for each purpose; about 0.3 KB each."),
    ] = 65_536
    applications: Annotated[ApplicationsConfig, Meta(description="What is read of the payload of TCP connections.")] = (
        msgspec.field(default_factory=ApplicationsConfig)
    )


class Clock(NamedTuple):
    """The sensor's clock: what it shows, what is added to the times of packets, and how often it ticks."""

    now_us: int
    offset_us: int
    tick_us: int


class _Observer(Protocol):
    """What the sensor wants of each of its observers, beside the packets that it looks at."""

    def tick(self, now_us: int, /) -> list[NetworkEvent]: ...
    def age(self) -> None: ...
    def counters(self) -> dict[str, int]: ...


class Sensor:
    """All observers behind one interface. Deterministic: the same packets give the same facts, in any batches.

    Time is that of the packets, made monotonic: a clock that is set back goes on from where it was.
    """

    def __init__(self, config: SensorConfig) -> None:
        self.config = config
        answer_timeout_us = max(1, int(config.answer_timeout_s * _MICROSECONDS))
        self._tick_us = max(1000, int(config.tick_s * _MICROSECONDS))
        self._memory_us = max(self._tick_us, int(config.memory_s * _MICROSECONDS))
        self.changes = Changes()
        self._echo = EchoObserver(answer_timeout_us, config.max_hosts)
        self._arp = ArpObserver(answer_timeout_us, config.max_hosts)
        self._connections = ConnectionRecords(answer_timeout_us, config.max_flows, wanted=config.connections)
        named = NamedAddresses(config.max_hosts)
        self._udp = UdpObserver(
            answer_timeout_us, config.max_flows, config.max_hosts, self.changes, self._connections, named
        )
        self._tcp = TcpObserver(
            answer_timeout_us,
            config.max_flows,
            config.max_hosts,
            config.applications,
            self.changes,
            self._connections,
            self._echo.answers,
            named,
        )
        self._sctp = SctpObserver(answer_timeout_us, config.max_hosts)
        self._ip_protocols = IpProtocolObserver(answer_timeout_us, config.max_hosts)
        self._cut_headers = CutHeaderObserver(config.max_hosts)
        learning_us = int(config.learning_s * _MICROSECONDS)
        self._segment = SegmentObserver(
            SegmentLimits(answer_timeout_us, self._memory_us, learning_us, config.max_hosts, config.dns_queries),
            self._arp.hear,
            named,
        )
        self._observers: tuple[_Observer, ...] = (  # in the order in which they state their facts
            self._echo,
            self._arp,
            self._udp,
            self._segment,
            self._tcp,
            self._sctp,
            self._ip_protocols,
            self._cut_headers,
            self._connections,
        )
        self._now_us = 0
        self._offset_us = 0
        self._next_tick_us = 0
        self._next_age_us = 0
        self._behind = 0
        self._leapt = False
        self.settled = UNSETTLED  # how far the flow of the newest packet is …
        self.traffic: Traffic | None = None  # … and, if it is, what it carried in that direction
        self.count_skipped: Callable[[], None] = _nothing  # has `traffic` told of packets that were not fed

    @property
    def read_from(self) -> int:
        """Behind READ_LATER: the sequence number from which on the newest packet's direction is read."""
        return self._tcp.read_from

    def refused(self, tries: Sequence[Refusal]) -> int:
        """See TcpObserver.refused. For between two packets that are fed: none of the tries may move the clock."""
        return self._tcp.refused(tries)

    def room(self) -> int:
        """How many TCP flows can begin before anything is forgotten or judged early."""
        return self._tcp.room()

    def clock(self) -> Clock:
        """How the sensor's clock stands."""
        return Clock(self._now_us, self._offset_us, self._tick_us)

    def feed(self, packets: Iterable[Packet]) -> list[NetworkEvent]:
        """Observe packets in the order of capture; returns the facts that became due.

        When the next packet is asked for, `settled` tells how far the flow of the one before is (see TcpObserver.feed);
        that holds until the number of `changes` is another.
        """
        facts: list[NetworkEvent] = []
        for packet in packets:
            time_us = packet.time_us + self._offset_us
            if time_us >= self._next_tick_us or time_us < self._now_us:
                self._clock(packet.time_us, facts)
            elif time_us > self._now_us:
                self._now_us = time_us
                self._behind = 0
                self._leapt = False
            if packet.cut_header:
                self._cut_headers.feed(packet)
            protocol = packet.protocol
            if protocol == TCP:
                self.settled = self._tcp.feed(packet, self._now_us)
                self.traffic = self._tcp.traffic
                if packet.payload and DNS_PORT in (packet.source_port, packet.destination_port):
                    self.settled = UNSETTLED
                    self._segment.dns_stream(packet, self._now_us)
            elif packet.fragment:
                self.settled = UNSETTLED
            elif protocol == UDP and packet.destination_port:
                self.settled = self._udp.feed(packet, self._now_us)
                self.traffic = self._udp.traffic
                if packet.destination_port in PORTS or packet.source_port in PORTS:
                    self.settled = UNSETTLED
                    self._segment.udp(packet, self._now_us)
                if packet.payload_length == UDP_BYTES:
                    self._tcp.os_probes.udp(packet)
            else:
                self.settled = UNSETTLED
                self._observe(packet)
        return facts

    def _observe(self, packet: Packet) -> None:
        protocol = packet.protocol
        if protocol in (ICMP, ICMPV6):
            if packet.quoted is not None:
                self._error(packet, packet.quoted)
                return
            self._echo.feed(packet, self._now_us)
            self._tcp.os_probes.echo(packet)
            self._segment.icmp(packet, self._now_us)
            if protocol == ICMPV6:
                self._arp.neighbour(packet, self._now_us)
        elif protocol == ARP:
            self._arp.feed(packet, self._now_us)
            self._segment.arp(packet, self._now_us)
        elif protocol == SCTP:
            self._sctp.feed(packet, self._now_us)
        elif protocol != UDP:
            self._ip_protocols.feed(packet, self._now_us)

    def _error(self, packet: Packet, quoted: Packet) -> None:
        if quoted.source_ip != packet.destination_ip:
            return  # an error goes to whom it is about: one sent elsewhere is made to frame a third host
        if quoted.protocol == UDP:
            self._udp.error(packet, quoted)
        elif quoted.protocol == TCP:
            self._tcp.unreachable(packet, quoted)
        elif quoted.protocol == SCTP:
            self._sctp.error(packet, quoted)
        else:
            self._ip_protocols.error(packet, quoted)

    def advance(self, now_us: int) -> list[NetworkEvent]:
        """Let event time pass without packets; returns the facts that became due."""
        facts: list[NetworkEvent] = []
        if now_us + self._offset_us < self._now_us - SET_BACK_US:
            self._offset_us = self._now_us - now_us  # the clock was set back; what is held must not wait that long
        if now_us + self._offset_us > self._now_us:
            self._now_us = now_us + self._offset_us
            self._tick_if_due(facts)
        return facts

    def until_tick_us(self, now_us: int) -> int:
        """How long, by the clock that `advance` is told, until that has something to do; none or less: now."""
        return self._next_tick_us - self._offset_us - now_us

    def finish(self) -> list[NetworkEvent]:
        """End of input: state everything still held."""
        self.count_skipped()
        self._echo.finish()
        self._arp.finish()
        self._udp.finish()
        self._sctp.finish()
        self._ip_protocols.finish()
        self._segment.finish()
        now_us = self._now_us
        facts = self._echo.tick(now_us) + self._arp.tick(now_us) + self._udp.tick(now_us)
        facts += self._sctp.tick(now_us) + self._ip_protocols.tick(now_us) + self._cut_headers.tick(now_us)
        facts += self._segment.tick(now_us) + self._tcp.finish(now_us)
        return facts + self._connections.finish()

    def counters(self) -> dict[str, int]:
        """How much the observers hold, and what they forgot or judged early because of their caps, by name."""
        counters: dict[str, int] = {}
        for observer in self._observers:
            counters.update(observer.counters())
        return counters

    def _clock(self, packet_us: int, facts: list[NetworkEvent]) -> None:
        """Move the sensor's clock: never back, and not far ahead for one packet alone."""
        time_us = packet_us + self._offset_us
        if time_us < self._now_us - SET_BACK_US:
            self._behind += 1
            if self._behind >= _SET_BACK_PACKETS:
                self._offset_us = self._now_us - packet_us
                self._behind = 0
            return
        self._behind = 0
        if self._now_us and time_us - self._now_us > _LEAP_US and not self._leapt:
            self._leapt = True
            return
        self._leapt = False
        self._now_us = max(self._now_us, time_us)
        self._tick_if_due(facts)

    def _tick_if_due(self, facts: list[NetworkEvent]) -> None:
        now_us = self._now_us
        if now_us < self._next_tick_us:
            return
        self._next_tick_us = now_us - now_us % self._tick_us + self._tick_us
        for observer in self._observers:
            facts += observer.tick(now_us)
        if now_us >= self._next_age_us:
            self._next_age_us = now_us + self._memory_us
            self.count_skipped()
            for observer in self._observers:
                observer.age()


def _nothing() -> None:
    pass
