"""Recognition of services (nmap -sV): the questions that it asks open ports one after the other.

The questions are those of https://nmap.org/book/vscan-technique.html, told by their beginnings.
"""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import MAX_LISTED, Tally, address, fact
from siemd.sources.sniffer.observers.connections import Target
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging

FOUND_OPEN = "found_open"
_SILENCE_US = 4_000_000  # nmap awaits a banner for 6 s before its first question
_LONGEST = 64
# Questions that others ask as well, whole.
_PLAIN = {
    b"\r\n\r\n": "GenericLines",
    b"GET / HTTP/1.0\r\n\r\n": "GetRequest",
    b"OPTIONS / HTTP/1.0\r\n\r\n": "HTTPOptions",
    b"EHLO\r\n": "Hello",
    b"HELP\r\n": "Help",
    b"stats\r\n": "Memcache",
    b"*1\r\n$4\r\ninfo\r\n": "redis-server",
    b"\x03\x00\x00\x0b\x06\xe0\x00\x00\x00\x00\x00": "TerminalServer",
    b"\x6c\x00\x0b" + bytes(9): "X11Probe",
    b"JRMI\x00\x02K": "JavaRMI",
    b"\x00\x01\x6e": "epmd",
}
# Beginnings of questions, and whether nobody else asks so.
_LONG = (
    (b"OPTIONS / RTSP/1.0\r\n\r\n", "RTSPRequest", True),
    (b"\x80\x00\x00\x28\x72\xfe\x1d\x13", "RPCCheck", True),
    (b"\x00\x1e\x00\x06\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07version\x04bind", "DNSVersionBindReqTCP", True),
    (b"\x00\x0c\x00\x00\x10" + bytes(9), "DNSStatusRequestTCP", True),
    (b"\x16\x03\x00\x00S\x01\x00\x00O\x03\x00?G\xd7\xf7\xba", "SSLSessionReq", True),
    (b"\x16\x03\x00\x00\x69\x01\x00\x00\x65\x03\x03U\x1c\xa7\xe4random1", "TLSSessionReq", True),
    (b"\x80\x9e\x01\x03\x01\x00u\x00\x00\x00 \x00\x00f", "SSLv23SessionReq", True),
    (b"\x03\x00\x00*%\xe0\x00\x00\x00\x00\x00Cookie: mstshash=nmap\r\n", "TerminalServerCookie", True),
    (
        b"\x00\x00\x00\x71\x6a\x81\x6e\x30\x81\x6b\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a\xa4\x81\x5e\x30\x5c",
        "Kerberos",
        True,
    ),
    (b"\x00\x00\x00\xa4\xff\x53\x4d\x42\x72\x00\x00\x00\x00\x08\x01\x40", "SMBProgNeg", False),
    (b"GET /nice%20ports%2C/Tri%6Eity.txt%2ebak ", "FourOhFourRequest", True),
    (b"\x01default\n", "LPDString", False),
    (b"\x30\x84\x00\x00\x00\x2d\x02\x01\x07\x63\x84", "LDAPSearchReq", False),
    (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x02\x04\x00\x80\x00", "LDAPBindReq", False),
    (b"OPTIONS sip:nm SIP/2.0", "SIPOptions", True),
    (b"TNMP\x04\x00\x00\x00TNME", "LANDesk-RC", False),
    (b"DmdT\x00\x00\x00\x17\x00\x00\x00\x01", "NCP", False),
    (b":\x00\x00\x00/\x00\x00\x00\x02\x00\x00\x40\x02\x0f", "NotesRPC", False),
    (b"DIST00000001ARGC00000005ARGV00000002ccARGV00000002-cARGV", "DistCCD", True),
    (b"\x01\x00\x00\xfd\xce\xfa\x0b\xb0\xa0\x00\x00\x00MMS", "WMSRequest", False),
    (b"\x00Z\x00\x00\x01\x00\x00\x00\x016\x01,", "oracle-tns", False),
    (b'<?xml version="1.0" ?><methodCall><methodName>nmap.probe', "metasploit-xmlrpc", True),
)
_FIRST_BYTES = frozenset([one[:1] for one in _PLAIN] + [one[:1] for one, *_ in _LONG])


class ServiceProbes:
    """States `service_probe`."""

    def __init__(self, cap: int) -> None:
        self._half_open: Aging[Target, bool] = Aging(cap)
        self._tally = Tally(cap)

    def half_open(self, target: Target) -> None:
        """A SYN made by hand found a port open."""
        self._half_open.put(target, True)

    def unused(self, target: Target, time_us: int) -> bool:
        """The client ended a connection without a word, as who only reads what a service greets with.

        Whether it had found the port open by a SYN made by hand.
        """
        return self._found_open(target, time_us)

    def first_words(self, target: Target, packet: Packet, quiet_us: int) -> None:
        """The client speaks first on a connection. quiet_us: how long before both sides said nothing."""
        payload = packet.payload
        if payload[:1] not in _FIRST_BYTES:
            return
        probe = _PLAIN.get(payload) if packet.payload_length <= _LONGEST else None
        if probe is not None:
            self._asked(target, packet.time_us, probe, quiet_us >= _SILENCE_US)
            return
        for beginning, name, marked in _LONG:
            if payload.startswith(beginning):
                self._asked(target, packet.time_us, name, marked or quiet_us >= _SILENCE_US)
                return

    def _asked(self, target: Target, time_us: int, probe: str, marked: bool) -> None:
        self._add(target, time_us, probe, marked)
        self._found_open(target, time_us)

    def _found_open(self, target: Target, time_us: int) -> bool:
        found = bool(len(self._half_open) and self._half_open.get(target))
        if found:
            self._add(target, time_us, FOUND_OPEN, False)
        return found

    def _add(self, target: Target, time_us: int, probe: str, marked: bool) -> None:
        source, destination, port, vlan = target
        self._tally.add((source, destination, vlan, marked), time_us, (probe, port))

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        facts = []
        for (source, destination, vlan, marked), held in self._tally.take().items():
            probes = sorted({probe for probe, _ in held.targets})
            ports = sorted({port for _, port in held.targets})[:MAX_LISTED]
            facts.append(
                fact(
                    "service_probe",
                    held.time_us,
                    {"probes": probes, "destination_ports": ports, "marked": marked, "vlan": vlan},
                    source_ip=address(source),
                    destination_ip=address(destination),
                    protocol="tcp",
                    count=held.count,
                    message=f"{address(source)} asked {address(destination)} what its services are: "
                    f"{', '.join(probes)}",
                )
            )
        return facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._half_open.age()

    def counters(self) -> dict[str, int]:
        """Losses."""
        return {"service_probes_lost": self._tally.lost, "half_open_forgotten": self._half_open.evicted}
