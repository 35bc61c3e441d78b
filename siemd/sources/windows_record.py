"""One normaliser of Windows event records, from XML or evtx-like JSON, to LogEvents with the names Sigma rules use."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from typing import Any

from siemd.events import LogEvent, clamp_time_us
from siemd.sources.sshd import parse_sshd
from siemd.sources.windows_xml import RecordError, clean_text, free_name, parse_event_xml

MAX_FIELDS = 2_000
MAX_DEPTH = 24
MAX_MESSAGE_CHARS = 4_096
MAX_SENTENCE_CHARS = 600
MAX_SYSTEM_NAMES = 64

TABLES = {"security": "security_logs", "system": "system_logs", "application": "application_logs"}
LEVELS = {1: "critical", 2: "error", 3: "warning", 4: "information", 5: "verbose"}

_PARTS = ("EventData", "UserData", "ProcessingErrorData", "DebugData", "BinaryEventData")
_NUMBERS = frozenset(("EventID", "Version", "Level", "Task", "Opcode", "EventRecordID"))
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?")
_SYSTEM_NAMES = {  # the element or attribute of System -> the flat name rules use; others keep Element_Attribute
    "TimeCreated_SystemTime": ("TimeCreated",),
    "Security_UserID": ("Security_UserID", "UserID"),
    "Execution_ProcessID": ("Execution_ProcessID", "ProcessID"),
    "Execution_ThreadID": ("Execution_ThreadID", "ThreadID"),
}
# In these events of the Security log the account that logs on is the target; in all others the subject acts.
_TARGET_IS_USER = {
    *range(4624, 4628), 4634, 4647, 4648, 4649, 4675, 4740, 4767, *range(4768, 4780), *range(4800, 4804), 4964,
}  # fmt: skip
_USERS = ("SubjectUserName", "TargetUserName", "AccountName", "UserName", "User")
_TARGETS_FIRST = ("TargetUserName", "AccountName", "SubjectUserName")
_ADDRESSES = ("IpAddress", "SourceIp", "SourceAddress", "ClientAddress", "ClientIP", "Address")


def event_from_xml(text: str, message: str = "") -> LogEvent:
    """The LogEvent of one record's XML, with the message that Windows rendered beside it; raises RecordError."""
    record = parse_event_xml(text)
    if message and isinstance(event := record.get("Event"), dict):
        event["RenderingInfo"] = {"Message": message}
    return event_from_record(record)


def event_from_record(record: dict[str, Any]) -> LogEvent:
    """The LogEvent of an evtx-like dict, `{"Event": {"System": ...}}` or its inside; raises RecordError.

    A name in EventData or UserData wins over the same name in System (event 104 tells in `Channel` which log was
    cleared), except EventID; the LogEvent's attributes come from System.
    """
    event = record.get("Event", record)
    system = event.get("System") if isinstance(event, dict) else None
    if not isinstance(system, dict):
        raise RecordError("no System element: not a Windows event")
    header = _system_fields(system)
    data: dict[str, Any] = {}
    for part in _PARTS:
        content = event.get(part)
        if content is None or content == "":
            continue
        if not isinstance(content, dict):
            content = {"Data": content}
        elif part == "UserData":
            content = {name: value for name, value in content.items() if name != "#attributes"}
        _flatten_content(part, content, data, 1)
    fields = {**header, **data, "EventID": header["EventID"]}
    rendered = event.get("RenderingInfo")
    message = rendered.get("Message") if isinstance(rendered, dict) else None
    if not isinstance(message, str):
        return build_event(header, fields, "")
    fields.setdefault("Message", clean_text(message))
    return build_event(header, fields, message)


