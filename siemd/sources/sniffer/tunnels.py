"""Tunnels that hide nothing: IP in IP, GRE (and ERSPAN in it), VXLAN and Geneve are read down to what they carry.

A packet that can't be read as its tunnel says is what it is outside: anybody may send anything to port 4789.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from siemd.sources.sniffer import links, network
from siemd.sources.sniffer.packet import Packet

if TYPE_CHECKING:
    from siemd.sources.sniffer.decode import Decoder
    from siemd.sources.sniffer.layer import Layer

_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _VERSION = 0x8000, 0x4000, 0x2000, 0x1000, 0x0007
_BRIDGED = 0x6558  # an Ethernet frame follows
_ERSPAN_2, _ERSPAN_3 = 0x88BE, 0x22EB
_VXLAN_VALID = 0x08

_read_gre = Struct(">HH").unpack_from
_read_geneve = Struct(">BBH").unpack_from


def ip_in_ip(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """IPv4 or IPv6 in either of them (RFC 2003, RFC 4213)."""
    if not decoder.unwrap(network.ip, packet, data, offset, end):
        network.rest(packet, data, offset, end)


def gre(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> None:
    """GRE (RFC 2784, RFC 2890); of ERSPAN's types I to III the mirrored frame."""
    found = _in_gre(decoder, data, offset)
    if found is None or not decoder.unwrap(found[0], packet, data, found[1], end):
        network.rest(packet, data, offset, end)


def _in_gre(decoder: Decoder, data: bytes, offset: int) -> tuple[Layer, int] | None:
    if len(data) < offset + 4:
        return None
    flags, ethertype = _read_gre(data, offset)
    if flags & _VERSION:  # PPTP's, which is encrypted
        return None
    at = offset + 4
    at += 4 * (bool(flags & (_CHECKSUM | _ROUTING)) + bool(flags & _KEY) + bool(flags & _SEQUENCE))
    if ethertype == _ERSPAN_2:
        return links.ethernet, at + (8 if flags & _SEQUENCE else 0)
    if ethertype == _ERSPAN_3:
        more = data[at + 11] & 1 if len(data) > at + 11 else 0
        return links.ethernet, at + 12 + 8 * more
    layer = links.ethernet if ethertype == _BRIDGED else decoder.ethertypes.get(ethertype)
    return None if layer is None else (layer, at)


def vxlan(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> bool:
    """VXLAN (RFC 7348) behind its UDP header; whether it was one."""
    if len(data) < offset + 8 or not data[offset] & _VXLAN_VALID:
        return False
    return decoder.unwrap(links.ethernet, packet, data, offset + 8, end)


def geneve(decoder: Decoder, packet: Packet, data: bytes, offset: int, end: int) -> bool:
    """Geneve (RFC 8926), likewise."""
    if len(data) < offset + 8:
        return False
    first, _, ethertype = _read_geneve(data, offset)
    layer = links.ethernet if ethertype == _BRIDGED else decoder.ethertypes.get(ethertype)
    if first >> 6 or layer is None:
        return False
    return decoder.unwrap(layer, packet, data, offset + 8 + ((first & 0x3F) << 2), end)


PORTS = {4789: vxlan, 6081: geneve, 8472: vxlan}  # 8472: Linux' own, from before there was a standard
