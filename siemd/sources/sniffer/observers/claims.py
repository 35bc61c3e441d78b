"""Who claims which address of the segment by ARP or neighbour discovery, and who claims what another one holds."""

from __future__ import annotations

from collections import Counter, deque
from typing import TypeVar

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import address, fact, mac
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging

WINDOW_US = 60_000_000  # how far back moves and unasked answers are counted
FEWEST_UNASKED = 3  # unasked answers within the window; with fewer, and without a move, nothing is stated
_ANSWER_US = 5_000_000  # an answer within this time of a question was asked for
_FURTHER_US = 1_000_000  # … and so were further ones within this time of the first
_SAME_US = 100_000  # the same claim again within this time is a copy of the packet
_BURST_US = 900_000  # announcements closer to one another than this are one: a failover sends several at once
_KEPT = 32  # times kept for each counter
_KEPT_UNASKED = 256
_MACS = 4  # MACs whose unasked answers are counted for one address

_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_OPTION, _TARGET_OPTION = 1, 2
_MAX_OPTIONS = 8
_BROADCAST = b"\xff" * 6
# Routers that stand in for one another share addresses by design: VRRP and CARP, HSRP, GLBP.
_VIRTUAL = (
    b"\x00\x00\x5e\x00\x01",
    b"\x00\x00\x5e\x00\x02",
    b"\x00\x00\x0c\x07\xac",
    b"\x00\x00\x0c\x9f",
    b"\x00\x07\xb4",
)

_Place = tuple[bytes, int]  # address, VLAN
_T = TypeVar("_T")


class _Claim(msgspec.Struct):
    """Who claims one address. newest: the MAC that claimed last. owner: the one before the first of the recent moves.

    newcomer: the last one that is not the owner. moves: when the claim went from one MAC to another. unasked: when and
    whom each MAC answered without a question. announced: when each told everyone. told: who heard the last claim.
    """

    newest: bytes
    time_us: int
    told: bytes = b""
    owner: bytes = b""
    newcomer: bytes = b""
    moves: deque[int] | None = None
    unasked: dict[bytes, deque[tuple[int, bytes]]] | None = None
    announced: dict[bytes, deque[int]] | None = None


class ClaimObserver:
    """States `arp_conflict`. feed takes ARP packets, neighbour ICMPv6."""

    def __init__(self, cap: int) -> None:
        self._claims: Aging[_Place, _Claim] = Aging(cap)
        self._asked: Aging[tuple[bytes, bytes, int], int] = Aging(cap)
        self._gateways: Aging[_Place, bool] = Aging(256)
        self._changed: dict[_Place, tuple[_Claim, int]] = {}

    def gateway(self, router: bytes, vlan: int) -> None:
        """Learn that an address is that of a gateway."""
        self._gateways.put((router, vlan), True)

    def feed(self, packet: Packet, now_us: int) -> None:
        """Look at an ARP packet."""
        sender, target = packet.source_ip, packet.destination_ip
        if packet.arp_operation not in (_REQUEST, _REPLY) or not any(sender):
            return
        unasked = False
        if packet.arp_operation == _REQUEST:
            self._asked.put((sender, target, packet.vlan), now_us)
        elif sender != target:
            unasked = self._is_unasked(target, sender, packet.vlan, now_us)
        self._claim(packet, sender, packet.source_mac, target, unasked, now_us)

    def neighbour(self, packet: Packet, now_us: int) -> None:
        """Look at an ICMPv6 packet: solicitations and advertisements name the sender's MAC in an option (RFC 4861)."""
        kind = packet.icmp_type
        if kind not in (_SOLICITATION, _ADVERTISEMENT) or packet.ttl != 255 or len(packet.payload) < 16:
            return
        target, sender = packet.payload[:16], packet.source_ip
        if kind == _SOLICITATION:
            if any(sender):
                self._asked.put((sender, target, packet.vlan), now_us)
                if hardware := _option(packet.payload, _SOURCE_OPTION):
                    self._claim(packet, sender, hardware, target, False, now_us)
        elif hardware := _option(packet.payload, _TARGET_OPTION):
            told = packet.destination_ip
            unasked = told[0] != 0xFF and self._is_unasked(told, target, packet.vlan, now_us)
            self._claim(packet, target, hardware, told, unasked, now_us)

    def _is_unasked(self, asker: bytes, target: bytes, vlan: int, now_us: int) -> bool:
        key = (asker, target, vlan)
        asked_us = self._asked.get(key)
        if asked_us is None or now_us - asked_us > _ANSWER_US:
            return True
        self._asked.put(key, min(asked_us, now_us - _ANSWER_US + _FURTHER_US))
        return False

    def _claim(self, packet: Packet, claimed: bytes, hardware: bytes, told: bytes, unasked: bool, now_us: int) -> None:
        place = (claimed, packet.vlan)
        claim = self._claims.get(place)
        if claim is None:
            claim = _Claim(hardware, 0)
            self._claims.put(place, claim)
        moved = hardware != claim.newest
        if not moved and told == claim.told and now_us - claim.time_us < _SAME_US:
            return
        claim.told = told
        if moved and not (hardware.startswith(_VIRTUAL) and claim.newest.startswith(_VIRTUAL)):
            if claim.moves is None:
                claim.moves = deque(maxlen=_KEPT)
            if not _recent(claim.moves, now_us):
                claim.owner = claim.newest
            if hardware != claim.owner:
                claim.newcomer = hardware
            claim.moves.append(now_us)
        claim.newest = hardware
        claim.time_us = now_us
        speaker = packet.ethernet_source or hardware  # arpspoof ends by telling the truth, unasked
        to_all = packet.destination_mac == _BROADCAST
        if unasked:
            claim.unasked = _with_room(claim.unasked, speaker, _KEPT_UNASKED)
            answers = claim.unasked[speaker]
            if not to_all or not answers or now_us - answers[-1][0] >= _BURST_US:
                answers.append((now_us, b"" if to_all else told))
        elif to_all and (packet.arp_operation == _REPLY or told == claimed):
            claim.announced = _noted(claim.announced, speaker, now_us)
        if moved or unasked or claim.moves:
            self._changed[place] = claim, packet.time_us

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        changed, self._changed = self._changed, {}
        facts = []
        for (claimed, vlan), (claim, time_us) in changed.items():
            moves = _recent(claim.moves, now_us)
            unasked = {hardware: _to_one(answers, now_us) for hardware, answers in (claim.unasked or {}).items()}
            for times in (claim.announced or {}).values():
                _recent(times, now_us)
            if moves or max(unasked.values(), default=0) >= FEWEST_UNASKED:
                is_gateway = self._gateways.get((claimed, vlan)) is not None
                facts.append(_fact(claimed, vlan, claim, time_us, moves, unasked, is_gateway))
        return facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._claims.age()
        self._asked.age()
        self._gateways.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "arp_claims_held": len(self._claims),
            "arp_claims_forgotten": self._claims.evicted,
            "arp_questions_forgotten": self._asked.evicted,
        }


