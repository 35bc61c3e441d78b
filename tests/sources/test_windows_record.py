"""Windows records: from XML and JSON, as Sigma's names expect, whatever is in them."""

from __future__ import annotations

import io
import json
import string
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec
import pytest
from evtx import PyEvtxParser
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import LogEvent
from siemd.sources.evtxfile import EvtxError, is_evtx, read_events
from siemd.sources.windows_flat import event_from_flat, is_flat
from siemd.sources.windows_record import event_from_record, event_from_xml, ip_text, parse_time_us
from siemd.sources.windows_xml import RecordError, parse_event_xml
from support.evtx_writer import evtx_file
from support.windows import NAMESPACE, event_xml

TIME = "<TimeCreated SystemTime='2026-03-11T05:16:41.8157206Z'/>"


def record_xml(data: str, *, event_id: int = 7045, channel: str = "System", system: str = "", after: str = "") -> str:
    return (
        f"<Event xmlns='{NAMESPACE}'><System><Provider Name='P' EventSourceName='S'/>"
        f"<EventID Qualifiers='16384'>{event_id}</EventID><Level>4</Level>{TIME}<EventRecordID>42</EventRecordID>"
        f"<Channel>{channel}</Channel><Computer>pc1</Computer>{system}</System>{data}{after}</Event>"
    )


def test_the_system_part() -> None:
    event = event_from_xml(event_xml(7, TargetUserName="bob", SubjectUserName="-", IpAddress="203.0.113.5"))
    assert event.time_us == 1772323207123456
    assert (event.table, event.channel, event.event_id, event.record_id) == ("security_logs", "Security", 4625, 7)
    assert (event.provider, event.computer) == ("Microsoft-Windows-Security-Auditing", "pc1.example.org")
    assert (event.user_name, event.source_ip, event.level, event.platform) == (
        "bob",
        "203.0.113.5",
        "information",
        "windows",
    )
    assert event.fields["EventID"] == 4625 and event.fields["Level"] == 0 and event.fields["ProcessID"] == 660
    assert event.fields["Provider_Name"] == event.provider and event.fields["Keywords"] == "0x8010000000000000"
    assert event.fields["TimeCreated"] == "2026-03-01T00:00:07.1234567Z"
    assert event.message.startswith(
        "4625 Microsoft-Windows-Security-Auditing: TargetUserName=bob IpAddress=203.0.113.5"
    )


def test_odd_data() -> None:
    data = (
        "<EventData Name='N'><Data>one</Data><Data>two</Data><Data Name='Space Name'>x</Data><Data Name='Empty'/>"
        "<Data Name='Twice'>1</Data><Data Name='Twice'>2</Data><Binary>00FF</Binary></EventData>"
    )
    fields = event_from_xml(record_xml(data)).fields
    assert fields["Data"] == ["one", "two"]
    assert (fields["Space Name"], fields["Empty"], fields["Binary"]) == ("x", "", "00FF")
    assert (fields["Twice"], fields["Twice_1"]) == ("1", "2")
    assert (fields["EventID"], fields["EventID_Qualifiers"], fields["EventData_Name"]) == (7045, "16384", "N")


def test_user_data_is_flat_and_wins_over_system() -> None:
    data = (
        "<UserData><LogFileCleared xmlns='x'><SubjectUserName>eve</SubjectUserName><Channel>Security</Channel>"
        "<Deep><Deeper a='1'><Leaf>v</Leaf></Deeper></Deep><EventID>9</EventID></LogFileCleared></UserData>"
    )
    event = event_from_xml(record_xml(data, event_id=104))
    assert (event.channel, event.fields["Channel"]) == ("System", "Security")
    assert (event.event_id, event.fields["EventID"], event.table) == (104, 104, "system_logs")
    assert (event.user_name, event.fields["Leaf"], event.fields["Deeper_a"]) == ("eve", "v", "1")


