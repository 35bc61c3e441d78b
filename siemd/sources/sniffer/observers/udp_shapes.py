"""The shapes of lone UDP datagrams: which ones ask nothing of the host that they go to."""

from __future__ import annotations

from siemd.sources.sniffer.facts import to_many
from siemd.sources.sniffer.packet import UDP, Packet

WELL_KNOWN = 1024
_EPHEMERAL = 32_768
_TRACEROUTE_HOPS = 32
_DNS = 53
_RESPONSE = 0x80  # in the third byte of a message of DNS and its kin
_NAME_SERVICES = (137, 5353, 5355)  # NetBIOS, multicast DNS, LLMNR
_DHCP_SERVER, _DHCP_CLIENT, _BOOT_REPLY = 67, 68, 2
_RTCP_VERSION, _RTCP_TYPES = 2, range(200, 208)


def no_probe(packet: Packet, *, quote: bool = False) -> bool:
    """Whether a first datagram is not a question to one host: traceroute, an answer, a report, or meant for many.

    quote: it is known from an ICMP error only, so its payload is not.
    """
    if packet.protocol != UDP or to_many(packet.destination_ip):
        return True
    port = packet.destination_port
    if packet.ttl <= _TRACEROUTE_HOPS and port >= 33_000:
        return True  # traceroute counts up from 33434, mtr from 33000 for as long as it runs, tracepath from 44444
    if quote:
        return packet.source_port < WELL_KNOWN <= port
    return _is_answer(packet) or _is_rtcp(packet.payload)


def _is_answer(packet: Packet) -> bool:
    """Whether it goes from a service to a client's port: an answer whose question was not seen.

    A scanner that uses such a source port sends questions of that service, or nothing.
    """
    port, source_port, payload = packet.destination_port, packet.source_port, packet.payload
    if not packet.payload_length:
        return False
    if source_port == port and port in _NAME_SERVICES:
        return len(payload) > 2 and payload[2] >= _RESPONSE
    if port < WELL_KNOWN:
        return (source_port, port) == (_DHCP_SERVER, _DHCP_CLIENT) and payload[:1] == bytes((_BOOT_REPLY,))
    if source_port >= WELL_KNOWN:  # a service registered there: VPN, RADIUS, SIP, STUN, SSDP …
        return source_port < _EPHEMERAL <= port
    return not (source_port == _DNS and len(payload) > 2 and payload[2] < _RESPONSE)


def _is_rtcp(payload: bytes) -> bool:
    """Whether it is a report about a stream of media: one every few seconds, which nobody answers (RFC 3550, 6)."""
    if len(payload) < 8 or payload[0] >> 6 != _RTCP_VERSION or payload[1] not in _RTCP_TYPES:
        return False
    return 4 * (int.from_bytes(payload[2:4], "big") + 1) <= len(payload)
