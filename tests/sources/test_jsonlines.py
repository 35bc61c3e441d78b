"""JSON lines of every kind, line by line, with limits."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from evtx import PyEvtxParser
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import Alert, LogEvent, NetworkEvent, UsageSample
from siemd.sources.jsonlines import MAX_LINE_BYTES, JsonLinesError, decode_line, is_jsonlines, read_events
from siemd.sources.windows_record import event_from_xml
from support.evtx_writer import evtx_file
from support.windows import event_xml

SYSTEM = {"EventID": 4625, "Channel": "Security", "Computer": "pc1", "EventRecordID": 5, "Level": 0}


def read(data: bytes) -> tuple[list[Any], JsonLinesError | None]:
    events: list[Any] = []
    try:
        for batch in read_events(io.BytesIO(data)):
            events += batch
    except JsonLinesError as error:
        return events, error
    return events, None


def test_own_events_come_back_as_they_were() -> None:
    events = [
        NetworkEvent(time_us=1, event_type="ping", source_ip="10.0.0.1", fields={"a": [1, 2]}),
        LogEvent(time_us=2, table="system_logs", platform="linux", message="ü\n"),
        UsageSample(time_us=3, cpu_percent=1.5, ram_percent=2),
        Alert(
            time_us=4, incident_id="i", rule="r", rule_id="", title="t", level="low", first_seen_us=1, last_seen_us=2
        ),
    ]
    data = b"\xef\xbb\xbf" + b"\n\n".join(msgspec.json.encode(event) for event in events) + b"\n"
    assert is_jsonlines(data[:100])
    assert read(data) == (events, None)


@pytest.mark.parametrize(
    "record",
    [
        {
            "Event": {
                "System": {
                    **SYSTEM,
                    "Provider": {"#attributes": {"Name": "P"}},
                    "TimeCreated": {"#attributes": {"SystemTime": "2026-01-01T00:00:00Z"}},
                },
                "EventData": {"TargetUserName": "bob"},
            }
        },
        {
            "System": {
                **SYSTEM,
                "EventID": {"#text": "4625"},
                "Provider": {"Name": "P"},
                "TimeCreated": {"SystemTime": "2026-01-01 00:00:00"},
            },
            "EventData": {"TargetUserName": "bob"},
        },
        {**SYSTEM, "Provider_Name": "P", "SystemTime": "2026-01-01T00:00:00Z", "TargetUserName": "bob"},
        {
            "EventID": "4625",
            "Channel": "Security",
            "Hostname": "pc1",
            "RecordNumber": 5,
            "SourceName": "P",
            "@timestamp": "2026-01-01T00:00:00.000Z",
            "EventTime": "2026-01-01 03:00:00",
            "TargetUserName": "bob",
        },
        {
            "@timestamp": "2026-01-01T00:00:00.000Z",
            "winlog": {
                "event_id": 4625,
                "channel": "Security",
                "record_id": 5,
                "computer_name": "pc1",
                "provider_name": "P",
                "event_data": {"TargetUserName": "bob"},
            },
        },
        {
            "@timestamp": "2026-01-01T00:00:00.000Z",
            "event_id": 4625,
            "log_name": "Security",
            "record_number": "5",
            "computer_name": "pc1",
            "source_name": "P",
            "event_data": {"TargetUserName": "bob"},
        },
    ],
    ids=["evtx", "bare", "flat", "nxlog", "winlogbeat", "old-winlogbeat"],
)
def test_windows_events_as_tools_write_them(record: dict[str, Any]) -> None:
    event = decode_line(json.dumps(record).encode())
    assert isinstance(event, LogEvent)
    assert (event.time_us, event.table, event.channel) == (1767225600000000, "security_logs", "Security")
    assert (event.event_id, event.fields["EventID"], event.provider) == (4625, 4625, "P")
    assert (event.computer, event.record_id, event.user_name) == ("pc1", 5, "bob")
    assert event.fields["TargetUserName"] == "bob" and event.fields["Provider_Name"] == "P"


def test_evtx_as_json_is_the_same_as_the_file(corpus: Path) -> None:
    path = min(corpus.rglob("*.evtx"))
    lines = b"\n".join(record["data"].encode() for record in PyEvtxParser(str(path)).records_json())
    assert read(lines)[0] == [event_from_xml(record["data"]) for record in PyEvtxParser(str(path)).records()]


def test_evtx_tools_json_of_our_own_records() -> None:
    file = evtx_file([[event_xml(n, TargetUserName=f"user{n}") for n in range(1, 20)]])
    lines = b"\n".join(record["data"].encode() for record in PyEvtxParser(io.BytesIO(file)).records_json())
    assert read(lines)[0] == [event_from_xml(event_xml(n, TargetUserName=f"user{n}")) for n in range(1, 20)]


def test_journald_export() -> None:
    line = b'{"__REALTIME_TIMESTAMP":"1767225600000000","MESSAGE":"hello","SYSLOG_FACILITY":"3","_HOSTNAME":"h"}'
    event = decode_line(line)
    assert isinstance(event, LogEvent)
    assert (event.table, event.channel, event.computer, event.message) == ("system_logs", "daemon", "h", "hello")


def test_bad_lines_are_numbered_and_the_rest_goes_on() -> None:
    good = msgspec.json.encode(NetworkEvent(time_us=1, event_type="ping"))
    huge = b'{"a":"' + b"x" * MAX_LINE_BYTES + b'"}'
    deep = b"[" * 100_000
    lines = [
        good,
        b"not json",
        b"",
        b"[1]",
        huge,
        good,
        deep,
        b'{"a":1}',
        b'{"type":"network","time_us":"x"}',
        b"\xff\xfe",
        good,
    ]
    events, error = read(b"\n".join(lines))
    assert len(events) == 3 and error is not None
    assert (error.good_lines, error.bad_lines) == (3, 7)
    text = str(error)
    assert text.startswith("7 of 10 lines are no event: line 2: not valid JSON")
    assert "line 4: not a JSON object" in text and "line 5: longer than 4 MiB" in text and "and 2 more" in text


def test_a_file_without_any_event_is_an_error() -> None:
    for data in (b"", b"\n\n", b"hello\n"):
        events, error = read(data)
        assert events == [] and error is not None


def test_a_hostile_clock_is_clamped() -> None:
    event = decode_line(b'{"type":"network","time_us":99999999999999999,"event_type":"ping"}')
    assert event.time_us == 4_102_444_800_000_000


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["type", "time_us", "Event", "System", "EventID", "Channel", "__REALTIME_TIMESTAMP", "winlog", "x"]
            ),
            inner,
            max_size=5,
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_line_is_an_event_or_a_value_error(line: bytes) -> None:
    try:
        event = decode_line(line)
    except ValueError:
        return
    msgspec.json.encode(event)
