"""Journald records: tables, levels, odd values, logins."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import LogEvent
from siemd.sources.journal_record import event_from_journal
from siemd.sources.windows_xml import RecordError

TIME = {"__REALTIME_TIMESTAMP": "1767225600000000"}


@pytest.mark.parametrize(
    ("fields", "channel", "table"),
    [
        ({"SYSLOG_FACILITY": "4"}, "auth", "security_logs"),
        ({"SYSLOG_FACILITY": "10"}, "authpriv", "security_logs"),
        ({"_TRANSPORT": "audit"}, "audit", "security_logs"),
        ({"SYSLOG_FACILITY": "0"}, "kern", "system_logs"),
        ({"_TRANSPORT": "kernel"}, "kern", "system_logs"),
        ({"SYSLOG_FACILITY": "3"}, "daemon", "system_logs"),
        ({"SYSLOG_FACILITY": "5"}, "syslog", "system_logs"),
        ({"_PID": "1"}, "daemon", "system_logs"),
        ({"SYSLOG_FACILITY": "1"}, "user", "application_logs"),
        ({"SYSLOG_FACILITY": "16"}, "local0", "application_logs"),
        ({"SYSLOG_FACILITY": "99"}, "user", "application_logs"),
        ({"SYSLOG_FACILITY": "²"}, "user", "application_logs"),
        ({}, "user", "application_logs"),
    ],
)
def test_facility_and_table(fields: dict[str, Any], channel: str, table: str) -> None:
    event = event_from_journal({**TIME, **fields})
    assert (event.channel, event.table, event.platform) == (channel, table, "linux")


@pytest.mark.parametrize(
    ("priority", "level"),
    [("0", "critical"), ("2", "critical"), ("3", "error"), ("4", "warning"), ("5", "information"), ("6", "information"),
     ("7", "verbose"), ("8", "information"), ("", "information"), (None, "information"), (["3", "5"], "error")],
)  # fmt: skip
def test_priority_and_level(priority: Any, level: str) -> None:
    assert event_from_journal({**TIME, "PRIORITY": priority}).level == level


def test_odd_values() -> None:
    record = {
        **TIME,
        "MESSAGE": [104, 105, 255, 0],
        "MULTI": ["a", [98]],
        "BIG": None,
        "N": 5,
        "__CURSOR": "s=x",
        "_COMM": "c",
    }
    event = event_from_journal(record)
    assert event.message == "hi\ufffd\ufffd"
    assert event.fields["MULTI"] == ["a", "b"]
    assert (event.fields["BIG"], event.fields["N"], event.provider) == ("", "5", "c")
    assert "__CURSOR" not in event.fields


@pytest.mark.parametrize("identifier", ["sshd", "sshd-session"])
def test_logins(identifier: str) -> None:
    line = "Failed password for invalid user root from 1.2.3.4 port 22 ssh2 from 10.0.0.1 port 5 ssh2"
    event = event_from_journal({**TIME, "SYSLOG_IDENTIFIER": identifier, "SYSLOG_FACILITY": "10", "MESSAGE": line})
    assert (event.user_name, event.source_ip) == ("root from 1.2.3.4 port 22 ssh2", "10.0.0.1")
    assert event.fields["outcome"] == "failure" and event.fields["invalid_user"] == "true"
    other = event_from_journal({**TIME, "SYSLOG_IDENTIFIER": "app", "MESSAGE": line})
    assert "event_type" not in other.fields and other.source_ip == ""


@pytest.mark.parametrize(("user", "believed"), [("0", True), ("1000", False)])
def test_only_root_speaks_for_sshd(user: str, believed: bool) -> None:
    """`logger -t sshd -p authpriv.info 'Accepted password for …'` is anybody's; _UID is journald's own word."""
    line = "Accepted password for root from 10.0.0.1 port 5 ssh2"
    event = event_from_journal({**TIME, "SYSLOG_IDENTIFIER": "sshd", "_UID": user, "MESSAGE": line})
    assert (event.source_ip == "10.0.0.1", "event_type" in event.fields) == (believed, believed)
    assert event.message == line


@pytest.mark.parametrize("time", [None, "", "x", "-5", "1" * 30, ["1"], "١"])
def test_no_time_is_a_record_error(time: Any) -> None:
    with pytest.raises(RecordError):
        event_from_journal({"__REALTIME_TIMESTAMP": time})


values = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(
    ["MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "_PID", "_TRANSPORT", "_HOSTNAME"]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(names | st.text(max_size=8), values, max_size=8))
def test_any_record_is_an_event_or_a_record_error(record: dict[str, Any]) -> None:
    for candidate in (record, record | TIME, json.loads(json.dumps(record)) | TIME):
        try:
            event = event_from_journal(candidate)
        except RecordError:
            continue
        assert isinstance(event, LogEvent)
        msgspec.json.encode(event)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (
            "    anna : TTY=pts/1 ; PWD=/home/anna ; USER=#-1 ; COMMAND=/usr/bin/env A=b ; true",
            {"TTY": "pts/1", "PWD": "/home/anna", "USER": "#-1", "COMMAND": "/usr/bin/env A=b ; true"},
        ),
        (
            "bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/id",
            {"TTY": "pts/0", "PWD": "/", "USER": "root", "COMMAND": "/bin/id"},
        ),
        ("pam_unix(sudo:session): session opened for user root by (uid=0)", {}),
        ("a b : USER=root ; COMMAND=x", {}),
    ],
)
def test_what_sudo_says_as_fields(line: str, fields: dict[str, str]) -> None:
    event = event_from_journal({**TIME, "SYSLOG_IDENTIFIER": "sudo", "MESSAGE": line})
    assert {name: value for name, value in event.fields.items() if name in ("TTY", "PWD", "USER", "COMMAND")} == fields