def build_event(header: dict[str, Any], fields: dict[str, Any], message: str) -> LogEvent:
    """The LogEvent of flat fields. header: the System part, which names of EventData may hide in `fields`."""
    channel, provider = str(header.get("Channel", "")), str(header.get("Provider_Name", ""))
    event_id = number(header.get("EventID")) or 0
    event = LogEvent(
        time_us=parse_time_us(str(header.get("TimeCreated", ""))),
        table=TABLES.get(channel.lower(), "channel_logs"),
        platform="windows",
        channel=channel,
        provider=provider,
        event_id=event_id,
        level=LEVELS.get(number(header.get("Level")) or 0, "information"),
        message=message.strip()[:MAX_MESSAGE_CHARS] or _sentence(event_id, provider, header, fields),
        record_id=number(header.get("EventRecordID")) or 0,
        computer=str(header.get("Computer", "")),
        user_name=_user_name(channel, event_id, fields),
        source_ip=_source_ip(fields),
        fields=fields,
    )
    for name in [name for name in fields if " " in name]:  # Defender's "Threat Name" is ThreatName to rules
        fields.setdefault(name.replace(" ", ""), fields[name])
    if provider == "OpenSSH" and (login := parse_sshd(str(fields.get("payload", "")))):
        event.user_name, event.source_ip = login.user_name, login.source_ip
        fields.update(login.fields())
    return event


