"""Link layers, down to the ethertype: Ethernet with VLAN tags, MPLS, PPP and PPPoE, Linux cooked, BSD loopback."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from siemd.sources.sniffer import network
from siemd.sources.sniffer.layer import Duplicate, Malformed, Unknown
from siemd.sources.sniffer.packet import Packet

if TYPE_CHECKING:
    from siemd.sources.sniffer.decode import Decoder

MAX_VLAN_TAGS = 8
MAX_LABELS = 16  # of MPLS

_VLAN_ETHERTYPES = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_SNAP = b"\xaa\xaa\x03\x00\x00\x00"  # LLC's header for "an ethertype follows" (RFC 1042)
_MIN_ETHERTYPE = 0x0600
_ETH_P_802_2 = 4  # Linux's word for "an LLC header follows"
_PPP_ADDRESS = b"\xff\x03"
_PPP_PROTOCOLS = {0x0021: 0x0800, 0x0057: 0x86DD, 0x0281: 0x8847}  # to the ethertype of the same
_CISCO_HDLC = frozenset((0x0F, 0x8F))  # its addresses: unicast and multicast
_OUTGOING, _ARPHRD_LOOPBACK = 4, 772
# AF_INET and AF_INET6 of those who write loopback captures: Linux 10, Windows 23, OpenBSD 24, FreeBSD 28, macOS 30
_FAMILIES = frozenset((2, 10, 23, 24, 28, 30))

_read_ethernet = Struct(">6s6sH").unpack_from
_read_tag = Struct(">HH").unpack_from
_read_ethertype = Struct(">H").unpack_from
_read_cooked = Struct(">HHH8sH").unpack_from
_read_cooked_2 = Struct(">HxxxxxxHBB8s").unpack_from
_read_family = Struct(">I").unpack_from
_read_label = Struct(">I").unpack_from
_read_pppoe = Struct(">BBxxH").unpack_from


def ethernet(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """Ethernet II, or IEEE 802.3 with LLC/SNAP."""
    packet.destination_mac, source, ethertype = _read_ethernet(data, offset)
    packet.source_mac = packet.ethernet_source = source
    _typed(decoder, packet, data, offset + 14, end, ethertype)


def vlan(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """802.1Q and 802.1ad tags, any number up to a limit; the innermost id is the packet's."""
    for _ in range(MAX_VLAN_TAGS):
        tag, ethertype = _read_tag(data, offset)
        offset += 4
        if ethertype not in _VLAN_ETHERTYPES:
            break
    else:
        raise Malformed
    packet.vlan = tag & 0x0FFF
    _typed(decoder, packet, data, offset, end, ethertype)


def mpls(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """MPLS; no label says what follows: IP by its version, else Ethernet, perhaps behind a control word."""
    for _ in range(MAX_LABELS):
        (label,) = _read_label(data, offset)
        offset += 4
        if label & 0x100:  # the bottom of the stack
            break
    else:
        raise Malformed
    first = data[offset] >> 4
    if first in (4, 6):
        network.ip(decoder, packet, data, offset, end)
        return
    control_word = not first and _read_ethertype(data, offset + 12)[0] not in decoder.ethertypes
    ethernet(decoder, packet, data, offset + 4 * control_word, end)


def pppoe(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """A session of PPP over Ethernet (RFC 2516)."""
    version, code, length = _read_pppoe(data, offset)
    if version != 0x11 or code:
        raise Unknown
    ppp(decoder, packet, data, offset + 6, min(end, offset + 6 + length))


def hdlc(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """PPP or Cisco's HDLC on a serial line."""
    if data[offset] in _CISCO_HDLC:
        _typed(decoder, packet, data, offset + 4, end, _read_ethertype(data, offset + 2)[0])
    else:
        ppp(decoder, packet, data, offset, end)


def ppp(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """PPP (RFC 1661) with or without address and control; its protocol in two bytes, or one if that is odd."""
    if data[offset : offset + 2] == _PPP_ADDRESS:
        offset += 2
    protocol, length = (data[offset], 1) if data[offset] & 1 else (_read_ethertype(data, offset)[0], 2)
    ethertype = _PPP_PROTOCOLS.get(protocol)
    if ethertype is None:
        raise Unknown
    _typed(decoder, packet, data, offset + length, end, ethertype)


def linux_cooked(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """LINKTYPE_LINUX_SLL: what `any` of libpcap writes. Its only address is the sender's."""
    kind, hardware, address_length, address, ethertype = _read_cooked(data, offset)
    _cooked(decoder, packet, data, offset + 16, end, kind, hardware, address[:address_length], ethertype)


def linux_cooked_2(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """LINKTYPE_LINUX_SLL2: the same with the interface index."""
    ethertype, hardware, kind, address_length, address = _read_cooked_2(data, offset)
    _cooked(decoder, packet, data, offset + 20, end, kind, hardware, address[:address_length], ethertype)


def _cooked(
    decoder: Decoder,
    packet: Packet,
    data: bytes,
    offset: int,
    end: int,
    kind: int,
    hardware: int,
    address: bytes,
    ethertype: int,
) -> None:
    if kind == _OUTGOING and hardware == _ARPHRD_LOOPBACK:
        raise Duplicate  # the loopback interface shows every packet twice: leaving and arriving
    if len(address) == 6:
        packet.source_mac = packet.ethernet_source = address
    if ethertype == _ETH_P_802_2:
        ethertype, offset = _snap(data, offset)
    _typed(decoder, packet, data, offset, end, ethertype)


def loopback(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """BSD loopback (NULL: the family in the byte order of whoever captured; LOOP: in network order)."""
    (family,) = _read_family(data, offset)
    if family & 0xFFFF == 0:
        family = int.from_bytes(family.to_bytes(4, "little"), "big")
    if family not in _FAMILIES:
        raise Unknown
    network.ip(decoder, packet, data, offset + 4, end)


def _typed(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int, ethertype: int) -> None:
    """What an ethertype field announces; a small one is the length of an IEEE 802.3 frame."""
    if ethertype < _MIN_ETHERTYPE:
        end = min(end, offset + ethertype)
        ethertype, offset = _snap(data, offset)
    layer = decoder.ethertypes.get(ethertype)
    if layer is None:
        raise Unknown
    layer(decoder, packet, data, offset, end)


def _snap(data: bytes, offset: int) -> tuple[int, int]:
    """(ethertype, offset behind it) of an LLC/SNAP header."""
    if data[offset : offset + 6] != _SNAP:
        raise Unknown  # spanning tree and other LLC protocols
    return _read_ethertype(data, offset + 6)[0], offset + 8
