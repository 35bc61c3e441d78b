"""What is stored comes back as the event that it was, from every store."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.events import TIME_MAX_US, Alert, Event, LogEvent, NetworkEvent
from siemd.storage import Store
from siemd.storage.reading import event_of, time_us
from siemd.storage.tables import CONNECTION_COUNTS, FIT, ROW_OF, TABLES, table_of, time_text
from support.batches import HOST, alert, batch, connection, log, probe, usage

ODD_FIELDS: dict[str, Any] = {
    "EventID": 4625,
    "ratio": 0.25,
    "list": [1, "two", None],
    "nested": {"deep": [True, {"er": "ü🦊"}]},
    "backslash": "C:\\Windows\\'quoted'\"",
    "large": 1 << 62,
}
NO_COUNTS = dict.fromkeys(CONNECTION_COUNTS, 0)
SAMPLES: list[Event] = [
    probe(1, fields=ODD_FIELDS),
    probe(2, destination_port=None, source_port=65_535, user_name="Ünal", count=7),
    log(3, fields=ODD_FIELDS, computer="ws07.example", source_ip="2001:db8::1", record_id=99),
    log(4, table="channel_logs", platform="linux", channel="auth", provider="sshd", event_id=0, level="warning"),
    usage(5, load_1m=1.5, disk_read_bytes_s=12345.5),
    connection(7),
    connection(
        8, source_port=None, destination_port=None, fields={"state": "", "duration_s": 0.0, **NO_COUNTS}, count=0
    ),
    alert(6, group={"source_ip": "192.0.2.7", "port": 22}, evidence=[{"message": "a", "n": 1}], status="closed"),
]


async def test_every_event_comes_back_as_it_was(store: Store) -> None:
    await store.write([batch(*SAMPLES, source="mixed")])
    found: list[Event] = []
    for name in TABLES:
        found += [event_of(name, row) for row in await store.query(f"SELECT * FROM {name}")]
    wanted = [msgspec.structs.replace(event, host=HOST, source="mixed") for event in SAMPLES]
    wanted.sort(key=lambda event: event.seq)
    assert sorted(found, key=lambda event: event.seq) == wanted


@given(st.integers(0, TIME_MAX_US))
def test_times_come_back_to_the_microsecond(moment_us: int) -> None:
    text = time_text(moment_us)
    assert time_us(text) == moment_us
    if text.endswith(".000000"):
        assert time_us(text.removesuffix(".000000")) == moment_us


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63) + 1, (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(texts, values, max_size=4), st.integers(0, TIME_MAX_US), texts)
def test_any_row_is_read_back(fields: dict[str, Any], moment_us: int, text: str) -> None:
    for event in (
        NetworkEvent(time_us=moment_us, event_type=text, fields=fields, host="h", source="s", seq=1),
        LogEvent(time_us=moment_us, table="system_logs", platform="linux", message=text, fields=fields, host="h"),
        Alert(
            time_us=moment_us, incident_id="i", rule=text, rule_id="", title=text, level="low", group=fields,
            first_seen_us=moment_us, last_seen_us=moment_us, evidence=[fields],
        ),
    ):  # fmt: skip
        name = table_of(event)
        row, _changed = FIT[name](ROW_OF[type(event)](event, event.host, event.source, 1))
        back = event_of(name, dict(zip(TABLES[name].names, row, strict=True)))
        assert msgspec.json.encode(back) == msgspec.json.encode(event)


async def test_a_json_column_that_somebody_spoilt_is_read_as_empty(store: Store) -> None:
    await store.write([batch(probe(1))])
    (row,) = await store.query("SELECT * FROM logs")
    for spoilt in ("", "[1]", "nonsense", None):
        event = event_of("logs", {**row, "fields": spoilt})
        assert isinstance(event, NetworkEvent)
        assert event.fields == {}
