"""Audit records of Linux: the names and values that rules for auditd look at, by every way into the journal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.sources.audit_record import audit_fields
from siemd.sources.journal_record import event_from_journal

TIME = {"__REALTIME_TIMESTAMP": "1767225600000000"}
KERNEL = {**TIME, "_TRANSPORT": "audit", "SYSLOG_IDENTIFIER": "audit"}
XML = (
    '<Event><System><Provider Name="Linux-Sysmon" Guid="{x}"/><EventID>1</EventID><Level>4</Level>'
    '<TimeCreated SystemTime="2026-01-01T00:00:00.5Z"/><EventRecordID>7</EventRecordID>'
    "<Channel>Linux-Sysmon/Operational</Channel><Computer>web</Computer></System><EventData>"
    '<Data Name="Image">/usr/bin/nc</Data><Data Name="CommandLine">nc -e /bin/sh</Data></EventData></Event>'
)


def named(**fields: Any) -> dict[str, Any]:
    return event_from_journal({**KERNEL, **fields}).fields


def test_arguments_as_journald_leaves_them() -> None:
    fields = named(
        _AUDIT_TYPE_NAME="EXECVE",
        _AUDIT_FIELD_ARGC="4",
        _AUDIT_FIELD_A0='"sh"',
        _AUDIT_FIELD_A1='"-c"',
        _AUDIT_FIELD_A2="6C73202D6C",
        _AUDIT_FIELD_A3='"6C73"',
    )
    assert [fields[name] for name in ("type", "argc", "a0", "a1", "a2", "a3")] == [
        "EXECVE", "4", "sh", "-c", "ls -l", "6C73",
    ]  # fmt: skip
    assert fields["_AUDIT_FIELD_A0"] == '"sh"'


def test_system_calls_have_their_names_and_their_arguments_stay_numbers() -> None:
    record = {"_AUDIT_TYPE_NAME": "SYSCALL", "_AUDIT_FIELD_ARCH": "c000003e", "_AUDIT_FIELD_SYSCALL": "41"}
    fields = named(**record, _AUDIT_FIELD_A0="26", _EXE="/usr/bin/x", _COMM="x", _AUDIT_FIELD_KEY='"net"', _EUID="33")
    assert [fields[name] for name in ("syscall", "SYSCALL", "a0", "exe", "comm", "key", "euid")] == [
        "41", "socket", "26", "/usr/bin/x", "x", "net", "33",
    ]  # fmt: skip
    assert named(**{**record, "_AUDIT_FIELD_ARCH": "c00000b7"})["SYSCALL"] == "pivot_root"
    assert named(**{**record, "_AUDIT_FIELD_ARCH": "c00000b7", "_AUDIT_FIELD_SYSCALL": "198"})["SYSCALL"] == "socket"
    assert named(**{**record, "_AUDIT_FIELD_ARCH": "40000003"}).get("SYSCALL") is None


def test_what_programs_report() -> None:
    fields = named(_AUDIT_TYPE_NAME="SERVICE_STOP", _COMM="x", AUDIT_FIELD_UNIT="auditd", AUDIT_FIELD_COMM="systemd")
    assert [fields[name] for name in ("type", "unit", "comm")] == ["SERVICE_STOP", "auditd", "systemd"]


def test_text_that_journald_has_read_is_not_read_again() -> None:
    fields = named(_AUDIT_TYPE_NAME="PATH", _AUDIT_FIELD_NAME="20", _EXE="20", _AUDIT_FIELD_CWD="2F746D702F6120")
    assert [fields[name] for name in ("name", "exe", "cwd")] == ["20", "20", "/tmp/a "]


LINES = {
    'type=EXECVE msg=audit(1.2:3): argc=3 a0="ls" a1="-l" a2=2F746D702F612062': {
        "type": "EXECVE", "argc": "3", "a0": "ls", "a1": "-l", "a2": "/tmp/a b",
    },
    'node=web type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=59 success=yes exe="/bin/ls" SYSCALL=execve': {
        "type": "SYSCALL", "arch": "c000003e", "syscall": "59", "success": "yes", "exe": "/bin/ls", "SYSCALL": "execve",
    },
    "type=USER_LOGIN msg=audit(1.2:3): pid=1 uid=0 msg='op=login acct=\"root\" res=failed'": {
        "type": "USER_LOGIN", "pid": "1", "uid": "0", "op": "login", "acct": "root", "res": "failed",
    },
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_lines_of_auditds_plugin_for_syslog(line: str) -> None:
    assert audit_fields({}, line, from_kernel=False) == LINES[line]
    record = {**TIME, "SYSLOG_IDENTIFIER": "audisp-syslog", "MESSAGE": line}
    assert event_from_journal({**record, "_UID": "0"}).fields.items() >= LINES[line].items()
    assert "type" not in event_from_journal({**record, "_UID": "1000"}).fields


def test_sysmon_for_linux_logs_events_of_its_own() -> None:
    record = {**TIME, "SYSLOG_IDENTIFIER": "sysmon", "MESSAGE": XML}
    event = event_from_journal({**record, "_UID": "0"})
    assert (event.platform, event.channel, event.event_id) == ("windows", "Linux-Sysmon/Operational", 1)
    assert (event.computer, event.fields["Image"]) == ("web", "/usr/bin/nc")
    assert event_from_journal({**record, "_UID": "1000"}).platform == "linux"
    assert event_from_journal({**record, "MESSAGE": "<Event>"}).platform == "linux"


@given(st.dictionaries(st.text(max_size=20), st.one_of(st.text(max_size=20), st.none())), st.text(max_size=80))
def test_any_record_gives_texts(record: dict[str, Any], message: str) -> None:
    for from_kernel in (True, False):
        found = audit_fields(record, f"type=X msg=audit(1): {message}", from_kernel=from_kernel)
        assert all(isinstance(value, str) for value in found.values())
