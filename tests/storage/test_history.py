"""What is read back after a restart: what rules need, newest first, whole from a moment on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from siemd.detection.logsource import Selector
from siemd.detection.needs import Need
from siemd.events import Event, now_us
from siemd.storage import StorageConfig, Store, open_store
from siemd.storage.history import History, HistoryReader, Limits
from siemd.storage.spool import Spool
from support.batches import HOST, alert, batch, log, probe, usage

SECOND = 1_000_000
NOW = now_us() // SECOND * SECOND
NETWORK = Need(Selector("network"), ("tcp_probe",), span_us=100 * SECOND)
LOGONS = Need(Selector("windows", ("security",)), (4625,), span_us=100 * SECOND)


def limits(events: int = 1_000, time_s: float = 30) -> Limits:
    return Limits(events=events, incidents=100, time_s=time_s, until_us=NOW + 30 * SECOND, epoch=99)


async def read(store: Store, needs: list[Need], *, events: int = 1_000, spool: Spool | None = None) -> History:
    return await HistoryReader(store, spool, HOST, limits(events)).read(lambda _incidents: needs)


def numbers(history: History) -> list[int]:
    return [event.seq for step in history.steps() for event in step]


def facts(first: int, last: int, **values: object) -> list[Event]:
    """One fact a second, the last of them now."""
    return [probe(seq, time_us=NOW - (last - seq) * SECOND, **values) for seq in range(first, last + 1)]


async def test_what_rules_look_at_is_read_in_the_order_in_which_it_came(store: Store) -> None:
    late = probe(201, time_us=NOW - 5 * SECOND)
    await store.write(
        [
            batch(*facts(1, 200), late),
            batch(*facts(1, 50, event_type="ping"), source="other"),
            batch(*facts(1, 50), host="another", source="sniffer"),
            batch(probe(202, time_us=NOW + 3_600 * SECOND), probe(203, time_us=NOW), epoch=2),
            batch(usage(1, time_us=NOW), log(2, time_us=NOW, event_id=4624), source="mixed"),
        ]
    )
    history = await read(store, [NETWORK])
    assert history.cut == history.problem == ""
    found = numbers(history)
    assert found[:100] == list(range(100, 200)), "the span counts from the newest"
    assert sorted(found[100:]) == [200, 201, 203]
    assert history.events == 103


async def test_tables_are_read_side_by_side_and_cut_together(store: Store) -> None:
    logons = [log(seq, time_us=NOW - (1_000 - seq) * SECOND // 10) for seq in range(1, 1_001)]
    await store.write([batch(*facts(1, 200)), batch(*logons, source="windows")])
    history = await read(store, [NETWORK, LOGONS], events=220)
    assert "detection.rebuild_events" in history.cut
    events = [event for step in history.steps() for event in step]
    assert min(event.time_us for event in events) == history.cut_us
    assert [event.time_us for event in events] == sorted(event.time_us for event in events)
    since = NOW - history.cut_us
    assert len(events) == since // SECOND + 1 + since // (SECOND // 10) + 1, "nothing is missing after the cut"
    assert len(events) > 110, "no table took it all"


async def test_time_that_is_over_leaves_what_was_read(store: Store) -> None:
    await store.write([batch(*facts(1, 200))])
    reader = HistoryReader(store, None, HOST, limits(time_s=0.0))
    history = await reader.read(lambda _incidents: [NETWORK])
    assert history.cut or history.problem
    assert numbers(history) == []


async def test_incidents_left_open_are_found(store: Store) -> None:
    await store.write(
        [
            batch(alert(1, incident_id="open"), source="detection"),
            batch(alert(2, incident_id="over", status="closed"), source="detection"),
            batch(alert(1, incident_id="of this run"), source="detection", epoch=99),
            batch(alert(1, incident_id="of another host"), source="detection", host="another"),
        ]
    )
    seen: list[str] = []
    history = await HistoryReader(store, None, HOST, limits()).read(
        lambda incidents: seen.extend(one.incident_id for one in incidents) or []
    )
    assert [one.incident_id for one in history.incidents] == seen == ["open"]


async def test_since_a_moment_means_all_since_then(store: Store) -> None:
    await store.write([batch(*facts(1, 200))])
    need = Need(Selector("network"), (), since_us=NOW - 149 * SECOND)
    assert numbers(await read(store, [need])) == list(range(51, 201))


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    opened = Spool(tmp_path / "spool.db", 1 << 30)
    await opened.open()
    yield opened
    await opened.close()


async def test_the_spool_goes_on_where_the_server_ends(
    mysql_config: StorageConfig, spool: Spool, tmp_path: Path
) -> None:
    server = open_store(mysql_config, tmp_path)
    await server.open()
    every = facts(1, 90)
    await server.write(
        [batch(*every[:60]), batch(alert(1, incident_id="a"), alert(2, incident_id="b"), source="detection")]
    )
    await spool.append([batch(*every[40:60]), batch(*every[60:])])  # the first was delivered, and not yet forgotten
    await spool.append([batch(alert(3, incident_id="a", status="closed"), source="detection", epoch=2)])
    await spool.append([batch(alert(4, incident_id="c"), source="detection", epoch=2)])
    history = await read(server, [NETWORK], spool=spool)
    assert numbers(history) == list(range(1, 91)), "each once"
    assert {one.incident_id for one in history.incidents} == {"b", "c"}
    await server.close()


async def test_a_server_that_is_away_is_said_and_the_spool_is_read(spool: Spool, tmp_path: Path) -> None:
    config = StorageConfig(url="mysql://u:p@127.0.0.1:1/nothing")
    await spool.append([batch(*facts(1, 50)), batch(alert(4, incident_id="c"), source="detection", epoch=2)])
    history = await read(open_store(config, tmp_path), [NETWORK], spool=spool)
    assert "127.0.0.1:1" in history.problem
    assert history.unanswered
    assert numbers(history) == list(range(1, 51))
    assert [one.incident_id for one in history.incidents] == ["c"]
