"""The shapes of lone TCP packets: which ones programs make by hand, for what kind of scan, and by what numbers."""

from __future__ import annotations

from siemd.sources.sniffer.packet import ACK, FIN, PSH, URG, Packet
from siemd.sources.sniffer.state import Aging

TCP_FLAGS = 0x3F  # without the ECN bits
TINY_WINDOWS = (1, 3, 4, 16, 63, 512)


def raw_syn(packet: Packet) -> bool:
    """Whether a program made this SYN itself. Every current system sends MSS and SACK at least (28 bytes).

    nmap: MSS only, window a multiple of 1024; zmap: MSS only, 65535; hping and older masscan: no option at all;
    nmap's OS detection: tiny windows.
    """
    header_length, window = packet.header_length, packet.window
    if header_length <= 20:
        return True
    return (header_length == 24 and (window % 1024 == 0 or window == 65535)) or window in TINY_WINDOWS


def odd_probe(packet: Packet, flags: int) -> str:
    """The kind of scan that a first packet without SYN and RST may belong to, "" if none."""
    if not flags & ACK:  # no stack sends these (RFC 9293: every segment of a connection carries ACK)
        if flags == FIN:
            return "fin"
        return "xmas" if flags & (FIN | PSH | URG) else "null"
    if packet.header_length == 20:  # (PSH and URG change nothing in what is answered)
        if flags & ~(PSH | URG) == ACK:
            return "ack"
        if flags & ~(PSH | URG) == FIN | ACK:
            return "maimon"
    return ""


class Numbers:
    """Remembers the numbers of the latest lone packets of each kind: those of a scan are alike, no connection's are."""

    def __init__(self, cap: int) -> None:
        self._latest: Aging[tuple[bytes, bytes, int, str], tuple[int, int]] = Aging(cap)

    def alike(self, kind: tuple[bytes, bytes, int, str], seq: int, ack: int) -> bool:
        """Whether the one before of this kind had the same sequence or acknowledgement number."""
        before = self._latest.get(kind)
        self._latest.put(kind, (seq, ack))
        return before is not None and (before[0] == seq or before[1] == ack)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._latest.age()
