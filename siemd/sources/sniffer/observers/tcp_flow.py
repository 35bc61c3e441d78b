"""What is remembered of one TCP flow, and how far it is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from siemd.sources.sniffer.observers.connections import Connection, Key, Traffic
from siemd.sources.sniffer.packet import TCP, Packet
from siemd.sources.sniffer.state import READ, READ_LATER, SETTLED, SETTLED_EMPTY, UNSETTLED

if TYPE_CHECKING:
    from siemd.sources.sniffer.observers.applications import Conversation
    from siemd.sources.sniffer.observers.ssh import SshConnection

# States of a flow. SENT: a SYN; ANSWERED: its SYN-ACK; CLAIMED: the initiator went on, but no answer was seen (the
# sensor sees one side, or a scanner pretends); OPEN: completed, or seen from the middle on; ODD: a lone packet that
# opens nothing (FIN, NULL, XMAS, Maimon, ACK probe); LATE: judged, but what was missed may still come; DONE: judged;
# GONE: its ports are used again.
SENT, ANSWERED, CLAIMED, OPEN, ODD, LATE, DONE, GONE = range(8)

GREETING_BYTES = 2_048

_WRAP = 1 << 32


class TcpFlow(msgspec.Struct, gc=False):  # nothing that it refers to refers to it
    """One flow, keyed in the direction of its first packet.

    seq: of the first packet. alike: its numbers are those of the probe before, as no real connection's are.
    data: bit 1 the initiator sent data, bit 2 the other side did. fins: likewise. peer_seq: the other side's first
    number, -1 if not seen. ssh, app: while something is to be learnt from the payload, by whom. sent: of the
    initiator, None for one packet without payload; received: None for nothing. recorded: its record is made.
    refused: its SYN was.
    """

    state: int
    probe: str
    seq: int
    time_us: int
    alike: bool = False
    data: int = 0
    fins: int = 0
    peer_seq: int = -1
    ssh: SshConnection | None = None
    app: Conversation | None = None
    sent: Traffic | None = None
    received: Traffic | None = None
    recorded: bool = False
    refused: bool = False

    @property
    def midstream(self) -> bool:
        """Whether its beginning was not seen."""
        return self.probe not in ("syn", "connect")

    @property
    def is_connection(self) -> bool:
        """Whether it came to be one: no probe, no refused try, no lone packet."""
        if self.state not in (OPEN, CLAIMED):
            return False
        sent = 1 if self.sent is None else self.sent.packets
        received = 0 if self.received is None else self.received.packets
        return min(sent, received) > 0 or (self.data != 0 and sent + received > 1)

    @property
    def is_unused(self) -> bool:
        """Whether it came to be a connection, and whoever opened it sent nothing, nor was sent more than a greeting."""
        if self.received is not None and self.received.bytes > GREETING_BYTES:
            return False
        return not (self.data & 1 or self.midstream) and self.state in (OPEN, CLAIMED)

    def connection(self, key: Key, state: str, service: str) -> Connection:
        """What its record tells. state: how it ended, "" if that was not seen."""
        state = state or ("half_closed" if self.fins else "open")
        found = Connection.of(key, TCP, self.time_us, 0, (self.sent, self.received), state)
        return found._replace(service=service, midstream=self.midstream)

    def count_sent(self, packet: Packet) -> Traffic:
        """One more packet of the initiator; returns what it sent so far."""
        if self.sent is None:
            self.sent = Traffic(1, 0, self.time_us)
        self.sent.add(1, packet.payload_length, packet.time_us)
        return self.sent

    def count_received(self, packet: Packet) -> Traffic | None:
        """One more packet of the other side; returns what it sent so far, None for a mere refusal."""
        if self.received is None:
            if self.state == DONE:
                return None
            self.received = Traffic(0, 0, packet.time_us)
        self.received.add(1, packet.payload_length, packet.time_us)
        return self.received


def first_number(flow: TcpFlow, forward: bool) -> int | None:
    """The sequence number of a direction's first byte, None if its SYN was not seen."""
    before = (flow.seq if flow.probe in ("syn", "connect") else -1) if forward else flow.peer_seq
    return (before + 1) % _WRAP if before >= 0 else None


def settled(flow: TcpFlow, forward: bool) -> int:
    """See TcpObserver.feed. Whoever reads payloads of a flow must show here while it is not done with it."""
    if flow.fins == 3:
        return UNSETTLED  # what still comes is soon stated with it
    if flow.state != OPEN and not (forward and flow.state == CLAIMED):
        return UNSETTLED
    if flow.ssh is not None:
        return READ
    if flow.app is not None:
        return READ if flow.app.waits or flow.app.assemblies[forward].next is None else READ_LATER
    return SETTLED if flow.data & (1 if forward else 2) else SETTLED_EMPTY
