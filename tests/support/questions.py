"""What search should find, worked out in plain Python over rows as they were written; and rows that make it hard."""

from __future__ import annotations

import ipaddress
import json
import random
from typing import Any

from siemd.events import Alert, Batch, LogEvent, NetworkEvent, UsageSample
from siemd.storage.conditions import Filter
from siemd.storage.tables import FIT, ROW_OF, TABLES, table_of
from siemd.storage.words import parse_words

EPOCH_US = 1_767_225_600_000_000  # 2026-01-01
USERS = [
    "",
    "root",
    "ROOT",
    "Ärger",
    "ärger",
    "o'brien",
    "100%",
    "a_b",
    "back\\slash",
    "žluť",
    "user ",
    "user",
    "é",
    "e",
]
TEXTS = [
    "",
    "Failed password for root",
    "failed PASSWORD",
    'said "hello" to C:\\Windows',
    "50% of a_b",
    "ÄRGER mit ärger",
    "tab\there",
    "it's; DROP TABLE logs -- ",
    "e",
    "é",
    "nothing!",
    "x" * 50,
]
ADDRESSES = [
    "",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.1.77",
    "10.1.2.3",
    "192.168.255.1",
    "2001:db8::1",
    "2001:db8:0:0::ff",
    "fe80::1",
    "::ffff:10.0.0.9",
    "not an address",
    "10.0.0.300",
    "10.0.0",
    "host-10.0.0.1",
]
NATIVE = ["TargetUserName", "port", "ports", "names", "flag", "Process Name", "a.b"]
NATIVE_VALUES = [
    "root",
    "ROOT",
    "Ärger",
    "443",
    "44",
    443,
    44,
    -7,
    0,
    1.5,
    True,
    False,
    None,
    [22, 443],
    [443],
    ["root", "x"],
    ["443"],
    [],
    "10.0.0.7",
    "C:\\Windows\\cmd.exe",
    'a "quoted" one',
    "50%",
    "a,443,b",
    ["a,443,b"],
]
HOSTS = ["sensor-1", "sensor-2"]
CASELESS = {"user_name", "message", "channel", "provider", "computer", "title", "reason"}
WORDS_IN = {
    "logs": ["message", "user_name", "source_ip", "destination_ip", "event_type", "fields"],
    "security_logs": ["message", "user_name", "source_ip", "provider", "computer", "fields"],
    "usage_data": ["host"],
    "alerts": ["title", "rule", "reason", "group_values", "tags", "evidence"],
}


def batches(seed: int, count: int) -> list[Batch]:
    """Batches with about `count` events in each kind of table; many share their time, down to the microsecond."""
    dice = random.Random(seed)
    pick = dice.choice
    events: dict[tuple[str, str], list[Any]] = {}
    for _ in range(count):
        for kind in ("sniffer", "windows", "metrics", "detection"):
            host = pick(HOSTS)
            mine = events.setdefault((host, kind), [])
            mine.append(_event(dice, kind, host, len(mine) + 1))
    return [Batch(host=host, source=kind, epoch=1, events=found) for (host, kind), found in events.items()]


def _event(dice: random.Random, kind: str, host: str, seq: int) -> Any:
    pick = dice.choice
    time_us = EPOCH_US + pick([0, 1, 59_999_999, 60_000_000, 3_600_000_000]) * dice.randrange(4) + dice.randrange(3)
    origin: dict[str, Any] = {"host": host, "source": kind, "seq": seq, "time_us": time_us}
    fields = {name: pick(NATIVE_VALUES) for name in NATIVE if dice.random() < 0.5}
    if kind == "sniffer":
        return NetworkEvent(
            event_type=pick(["ping", "tcp_probe", "udp_probe"]),
            source_ip=pick(ADDRESSES),
            destination_ip=pick(ADDRESSES),
            source_port=pick([None, 0, 1024]),
            destination_port=pick([None, 22, 443]),
            protocol=pick(["tcp", "udp"]),
            count=pick([1, 2, 1000]),
            user_name=pick(USERS),
            message=pick(TEXTS),
            fields=fields,
            **origin,
        )
    if kind == "windows":
        return LogEvent(
            table="security_logs",
            platform="windows",
            channel=pick(["Security", "security", "Setup"]),
            provider=pick(["Microsoft-Windows", "sshd"]),
            event_id=pick([4624, 4625, 1102]),
            level=pick(["", "warning"]),
            record_id=seq,
            computer=pick(["PC-1", "pc-1", "PC-2"]),
            user_name=pick(USERS),
            source_ip=pick(ADDRESSES),
            message=pick(TEXTS),
            fields=fields,
            **origin,
        )
    if kind == "metrics":
        return UsageSample(cpu_percent=pick([0.0, 12.5, 99.9]), ram_percent=pick([40.0, 41.0]), **origin)
    return Alert(
        incident_id=f"{host}-{seq}",
        rule=pick(["ping", "port_scan_syn"]),
        rule_id="r",
        title=pick(TEXTS),
        count=pick([1, 10]),
        level=pick(["low", "high"]),
        first_seen_us=time_us - 5,
        last_seen_us=time_us,
        status=pick(["open", "closed"]),
        group={"source_ip": pick(ADDRESSES), **fields},
        tags=pick([[], ["attack.t1046"], ["attack.t1046", "x"], ["X"]]),
        reason=pick(TEXTS),
        evidence=[{"message": pick(TEXTS)}],
        **origin,
    )


