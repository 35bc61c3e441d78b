"""TCP: follows handshakes from their first packet and finds the probes among them, and what connections speak."""

from __future__ import annotations

from collections.abc import Sequence

from siemd.events import NetworkEvent
from siemd.sources.sniffer.observers.applications import ApplicationObserver, ApplicationsConfig
from siemd.sources.sniffer.observers.attempts import Attempts, Refusal
from siemd.sources.sniffer.observers.beacons import BeaconObserver, Pings
from siemd.sources.sniffer.observers.connections import ConnectionRecords, Key, Traffic
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.observers.os_probes import SHORTEST_HEADER, OsProbes
from siemd.sources.sniffer.observers.service_probes import ServiceProbes
from siemd.sources.sniffer.observers.ssh import SshObserver
from siemd.sources.sniffer.observers.tcp_flow import (
    ANSWERED,
    CLAIMED,
    DONE,
    GONE,
    LATE,
    ODD,
    OPEN,
    SENT,
    TcpFlow,
    first_number,
    settled,
)
from siemd.sources.sniffer.observers.tcp_shapes import TCP_FLAGS, Numbers, odd_probe, raw_syn
from siemd.sources.sniffer.packet import ACK, FIN, ICMP, RST, SYN, Packet
from siemd.sources.sniffer.state import READ_LATER, UNSETTLED, Aging, Changes

_EPHEMERAL = 32_768


