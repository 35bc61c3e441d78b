"""Normalises one journald record (`journalctl -o json`) into a LogEvent with native field names."""

from __future__ import annotations

from typing import Any

from siemd.events import LogEvent, clamp_time_us
from siemd.sources.audit_record import SYSLOG_IDENTIFIERS, audit_fields
from siemd.sources.sshd import parse_sshd
from siemd.sources.windows_record import event_from_xml
from siemd.sources.windows_xml import RecordError, clean_text

MAX_FIELDS = 512
MAX_VALUE_CHARS = 32_768
MAX_MESSAGE_CHARS = 4_096

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
LEVELS = ("critical", "critical", "critical", "error", "warning", "information", "information", "verbose")
SSHD_IDENTIFIERS = ("sshd", "sshd-session", "sshd-auth")
SYSMON_IDENTIFIER = "sysmon"
SUDO_IDENTIFIER = "sudo"
_TRUSTED_USERS = ("", "0")  # anyone may log as "sshd"; whose process it was says journald, unless it does not know

_SUDO_FIELDS = ("TTY", "PWD", "USER", "GROUP", "TSID", "ENV", "HOST", "CHROOT")

_SECURITY = ("auth", "authpriv", "audit")
_SYSTEM = ("kern", "daemon", "syslog", "cron", "ntp", "clock")
_LEFT_OUT = ("__CURSOR", "__MONOTONIC_TIMESTAMP", "__SEQNUM", "__SEQNUM_ID", "_BOOT_ID")


def event_from_journal(record: dict[str, Any]) -> LogEvent:
    """The LogEvent of one record; raises RecordError when it has no time.

    Facilities auth, authpriv and audit go to security_logs; kern, daemon, syslog, cron, ntp, clock, and what the
    kernel, the audit system and systemd itself log, to system_logs; the rest to application_logs. A record of Sysmon
    for Linux is the event that its text holds; one of the audit system has that system's own names too.
    """
    if len(record) > MAX_FIELDS:
        raise RecordError(f"over {MAX_FIELDS} fields")
    time_text = text_of(record.get("__REALTIME_TIMESTAMP"))
    if not time_text.isascii() or not time_text.isdigit() or len(time_text) > 20:
        raise RecordError("no __REALTIME_TIMESTAMP in microseconds")
    fields: dict[str, Any] = {}
    for name, value in record.items():
        if name not in _LEFT_OUT:
            fields[name] = _values(value)
    facility = _facility(fields)
    identifier = first_text(fields.get("SYSLOG_IDENTIFIER")) or first_text(fields.get("_COMM"))
    message = first_text(fields.get("MESSAGE"))
    trusted = first_text(fields.get("_UID")) in _TRUSTED_USERS
    if identifier == SYSMON_IDENTIFIER and trusted and (sysmon := _sysmon_event(message)):
        return sysmon
    from_kernel = fields.get("_TRANSPORT") == "audit"
    if from_kernel or (identifier in SYSLOG_IDENTIFIERS and trusted):
        for name, value in audit_fields(fields, message, from_kernel=from_kernel).items():
            fields.setdefault(name, clean_text(value))
    event = LogEvent(
        time_us=clamp_time_us(int(time_text)),
        table=_table(facility, fields),
        platform="linux",
        channel=facility,
        provider=identifier,
        level=_level(first_text(fields.get("PRIORITY"))),
        message=message[:MAX_MESSAGE_CHARS],
        computer=first_text(fields.get("_HOSTNAME")),
        fields=fields,
    )
    if identifier in SSHD_IDENTIFIERS and trusted:
        _add_login(event, message)
    elif identifier == SUDO_IDENTIFIER:
        _add_sudo(event, message)
    return event


def _sysmon_event(message: str) -> LogEvent | None:
    """The event of Sysmon for Linux, which logs XML as Windows does; None when the text is something else."""
    if not message.startswith("<Event"):
        return None
    try:
        return event_from_xml(message)
    except RecordError:
        return None


def text_of(value: Any) -> str:
    """A journald value as text: it is a string, null when too big, or an array of bytes when not UTF-8."""
    if isinstance(value, str):
        return clean_text(value[:MAX_VALUE_CHARS])
    if isinstance(value, list) and value and all(type(item) is int and 0 <= item < 256 for item in value):
        return clean_text(bytes(value[:MAX_VALUE_CHARS]).decode("utf-8", "replace"))
    if isinstance(value, bool | int | float):
        return str(value)
    return ""


def first_text(value: str | list[str] | None) -> str:
    """The first of the values a field may have, "" without any."""
    if isinstance(value, list):
        return value[0] if value else ""
    return value or ""


def _values(value: Any) -> str | list[str]:
    """A field's value: text, or a list of texts when the field stands several times in the record."""
    if isinstance(value, list) and any(isinstance(item, str | list) for item in value):
        return [text_of(item) for item in value[:MAX_FIELDS]]
    return text_of(value)


def _facility(fields: dict[str, Any]) -> str:
    code = first_text(fields.get("SYSLOG_FACILITY"))
    if code.isascii() and code.isdigit() and len(code) < 4 and int(code) < len(FACILITIES):
        return FACILITIES[int(code)]
    transport = first_text(fields.get("_TRANSPORT"))
    if transport in ("kernel", "audit"):
        return "kern" if transport == "kernel" else "audit"
    return "daemon" if first_text(fields.get("_PID")) == "1" or transport == "driver" else "user"


def _table(facility: str, fields: dict[str, Any]) -> str:
    if facility in _SECURITY:
        return "security_logs"
    return "system_logs" if facility in _SYSTEM else "application_logs"


def _level(priority: str) -> str:
    return LEVELS[int(priority)] if priority in tuple("01234567") else "information"


def _add_sudo(event: LogEvent, message: str) -> None:
    """The parts of `anna : TTY=pts/1 ; PWD=/root ; USER=root ; COMMAND=/usr/bin/id` as fields; COMMAND is the last."""
    user, colon, rest = message.partition(" : ")
    if not colon or " " in user.strip():
        return
    head, command, line = rest.partition("COMMAND=")
    for part in head.split(" ; "):
        name, equals, value = part.strip().partition("=")
        if equals and name in _SUDO_FIELDS:
            event.fields.setdefault(name, value)
    if command:
        event.fields.setdefault("COMMAND", line)


def _add_login(event: LogEvent, message: str) -> None:
    login = parse_sshd(message)
    if login is None:
        return
    event.user_name = login.user_name
    event.source_ip = login.source_ip
    event.fields.update(login.fields())