def test_openssh_on_windows() -> None:
    xml = event_xml(
        3,
        channel="OpenSSH/Operational",
        provider="OpenSSH",
        event_id=4,
        process="sshd",
        payload="Failed password for invalid user bob from 203.0.113.5 port 50022 ssh2",
    )
    event = event_from_xml(xml)
    assert (event.user_name, event.source_ip, event.table) == ("bob", "203.0.113.5", "channel_logs")
    assert (event.fields["event_type"], event.fields["outcome"], event.fields["attempts"]) == ("ssh_auth", "failure", 1)


def test_data_as_general_converters_write_it() -> None:
    system = {"Provider": {"@Name": "P"}, "EventID": 1, "TimeCreated": {"@SystemTime": "2026-01-01T00:00:00Z"}}
    data = {"Data": [{"@Name": "A", "#text": "1"}, {"@Name": "B"}, "loose"]}
    event = event_from_record({"Event": {"System": system, "EventData": data}})
    assert event.provider == "P" and event.time_us == 1767225600000000
    assert (event.fields["A"], event.fields["B"], event.fields["Data"]) == ("1", "", ["loose"])


def test_blanks_around_elements_mean_nothing() -> None:
    xml = record_xml("<EventData><Data Name='A'>1</Data></EventData>")
    spaced = xml.replace("><", ">\n  <")
    time = "<TimeCreated SystemTime='2026-03-11T05:16:41.8157206Z'>\n    </TimeCreated>"
    spaced = spaced.replace(TIME, time)
    file = evtx_file([[spaced]])
    from_json = event_from_record(msgspec.json.decode(next(PyEvtxParser(io.BytesIO(file)).records_json())["data"]))
    assert from_json == event_from_xml(spaced) == event_from_xml(xml)


def test_rendered_message() -> None:
    message = "<Message>Ein Dienst\nwurde installiert.</Message><Level>Informationen</Level>"
    rendered = f"<RenderingInfo Culture='de-DE'>{message}</RenderingInfo>"
    event = event_from_xml(record_xml("<EventData/>", after=rendered))
    assert event.message == "Ein Dienst\nwurde installiert." and event.level == "information"
    assert event_from_xml(record_xml("<EventData/>"), "Beside it").message == "Beside it"


@pytest.mark.parametrize(
    ("event_id", "names", "user"),
    [
        (4625, {"SubjectUserName": "PC1$", "TargetUserName": "bob"}, "bob"),
        (4720, {"SubjectUserName": "admin", "TargetUserName": "newbie"}, "admin"),
        (4732, {"TargetUserName": "Administrators", "SubjectUserName": "admin"}, "admin"),
        (4624, {"TargetUserName": "-", "SubjectUserName": "SYSTEM"}, "SYSTEM"),
        (1, {"User": "CORP\\carol"}, "carol"),
        (1, {"Other": "x"}, ""),
    ],
)
def test_whose_event(event_id: int, names: dict[str, str], user: str) -> None:
    assert event_from_xml(event_xml(1, event_id=event_id, **names)).user_name == user


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("10.0.0.1:5555", "10.0.0.1"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("fe80::1%12", "fe80::1"),
        ("::1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("-", ""),
        ("LOCAL", ""),
        ("0.0.0.0", ""),
        ("::", ""),
        ("1.2.3.4.5", ""),
        (7, ""),
    ],
)
def test_addresses(text: Any, address: str) -> None:
    assert ip_text(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "<a",
        "<Event/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><Event>&b;</Event>",
        "<Event>" + "<a>" * 5000,
        "<Event>" + "<a>" * 5000 + "</a>" * 5000 + "</Event>",
        "<Event>" + "<a/>" * 50_000 + "</Event>",
        record_xml("<EventData>" + "<Data Name='{}'/>" * 3000 + "</EventData>").replace("{}", "a"),
        record_xml("").replace(TIME, ""),
        record_xml("").replace("2026-03-11", "2026-13-11"),
        " " * (5 << 20),
    ],
)
def test_what_is_no_event_is_a_record_error(text: str) -> None:
    with pytest.raises(RecordError):
        event_from_xml(text)


