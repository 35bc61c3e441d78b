"""Answers to names that a whole segment was asked for: LLMNR, NetBIOS name service and multicast DNS."""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.dns import AAAA, ANY, NETBIOS, A, Message, name_text, netbios_name, parse
from siemd.sources.sniffer.facts import Tally, address, fact, mac
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging

NETBIOS_PORT, MDNS_PORT, LLMNR_PORT = 137, 5353, 5355
SERVICES = {NETBIOS_PORT: "netbios", MDNS_PORT: "mdns", LLMNR_PORT: "llmnr"}

_ADDRESSES = (A, AAAA)
_RECURSION = 0x0080  # a name server of NetBIOS (WINS) says that it recurses; a host that answers a broadcast doesn't
_GROUP = 0x80
_HOST_SUFFIXES = (0x00, 0x20)  # workstation and server service
_BROADCAST = b"\xff" * 6


class NameAnswerObserver:
    """States `name_answer`. feed takes datagrams of the three services' ports."""

    def __init__(self, cap: int) -> None:
        self._direct: Aging[tuple[bytes, int, int], bool] = Aging(cap)  # questions to one server: client, number, VLAN
        self._tally = Tally(cap)
        self.malformed = 0

    def feed(self, packet: Packet, service: str) -> None:
        """Look at one datagram."""
        message = parse(packet.payload)
        if message is None:
            self.malformed += 1
            return
        if message.opcode:
            return  # registrations and refreshes of NetBIOS
        if not message.response:
            if service == "netbios" and not _is_to_all(packet):
                self._direct.put((packet.source_ip, message.ident, packet.vlan), True)
            return
        if message.response_code:
            return
        for name in self._names(packet, message, service):
            self._tally.add((packet.source_ip, packet.source_mac, packet.vlan, service), packet.time_us, name)

    def _names(self, packet: Packet, message: Message, service: str) -> list[str]:
        """The names that are answered with addresses."""
        if service == "llmnr":
            wanted = message.record_type in (*_ADDRESSES, ANY)
            found = wanted and any(record.record_type in _ADDRESSES for record in message.answers)
            return [name_text(message.labels)] if found else []
        if service == "mdns":  # only one's own address: others repeat what they hear into further networks
            return [
                name_text(record.labels)
                for record in message.answers
                if record.record_type in _ADDRESSES and record.data == packet.source_ip and len(record.labels) == 2
            ]
        asked = (packet.destination_ip, message.ident, packet.vlan)
        if message.flags & _RECURSION or self._direct.get(asked) is not None:
            return []
        names = []
        for record in message.answers:
            decoded = netbios_name(record.labels)
            if record.record_type != NETBIOS or not record.data or record.data[0] & _GROUP:
                continue
            if decoded and decoded[1] in _HOST_SUFFIXES:
                names.append(decoded[0])
        return names

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        facts = []
        for (source, source_mac, vlan, service), held in self._tally.take().items():
            for names, _ in held.parts():
                what = names[0] if len(names) == 1 else f"{len(names)} names"
                facts.append(
                    fact(
                        "name_answer",
                        held.time_us,
                        {
                            "name_service": service,
                            "names": [_bare(name) for name in names],
                            "source_mac": mac(source_mac),
                            "vlan": vlan,
                        },
                        source_ip=address(source),
                        protocol=service,
                        count=held.count,
                        message=f"{address(source)} answers for {what} by {service}",
                    )
                )
        return facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._direct.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"name_answers_malformed": self.malformed, "name_answers_lost": self._tally.lost}


def _bare(name: str) -> str:
    """A name without the domain of multicast DNS, so that one host has one name in all services."""
    return name.removesuffix(".local")


def _is_to_all(packet: Packet) -> bool:
    return packet.destination_mac == _BROADCAST or packet.destination_ip[-1:] == b"\xff"
