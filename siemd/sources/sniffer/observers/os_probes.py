"""Recognition of operating systems: the odd packets that only nmap -O (and its like) sends.

Their shapes: https://nmap.org/book/osdetect-methods.html.
"""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact
from siemd.sources.sniffer.packet import ACK, FIN, ICMP, PSH, SYN, TCP, UDP, URG, Packet

_TIME_STAMP = b"\x08\x0a\xff\xff\xff\xff\x00\x00\x00\x00"  # the option of all its TCP probes but one
_SEQUENCE_WINDOWS = frozenset((1, 63, 4, 16, 512))
_ECN = 0xC0  # ECE and CWR
UDP_BYTES = 300
SHORTEST_HEADER = 32  # bytes of TCP with the options of these probes
_ICMP_CODE = 9  # of an echo request, which has no codes
_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp"}
_PROBES = {
    (0, 128): "null",
    (SYN | FIN | URG | PSH, 256): "syn_fin",
    (ACK, 1024): "ack",
    (SYN, 31337): "closed_syn",
    (ACK, 32768): "ack",
    (FIN | PSH | URG, 65535): "closed_xmas",
}


class OsProbes:
    """States `os_probe`."""

    def __init__(self, cap: int) -> None:
        self._tally = Tally(cap)

    def tcp(self, packet: Packet) -> None:
        """A first packet of a TCP flow."""
        signature = _signature(packet)
        if signature:
            self._add(packet, signature)

    def udp(self, packet: Packet) -> None:
        """A datagram of UDP_BYTES to a new port."""
        if packet.payload[:100] == b"C" * 100:
            self._add(packet, "udp_300_c")

    def echo(self, packet: Packet) -> None:
        """An echo request."""
        if packet.icmp_code == _ICMP_CODE:
            self._add(packet, "icmp_code_9")

    def _add(self, packet: Packet, signature: str) -> None:
        protocol = _PROTOCOLS.get(packet.protocol, "icmpv6")
        key = (packet.source_ip, packet.destination_ip, packet.vlan, protocol)
        self._tally.add(key, packet.time_us, signature)

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        return [
            fact(
                "os_probe",
                held.time_us,
                {"signatures": sorted(held.targets), "vlan": vlan},
                source_ip=address(source),
                destination_ip=address(destination),
                protocol=protocol,
                count=held.count,
                message=f"{address(source)} sent {address(destination)} packets of an OS detection: "
                f"{', '.join(sorted(held.targets))}",
            )
            for (source, destination, vlan, protocol), held in self._tally.take().items()
        ]

    def counters(self) -> dict[str, int]:
        """Losses."""
        return {"os_probes_lost": self._tally.lost}


def _signature(packet: Packet) -> str:
    flags, window = packet.flags, packet.window
    if flags == SYN | _ECN:
        return "ecn" if window == 3 else ""
    if _TIME_STAMP not in packet.options:
        return ""
    if flags == SYN and window in _SEQUENCE_WINDOWS:
        return f"syn_window_{window}"
    return _PROBES.get((flags & 0x3F, window), "")
