"""Packets as decoded, scripted by tests: whole conversations in a line each, on a clock of their own."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Sequence

import msgspec

from siemd.detection import DetectionConfig, Detector, Ruleset, load_ruleset
from siemd.events import TIME_MAX_US, Alert, NetworkEvent
from siemd.sources.sniffer.facts import FACTS
from siemd.sources.sniffer.packet import ACK, ARP, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, Packet
from siemd.sources.sniffer.sensor import Sensor, SensorConfig

START_US = 1_795_000_000_000_000
ATTACKER, VICTIM = "192.0.2.66", "198.51.100.10"
BROADCAST = b"\xff" * 6
SYSTEM_SYN, RAW_SYN, WITH_TIMES, BARE = 40, 24, 32, 20


def raw(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def hardware(address: str) -> bytes:
    """The MAC of the host with that address."""
    return b"\x02\0" + raw(address)[-4:]


class Wire:
    """Packets in the order of capture. Every packet takes `step_us`; `wait` lets time pass."""

    def __init__(self, start_us: int = START_US, *, vlan: int = 0, step_us: int = 50) -> None:
        self.packets: list[Packet] = []
        self.now_us = start_us
        self.vlan = vlan
        self.step_us = step_us
        self._port = 40_000
        self._seq = 1_000_000

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)

    def put(self, protocol: int, source: str, destination: str, **rest: object) -> Packet:
        packet = Packet(self.now_us, 60, protocol, raw(source), raw(destination), vlan=self.vlan, ttl=64)
        for name, value in rest.items():
            setattr(packet, name, value)
        self.packets.append(packet)
        self.now_us += self.step_us
        return packet

    def fresh_port(self) -> int:
        self._port = 32_768 + (self._port - 32_767) % 28_000
        return self._port

    def fresh_seq(self) -> int:
        self._seq = (self._seq * 1_103_515_245 + 12_345) % (1 << 32)
        return self._seq

    # TCP

    def tcp(
        self,
        source: str,
        source_port: int,
        destination: str,
        port: int,
        flags: int,
        seq: int = 0,
        ack: int = 0,
        payload: bytes | int = b"",
        *,
        window: int = 501,
        header: int = WITH_TIMES,
    ) -> Packet:
        """payload: its bytes, or their number (then they are zeros)."""
        content = bytes(payload) if isinstance(payload, int) else payload
        return self.put(
            TCP,
            source,
            destination,
            source_port=source_port,
            destination_port=port,
            flags=flags,
            seq=seq % (1 << 32),
            ack=ack % (1 << 32),
            window=window,
            header_length=header,
            payload=content,
            payload_length=len(content),
        )

    def syn(self, source: str, source_port: int, destination: str, port: int, seq: int, *, by_hand: bool) -> None:
        if by_hand:
            self.tcp(source, source_port, destination, port, SYN, seq, window=1024, header=RAW_SYN)
        else:
            self.tcp(source, source_port, destination, port, SYN, seq, window=64240, header=SYSTEM_SYN)

    def syn_scan(
        self,
        ports: Iterable[int],
        *,
        source: str = ATTACKER,
        victim: str = VICTIM,
        source_port: int = 50_000,
        open_ports: Sequence[int] = (),
        filtered: bool = False,
        pause_s: float = 0,
    ) -> None:
        """nmap -sS: one sequence number for all; RST after SYN-ACK."""
        seq = 292_632_981
        for port in ports:
            self.syn(source, source_port, victim, port, seq, by_hand=True)
            if port in open_ports:
                self.tcp(victim, port, source, source_port, SYN | ACK, 77, seq + 1, header=RAW_SYN)
                self.tcp(source, source_port, victim, port, RST, seq + 1, window=0, header=BARE)
            elif not filtered:
                self.tcp(victim, port, source, source_port, RST | ACK, 0, seq + 1, window=0, header=BARE)
            self.wait(pause_s)

    def refused(self, source: str, destination: str, port: int) -> None:
        """A connection attempt of the system's own to a closed port."""
        source_port, seq = self.fresh_port(), self.fresh_seq()
        self.syn(source, source_port, destination, port, seq, by_hand=False)
        self.tcp(destination, port, source, source_port, RST | ACK, 0, seq + 1, window=0, header=BARE)

    def unanswered(self, source: str, destination: str, port: int, *, syns: int = 1) -> None:
        """A connection attempt of the system's own that nobody answers (further SYNs at once)."""
        source_port, seq = self.fresh_port(), self.fresh_seq()
        for _ in range(syns):
            self.syn(source, source_port, destination, port, seq, by_hand=False)

    def connection(
        self, source: str, destination: str, port: int, *, exchange: bool = True, reset: bool = False
    ) -> tuple[int, int, int]:
        """A whole connection; returns source port and the next sequence numbers of both."""
        source_port, seq, peer = self.fresh_port(), self.fresh_seq(), self.fresh_seq()
        self.syn(source, source_port, destination, port, seq, by_hand=False)
        self.tcp(destination, port, source, source_port, SYN | ACK, peer, seq + 1, header=SYSTEM_SYN)
        seq, peer = seq + 1, peer + 1
        self.tcp(source, source_port, destination, port, ACK, seq, peer)
        if exchange:
            self.tcp(source, source_port, destination, port, PSH | ACK, seq, peer, 80)
            self.tcp(destination, port, source, source_port, PSH | ACK, peer, seq + 80, 900)
            seq, peer = seq + 80, peer + 900
        if reset:
            self.tcp(source, source_port, destination, port, RST | ACK, seq, peer)
        else:
            self.tcp(source, source_port, destination, port, FIN | ACK, seq, peer)
            self.tcp(destination, port, source, source_port, FIN | ACK, peer, seq + 1)
            self.tcp(source, source_port, destination, port, ACK, seq + 1, peer + 1)
        return source_port, seq, peer

    def odd_scan(self, flags: int, ports: Iterable[int], *, open_ports: Sequence[int] = ()) -> None:
        """nmap -sF, -sN, -sX, -sM: a RST and ACK from closed ports, nothing from open ones."""
        for port in ports:
            self.tcp(ATTACKER, 41_939, VICTIM, port, flags, 374_018_629, 0, window=1024, header=BARE)
            if port not in open_ports:
                self.tcp(VICTIM, port, ATTACKER, 41_939, RST | ACK, 0, 374_018_630, window=0, header=BARE)

    def ack_scan(self, ports: Iterable[int], *, answered: bool = True) -> None:
        """nmap -sA: lone ACKs with one acknowledgement number; a RST without ACK from each unfiltered port."""
        for port in ports:
            self.tcp(ATTACKER, 52_807, VICTIM, port, ACK, 0, 3_828_670_215, window=1024, header=BARE)
            if answered:
                self.tcp(VICTIM, port, ATTACKER, 52_807, RST, 3_828_670_215, 0, window=0, header=BARE)

    # UDP, ICMP, ARP

    def udp(
        self, source: str, source_port: int, destination: str, port: int, payload: bytes = b"x" * 20, *, ttl: int = 64
    ) -> Packet:
        return self.put(
            UDP,
            source,
            destination,
            source_port=source_port,
            destination_port=port,
            payload=payload,
            payload_length=len(payload),
            ttl=ttl,
        )

    def icmp_error(self, sender: str, about: Packet, kind: int = 3, code: int = 3) -> None:
        protocol = ICMP if len(about.source_ip) == 4 else ICMPV6
        packet = self.put(protocol, sender, str(ipaddress.ip_address(about.source_ip)), icmp_type=kind, icmp_code=code)
        packet.quoted = about

    def ping(
        self,
        source: str,
        destination: str,
        *,
        ident: int = 7,
        answered: bool = True,
        payload: int = 56,
        times: int = 1,
        interval_s: float = 1,
    ) -> None:
        six = ":" in source
        protocol, request, reply = (ICMPV6, 128, 129) if six else (ICMP, 8, 0)
        for seq in range(times):
            rest = {"ident": ident, "seq": seq, "payload": bytes(payload), "payload_length": payload}
            self.put(protocol, source, destination, icmp_type=request, **rest)
            if answered:
                self.put(protocol, destination, source, icmp_type=reply, **rest)
            if times > 1:
                self.wait(interval_s)

    def arp(
        self, source: str, target: str, *, operation: int = 1, sender_mac: bytes = b"", to: bytes | None = None
    ) -> Packet:
        """to: the MAC that the frame goes to; by default a request to all, an answer to the target."""
        mac = sender_mac or hardware(source)
        receiver = to or (hardware(target) if operation == 2 else BROADCAST)
        rest = {"ethernet_source": mac, "destination_mac": receiver, "arp_operation": operation}
        return self.put(ARP, source, target, source_mac=mac, **rest)

    def arp_answered(self, source: str, target: str) -> None:
        self.arp(source, target)
        self.arp(target, source, operation=2)

    # SSH

    def ssh(
        self,
        turns: Sequence[tuple[int, int]],
        *,
        source: str = ATTACKER,
        server: str = VICTIM,
        port: int = 22,
        accept: int = 44,
        end: bool = True,
        ext_info: int = 0,
    ) -> None:
        """An SSH connection as on the wire; turns: bytes of request and answer after the service was accepted."""
        self.ssh_parallel([turns], source=source, server=server, port=port, accept=accept, end=end, ext_info=ext_info)

    def ssh_parallel(
        self,
        connections: Sequence[Sequence[tuple[int, int]]],
        *,
        source: str = ATTACKER,
        server: str = VICTIM,
        port: int = 22,
        accept: int = 44,
        end: bool = True,
        ext_info: int = 0,
    ) -> None:
        """Several connections at once, a turn of each in rotation."""
        talks = [_Talk(self, source, server, port, accept, ext_info) for _ in connections]
        for turn in range(max(map(len, connections))):
            for talk, turns in zip(talks, connections, strict=True):
                if turn < len(turns):
                    talk.turn(*turns[turn])
                    self.wait(0.02)
        for talk in talks if end else ():
            talk.close()


