"""DNS on the wire: each question with its answer, domains that don't exist, and what is no DNS on its port."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.dns import (
    AAAA,
    NXDOMAIN,
    A,
    Message,
    Record,
    name_text,
    parse,
    response_code_name,
    type_name,
)
from siemd.sources.sniffer.facts import MAX_LISTED, Held, Tally, address, fact
from siemd.sources.sniffer.observers.dns_names import DnsNames, Question
from siemd.sources.sniffer.observers.named import NamedAddresses
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging, Deadlines
from siemd.sources.sniffer.suffixes import PRIVATE_TOPS, Labels, registered

DNS_PORT = 53
MAX_QUERIES = 4096  # facts about single questions in a tick, whoever asks
MAX_FACTS_A_DOMAIN = 32  # facts in a tick for one client and one domain; a tunnel asks for hundreds of names
_NEVER_ANSWERED = -1
_ADDRESSES = frozenset((A, AAAA, 65))  # what who wants to connect asks for; 65 is HTTPS
_OPCODES = frozenset((0, 1, 2, 4, 5, 6))  # RFC 6895, 2.2
_HEAD_BYTES = 4
_HEADS = 8  # in one fact
_WHOLE = 64  # answers of one client that are remembered as one, for its share of failures

_Key = tuple[bytes, bytes, int, bytes]  # client, server, VLAN, question


class _Stated(msgspec.Struct):
    """What becomes a `dns_query`."""

    time_us: int
    labels: Labels
    record_type: int
    domain: Labels
    code: int
    count: int
    answers: list[str]


class _Client(msgspec.Struct, gc=False):
    """How one client fares: its latest answers, older ones counting ever less."""

    answers: int = 0
    failures: int = 0


class DnsLimits(NamedTuple):
    """How much is remembered, and for how long. queries: whether to state `dns_query`."""

    answer_timeout_us: int
    window_us: int
    cap: int
    queries: bool


class DnsObserver:
    """States `dns_query`, `dns_names`, `nxdomain` and `not_dns`. feed takes messages of port 53, of UDP or TCP."""

    def __init__(self, limits: DnsLimits, named: NamedAddresses) -> None:
        """named: is told the addresses in answers."""
        cap = limits.cap
        self._named = named
        self._state_queries = limits.queries
        self._questions: Aging[_Key, Question] = Aging(cap)
        self._deadlines: Deadlines[tuple[_Key, Question]] = Deadlines(limits.answer_timeout_us, cap)
        self._clients: Aging[tuple[bytes, int], _Client] = Aging(cap)
        self._names = DnsNames(limits.window_us, max(64, cap // 4))
        self._held: dict[tuple[bytes, bytes, int, bytes, int], _Stated] = {}
        self._room: dict[tuple[bytes, Labels], int] = {}
        self._failed = Tally(cap)
        self._foreign = Tally(cap)
        self.malformed = self.held_back = 0

    def feed(self, packet: Packet, now_us: int, payload: bytes) -> None:
        """Look at one message: the payload of a datagram, or what follows the length in a TCP segment."""
        message = parse(payload)
        if message is None or message.opcode not in _OPCODES or not (message.question or message.response):
            self.malformed += 1
            if payload:
                ends = (packet.source_ip, packet.destination_ip, packet.vlan)
                self._foreign.add(ends, packet.time_us, payload[:_HEAD_BYTES].hex())
        elif message.opcode or not message.question:
            return  # notifications and updates; an answer that doesn't say to what
        elif message.response:
            self._answer(packet, message, now_us)
        else:
            key = (packet.source_ip, packet.destination_ip, packet.vlan, message.question)
            self._ask(key, message, packet, now_us)

    def _ask(self, key: _Key, message: Message, packet: Packet, now_us: int) -> Question:
        question = self._questions.get(key)
        if question is not None and question.waiting:
            question.count += 1
            return question
        domain = registered(message.labels)
        question = Question(packet.time_us, message.labels, message.record_type, domain)
        self._questions.put(key, question)
        self._names.asked(key, question, now_us)
        if (early := self._deadlines.push(now_us, (key, question))) is not None:
            self._give_up(*early)
        return question

    def _answer(self, packet: Packet, message: Message, now_us: int) -> None:
        key = (packet.destination_ip, packet.source_ip, packet.vlan, message.question)
        question = self._questions.get(key)
        if question is None:  # only this direction is seen
            question = self._ask(key, message, packet, now_us)
        code = message.response_code
        if not question.waiting:
            return
        question.waiting = False
        question.time_us = packet.time_us
        self._names.answered(key, question.domain, packet.payload_length)
        for record in message.answers:
            if record.record_type in (A, AAAA):
                self._named.tell(record.data, packet.vlan)
        self._count(key, question, code)
        self._hold(key, question, code, message.answers)

    def _count(self, key: _Key, question: Question, code: int) -> None:
        """Keep the client's share of names that don't exist, and the domains they are in."""
        client = self._clients.get((key[0], key[2]))
        if client is None:
            client = _Client()
            self._clients.put((key[0], key[2]), client)
        if client.answers >= _WHOLE:
            client.answers >>= 1
            client.failures >>= 1
        client.answers += 1
        if code == NXDOMAIN:
            client.failures += 1
            if question.record_type in _ADDRESSES and question.domain and question.domain[-1] not in PRIVATE_TOPS:
                self._failed.add((key[0], key[2]), question.time_us, question.domain)

    def _hold(self, key: _Key, question: Question, code: int, answers: list[Record]) -> None:
        if not self._state_queries:
            return
        full = (*key, code)
        held = self._held.get(full)
        if held is not None:
            held.count += question.count
            held.time_us = max(held.time_us, question.time_us)
            return
        place = (key[0], question.domain)
        used = self._room.get(place, 0)
        if used >= MAX_FACTS_A_DOMAIN or len(self._held) >= MAX_QUERIES:
            self.held_back += 1
            return
        self._room[place] = used + 1
        texts = [record.text for record in answers if record.text]
        self._held[full] = _Stated(
            question.time_us, question.labels, question.record_type, question.domain, code, question.count, texts
        )

    def _give_up(self, key: _Key, question: Question) -> None:
        if question.waiting:
            question.waiting = False
            self._hold(key, question, _NEVER_ANSWERED, [])

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for key, question in self._deadlines.due(now_us):
            self._give_up(key, question)
        held, self._held, self._room = self._held, {}, {}
        facts = [_query(client, server, vlan, one) for (client, server, vlan, _, _), one in held.items()]
        facts += self._names.tick()
        for (client, vlan), failed in self._failed.take().items():
            known = self._clients.get((client, vlan)) or _Client(1, 1)
            facts += _nxdomain(client, vlan, failed.time_us, sorted(failed.targets), known)
        for (source, destination, vlan), foreign in self._foreign.take_without_flood().items():
            facts.append(_not_dns(source, destination, vlan, foreign))
        return facts

    def finish(self) -> None:
        """Give up waiting; the next tick states it."""
        for key, question in self._deadlines.rest():
            self._give_up(key, question)

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._questions.age()
        self._clients.age()
        self._names.age()
        self._named.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "dns_malformed": self.malformed,
            "dns_queries_held": len(self._questions),
            "dns_queries_forgotten": self._questions.evicted,
            "dns_queries_judged_early": self._deadlines.early,
            "dns_queries_held_back": self.held_back,
            "dns_clients_forgotten": self._clients.evicted,
            "dns_failures_lost": self._failed.lost,
            "dns_foreign_lost": self._foreign.lost + self._foreign.held_back,
            **self._names.counters(),
            **self._named.counters(),
        }


def _query(client: bytes, server: bytes, vlan: int, held: _Stated) -> NetworkEvent:
    code = "" if held.code == _NEVER_ANSWERED else response_code_name(held.code)
    name, kind = name_text(held.labels), type_name(held.record_type)
    fields: dict[str, Any] = {
        "query": name,
        "record_type": kind,
        "domain": name_text(held.domain),
        "answers": held.answers,
        "response_code": code,
        "vlan": vlan,
    }
    said = ", ".join(held.answers[:3]) or code or "unanswered"
    return fact(
        "dns_query",
        held.time_us,
        fields,
        source_ip=address(client),
        destination_ip=address(server),
        destination_port=DNS_PORT,
        protocol="dns",
        count=held.count,
        message=f"{address(client)} asked {address(server)} for {kind} of {name or 'the root'}: {said}"[:1000],
    )


def _not_dns(source: bytes, destination: bytes, vlan: int, held: Held) -> NetworkEvent:
    sender, receiver = address(source), address(destination)
    return fact(
        "not_dns",
        held.time_us,
        {"heads": sorted(held.targets)[:_HEADS], "vlan": vlan},
        source_ip=sender,
        destination_ip=receiver,
        protocol="udp",
        count=held.count,
        message=f"{sender} sent {receiver} something to or from the port of DNS that is no DNS",
    )


def _nxdomain(client: bytes, vlan: int, time_us: int, domains: list[Labels], known: _Client) -> list[NetworkEvent]:
    facts = []
    for at in range(0, len(domains), MAX_LISTED):
        names = [name_text(domain) for domain in domains[at : at + MAX_LISTED]]
        what = names[0] if len(names) == 1 else f"{len(names)} domains"
        facts.append(
            fact(
                "nxdomain",
                time_us,
                {"domains": names, "nxdomain_percent": 100 * known.failures // max(1, known.answers), "vlan": vlan},
                source_ip=address(client),
                protocol="dns",
                count=len(names),
                message=f"{address(client)} asked for names in {what} that do not exist",
            )
        )
    return facts
