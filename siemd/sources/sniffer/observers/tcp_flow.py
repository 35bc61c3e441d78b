"""What is remembered of one TCP flow, and how far it is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from siemd.sources.sniffer.state import READ, SETTLED, SETTLED_EMPTY, UNSETTLED

if TYPE_CHECKING:
    from siemd.sources.sniffer.observers.applications import Conversation
    from siemd.sources.sniffer.observers.ssh import SshConnection

# States of a flow. SENT: a SYN; ANSWERED: its SYN-ACK; CLAIMED: the initiator went on, but no answer was seen (the
# sensor sees one side, or a scanner pretends); OPEN: completed, or seen from the middle on; ODD: a lone packet that
# opens nothing (FIN, NULL, XMAS, Maimon, ACK probe); DONE: judged.
SENT, ANSWERED, CLAIMED, OPEN, ODD, DONE = range(6)

_WRAP = 1 << 32


class TcpFlow(msgspec.Struct, gc=False):  # nothing that it refers to refers to it
    """One flow, keyed in the direction of its first packet.

    seq: of the first packet. alike: its numbers are those of the probe before, as no real connection's are.
    data: bit 1 the initiator sent data, bit 2 the other side did. fins: likewise. peer_seq: the other side's first
    number, -1 if not seen. ssh, app: while something is to be learnt from the payload, by whom.
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


def first_number(flow: TcpFlow, forward: bool) -> int | None:
    """The sequence number of a direction's first byte, None if its SYN was not seen."""
    before = (flow.seq if flow.probe in ("syn", "connect") else -1) if forward else flow.peer_seq
    return (before + 1) % _WRAP if before >= 0 else None


def settled(flow: TcpFlow, forward: bool) -> int:
    """See TcpObserver.feed. Whoever reads payloads of a flow must show here while it is not done with it."""
    if flow.state != OPEN and not (forward and flow.state == CLAIMED):
        return UNSETTLED
    if flow.ssh is not None or flow.app is not None:
        return READ
    return SETTLED if flow.data & (1 if forward else 2) else SETTLED_EMPTY