def _noted(times: dict[bytes, deque[int]] | None, speaker: bytes, now_us: int) -> dict[bytes, deque[int]]:
    """The times with this one, of the latest few MACs; what comes within a burst of the one before adds nothing."""
    times = _with_room(times, speaker, _KEPT)
    if not times[speaker] or now_us - times[speaker][-1] >= _BURST_US:
        times[speaker].append(now_us)
    return times


def _with_room(kept: dict[bytes, deque[_T]] | None, speaker: bytes, length: int) -> dict[bytes, deque[_T]]:
    """The same, with a place for this MAC; the one that was first gives way when there are too many."""
    kept = {} if kept is None else kept
    if speaker not in kept:
        if len(kept) >= _MACS:
            del kept[next(iter(kept))]
        kept[speaker] = deque(maxlen=length)
    return kept


def _to_one(answers: deque[tuple[int, bytes]], now_us: int) -> int:
    """How many of the answers within the window one host was told at most; older ones are forgotten.

    A router answers many, each once and again: a sensor that sees only what it sends misses their questions. Where
    there are too many to be told apart, all count.
    """
    while answers and now_us - answers[0][0] > WINDOW_US:
        answers.popleft()
    if len(answers) == _KEPT_UNASKED:
        return len(answers)
    return max(Counter(told for _, told in answers).values(), default=0)


def _recent(times: deque[int] | None, now_us: int) -> int:
    """How many of the times lie within the window; older ones are forgotten."""
    if times is None:
        return 0
    while times and now_us - times[0] > WINDOW_US:
        times.popleft()
    return len(times)


def _option(payload: bytes, wanted: int) -> bytes:
    """The MAC in an option behind the target address, empty without one (RFC 4861, 4.6.1)."""
    at = 16
    for _ in range(_MAX_OPTIONS):
        option = payload[at : at + 8]
        if len(option) < 8 or not option[1]:
            return b""
        if option[0] == wanted:
            return option[2:] if option[1] == 1 else b""
        at += option[1] << 3
    return b""


def _fact(
    claimed: bytes, vlan: int, claim: _Claim, time_us: int, moves: int, unasked: dict[bytes, int], gateway: bool
) -> NetworkEvent:
    """Of two MACs the one that tells it unasked more often is the suspect, else the one that came later."""
    pair = [claim.newcomer, claim.owner] if moves else [claim.newest, b""]
    announced = {hardware: len(times) for hardware, times in (claim.announced or {}).items()}
    suspect, other = sorted(pair, key=lambda one: -unasked.get(one, 0) - announced.get(one, 0))
    who, name = mac(suspect), address(claimed)
    rest = f", which {mac(other)} claims too" if other else ", unasked"
    return fact(
        "arp_conflict",
        time_us,
        {
            "source_mac": who,
            "other_mac": mac(other),
            "moves": moves,
            "unasked_answers": unasked.get(suspect, 0),
            "announcements": announced.get(suspect, 0),
            "gateway": gateway,
            "vlan": vlan,
        },
        source_ip=name,
        destination_ip=address(claim.told),
        protocol="arp" if len(claimed) == 4 else "ndp",
        message=f"{who} claims {name}{rest}",
    )