def test_invalid_characters_are_replaced() -> None:
    event = event_from_xml(
        record_xml("<EventData><Data Name='A'>x\x00\x1b&#x1;&#0;&#xD800;&#99999999;\ud800y</Data></EventData>")
    )
    assert event.fields["A"] == "x" + "\ufffd" * 7 + "y"
    record = {
        "Event": {"System": {"EventID": 1, "TimeCreated": "2026-01-01T00:00:00Z"}, "EventData": {"A": "x\x00\r\ny"}}
    }
    assert event_from_record(record).fields["A"] == "x\ufffd\ny"


@pytest.mark.parametrize(
    "text", ["2026-03-11T05:16:41.815720Z", "2026-03-11 05:16:41.8157206 UTC", "2026-03-11T06:16:41.81572+01:00"]
)
def test_times(text: str) -> None:
    assert parse_time_us(text) == 1773206201815720


def test_corpus_gives_the_same_events_from_xml_and_json(corpus: Path) -> None:
    count = 0
    for path in sorted(corpus.rglob("*.evtx")):
        xml = [record["data"] for record in PyEvtxParser(str(path)).records()]
        as_json = [record["data"] for record in PyEvtxParser(str(path)).records_json()]
        events = [event for batch in read_events(path) for event in batch]
        assert len(xml) == len(as_json) == len(events)
        for text, line, event in zip(xml, as_json, events, strict=True):
            assert event_from_xml(text) == event_from_record(json.loads(line)) == event, path
            count += 1
    assert count


