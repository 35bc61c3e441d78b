"""Search answers what plain Python finds in the same rows, on every kind of store, page by page."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siemd.storage import StorageConfig
from siemd.storage.columns import BadQuery, columns_of
from siemd.storage.conditions import MAX_FILTERS, MAX_VALUES, Filter
from siemd.storage.database import Database, open_database
from siemd.storage.search import Search, export, get_row, search
from siemd.storage.store import Store, open_store
from siemd.storage.tables import time_text
from support import questions
from support.batches import batch, probe, probes
from support.mariadb import MariaServer

TABLES = ("logs", "security_logs", "usage_data", "alerts")
GIVEN = questions.batches(seed=7, count=250)
ROWS = questions.stored_rows(GIVEN)


class Filled:
    """A store with GIVEN in it, its Database, and the loop that both live in."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        self.run = runner.run
        self.database = database


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("filled")
    url = "sqlite:"
    if request.param == "mariadb":
        server: MariaServer = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    config = StorageConfig(url=url)
    with asyncio.Runner() as runner:
        store, database = open_store(config, folder), open_database(config, folder)
        runner.run(store.open())
        runner.run(store.write(GIVEN))
        yield Filled(runner, database)
        runner.run(database.close())
        runner.run(store.close())


def _filters(table: str) -> st.SearchStrategy[Filter]:
    addresses = st.sampled_from([*questions.ADDRESSES, "10.0.0", "10.", "::"])
    texts = st.sampled_from([*questions.USERS, *questions.TEXTS, "%", "_", "!", "\\", '"', "root", "WINDOWS", "é", "Ä"])
    natives = st.sampled_from(
        [value for value in questions.NATIVE_VALUES if value is not None and not isinstance(value, list)]
    )
    networks = st.sampled_from(
        [
            "10.0.0.0/24",
            "10.0.0.0/8",
            "10.0.0.1/32",
            "10.0.0.0/30",
            "10.0.0.0/15",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "fe80::/10",
            "10.0.1.64/26",
        ]
    )
    equal = st.sampled_from(["eq", "ne"])
    textual = st.sampled_from(["eq", "ne", "prefix", "contains"])
    several = st.sampled_from(["in", "not_in"])
    ordered = st.sampled_from(["gt", "gte", "lt", "lte"])

    def on(fields: list[str], ops: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
        return st.builds(Filter, st.sampled_from(fields), ops, values)

    names = columns_of(table)
    text = [name for name, column in names.items() if column.kind == "text"]
    caseless = [name for name in text if names[name].caseless] or text
    address = [name for name in text if names[name].address]
    numbers = [name for name, column in names.items() if column.kind in ("int", "real") and name != "id"]
    objects = [name for name, column in names.items() if column.kind == "object"]
    native = [f"{name}.{inner}" for name in objects for inner in [*questions.NATIVE, "missing"]]
    choices = [
        on(text, textual, addresses | texts),
        on(caseless, textual, texts),
        on(text, several, st.lists(addresses | texts, min_size=1, max_size=4)),
        on([*text, *native, *numbers], st.just("exists"), st.sampled_from([None, True, False])),
        on(numbers, equal | ordered, st.sampled_from([0, 1, 22, 443, 1000, 4624, -1, 12])),
    ]
    if address:
        choices += [on(address, st.just("cidr"), networks), on(address, textual, addresses)]
    if native:
        choices += [
            on(native, textual, natives),
            on(native, several, st.lists(natives, min_size=1, max_size=3)),
            on(native, ordered, st.sampled_from([0, 44, 443, "1.5"])),
            on(native, st.just("cidr"), networks),
        ]
    if "tags" in names:
        choices.append(
            on(
                ["tags"],
                st.sampled_from(["eq", "ne", "exists"]),
                st.sampled_from(["attack.t1046", "x", "y"]).filter(bool),
            ).map(lambda one: Filter(one.field, one.op, None if one.op == "exists" else one.value))
        )
    return st.one_of(choices)


_WORDS = st.lists(
    st.sampled_from(
        [
            "root",
            '"password for"',
            "-failed",
            "-é",
            "ÄRGER",
            "é",
            "50%",
            "a_b",
            "c:\\windows",
            "10.0.0",
            "443",
            "drop table",
            '"',
            "--",
            '-"to c:"',
            "-",
            "ssh",
            "o'brien",
            '\\"',
            "t1046",
        ]
    ),
    max_size=3,
).map(" ".join)


@st.composite
def _questions(draw: st.DrawFn) -> Search:
    table = draw(st.sampled_from(TABLES))
    offsets = st.none() | st.sampled_from([0, 1, 2, 60_000_000, 60_000_001, 3_600_000_000, 10_800_000_003])
    start, end = draw(offsets), draw(offsets)
    if start is not None and end is not None and start > end:
        start, end = end, start
    sortable = [name for name, column in columns_of(table).items() if column.sortable]
    return Search(
        table=table,
        start_us=None if start is None else questions.EPOCH_US + start,
        end_us=None if end is None else questions.EPOCH_US + end,
        filters=draw(st.lists(_filters(table), max_size=3)),
        words=draw(_WORDS),
        sort=draw(st.sampled_from(["time", *sortable])),
        descending=draw(st.booleans()),
        limit=draw(st.sampled_from([1, 7, 100, 1000])),
    )


def _expected(asked: Search) -> list[dict[str, Any]]:
    table = asked.table
    time_name = "event_time" if table == "security_logs" else "time"
    rows = [
        row
        for row in ROWS[table]
        if (asked.start_us is None or row[time_name] >= time_text(asked.start_us))
        and (asked.end_us is None or row[time_name] < time_text(asked.end_us))
    ]
    return questions.expected(rows, table, list(asked.filters), asked.words)


def _name(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["host"], row["source"], row["seq"]


async def _all_pages(database: Database, asked: Search) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        page = await search(database, Search(**{**_as_dict(asked), "cursor": cursor}))
        assert len(page.rows) <= asked.limit
        found += page.rows
        if not page.next:
            return found
        assert len(page.rows) == asked.limit
        cursor = page.next


def _as_dict(asked: Search) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.__struct_fields__}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=_questions())
def test_search_is_what_plain_python_finds(filled: Filled, asked: Search) -> None:
    found = filled.run(_all_pages(filled.database, asked))
    names = [_name(row) for row in found]
    assert len(set(names)) == len(names)
    assert sorted(names) == sorted(_name(row) for row in _expected(asked))
    key = asked.sort if asked.sort != "time" else ("event_time" if asked.table == "security_logs" else "time")
    keys = [row[key] for row in found]
    assert keys == sorted(keys, reverse=asked.descending)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from([*columns_of("alerts"), "fields.x", "group_values.x", "group_values.a b"])
    | st.text(max_size=12)
    | st.text(max_size=12).map("group_values.{}".format),
    op=st.sampled_from(["eq", "ne", "in", "prefix", "contains", "gt", "lt", "cidr", "exists"]),
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.text() | st.integers(), max_size=3),
    words=st.text(max_size=60),
    cursor=st.text(max_size=30) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
)
def test_any_input_is_answered_or_refused(
    filled: Filled, field: str, op: Any, value: Any, words: str, cursor: str
) -> None:
    for asked in (
        Search(table="alerts", filters=[Filter(field, op, value)], words=words),
        Search(table="alerts", cursor=cursor, words=words),
    ):
        try:
            filled.run(search(filled.database, asked))
        except BadQuery as error:
            assert error.field


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(st.text(max_size=30) | st.integers() | st.floats(allow_nan=False) | st.none(), max_size=4))
def test_a_made_up_cursor_is_refused_or_a_place(filled: Filled, keys: list[Any]) -> None:
    for mark, sort in (("logs time DESC", "time"), ("logs source_ip DESC", "source_ip")):
        text = base64.urlsafe_b64encode(json.dumps([mark, *keys]).encode()).decode()
        try:
            filled.run(search(filled.database, Search(table="logs", sort=sort, cursor=text)))
        except BadQuery as error:
            assert error.field == "cursor"