class TcpObserver:
    """States `tcp_probe`, `half_open_backlog` and, through others, what payloads tell. feed takes TCP packets only."""

    def __init__(
        self,
        answer_timeout_us: int,
        max_flows: int,
        max_hosts: int,
        applications: ApplicationsConfig,
        changes: Changes,
        records: ConnectionRecords,
        pings: Pings,
        named: NamedAddresses,
    ) -> None:
        """changes: what `feed` said of flows holds until its number changes. records: are told of connections."""
        self.read_from = 0  # see READ_LATER in feed
        self.traffic: Traffic | None = None  # of the newest packet's flow, in its direction
        self._records = records
        self._flows: Aging[Key, TcpFlow] = Aging(max_flows, changes, self._forgotten)
        self._attempts = Attempts(answer_timeout_us, max_flows, max_hosts, named)
        self._numbers = Numbers(max_hosts)
        self.os_probes = OsProbes(max_hosts)
        self.services = ServiceProbes(max_hosts)
        self.ssh = SshObserver(answer_timeout_us, max_hosts)
        self.applications = ApplicationObserver(applications, answer_timeout_us, max_hosts)
        self._about = self.applications.gathering.about
        self.beacons = BeaconObserver(max_hosts, self._about, pings) if applications.beacons else None

    def feed(self, packet: Packet, now_us: int) -> int:
        """Look at one packet; returns how far its flow is settled in this direction.

        SETTLED: further packets of this direction need not be fed, except those with SYN, FIN or RST (after which
        nothing holds that was said of the flow) and those that begin with SSH's banner. SETTLED_EMPTY: the same for
        packets without payload. READ: the same again, and from now on payloads of either direction are read.
        READ_LATER: the same as READ, but for payloads of this direction before the sequence number `read_from`.
        UNSETTLED: all must be fed.
        """
        if not packet.header_length:
            return UNSETTLED  # a header that is cut; the decoder joins those that fragments cut (`nmap -f`)
        source, source_port = packet.source_ip, packet.source_port
        destination, destination_port, vlan = packet.destination_ip, packet.destination_port, packet.vlan
        key = (source, source_port, destination, destination_port, vlan)
        flow = self._flows.get(key)
        if flow is not None:
            self._forward(key, flow, packet, now_us)
            if flow.state != GONE:
                self.traffic = flow.count_sent(packet)
            return self._settled(flow, True)
        reverse = (destination, destination_port, source, source_port, vlan)
        flow = self._flows.get(reverse)
        if flow is None or packet.flags & (SYN | ACK) == SYN:  # (the other side may begin anew with the same ports)
            self._first(key, reverse, packet, now_us)
            return UNSETTLED
        self._backward(reverse, flow, packet, now_us)
        self.traffic = flow.count_received(packet)
        return self._settled(flow, False)

    def refused(self, tries: Sequence[Refusal]) -> int:
        """SYNs and their refusals, which `feed` need not see; returns how many it took: the next one it must see.

        There must be `room` for all, or it would change what is forgotten when.
        """
        flows = self._flows
        for done, (key, reverse, by_hand, seq, time_us) in enumerate(tries):
            if flows.holds(reverse):
                return done
            before = flows.get(key)
            if before is not None:
                if before.state != DONE:
                    return done
                if before.seq == seq and not before.midstream and not before.recorded:
                    continue  # seen before
                before.state = GONE
            flow = TcpFlow(DONE, "syn" if by_hand else "connect", seq, time_us)
            flows.put(key, flow)
            self._attempts.failed(key, flow.probe, "refused", time_us)
        return len(tries)

    def room(self) -> int:
        """How many flows can begin before anything is forgotten or judged early."""
        return min(self._flows.room(), self._attempts.room())

    def _settled(self, flow: TcpFlow, forward: bool) -> int:
        level = settled(flow, forward)
        if level == READ_LATER and flow.app is not None:
            self.read_from = flow.app.assemblies[forward].next or 0
        return level

    # a packet of no known flow

    def _first(self, key: Key, reverse: Key, packet: Packet, now_us: int) -> None:
        if packet.header_length >= SHORTEST_HEADER:
            self.os_probes.tcp(packet)
        flags = packet.flags & TCP_FLAGS
        if flags & RST:
            self._orphan_reset(reverse, packet)
        elif flags & (SYN | ACK) == SYN:
            self._begin(key, packet, now_us, "syn" if raw_syn(packet) else "connect")
        elif flags & SYN:  # the SYN came before the capture, or by another way
            flow = TcpFlow(OPEN, "", 0, packet.time_us, sent=Traffic(0, 0, packet.time_us))
            self._flows.put(reverse, flow)
            flow.count_received(packet)
        elif not (probe := odd_probe(packet, flags)) or not self._odd(key, packet, now_us, probe):
            flow = TcpFlow(OPEN, "", packet.seq, packet.time_us)
            self._flows.put(key, flow)
            if packet.payload_length:
                flow.sent = Traffic(1, packet.payload_length, packet.time_us)
                self._payload(key, flow, packet, True, now_us)

    def _begin(
        self, key: Key, packet: Packet, now_us: int, probe: str, *, odd: bool = False, alike: bool = False
    ) -> None:
        flow = TcpFlow(ODD if odd else SENT, probe, packet.seq, packet.time_us, alike)
        self._flows.put(key, flow)
        self._attempts.began(key, flow, now_us)

    def _odd(self, key: Key, packet: Packet, now_us: int, probe: str) -> bool:
        """Wait for the answer to a packet that opens nothing; False if it is more likely a connection's."""
        alike = False
        if probe in ("ack", "maimon"):
            alike = self._numbers.alike((key[0], b"", key[4], probe), packet.seq, packet.ack)  # as of a sweep
            alike = self._numbers.alike((key[0], key[2], key[4], probe), packet.seq, packet.ack) or alike
            if packet.payload_length and not alike:
                return False
        self._begin(key, packet, now_us, probe, odd=True, alike=alike)
        return True

    def _orphan_reset(self, reverse: Key, packet: Packet) -> None:
        """A RST to a flow of which nothing was seen: perhaps the answer to a probe that takes another way."""
        attacker, _, victim, _, vlan = reverse
        self._flows.put(reverse, TcpFlow(DONE, "", 0, packet.time_us))
        if packet.payload_length:
            return
        if packet.flags & ACK:
            if packet.seq == 0 and packet.window == 0:  # what a closed port answers a SYN (RFC 9293, 3.10.7.1)
                alike = self._numbers.alike((attacker, victim, vlan, "syn?"), packet.ack, packet.ack)
                self._attempts.failed(reverse, "syn" if alike else "connect", "refused", packet.time_us)
        elif packet.seq and self._numbers.alike((attacker, victim, vlan, "ack?"), packet.seq, packet.seq):
            self._attempts.failed(reverse, "ack", "refused", packet.time_us)

    # a packet from who sent the first one

    def _forward(self, key: Key, flow: TcpFlow, packet: Packet, now_us: int) -> None:
        flags = packet.flags & TCP_FLAGS
        state = flow.state
        if state in (OPEN, CLAIMED) and not flags & (SYN | RST):
            if packet.payload_length:
                self._payload(key, flow, packet, True, now_us)
            if flags & FIN:
                self._fin(key, flow, packet, True, now_us)
        elif flags & (SYN | ACK) == SYN and not flags & RST:
            if packet.seq != flow.seq or state != SENT:
                self._again(key, flow, packet, now_us)
        elif flags & RST:
            self._forward_reset(key, flow, packet, now_us)
        elif state in (SENT, ANSWERED) or (state == LATE and (packet.payload_length or flow.peer_seq >= 0)):
            if flags & ACK:
                if flow.peer_seq >= 0:
                    self._complete(key, flow)
                else:
                    flow.state = CLAIMED
                if packet.payload_length:
                    self._payload(key, flow, packet, True, now_us)
        elif state == ODD and packet.seq != flow.seq and flow.probe in ("ack", "maimon"):
            flow.state = OPEN  # a connection after all, of which the sensor did not see the beginning

    def _again(self, key: Key, flow: TcpFlow, packet: Packet, now_us: int) -> None:
        """A SYN on a known flow: a duplicate, or the ports are used again."""
        if packet.seq == flow.seq and not flow.midstream and not flow.recorded:
            return
        self._close(flow, now_us)
        self._attempts.judge(key, flow)
        self._record(key, flow, "", now_us)
        flow.state = GONE
        self._begin(key, packet, now_us, "syn" if raw_syn(packet) else "connect")

    def _forward_reset(self, key: Key, flow: TcpFlow, packet: Packet, now_us: int) -> None:
        if flow.state in (SENT, ANSWERED):
            # The system's own RST after a SYN-ACK is how a scanner's open port looks; for a SYN of the system's own it
            # is a program that gave up, as browsers do when the other address family was faster.
            if flow.probe == "syn":
                self._attempts.failed(key, "syn", "half_open", packet.time_us)
                self.services.half_open((key[0], key[2], key[3], key[4]))
            flow.state = DONE
        elif flow.state != DONE:
            self._end(key, flow, packet, True, now_us)

    # a packet from the other side

    def _backward(self, key: Key, flow: TcpFlow, packet: Packet, now_us: int) -> None:
        flags = packet.flags & TCP_FLAGS
        if flow.state == CLAIMED:
            if flags & RST:
                self._attempts.failed(key, flow.probe, "refused", flow.time_us)
            else:
                self._complete(key, flow)
        if flow.state not in (OPEN, CLAIMED):
            self._answer(key, flow, packet, now_us)
        elif flags & RST:
            self._end(key, flow, packet, False, now_us)
        else:
            if packet.payload_length:
                self._payload(key, flow, packet, False, now_us)
            if flags & FIN:
                self._fin(key, flow, packet, False, now_us)

    def _answer(self, key: Key, flow: TcpFlow, packet: Packet, now_us: int) -> None:
        """A packet from the other side of what is no connection yet."""
        flags, state = packet.flags, flow.state
        if state == ODD:
            if flags & RST:
                self._odd_refused(key, flow)
            else:
                flow.state = OPEN
        elif state == SENT and flags & RST:
            self._attempts.refused(key, flow)
        elif state in (SENT, LATE) and flags & (SYN | RST) == SYN:
            flow.state = ANSWERED
            flow.peer_seq = packet.seq
        elif state in (ANSWERED, LATE) and flow.peer_seq >= 0 and packet.payload_length:
            self._complete(key, flow)
            self._payload(key, flow, packet, False, now_us)

    def _odd_refused(self, key: Key, flow: TcpFlow) -> None:
        flow.state = DONE
        probe, source_port, port = flow.probe, key[1], key[3]
        # What goes from a service to the port of a client is of a connection that one side forgot.
        by_client = port < _EPHEMERAL and (probe == "ack" or source_port > port)
        if flow.alike or by_client or probe in ("fin", "null", "xmas"):
            self._attempts.failed(key, probe, "refused", flow.time_us)

    def unreachable(self, packet: Packet, quoted: Packet) -> None:
        """An ICMP error about a TCP packet. "Time exceeded" is traceroute at work, not a refusal."""
        key = (quoted.source_ip, quoted.source_port, quoted.destination_ip, quoted.destination_port, packet.vlan)
        flow = self._flows.get(key)
        if flow is None or flow.state not in (SENT, CLAIMED, ODD):
            return
        if packet.icmp_type == (3 if packet.protocol == ICMP else 1):
            if flow.state == ODD:
                self._odd_refused(key, flow)
            else:
                self._attempts.failed(key, flow.probe, "refused", flow.time_us)
        flow.state = DONE

    # both

    def _payload(self, key: Key, flow: TcpFlow, packet: Packet, forward: bool, now_us: int) -> None:
        way = 1 if forward else 2
        first = not flow.data & way
        if first:
            if forward and not flow.data:
                quiet_us = packet.time_us - flow.time_us
                self.services.first_words((key[0], key[2], key[3], key[4]), packet, quiet_us)
            flow.data |= way
            if flow.data == 3:
                self._attempts.facts.succeeded(key[0], key[2], key[4])
        if flow.ssh is not None:
            if self.ssh.data(flow.ssh, packet, forward, now_us):
                flow.ssh = None
        elif flow.app is not None:
            if self.applications.data(flow.app, packet, forward, now_us):
                flow.app = None
        elif packet.payload[:4] == b"SSH-":
            flow.ssh = self.ssh.begin(key, packet, forward, now_us, sure=flow.probe != "")
            self.applications.gathering.speaks((key[0], key[2], key[3], key[4]), "ssh")
        elif first:
            flow.app = self.applications.begin(key, packet, forward, now_us, first_number(flow, forward))

    def _complete(self, key: Key, flow: TcpFlow) -> None:
        flow.state = OPEN
        self._attempts.accepted((key[0], key[2], key[3], key[4]))

    def _end(self, key: Key, flow: TcpFlow, packet: Packet, forward: bool, now_us: int) -> None:
        """A RST."""
        self._contact(key, flow, packet, forward)
        self._record(key, flow, "reset_by_source" if forward else "reset_by_destination", now_us)
        flow.state = DONE
        self._close(flow, now_us)

    def _fin(self, key: Key, flow: TcpFlow, packet: Packet, forward: bool, now_us: int) -> None:
        self._contact(key, flow, packet, forward)
        flow.fins |= 1 if forward else 2
        if flow.ssh is not None:
            self.ssh.close(flow.ssh, now_us)
        if flow.fins == 3:
            if flow.app is not None:
                self._close(flow, now_us)
            self._record(key, flow, "closed", now_us)

    def _close(self, flow: TcpFlow, now_us: int) -> None:
        """Nothing more will come."""
        if flow.ssh is not None:
            self.ssh.close(flow.ssh, now_us)
            flow.ssh = None
        if flow.app is not None:
            self.applications.close(flow.app, now_us)
            flow.app = None

    def _record(self, key: Key, flow: TcpFlow, state: str, now_us: int) -> None:
        """The flow ended so, if it was a connection."""
        if not flow.recorded and flow.is_connection:
            flow.recorded = True
            self._records.ended(flow.connection(key, state, self._service(key, flow)), now_us)

    def _forgotten(self, flows: dict[Key, TcpFlow]) -> None:
        for key, flow in flows.items():
            if not flow.recorded and flow.is_connection:
                flow.recorded = True
                self._records.forgotten(flow.connection(key, "", self._service(key, flow)))

    def _service(self, key: Key, flow: TcpFlow) -> str:
        source, source_port, destination, port, vlan = key
        service = self._about((source, destination, port, vlan)).service
        return service or (self._about((destination, source, source_port, vlan)).service if flow.midstream else "")

    def _contact(self, key: Key, flow: TcpFlow, packet: Packet, forward: bool) -> None:
        """The first sign of a connection's end."""
        pair = key[0], key[2], key[3], key[4]
        if forward and flow.is_unused and not self.services.unused(pair, packet.time_us) and not flow.fins:
            self._attempts.facts.checks.checked(pair, packet.time_us)
        if self.beacons is not None and not flow.fins and flow.peer_seq >= 0 and flow.state == OPEN:
            self.beacons.ended(pair, flow.time_us, (flow.seq, flow.peer_seq), packet, forward)

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        self._attempts.tick(now_us)
        return self._stated(self.ssh.tick(now_us) + self.applications.tick(now_us), now_us)

    def finish(self, now_us: int) -> list[NetworkEvent]:
        """Give up waiting, and state it."""
        self._attempts.finish()
        self._flows.forget_all()
        return self._stated(self.ssh.finish() + self.applications.finish(now_us), now_us)

    def _stated(self, spoken: list[NetworkEvent], now_us: int) -> list[NetworkEvent]:
        facts = self._attempts.facts.tick() + self.os_probes.tick() + self.services.tick() + spoken
        return facts + self.beacons.tick(now_us) if self.beacons is not None else facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._flows.age()
        self._numbers.age()
        self._attempts.age()
        self.services.age()
        self.ssh.age()
        self.applications.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "tcp_flows_held": len(self._flows),
            "tcp_flows_forgotten": self._flows.evicted,
            **self._attempts.counters(),
            **self.os_probes.counters(),
            **self.services.counters(),
            **self.ssh.counters(),
            **self.applications.counters(),
            **(self.beacons.counters() if self.beacons is not None else {}),
        }