# What XML can hold: letters of all kinds, the characters that need escapes, blanks and line ends.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("<>&'\"\n\t"),
    max_size=30,
)
names = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(lambda name: name not in ("Data", "EventID"))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, texts, max_size=8), st.integers(1, 65535), st.sampled_from(["Security", "System", "Ä/Ö"]))
def test_any_named_data_comes_out_the_same_by_every_way(data: dict[str, str], event_id: int, channel: str) -> None:
    items = "".join(f"<Data Name={quoteattr(name)}>{escape(value)}</Data>" for name, value in data.items())
    xml = record_xml(f"<EventData>{items}</EventData>", event_id=event_id, channel=channel)
    file = evtx_file([[xml]])
    [[event]] = read_events(io.BytesIO(file))
    from_json = event_from_record(msgspec.json.decode(next(PyEvtxParser(io.BytesIO(file)).records_json())["data"]))
    assert event == event_from_xml(xml) == from_json
    assert event.event_id == event_id and event.channel == channel
    for name, value in data.items():
        expected = "" if value.isspace() else value
        assert event.fields[name] == expected


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300) | st.text("<>/!&;#x'\"=EventSystmDa[]- ", max_size=200))
def test_any_text_is_an_event_or_a_record_error(text: str) -> None:
    for candidate in (text, record_xml(text), event_xml(1) + text):
        try:
            assert isinstance(event_from_xml(candidate), LogEvent)
        except RecordError:
            pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from(["#text", "#attributes", "Data", "System", "EventData"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(json_values, json_values, json_values)
def test_any_json_is_an_event_or_a_record_error(system: Any, data: Any, top: Any) -> None:
    system = {
        "EventID": 1,
        "TimeCreated": "2026-01-01T00:00:00Z",
        **(system if isinstance(system, dict) else {"Level": system}),
    }
    for record in (
        {"Event": {"System": system, "EventData": data, "UserData": top}},
        {"System": system, "EventData": data},
        {"Event": top},
    ):
        try:
            event = event_from_record(record)
        except RecordError:
            continue
        msgspec.json.encode(event)
        assert all(
            isinstance(value, str | int) or all(isinstance(item, str) for item in value)
            for value in event.fields.values()
        )
    flat = {"EventID": 1, "Channel": "X", "TimeCreated": "2026-01-01T00:00:00Z"} | (
        top if isinstance(top, dict) else {"x": top}
    )
    if is_flat(flat):
        try:
            msgspec.json.encode(event_from_flat(flat))
        except RecordError:
            pass


def test_a_wrapped_file_is_read_in_the_order_of_its_records() -> None:
    parts = [[event_xml(n) for n in range(first, first + 5)] for first in (1, 6, 11)]
    file = evtx_file(parts)
    head, chunks = file[:4096], [file[4096 + n * 65536 :][:65536] for n in range(3)]
    wrapped = head + chunks[2] + chunks[0] + chunks[1]
    events = [event for batch in read_events(io.BytesIO(wrapped)) for event in batch]
    assert [event.record_id for event in events] == list(range(1, 16))


def read_all(data: bytes) -> tuple[list[int], str]:
    ids: list[int] = []
    try:
        for batch in read_events(io.BytesIO(data)):
            ids += [event.record_id for event in batch]
    except EvtxError as error:
        return ids, str(error)
    return ids, ""


def test_damaged_files_give_what_is_readable_and_a_reason() -> None:
    file = evtx_file([[event_xml(n) for n in range(first, first + 5)] for first in (1, 6, 11)])
    assert read_all(file) == (list(range(1, 16)), "")
    ids, reason = read_all(file[: 4096 + 2 * 65536 + 512 + 1500])
    assert ids[:10] == list(range(1, 11)) and "is cut" in reason
    ids, reason = read_all(file[: 4096 + 65536] + b"garbage!" + file[4096 + 65536 + 8 :])
    assert ids == [*range(1, 6), *range(11, 16)] and reason
    assert read_all(b"")[0] == [] and "not an event log file" in read_all(b"")[1]
    assert read_all(b"hello" * 5000)[0] == []
    assert read_all(evtx_file([])) == ([], "")
    assert is_evtx(file[:8]) and not is_evtx(b"ElfFil") and not is_evtx(b"")


@pytest.mark.parametrize("head", [128, 380, 384, 508])
@pytest.mark.parametrize("circle", [(60_000,), (60_000, 60_004, 60_008)])
def test_a_table_that_leads_in_a_circle_is_not_followed(head: int, circle: tuple[int, ...]) -> None:
    """A bucket of the names' or the templates' table whose last entry's next is its first: the library never ended."""
    data = bytearray(evtx_file([[event_xml(n) for n in range(first, first + 5)] for first in (1, 6)]))
    for at, following in zip((head, *circle), (*circle, circle[0]), strict=True):
        data[4096 + at : 4096 + at + 4] = following.to_bytes(4, "little")
    ids, reason = read_all(bytes(data))
    assert ids == list(range(1, 11))
    assert "circle" in reason


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4096 + 65536), st.integers(0, 255)), min_size=1, max_size=30),
    st.integers(0, 80_000),
)
def test_any_damage_is_an_evtx_error(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(evtx_file([[event_xml(n, A="x" * 50) for n in range(1, 20)]]))
    for position, value in changes:
        data[position % len(data)] = value
    read_all(bytes(data[:length]) if length % 3 == 0 else bytes(data))


def test_a_name_that_stands_thousands_of_times_is_numbered() -> None:
    children = "<a/>" * 30_000
    content = parse_event_xml(f"<Event><UserData><E>{children}</E></UserData></Event>")["Event"]["UserData"]["E"]
    assert list(content) == ["a", *(f"a_{number}" for number in range(1, 30_000))]
    nested = {str(number): {"x": str(number)} for number in range(1_900)}
    fields = event_from_record({"System": {"TimeCreated": "2026-01-01T00:00:00Z"}, "EventData": nested}).fields
    assert [fields[name] for name in ("x", "x_1", "x_1899")] == ["0", "1", "1899"]