@pytest.mark.parametrize("network", ["10.0.0.1/32", "10.0.0.1", "10.0.0.0/24", "::/0", "2001:db8::/32", "0.0.0.0/0"])
def test_networks_hold_their_addresses(filled: Filled, network: str) -> None:
    asked = Search(table="logs", filters=[Filter("source_ip", "cidr", network)], limit=1000)
    found = filled.run(search(filled.database, asked)).rows
    assert found and sorted(map(_name, found)) == sorted(map(_name, _expected(asked)))


def test_a_cursor_of_another_question_is_refused(filled: Filled) -> None:
    page = filled.run(search(filled.database, Search(table="logs", limit=1)))
    for asked in (
        Search(table="logs", sort="source_ip"),
        Search(table="alerts"),
        Search(table="logs", descending=False),
    ):
        asked.cursor = page.next
        with pytest.raises(BadQuery, match="cursor"):
            filled.run(search(filled.database, asked))


@pytest.mark.parametrize(
    "asked",
    [
        Search(table="users"),
        Search(table="logs; DROP TABLE logs"),
        Search(table="logs", sort="message"),
        Search(table="logs", sort="fields.x"),
        Search(table="logs", columns=["password"]),
        Search(table="logs", columns=[]),
        Search(table="logs", columns=["fields.x"]),
        Search(table="logs", limit=0),
        Search(table="logs", limit=100_000),
        Search(table="logs", start_us=2, end_us=1),
        Search(table="logs", words="x" * 2000),
        Search(table="logs", words="x " * 11),
        Search(table="logs", filters=[Filter("host", "eq", "x")] * (MAX_FILTERS + 1)),
        Search(table="logs", filters=[Filter("host", "in", ["x"] * (MAX_VALUES + 1))]),
        Search(table="logs", filters=[Filter("host", "eq", "x" * 5000)]),
        Search(table="logs", filters=[Filter("host", "gt", "x")]),
        Search(table="logs", filters=[Filter("host", "cidr", "10.0.0.0/8")]),
        Search(table="logs", filters=[Filter("source_ip", "cidr", "10.0.0.0/40")]),
        Search(table="logs", filters=[Filter('fields.a"b', "eq", "x")]),
        Search(table="logs", filters=[Filter("fields", "eq", "x")]),
        Search(table="logs", filters=[Filter("count", "eq", 1 << 64)]),
        Search(table="logs", filters=[Filter("time", "gt", "yesterday")]),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_said(filled: Filled, asked: Search) -> None:
    with pytest.raises(BadQuery) as caught:
        filled.run(search(filled.database, asked))
    assert caught.value.field


def test_answers_hold_what_was_chosen(filled: Filled) -> None:
    page = filled.run(search(filled.database, Search(table="security_logs", columns=["time", "fields"], limit=1)))
    (row,) = page.rows
    assert list(row) == ["event_time", "fields"]
    assert (
        row["event_time"].startswith("2026-01-01T") and row["event_time"].endswith("Z") and len(row["event_time"]) == 27
    )
    assert isinstance(row["fields"], dict)
    whole = filled.run(search(filled.database, Search(table="security_logs", limit=1))).rows[0]
    assert filled.run(get_row(filled.database, "security_logs", whole["id"])) == whole
    assert filled.run(get_row(filled.database, "security_logs", 1 << 40)) is None


def test_an_export_is_every_page(filled: Filled) -> None:
    async def exported(most_rows: int | None) -> list[dict[str, Any]]:
        asked = Search(table="logs", filters=[Filter("protocol", "eq", "tcp")])
        return [row async for page in export(filled.database, asked, most_rows=most_rows) for row in page]

    whole = filled.run(exported(None))
    assert len(whole) == sum(row["protocol"] == "tcp" for row in ROWS["logs"])
    assert filled.run(exported(5)) == whole[:5]


async def test_rows_that_come_meanwhile_shift_nothing(store: Store, store_config: StorageConfig, tmp_path: Any) -> None:
    await store.write([probes(1, 50)])
    database = open_database(store_config, tmp_path)
    asked, seen = Search(table="logs", limit=7), []
    while True:
        page = await search(database, asked)
        seen += [row["seq"] for row in page.rows]
        if not page.next:
            break
        asked.cursor = page.next
        await store.write([probes(51 + len(seen), 3)])
        await store.write([batch(probe(54 + len(seen), time_us=questions.EPOCH_US))])  # a late one
    assert len(seen) == len(set(seen)) and set(range(1, 51)) <= set(seen)
    await database.close()
