"""UDP probes: datagrams that were refused by ICMP or never answered."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import UDP_STREAM, Tally, address, fact, network, to_many
from siemd.sources.sniffer.observers.connections import Connection, ConnectionRecords, Key, Traffic
from siemd.sources.sniffer.observers.decoys import Decoys
from siemd.sources.sniffer.observers.floods import UdpRates
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.udp_shapes import WELL_KNOWN, no_probe
from siemd.sources.sniffer.packet import ICMP, UDP, Packet
from siemd.sources.sniffer.state import SETTLED, UNSETTLED, Aging, Changes, Deadlines

_DNS = 53
_QUIC = 443
_BURST = 8  # datagrams of an unanswered flow, after so many, are added to the victim's rate so many at a time


class _Flow(msgspec.Struct, gc=False):
    """Datagrams of one source port to one port; count: while no answer came. answered: that one came.

    size: bytes of the first one's payload. sent: None for that one alone; received: None for nothing.
    """

    time_us: int
    count: int
    waiting: bool
    size: int
    answered: bool = False
    sent: Traffic | None = None
    received: Traffic | None = None

    def count_sent(self, packet: Packet) -> Traffic:
        """One more datagram; returns what came so far in this direction."""
        if self.sent is None:
            self.sent = Traffic(1, self.size, self.time_us)
        self.sent.add(1, packet.payload_length, packet.time_us)
        return self.sent

    def count_received(self, packet: Packet) -> Traffic:
        """One more answer; likewise."""
        if self.received is None:
            self.received = Traffic(0, 0, packet.time_us)
        self.received.add(1, packet.payload_length, packet.time_us)
        return self.received


class UdpObserver:
    """States `udp_probe` and `udp_rate`. feed takes UDP packets, unreachable the ICMP errors that quote one."""

    def __init__(
        self,
        answer_timeout_us: int,
        cap: int,
        max_hosts: int,
        changes: Changes,
        records: ConnectionRecords,
        named: NamedAddresses,
    ) -> None:
        """changes, records: as TcpObserver's."""
        self.traffic: Traffic | None = None  # of the newest packet's flow, in its direction
        self._records = records
        self._named = named
        self._flows: Aging[Key, _Flow] = Aging(cap, changes, self._forgotten)
        self._known: Aging[tuple[bytes, bytes, int, int], bool] = Aging(cap, changes)
        self._asked_many: Aging[tuple[bytes, int, int], bool] = Aging(max_hosts)  # address, port, VLAN
        self._deadlines: Deadlines[tuple[Key, _Flow]] = Deadlines(answer_timeout_us, cap)
        self._tally = Tally(cap)
        self._rates = UdpRates(max_hosts)
        self._decoys = Decoys(max_hosts)

    def feed(self, packet: Packet, now_us: int) -> int:
        """Look at one packet; returns how far its flow is settled in this direction, see TcpObserver.feed."""
        source, source_port = packet.source_ip, packet.source_port
        destination, destination_port, vlan = packet.destination_ip, packet.destination_port, packet.vlan
        key = (source, source_port, destination, destination_port, vlan)
        flow = self._flows.get(key)
        if flow is not None:
            self.traffic = flow.count_sent(packet)
            if flow.answered:
                return _settled(packet)
            flow.count += 1
            if to_many(destination):
                self._asked_many.put((source, source_port, vlan), True)
            if flow.count <= _BURST:
                self._rates.unanswered(packet, first=False)
            elif not flow.count % _BURST:
                self._rates.unanswered(packet, _BURST, first=False)
            return UNSETTLED
        flow = self._flows.get((destination, destination_port, source, source_port, vlan))
        if flow is not None:  # an answer
            if not flow.answered:
                flow.answered = True
                self._rates.answered(packet, flow.count if flow.count <= _BURST else flow.count // _BURST * _BURST)
            flow.waiting = False
            self.traffic = flow.count_received(packet)
            target = (destination, source, source_port, vlan)
            if self._known.get(target) is None:
                self._known.put(target, True)
            return _settled(packet)
        probe = not (no_probe(packet) or self._is_awaited(destination, destination_port, vlan))
        flow = _Flow(packet.time_us, 1, probe, packet.payload_length)
        self._flows.put(key, flow)
        if to_many(destination):
            self._asked_many.put((source, source_port, vlan), True)
        else:
            self._rates.unanswered(packet, first=True)
        if probe:
            early = self._deadlines.push(now_us, (key, flow))
            if early is not None:
                self._give_up(*early)
        return UNSETTLED

    def _is_awaited(self, destination: bytes, port: int, vlan: int) -> bool:
        """Whether an answer of anyone is awaited there: the host asked all from that port, be it for its address."""
        if self._asked_many.get((destination, port, vlan)) is not None:
            return True
        return self._asked_many.get((bytes(len(destination)), port, vlan)) is not None

    def error(self, packet: Packet, quoted: Packet) -> None:
        """An ICMP error about a datagram. Only "unreachable" refuses; "time exceeded" is traceroute at work."""
        key = (
            quoted.source_ip,
            quoted.source_port,
            quoted.destination_ip,
            quoted.destination_port,
            packet.vlan,
        )
        flow = self._flows.get(key)
        refused = packet.icmp_type == (3 if packet.protocol == ICMP else 1)
        if flow is None:
            if not quoted.destination_port or not refused or no_probe(quoted, quote=True):
                return
            if self._flows.get((key[2], key[3], key[0], key[1], key[4])) is not None:
                return  # an answer that came too late for who had asked
            flow = _Flow(packet.time_us, 1, True, 0)
            self._flows.put(key, flow)
        if flow.waiting:
            flow.waiting = False
            if refused:
                self._state(key, flow, "refused")

    def _state(self, key: Key, flow: _Flow, outcome: str) -> None:
        source, _, destination, port, vlan = key
        if flow.count < UDP_STREAM and self._known.get((source, destination, port, vlan)) is None:
            self._tally.add((source, destination, vlan, outcome), flow.time_us, port, flow.count)

    def _give_up(self, key: Key, flow: _Flow) -> None:
        if flow.waiting:
            flow.waiting = False
            self._state(key, flow, "unanswered")

    def _forgotten(self, flows: dict[Key, _Flow]) -> None:
        for key, flow in flows.items():
            if (flow.answered or flow.count >= UDP_STREAM) and _DNS not in (key[1], key[3]):
                sides = flow.sent, flow.received
                self._records.forgotten(Connection.of(key, UDP, flow.time_us, flow.size, sides, "open"))

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for key, flow in self._deadlines.due(now_us):
            self._give_up(key, flow)
        facts = []
        probes = self._tally.take_without_flood()
        for (source, destination, vlan, _), held in probes.items():
            self._decoys.note((destination, vlan), source, held.targets, held.time_us)
        for (source, destination, vlan, outcome), held in probes.items():
            alike = self._decoys.alike((destination, vlan), source)
            for ports, count in held.parts():
                what = f"port {ports[0]}" if len(ports) == 1 else f"{len(ports)} ports"
                facts.append(
                    fact(
                        "udp_probe",
                        held.time_us,
                        {
                            "outcome": outcome,
                            "destination_ports": ports,
                            "destination_network": network(destination),
                            "named": self._named.knows(destination, vlan),
                            "alike_sources": alike,
                            "vlan": vlan,
                        },
                        source_ip=address(source),
                        destination_ip=address(destination),
                        destination_port=ports[0],
                        protocol="udp",
                        count=count,
                        message=f"{address(source)} probed UDP {what} of {address(destination)}: {outcome}",
                    )
                )
        return facts + self._rates.tick()

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, flow in self._deadlines.rest():
            self._give_up(key, flow)
        self._flows.forget_all()

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._flows.age()
        self._known.age()
        self._asked_many.age()
        self._decoys.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "udp_flows_held": len(self._flows),
            "udp_flows_forgotten": self._flows.evicted,
            "udp_flows_judged_early": self._deadlines.early,
            "udp_probes_held_back": self._tally.held_back,
            "udp_probes_lost": self._tally.lost,
            "udp_rates_lost": self._rates.lost,
            "udp_victims_forgotten": self._decoys.forgotten,
        }


def _settled(packet: Packet) -> int:
    """A stream such as QUIC's is; questions to a service are not, each of them may say something of its own."""
    ports = packet.source_port, packet.destination_port
    return SETTLED if _QUIC in ports or min(ports) >= WELL_KNOWN else UNSETTLED