def parse_time_us(text: str) -> int:
    """UTC microseconds of `2026-03-11T05:16:41.8157206Z` and its kin; without a zone it is UTC. Raises RecordError."""
    match = _TIME.fullmatch(text.strip()) if len(text) < 64 else None
    if not match:
        raise RecordError(f"no readable time of creation: {text[:64]!r}")
    zone = match[4] if match[4] and match[4][0] in "+-" else "+00:00"
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
        seconds = (moment - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise RecordError(f"no such time: {text!r}") from None
    return clamp_time_us(int(seconds) * 1_000_000 + int((match[3] or "0").ljust(6, "0")[:6]))


def number(value: Any) -> int | None:
    """A whole number from 0 to 2**63 - 1 out of a number or its text (decimal or 0x), None for anything else."""
    if isinstance(value, str) and len(value) < 32:
        try:
            value = int(value, 16 if value[:2] in ("0x", "0X") else 10)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 1 << 63 else None


def _system_fields(system: dict[str, Any]) -> dict[str, Any]:
    """System, flat: `Provider_Name`, `EventID` (int), `TimeCreated`, `ProcessID` ... with what is empty left out."""
    flat: dict[str, Any] = {"EventID": 0}
    if len(system) > MAX_SYSTEM_NAMES:
        raise RecordError(f"over {MAX_SYSTEM_NAMES} names in System")
    for name, value in system.items():
        if isinstance(value, dict):
            attributes = value.get("#attributes", None if "#text" in value else value)
            if isinstance(attributes, dict):
                _system_attributes(name, attributes, flat)
            value = value.get("#text")
        if value is None or isinstance(value, dict | list) or (isinstance(value, str) and not value.strip()):
            continue
        if name in _NUMBERS:
            whole = number(value)
            flat[name] = as_text(value) if whole is None else whole
        elif name == "Keywords" and type(value) is int:
            flat[name] = hex(value & (1 << 64) - 1)
        else:
            flat[name] = as_text(value)
    return flat


def _system_attributes(name: str, attributes: dict[str, Any], flat: dict[str, Any]) -> None:
    if len(attributes) > MAX_SYSTEM_NAMES:
        raise RecordError(f"over {MAX_SYSTEM_NAMES} attributes in System")
    for attribute, content in attributes.items():
        if content is None or content == "" or attribute.startswith("xmlns"):
            continue
        full = f"{name}_{attribute.removeprefix('@')}"
        value: Any = as_text(content)
        if name == "Execution" and (whole := number(content)) is not None:
            value = whole
        for target in _SYSTEM_NAMES.get(full, (full,)):
            flat[target] = value


def _flatten_content(name: str, content: dict[str, Any], data: dict[str, Any], depth: int) -> None:
    """Put what is in one element into `data`, each value under its own name, whatever it is nested in."""
    if depth > MAX_DEPTH:
        raise RecordError(f"nested more than {MAX_DEPTH} deep")
    for child, value in content.items():
        if child == "#text":
            if len(content) > 1 and isinstance(value, str) and not value.strip():
                continue  # blanks between elements
            child = name
        elif child == "#attributes":
            if isinstance(value, dict):
                for attribute, text in value.items():
                    if not attribute.startswith("xmlns") and text not in (None, ""):
                        _set(data, f"{name}_{attribute}", as_text(text))
            continue
        if type(value) is str:
            _set(data, child, [as_text(value)] if child == "Data" else as_text(value))
        elif isinstance(value, dict):
            _flatten_content(child, value, data, depth + 1)
        elif child == "Data":
            _set_data(data, value if isinstance(value, list) else [value])
        else:
            _set(data, child, as_text(value))
        if len(data) > MAX_FIELDS:
            raise RecordError(f"over {MAX_FIELDS} fields")


def _set_data(data: dict[str, Any], items: list[Any]) -> None:
    """A list of Data: plain values, or `{"@Name": "X", "#text": "v"}` as general XML converters write them."""
    for item in items:
        label = (item.get("@Name") or item.get("Name")) if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(label, str):
            _set(data, label, as_text(item.get("#text")))
        else:
            _set(data, "Data", [as_text(item)])


def _set(data: dict[str, Any], name: str, value: str | list[str]) -> None:
    """A name that is there already gets a number, as evtx tools do; unnamed Data become one list."""
    if name in data:
        if isinstance(value, list):
            data[name] += value
            return
        name = free_name(data, name)
    data[name] = value


def as_text(value: Any) -> str:
    """A value as Windows writes it into XML: `true`, `5`, the text itself; nothing but white space is empty."""
    if type(value) is str:
        if _UNCLEAN.search(value):
            value = clean_text(value)
        return "" if value[:1].isspace() and value.isspace() else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(as_text(item) if not isinstance(item, list | dict) else "" for item in value)
    return "" if isinstance(value, dict) else str(value)


def _user_name(channel: str, event_id: int, fields: dict[str, Any]) -> str:
    target_first = event_id in _TARGET_IS_USER and channel.lower() == "security"
    for name in _TARGETS_FIRST if target_first else _USERS:
        value = fields.get(name)
        if isinstance(value, str) and value not in ("", "-"):
            return value.rpartition("\\")[2][:256]
    if event_id == 1149 and isinstance(value := fields.get("Param1"), str):  # RDP: user, domain and address
        return value[:256]
    return ""


def _source_ip(fields: dict[str, Any]) -> str:
    for name in _ADDRESSES:
        if name in fields and (address := ip_text(fields[name])):
            return address
    return ip_text(fields.get("Param3", "")) if fields.get("EventID") == 1149 else ""


def ip_text(value: Any) -> str:
    """The canonical form of an address (`::ffff:10.0.0.1` and `10.0.0.1:5555` as 10.0.0.1), "" for anything else.

    Loopback stays: a logon from 127.0.0.1 or ::1 says that it came through this very host.
    """
    if not isinstance(value, str) or not 2 <= len(value) <= 64:
        return ""
    if value.count(":") == 1 and "." in value:
        value = value.partition(":")[0]
    elif value.startswith("["):
        value = value[1:].partition("]")[0]
    try:
        address = ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return "" if address.is_unspecified else str(address)


def _sentence(event_id: int, provider: str, header: dict[str, Any], fields: dict[str, Any]) -> str:
    """`4625 Microsoft-Windows-Security-Auditing: TargetUserName=bob IpAddress=10.0.0.1 ...`, bounded."""
    parts = [f"{event_id} {provider}:"]
    size = len(parts[0])
    for name, value in fields.items():
        if value in ("", "-") or header.get(name) == value:
            continue
        piece = " ".join(value)[:320] if isinstance(value, list) else f"{name}={str(value)[:160]}"
        size += len(piece) + 1
        if size > MAX_SENTENCE_CHARS:
            parts.append("...")
            break
        parts.append(piece)
    return " ".join(" ".join(parts).split())