def stored_rows(given: list[Batch]) -> dict[str, list[dict[str, Any]]]:
    """The rows by table that batches become, by column name."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for one in given:
        for event in one.events:
            table = table_of(event)
            row, _changed = FIT[table](ROW_OF[type(event)](event, one.host, one.source, one.epoch))
            rows.setdefault(table, []).append(dict(zip(TABLES[table].names, row, strict=True)))
    return rows


def expected(rows: list[dict[str, Any]], table: str, filters: list[Filter], words: str) -> list[dict[str, Any]]:
    """The rows that meet all filters and words."""
    return [row for row in rows if all(_meets(row, one) for one in filters) and _has_words(row, table, words)]


def _has_words(row: dict[str, Any], table: str, words: str) -> bool:
    for word in parse_words(words):
        inner = json.dumps(word.text, ensure_ascii=False)[1:-1].lower()
        texts = [
            (str(row[name]).lower(), inner if str(row[name])[:1] in "{[" and name in _JSON else word.text.lower())
            for name in WORDS_IN[table]
        ]
        if any(text in whole for whole, text in texts) != word.wanted:
            return False
    return True


_JSON = {"fields", "group_values", "tags", "evidence"}


def _meets(row: dict[str, Any], one: Filter) -> bool:
    if one.op in ("ne", "not_in"):
        return not _meets(row, Filter(one.field, "in" if one.op == "not_in" else "eq", one.value))
    head, dot, native = one.field.partition(".")
    if dot or head == "tags":
        data = json.loads(row[head])
        return _json_meets(data.get(native) if dot else data, one, missing=bool(dot) and native not in data)
    value = row[head]
    if one.op == "exists":
        return (value not in ("", None)) == (one.value is not False)
    if one.op == "cidr":
        return _inside(value, str(one.value))
    if value is None:
        return False
    if one.op in ("gt", "gte", "lt", "lte"):
        return _compares(float(value), one.op, float(one.value))  # type: ignore[arg-type]
    same = (lambda text: str(text).lower()) if head in CASELESS else str
    if isinstance(value, int | float):
        return value in (one.value if isinstance(one.value, list) else [one.value])
    return _text_meets(same(value), one.op, [same(given) for given in _given(one)])


def _given(one: Filter) -> list[Any]:
    return one.value if isinstance(one.value, list) else [one.value]


def _text_meets(text: str, op: str, given: list[str]) -> bool:
    if op in ("eq", "in"):
        return text in given
    return text.startswith(given[0]) if op == "prefix" else given[0] in text


def _json_meets(value: Any, one: Filter, *, missing: bool) -> bool:
    if one.op == "exists":
        return (
            (value not in (None, [])) == (one.value is not False)
            if one.field == "tags"
            else ((not missing and value is not None) == (one.value is not False))
        )
    if missing:
        return False
    if one.op in ("eq", "in"):
        values = value if isinstance(value, list) else [value]
        return any(_scalar(item) == _scalar(given) for item in values for given in _given(one) if item is not None)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if one.op == "contains":
        return json.dumps(str(one.value), ensure_ascii=False)[1:-1].lower() in text.lower()
    if one.op == "cidr":
        return isinstance(value, str) and _inside(value, str(one.value))
    if one.op == "prefix":
        return not isinstance(value, list) and value is not None and _scalar(value).startswith(_scalar(one.value))
    try:
        return not isinstance(value, list | bool) and _compares(float(value), one.op, float(one.value))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False


def _scalar(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value).lower()


def _compares(left: float, op: str, right: float) -> bool:
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[op]


def _inside(text: str, network: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    net = ipaddress.ip_network(network, strict=False)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped if mapped is not None and net.version == 4 else address) in net
