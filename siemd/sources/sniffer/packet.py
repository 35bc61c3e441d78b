"""One decoded packet: what the observers see of a frame."""

from __future__ import annotations

import msgspec

# TCP flag bits
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

# `protocol` of a packet: the IP protocol number, or ARP
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
ARP = 0x0806


class Packet(msgspec.Struct, gc=False):
    """Layer 2 to 4 of one frame. Addresses are raw bytes (MAC 6, IP 4 or 16, big endian); numbers are host integers.

    time_us: capture time (may run backwards). length: bytes on the wire. vlan: innermost 802.1Q id, 0 without a tag.
    protocol: IP protocol number, or ARP. ttl: IPv4 TTL or IPv6 hop limit.
    source_port, destination_port: for TCP, UDP, SCTP. icmp_type, icmp_code: for ICMP and ICMPv6; `ident` is then the
    echo identifier and `seq` the echo's number; icmp_type is -1 if the header is cut. flags, seq, ack, window,
    header_length (bytes), options: for TCP; header_length is 0 (and flags are not known) if the header is cut before
    byte 16, as in most quoted packets; options are empty if it is cut before byte 20. `arp_operation` for ARP, whose
    source_ip/source_mac are the sender's claim and destination_ip the target's (ethernet_source, destination_mac: the
    frame's own).
    payload: captured bytes behind the layer 4 header; payload_length: their true length on the wire.
    quoted: the packet that an ICMP error quotes. fragment: True for any part of a fragmented datagram but the first.
    cut_header: True for a first part that is smaller than any link makes it, so that it may cut the header.
    """

    time_us: int
    length: int
    protocol: int
    source_ip: bytes
    destination_ip: bytes
    source_mac: bytes = b""
    destination_mac: bytes = b""
    ethernet_source: bytes = b""
    vlan: int = 0
    ttl: int = 0
    source_port: int = 0
    destination_port: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    header_length: int = 0
    options: bytes = b""
    icmp_type: int = 0
    icmp_code: int = 0
    ident: int = 0
    arp_operation: int = 0
    payload: bytes = b""
    payload_length: int = 0
    fragment: bool = False
    cut_header: bool = False
    quoted: Packet | None = None


class Frame(msgspec.Struct, gc=False):
    """A frame as captured: time_us, the captured bytes, length on the wire, and its pcap link type (1: Ethernet)."""

    time_us: int
    data: bytes
    length: int
    link_type: int = 1
