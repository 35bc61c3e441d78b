"""SCTP probes: INITs (nmap -sY) and lone COOKIE-ECHOs (-sZ) that lead to no association."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import Tally, address, fact
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging, Deadlines

_INIT, _INIT_ACK, _ABORT, _COOKIE_ECHO, _COOKIE_ACK = 1, 2, 6, 10, 11  # chunk types (RFC 9260, 3.2)

_Key = tuple[bytes, int, bytes, int, int]


class _Association(msgspec.Struct, gc=False):
    """What was asked. accepted: an INIT-ACK came. waiting: not judged."""

    time_us: int
    probe: str
    count: int = 1
    accepted: bool = False
    waiting: bool = True


class SctpObserver:
    """States `sctp_probe`. feed takes SCTP packets only."""

    def __init__(self, answer_timeout_us: int, cap: int) -> None:
        self._associations: Aging[_Key, _Association] = Aging(cap)
        self._deadlines: Deadlines[tuple[_Key, _Association]] = Deadlines(answer_timeout_us, cap)
        self._tally = Tally(cap)

    def feed(self, packet: Packet, now_us: int) -> None:
        """Look at one packet."""
        if not packet.payload:
            return
        chunk = packet.payload[0]
        source, source_port = packet.source_ip, packet.source_port
        destination, destination_port, vlan = packet.destination_ip, packet.destination_port, packet.vlan
        key = (source, source_port, destination, destination_port, vlan)
        known = self._associations.get(key)
        if known is not None:
            if known.accepted and chunk == _COOKIE_ECHO:
                known.waiting = False
            elif chunk in (_INIT, _COOKIE_ECHO):
                known.count += known.waiting
            return
        reverse = (destination, destination_port, source, source_port, vlan)
        asked = self._associations.get(reverse)
        if asked is not None:
            self._answer(reverse, asked, chunk)
        elif chunk in (_INIT, _COOKIE_ECHO):
            asked = _Association(packet.time_us, "init" if chunk == _INIT else "cookie_echo")
            self._associations.put(key, asked)
            early = self._deadlines.push(now_us, (key, asked))
            if early is not None:
                self._give_up(*early)

    def _answer(self, key: _Key, asked: _Association, chunk: int) -> None:
        if not asked.waiting:
            return
        if chunk == _INIT_ACK:
            asked.accepted = True
        elif chunk == _ABORT:
            self._state(key, asked, "refused")
        elif chunk == _COOKIE_ACK or not asked.accepted:
            asked.waiting = False

    def error(self, packet: Packet, quoted: Packet) -> None:
        """An ICMP error about such a packet."""
        key = (quoted.source_ip, quoted.source_port, quoted.destination_ip, quoted.destination_port, packet.vlan)
        asked = self._associations.get(key)
        if asked is not None and asked.waiting:
            self._state(key, asked, "refused")

    def _state(self, key: _Key, asked: _Association, outcome: str) -> None:
        asked.waiting = False
        source, _, destination, port, vlan = key
        self._tally.add((source, destination, vlan, asked.probe, outcome), asked.time_us, port, asked.count)

    def _give_up(self, key: _Key, asked: _Association) -> None:
        if asked.waiting:
            self._state(key, asked, "half_open" if asked.accepted else "unanswered")

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for key, asked in self._deadlines.due(now_us):
            self._give_up(key, asked)
        facts = []
        for (source, destination, vlan, probe, outcome), held in self._tally.take_without_flood().items():
            for ports, count in held.parts():
                what = f"port {ports[0]}" if len(ports) == 1 else f"{len(ports)} ports"
                facts.append(
                    fact(
                        "sctp_probe",
                        held.time_us,
                        {"probe": probe, "outcome": outcome, "destination_ports": ports, "vlan": vlan},
                        source_ip=address(source),
                        destination_ip=address(destination),
                        destination_port=ports[0],
                        protocol="sctp",
                        count=count,
                        message=f"{address(source)} probed SCTP {what} of {address(destination)} ({probe}): {outcome}",
                    )
                )
        return facts

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, asked in self._deadlines.rest():
            self._give_up(key, asked)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._associations.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "sctp_held": len(self._associations),
            "sctp_forgotten": self._associations.evicted,
            "sctp_judged_early": self._deadlines.early,
            "sctp_probes_held_back": self._tally.held_back,
            "sctp_probes_lost": self._tally.lost,
        }