class _Talk:
    """An SSH connection up to the accepted service, then turns."""

    def __init__(self, wire: Wire, source: str, server: str, port: int, accept: int, ext_info: int) -> None:
        self.wire, self.source, self.server, self.port = wire, source, server, port
        self.source_port, self.seq, self.peer = wire.fresh_port(), wire.fresh_seq(), wire.fresh_seq()
        wire.syn(source, self.source_port, server, port, self.seq, by_hand=False)
        wire.tcp(server, port, source, self.source_port, SYN | ACK, self.peer, self.seq + 1, header=SYSTEM_SYN)
        self.seq, self.peer = self.seq + 1, self.peer + 1
        self.says(b"SSH-2.0-libssh_0.10.6\r\n")
        self.answers(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        self.says(message(20, 800))
        self.answers(message(20, 1000))
        self.says(message(30, 40))
        self.answers(message(31, 500) + message(21, 1) + bytes(ext_info))
        self.says(message(21, 1))
        self.turn(44, accept)

    def says(self, payload: bytes) -> None:
        self.wire.tcp(self.source, self.source_port, self.server, self.port, PSH | ACK, self.seq, self.peer, payload)
        self.seq += len(payload)

    def answers(self, payload: bytes) -> None:
        self.wire.tcp(self.server, self.port, self.source, self.source_port, PSH | ACK, self.peer, self.seq, payload)
        self.peer += len(payload)

    def turn(self, request: int, answer: int) -> None:
        self.says(b"\xee" * request)
        if answer:
            self.answers(b"\xdd" * answer)

    def close(self) -> None:
        self.wire.tcp(self.source, self.source_port, self.server, self.port, FIN | ACK, self.seq, self.peer)
        self.wire.tcp(self.server, self.port, self.source, self.source_port, FIN | ACK, self.peer, self.seq + 1)


def message(number: int, size: int) -> bytes:
    """An open SSH packet (RFC 4253, 6) with that message number and so many bytes of content."""
    padding = 8 - (size + 5) % 8
    padding += 8 if padding < 4 else 0
    length = 1 + size + padding
    return length.to_bytes(4, "big") + bytes((padding, number)) + bytes(size - 1 + padding)


def facts_of(packets: Sequence[Packet], config: SensorConfig | None = None, *, batch: int = 64) -> list[NetworkEvent]:
    """What the sensor states of the packets, its last words included."""
    sensor = Sensor(config or SensorConfig())
    facts: list[NetworkEvent] = []
    for at in range(0, len(packets), batch):
        facts += sensor.feed(packets[at : at + batch])
    return facts + sensor.finish()


def check_fact(fact: NetworkEvent) -> None:
    """What holds of every fact, whatever packets it was made from."""
    assert set(fact.fields) == set(FACTS[fact.event_type].fields)
    assert 0 <= fact.time_us <= TIME_MAX_US
    assert fact.count >= 1
    msgspec.json.encode(fact)


def only(facts: Iterable[NetworkEvent], event_type: str) -> list[NetworkEvent]:
    return [fact for fact in facts if fact.event_type == event_type]


@functools.cache
def shipped_rules() -> Ruleset:
    ruleset = load_ruleset(DetectionConfig())
    assert not ruleset.problems
    return ruleset


def incidents_of(packets: Sequence[Packet]) -> list[Alert]:
    """The incidents that packets raise, see `raised_by`."""
    return raised_by(facts_of(packets))


def raised_by(facts: Sequence[NetworkEvent]) -> list[Alert]:
    """The last state of every incident of the shipped rules, informational ones left out."""
    detector = Detector(shipped_rules(), DetectionConfig(), "sensor")
    alerts = detector.process(facts) + detector.finish()
    last = {alert.incident_id: alert for alert in alerts}
    return [alert for alert in last.values() if alert.level != "informational"]


Script = Callable[[Wire], None]  # a scene that is played on a wire


def played(script: Script) -> list[Packet]:
    """The packets of a scene."""
    wire = Wire()
    script(wire)
    return wire.packets


def twice(packets: Sequence[Packet]) -> list[Packet]:
    """Each packet again right behind itself, as a capture on two interfaces has it."""
    return [packet for packet in packets for _ in range(2)]


def rules_raised(packets: Sequence[Packet]) -> list[str]:
    """The names of those incidents, sorted."""
    return sorted(alert.rule for alert in incidents_of(packets))
