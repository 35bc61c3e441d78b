"""What pings carry: the filling of an operating system, or data."""

from __future__ import annotations

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import address, fact
from siemd.sources.sniffer.observers.dns_names import entropy
from siemd.sources.sniffer.packet import ICMP, ICMPV6, Packet
from siemd.sources.sniffer.state import Aging

HEAD_BYTES = 24  # where pings keep time, number and name of the sender: these differ from ping to ping by nature
_COMPARED = 64  # bytes behind the head that tell one content from another
_NUMBERS = 1 << 16
_HEADS = 4  # first words in one fact
_KEPT_BYTES = 128  # of a request, to compare its reply with
_CONTENTS = 3  # contents of a pair that are remembered: two hosts may ping each other in several ways at once
_SAMPLE_BYTES = 512
_LONGEST_PATTERN = 16  # of ping -p
_ECHOES = {(ICMP, 8): False, (ICMP, 0): True, (ICMPV6, 128): False, (ICMPV6, 129): True}  # whether it is a reply

_RAMP = bytes(range(256)) * 2  # of ping on Unix
_ALPHABETS = (b"abcdefghijklmnopqrstuvw" * 5, b"abcdefghijklmnopqrstuvwxyz" * 5)  # of Windows, of others

_Key = tuple[bytes, bytes, int]  # who asks, who is asked, VLAN


class _Pair(msgspec.Struct):
    """The pings of one host to another. ident, number, request, length: of the last request, to know its reply by.

    contents: what lay behind the heads of the last requests, replies: what replies that differed from them held.
    """

    ident: int = -1
    number: int = -1
    request: bytes = b""
    length: int = 0
    new: bool = False
    contents: tuple[bytes, ...] = ()
    replies: tuple[bytes, ...] = ()


class _Held(msgspec.Struct):
    """What becomes a fact."""

    time_us: int
    count: int = 0
    largest: int = 0
    data_bytes: int = 0
    text_bytes: int = 0
    altered: int = 0
    patterns: int = 0
    sample: bytearray = msgspec.field(default_factory=bytearray)
    heads: set[str] = msgspec.field(default_factory=set)


class PayloadObserver:
    """States `icmp_payload` for pairs of hosts whose pings carry more than a filling. feed takes ICMP and ICMPv6."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._pairs: Aging[_Key, _Pair] = Aging(cap)
        self._held: dict[_Key, _Held] = {}
        self.lost = 0

    def feed(self, packet: Packet) -> None:
        """Look at one packet."""
        reply = _ECHOES.get((packet.protocol, packet.icmp_type))
        if reply is None:
            return
        source, destination, vlan = packet.source_ip, packet.destination_ip, packet.vlan
        key = (destination, source, vlan) if reply else (source, destination, vlan)
        pair = self._pairs.get(key)
        if pair is None:
            pair = _Pair()
            self._pairs.put(key, pair)
        if reply:
            self._reply(key, pair, packet)
        else:
            self._request(key, pair, packet)

    def _request(self, key: _Key, pair: _Pair, packet: Packet) -> None:
        pair.ident, pair.number = packet.ident, packet.seq
        pair.request, pair.length = packet.payload[:_KEPT_BYTES], packet.payload_length
        pair.new = self._content(key, pair, packet)

    def _reply(self, key: _Key, pair: _Pair, packet: Packet) -> None:
        payload = packet.payload
        answers_last = (pair.ident, pair.number) == (packet.ident, packet.seq)
        if answers_last and _is_echo(pair, payload, packet.payload_length):
            return
        ahead = packet.ident == pair.ident and 0 < (packet.seq - pair.number) % _NUMBERS < _NUMBERS // 2
        if not answers_last and not ahead:  # several are on their way at once, or only replies are seen
            self._content(key, pair, packet)
            return
        if ahead and _is_known(payload[HEAD_BYTES : HEAD_BYTES + _COMPARED], pair.contents):
            return  # its request was lost to us
        content = payload[:_COMPARED]
        new = not _is_known(content, pair.replies)
        if new:
            pair.replies = (content, *pair.replies[: _CONTENTS - 1])
            self._carry(key, packet, content)
        if (new or (pair.new and answers_last)) and (held := self._hold(key, packet)) is not None:
            held.altered += 1

    def _content(self, key: _Key, pair: _Pair, packet: Packet) -> bool:
        """Look at what lies behind the head; whether it is new."""
        content = packet.payload[HEAD_BYTES : HEAD_BYTES + _COMPARED]
        if _is_known(content, pair.contents):
            return False
        pair.contents = (content, *pair.contents[: _CONTENTS - 1])
        self._carry(key, packet, content)
        return True

    def _carry(self, key: _Key, packet: Packet, content: bytes) -> None:
        held = self._hold(key, packet)
        if held is None:
            return
        held.largest = max(held.largest, packet.payload_length)
        if _is_pattern(content):
            held.patterns += 1
            return
        held.count += 1
        if len(held.heads) < _HEADS:
            held.heads.add(packet.payload[:4].hex())
        held.data_bytes += packet.payload_length
        if sum(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in content) >= 0.9 * len(content):
            held.text_bytes += packet.payload_length
        if len(held.sample) < _SAMPLE_BYTES:
            held.sample += content

    def _hold(self, key: _Key, packet: Packet) -> _Held | None:
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= self._cap:
                self.lost += 1
                return None
            held = self._held[key] = _Held(packet.time_us)
        held.time_us = max(held.time_us, packet.time_us)
        return held

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        taken, self._held = self._held, {}
        facts = []
        for (source, destination, vlan), held in taken.items():
            asks, asked = address(source), address(destination)
            facts.append(
                fact(
                    "icmp_payload",
                    held.time_us,
                    {
                        "data_bytes": held.data_bytes,
                        "text_bytes": held.text_bytes,
                        "largest": held.largest,
                        "altered_replies": held.altered,
                        "patterns": held.patterns,
                        "heads": sorted(held.heads),
                        "entropy": round(entropy(held.sample), 2),
                        "vlan": vlan,
                    },
                    source_ip=asks,
                    destination_ip=asked,
                    protocol="icmp" if len(source) == 4 else "icmpv6",
                    count=max(1, held.count),
                    message=f"{held.data_bytes} bytes of data in pings between {asks} and {asked}",
                )
            )
        return facts

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._pairs.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "icmp_payloads_held": len(self._pairs),
            "icmp_payloads_forgotten": self._pairs.evicted,
            "icmp_payloads_lost": self.lost,
        }


def _is_echo(pair: _Pair, payload: bytes, length: int) -> bool:
    """Whether a reply repeats the request, or the beginning of it as some hosts do (8.8.8.8: 64 bytes)."""
    size = min(len(payload), len(pair.request))
    return length <= pair.length and (length > 0 or not pair.length) and payload[:size] == pair.request[:size]


def _is_known(content: bytes, contents: tuple[bytes, ...]) -> bool:
    """Whether the content is an operating system's filling, or one of these but for its length."""
    if not content:
        return True
    if content == _RAMP[content[0] : content[0] + len(content)] or content.count(content[0]) == len(content):
        return True
    if any(content in alphabet for alphabet in _ALPHABETS):
        return True
    return any(content.startswith(one) or one.startswith(content) for one in contents)


def _is_pattern(content: bytes) -> bool:
    """Whether a few bytes are repeated all over, as ping -p does."""
    return any(content[size:] == content[:-size] for size in range(1, min(_LONGEST_PATTERN, len(content) // 2) + 1))
