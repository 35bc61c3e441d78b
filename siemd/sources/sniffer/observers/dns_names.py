"""Names that one client asks for below one registered domain: what a tunnel through DNS can't hide."""

from __future__ import annotations

import math
from collections import Counter
from zlib import crc32

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.dns import ANY, CNAME, NULL, SRV, TXT, name_text, type_name
from siemd.sources.sniffer.facts import address, fact
from siemd.sources.sniffer.state import Aging, Distinct
from siemd.sources.sniffer.suffixes import Labels

FEWEST_NAMES = 10  # distinct names below a domain; with fewer nothing is stated
MAX_TYPES = 8
_SAMPLE_BYTES = 512  # of new labels, for their entropy
_HASH_DIGITS = frozenset((32, 40))  # MD5 and SHA-1 in hexadecimal; a label has no room for longer ones
_UUID_LETTERS = 36
_PRIVATE_USE = 65_280  # record types from here on are nobody's (RFC 6895, 3.1)
_KEY, _MX = 25, 15
_DATA_TYPES = frozenset((CNAME, NULL, TXT, SRV, ANY, _KEY, _MX))

_Key = tuple[bytes, bytes, int, bytes]


class Question(msgspec.Struct, gc=False):
    """A question that waits for its answer, or had it. domain: the registered one, () without."""

    time_us: int
    labels: Labels
    record_type: int
    domain: Labels
    count: int = 1
    waiting: bool = True


class _Domain(msgspec.Struct):
    """What one client asked of one domain since `began_us`. lookups: names that are addresses, hashes or services."""

    client: bytes
    server: bytes
    vlan: int
    began_us: int
    names: Distinct
    labels: Distinct
    types: list[int]
    sample: bytearray
    time_us: int = 0
    queries: int = 0
    stated: int = 0
    new_bytes: int = 0
    longest: int = 0
    lookups: int = 0
    data_types: int = 0
    answers: int = 0
    answer_bytes: int = 0


class DnsNames:
    """States `dns_names`: at most once a tick for each client and domain that new names were asked of."""

    def __init__(self, window_us: int, cap: int) -> None:
        self._window_us = window_us
        self._domains: Aging[tuple[bytes, int, Labels], _Domain] = Aging(cap)
        self._changed: dict[tuple[bytes, int, Labels], _Domain] = {}

    def asked(self, key: _Key, question: Question, now_us: int) -> None:
        """A client asked a server for a name in a domain; key: client, server, VLAN, question."""
        domain, record_type = question.domain, question.record_type
        own = question.labels[: len(question.labels) - len(domain)]
        if not own:
            return
        client, server, vlan, _ = key
        place = (client, vlan, domain)
        seen = self._domains.get(place)
        if seen is None or now_us - seen.began_us > self._window_us:
            seen = _Domain(client, server, vlan, now_us, Distinct(), Distinct(), [], bytearray())
            self._domains.put(place, seen)
        seen.queries += 1
        seen.time_us = max(seen.time_us, question.time_us)
        if record_type not in seen.types and len(seen.types) < MAX_TYPES:
            seen.types.append(record_type)
        for_data = (record_type in _DATA_TYPES or record_type >= _PRIVATE_USE) and not own[0].startswith(b"_")
        seen.data_types += for_data
        if seen.names.add(crc32(b".".join(own))):
            self._new_name(seen, own, for_data)
            if seen.names.count >= FEWEST_NAMES:
                self._changed[place] = seen

    def _new_name(self, seen: _Domain, own: Labels, for_data: bool) -> None:
        length = sum(map(len, own)) + len(own) - 1
        seen.longest = max(seen.longest, length)
        seen.lookups += is_lookup(own, for_data)
        for label in own:
            if seen.labels.add(crc32(label)):
                seen.new_bytes += len(label)
                if len(seen.sample) < _SAMPLE_BYTES:
                    seen.sample += label

    def answered(self, key: _Key, domain: Labels, size: int) -> None:
        """A question in that domain was answered by a message of `size` bytes."""
        seen = self._domains.get((key[0], key[2], domain))
        if seen is not None:
            seen.answers += 1
            seen.answer_bytes += size

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        changed, self._changed = self._changed, {}
        return [_fact(domain, seen) for (_, _, domain), seen in changed.items()]

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._domains.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"dns_names_held": len(self._domains), "dns_names_forgotten": self._domains.evicted}


def is_lookup(own: Labels, for_data: bool) -> bool:
    """Whether the labels below a domain are an address, a file's hash, a UUID or a service (RFC 8552): looked up.

    for_data: whether a record type was asked for that carries data, as a tunnel does; hashes are asked for addresses.
    """
    if any(label.startswith(b"_") for label in own):
        return True
    if len(own) >= 4 and all(len(label) <= 3 and label.isdigit() for label in own[:4]):
        return True
    if len(own) >= 16 and all(len(label) == 1 for label in own[:16]):
        return True
    if for_data:
        return False
    digits = own[0]
    if len(digits) == _UUID_LETTERS and digits[8:24:5] == b"----":
        digits = digits.replace(b"-", b"")
    if len(digits) not in _HASH_DIGITS:
        return False
    try:
        content = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return False
    return sum(0x20 <= byte < 0x7F for byte in content) < 0.8 * len(content)  # else it is text, written in hexadecimal


def entropy(sample: bytes | bytearray) -> float:
    """Shannon's entropy in bits for each byte."""
    size = len(sample)
    return -sum(count / size * math.log2(count / size) for count in Counter(sample).values()) if size else 0.0


def _fact(domain: Labels, seen: _Domain) -> NetworkEvent:
    names, name = seen.names.count, name_text(domain) or "."
    client = address(seen.client)
    since, seen.stated = seen.queries - seen.stated, seen.queries
    return fact(
        "dns_names",
        seen.time_us,
        {
            "domain": name,
            "questions": seen.queries,
            "unique_names": names,
            "unique_labels": seen.labels.count,
            "unique_percent": 100 * names // seen.queries,
            "mean_length": round(seen.new_bytes / names, 1),
            "longest": seen.longest,
            "name_bytes": seen.new_bytes,
            "entropy": round(entropy(seen.sample), 2),
            "record_types": [type_name(number) for number in sorted(seen.types)],
            "data_type_percent": 100 * seen.data_types // seen.queries,
            "lookup_percent": 100 * seen.lookups // names,
            "answer_bytes": seen.answer_bytes,
            "mean_answer_bytes": seen.answer_bytes // seen.answers if seen.answers else 0,
            "vlan": seen.vlan,
        },
        source_ip=client,
        destination_ip=address(seen.server),
        protocol="dns",
        count=since,
        message=f"{client} asked for {names} names below {name}, of {seen.new_bytes} bytes in all",
    )
