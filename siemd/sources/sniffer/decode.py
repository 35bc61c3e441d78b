"""Frames to packets: from any link type through VLAN, tunnels, IP and its extension headers to the payload."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from siemd.sources.sniffer import links, network, transport, tunnels
from siemd.sources.sniffer.fragments import CutHeaders
from siemd.sources.sniffer.layer import Duplicate, Malformed, Truncated, Unknown
from siemd.sources.sniffer.packet import ICMP, ICMPV6, SCTP, TCP, UDP, Frame, Packet
from siemd.sources.sniffer.plain import decode_plain, decode_plain_at

if TYPE_CHECKING:
    from siemd.sources.sniffer.frames import Row
    from siemd.sources.sniffer.layer import Layer

_ETHERNET = 1

# A new protocol is a function (see layer.Layer) and a line in one of these tables.
LINK_TYPES: dict[int, Layer] = {  # https://www.tcpdump.org/linktypes.html
    0: links.loopback,
    _ETHERNET: links.ethernet,
    9: links.ppp,
    12: network.ip,
    14: network.ip,
    50: links.hdlc,
    51: links.pppoe,
    101: network.ip,
    104: links.hdlc,
    108: links.loopback,
    113: links.linux_cooked,
    228: network.ip,
    229: network.ip,
    276: links.linux_cooked_2,
}
ETHERTYPES: dict[int, Layer] = {
    0x0800: network.ipv4,
    0x0806: network.arp,
    0x8100: links.vlan,
    0x86DD: network.ipv6,
    0x8847: links.mpls,
    0x8848: links.mpls,
    0x8864: links.pppoe,
    0x88A8: links.vlan,
    0x9100: links.vlan,
    0x9200: links.vlan,
}
PROTOCOLS: dict[int, Layer] = {
    ICMP: transport.icmp,
    4: tunnels.ip_in_ip,
    TCP: transport.tcp,
    UDP: transport.udp,
    41: tunnels.ip_in_ip,
    47: tunnels.gre,
    ICMPV6: transport.icmpv6,
    SCTP: transport.sctp,
}

MAX_FOREIGN_LINKS = 8
MAX_TUNNELS = 4  # within one another

_UNDECODED = -1  # the `protocol` of a packet until its network layer is known


class Decoder:
    """Turns frames into packets and counts what is wrong with them; no bytes make it raise.

    A frame whose network layer can't be read gives no packet. One whose transport header is cut or contradicts itself
    gives a packet with what was readable: ports if they were there; `header_length` 0 (and so no flags) for TCP
    without its first 16 bytes, `icmp_type` -1 for ICMP.
    malformed, truncated, unknown, duplicates: frames. A payload cut by the snap length is not `truncated`.
    foreign_links: link types that are not read, some of them if there are many; frames of these are `unknown`.
    fragments: frames that are part of a fragmented datagram, the first part included. A TCP header that the first part
    cuts is told whole with the part that completes it.
    """

    def __init__(self, *, quotes: bool = True) -> None:
        """quotes: whether to decode the packets that ICMP errors quote (those never quote further ones)."""
        self.malformed = 0
        self.truncated = 0
        self.unknown = 0
        self.foreign_links: set[int] = set()
        self.duplicates = 0
        self.fragments = 0
        self.cut_headers = CutHeaders()
        self.ethertypes = ETHERTYPES
        self.protocols = PROTOCOLS
        self.tunnel_ports = tunnels.PORTS
        self._tunnels = 0
        self._quoted = Decoder(quotes=False) if quotes else None

    def decode(self, frames: Sequence[Frame]) -> list[Packet]:
        """The packets of the frames, in their order."""
        packets: list[Packet] = []
        append = packets.append
        for frame in frames:
            packet = decode_plain(frame) if frame.link_type == _ETHERNET else None
            if packet is None:
                packet = self.decode_layers(frame)
            if packet is not None:
                append(packet)
        return packets

    def decode_at(self, data: memoryview, row: Row) -> Packet | None:
        """The packet of a frame that is somewhere in memory; row: see FrameBatch.rows."""
        time_us, start, captured, length, link_type = row
        packet = decode_plain_at(data, start, captured, length, time_us) if link_type == _ETHERNET else None
        if packet is not None:
            return packet
        return self.decode_layers(Frame(time_us, bytes(data[start : start + captured]), length, link_type))

    def decode_layers(self, frame: Frame) -> Packet | None:
        """The packet of one frame, layer by layer; None if its network layer can't be read."""
        layer = LINK_TYPES.get(frame.link_type)
        if layer is None:
            self.unknown += 1
            if len(self.foreign_links) < MAX_FOREIGN_LINKS:
                self.foreign_links.add(frame.link_type)
            return None
        packet = Packet(frame.time_us, frame.length, _UNDECODED, b"", b"")
        self._fill(layer, packet, frame.data, 0, max(frame.length, len(frame.data)))
        return packet if packet.protocol != _UNDECODED else None

    def quoted(self, packet: Packet, data: bytes, offset: int, end: int) -> Packet | None:
        """The packet that an ICMP error quotes at `offset`; None if it can't be read or is itself within a quote."""
        if self._quoted is None:
            return None
        quoted = Packet(packet.time_us, end - offset, _UNDECODED, b"", b"")
        self._quoted._fill(network.ip, quoted, data, offset, end)
        return quoted if quoted.protocol != _UNDECODED else None

    def unwrap(self, layer: Layer, packet: Packet, data: bytes, offset: int, end: int) -> bool:
        """Make a packet what it carries; False, and it stays what it is, if that can't be read or is within a quote."""
        if self._quoted is None or self._tunnels >= MAX_TUNNELS:
            return False
        carried = Packet(packet.time_us, packet.length, _UNDECODED, b"", b"", vlan=packet.vlan)
        self._tunnels += 1
        self._fill(layer, carried, data, offset, end)
        self._tunnels -= 1
        if carried.protocol == _UNDECODED:
            return False
        for name in Packet.__struct_fields__:
            setattr(packet, name, getattr(carried, name))
        return True

    def _fill(self, layer: Layer, packet: Packet, data: bytes, offset: int, end: int) -> None:
        try:
            layer(self, packet, data, offset, end)
        except (Truncated, struct.error, IndexError):
            self.truncated += 1
        except Malformed:
            self.malformed += 1
        except Unknown:
            self.unknown += 1
        except Duplicate:
            self.duplicates += 1
