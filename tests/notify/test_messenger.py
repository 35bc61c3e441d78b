"""From the store to people, over real servers that fail in every way: each incident is told once and none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from siemd.errors import StoreError
from siemd.events import Alert
from siemd.health import Health
from siemd.notify import outbox
from siemd.notify.config import EscalationConfig, NotifyConfig, RouteConfig
from siemd.notify.email import EmailConfig
from siemd.notify.messenger import Messenger
from siemd.notify.source import Told
from siemd.notify.syslog import SyslogConfig
from siemd.notify.webhook import WebhookConfig
from siemd.units import Seconds
from support.hook import Hook
from support.incidents import Stored, incident
from support.mailbox import Mailbox
from support.syslogd import Syslogd


class Desk:
    """A data directory with a store, and messengers on it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored = Stored(folder)
        self.health = Health()
        self.source: Any = self.stored.incidents

    @asynccontextmanager
    async def messenger(self, config: NotifyConfig, *, killed: bool = False) -> AsyncIterator[Messenger]:
        """One run. killed: it ends as by SIGKILL, with nothing brought to an end."""
        self.health = Health()
        made = Messenger(
            config=config, data_dir=self.folder, incidents=self.source, health=self.health, host="lab",
            epoch=self.stored.next_run(),
        )  # fmt: skip
        await made.open()
        running = asyncio.get_running_loop().create_task(made.run())
        try:
            yield made
            if not killed:
                made.finish()
                await asyncio.wait_for(running, 20)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await made.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / outbox.FILE_NAME)) as db:
            return db.execute(sql).fetchall()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    await made.stored.store.open()
    yield made
    await made.stored.store.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other quickly."""
    monkeypatch.setattr("siemd.notify.delivery.FIRST_DELAY_S", 0.05)
    monkeypatch.setattr("siemd.notify.delivery.MOST_DELAY_S", 0.2)


def by_webhook(hook: Hook, **others: Any) -> NotifyConfig:
    route = {"name": "r", "targets": ["hook"], "group_s": Seconds(0)} | others.pop("route", {})
    target = WebhookConfig(url=hook.url, secret="s", timeout_s=Seconds(1))
    return NotifyConfig(targets={"hook": target, **others.pop("targets", {})}, routes=[RouteConfig(**route)], **others)


async def until(condition: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - servers in threads know no events of this loop
            await asyncio.sleep(0.02)
    assert condition(), what


async def test_told_and_recorded(desk: Desk) -> None:
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"), incident("b", level="low"), incident("c", level="critical"))
            messenger.nudge()
            await until(lambda: len(hook.incidents()) == 2, "both are told")
            assert desk.health.component("notify.hook").status == "ok"
        assert sorted(hook.incidents()) == ["a", "c"]
    records = await desk.stored.told()
    assert {(row["incident_id"], row["kind"], row["route"], row["channel"], row["target"]) for row in records} == {
        ("a", "open", "r", "webhook", "hook"),
        ("c", "open", "r", "webhook", "hook"),
    }
    assert {(row["status"], row["attempts"]) for row in records} == {("sent", 1)}
    assert desk.rows("SELECT * FROM notice") == desk.rows("SELECT * FROM record") == []


async def test_nothing_old_is_told_at_the_very_first_start(desk: Desk) -> None:
    await desk.stored.put(incident("old"), incident("older", status="closed"))
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("new"))
            messenger.nudge()
            await until(lambda: hook.incidents(), "the new one is told")
        assert hook.incidents() == ["new"]


async def test_killed_between_storing_and_queueing(desk: Desk) -> None:
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook), killed=True):
            pass
        await desk.stored.put(*(incident(f"i{n}") for n in range(450)))  # nobody looks any more
        async with desk.messenger(by_webhook(hook)):
            await until(lambda: len(hook.incidents()) == 450, "all are told")
        assert sum(body["total"] for body in hook.bodies()) == 450
    records = await desk.stored.told()
    assert Counter(row["incident_id"] for row in records) == Counter(f"i{n}" for n in range(450))


@pytest.mark.parametrize("answers", [[500, 503], ["close", "half"], [404, 429], ["silent"], ["garbage", 413, 200]])
async def test_a_server_that_fails_first(desk: Desk, answers: list[int | str]) -> None:
    with Hook() as hook:
        hook.answers = list(answers)
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: len(hook.bodies()) > len([one for one in answers if one != 200]), "it is tried again")
        assert len({body["id"] for body in hook.bodies()}) == 1, "the id tells that it is the same message"
        assert hook.incidents() == ["a"]
    (record,) = await desk.stored.told()
    assert (record["status"], record["attempts"]) == ("sent", len(hook.bodies()))


async def test_a_server_that_comes_back_and_a_messenger_that_was_killed_meanwhile(desk: Desk) -> None:
    with Hook() as hook:
        port, config = hook.port, by_webhook(hook)
    async with desk.messenger(config, killed=True) as messenger:
        await desk.stored.put(incident("a"))
        messenger.nudge()
        await until(lambda: desk.health.component("notify.hook").status == "degraded", "the target is away")
        assert "refused the connection" in desk.health.component("notify.hook").detail
    with Hook(port) as hook:
        async with desk.messenger(config) as messenger:
            await desk.stored.put(incident("b"))
            messenger.nudge()
            await until(lambda: len(hook.incidents()) == 2, "both are told")
        assert Counter(hook.incidents()) == {"a": 1, "b": 1}


async def test_killed_while_it_is_being_told(desk: Desk) -> None:
    """The answer is lost: it must be told again, in a way that the other side can tell the repetition."""
    with Hook() as hook:
        hook.answers = ["silent"]
        async with desk.messenger(by_webhook(hook), killed=True) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: hook.bodies(), "it is on its way")
        async with desk.messenger(by_webhook(hook)):
            await until(lambda: len(hook.bodies()) == 2, "it is told again")
        assert len({body["id"] for body in hook.bodies()}) == 1
        assert hook.received[0].headers["webhook-id"] == hook.received[1].headers["webhook-id"]


async def test_a_mail_server_that_dies_in_the_middle(desk: Desk) -> None:
    def config(port: int) -> NotifyConfig:
        mail = EmailConfig(
            host="127.0.0.1",
            port=port,
            tls="none",
            sender="s@site.example",
            to=["o@site.example"],
            timeout_s=Seconds(2),
        )
        return NotifyConfig(
            targets={"mail": mail}, routes=[RouteConfig(name="r", targets=["mail"], group_s=Seconds(0))]
        )

    with Mailbox() as box:
        port = box.port
        box.answers = ["close", "451 later", "accept and close"]
        async with desk.messenger(config(port), killed=True) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: box.mails, "taken, and nobody heard of it")
        first = box.mails[0]["Message-ID"]
    async with desk.messenger(config(port), killed=True) as messenger:
        await desk.stored.put(incident("b"))
        messenger.nudge()
        await until(lambda: desk.health.component("notify.mail").status == "degraded", "the server is away")
    with Mailbox(port=port) as box:
        async with desk.messenger(config(port)):
            await until(lambda: len(box.mails) >= 2, "the rest is told")
        subjects = Counter(str(mail["Message-ID"]) for mail in box.mails)
        assert len(box.mails) == len(subjects) == 2
        assert first in subjects, "what may have arrived is told again under its own Message-ID"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_syslog_that_is_away_for_a_while(desk: Desk, transport: str) -> None:
    with Syslogd(transport) as receiver:
        port = receiver.port
    target = SyslogConfig(host="127.0.0.1", port=port, transport=transport)  # type: ignore[arg-type]
    config = NotifyConfig(targets={"log": target}, routes=[RouteConfig(name="r", targets=["log"], group_s=Seconds(0))])
    async with desk.messenger(config) as messenger:
        await desk.stored.put(incident("a"))
        messenger.nudge()
        await until(lambda: desk.health.component("notify.log").status == "degraded", "nobody listens")
        with Syslogd(transport, port=port) as receiver:
            await until(lambda: receiver.records, "it is told")
            await desk.stored.put(incident("b"))
            messenger.nudge()
            await until(lambda: len(receiver.records) == 2, "so is the next")
            assert [record.data["incident_id"] for record in receiver.records] == ["a", "b"]


async def test_what_is_given_up_is_said_and_recorded(desk: Desk) -> None:
    with Hook() as hook, Hook() as good:
        hook.answers = [500] * 50
        config = by_webhook(
            hook,
            max_tries=3,
            targets={"good": WebhookConfig(url=good.url)},
            route={"targets": ["hook", "good"]},
        )
        async with desk.messenger(config) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: desk.health.component("notify.hook").dropped == 1, "it is given up")
            await until(lambda: good.incidents(), "the other target has it")
            messenger.nudge()
            await until(lambda: desk.health.component("notify").status == "degraded", "health says so")
            assert "1 messages were given up" in desk.health.component("notify").detail
            assert desk.health.component("notify").extra["lost_messages"] == 1
        assert len(hook.bodies()) == 3
    records = {row["target"]: row for row in await desk.stored.told()}
    assert (records["hook"]["status"], records["hook"]["attempts"]) == ("dead", 3)
    assert "500" in records["hook"]["detail"]
    assert records["good"]["status"] == "sent"
    async with desk.messenger(config):
        await until(lambda: desk.health.component("notify").status == "degraded", "a restart does not hide it")


async def test_a_message_that_is_refused_holds_up_no_other(desk: Desk) -> None:
    with Hook() as hook:
        hook.answers = [422]
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: hook.bodies(), "the first is refused")
            await desk.stored.put(incident("b"))
            messenger.nudge()
            await until(lambda: len(hook.bodies()) == 3, "both are told")
        assert Counter(hook.incidents()) == {"a": 1, "b": 1}


class Unsteady:
    """The store of a desk, away when it is told to be."""

    def __init__(self, desk: Desk) -> None:
        self._inner = desk.stored.incidents
        self.away = False
        self.states: dict[str, str] = {}

    def _check(self) -> None:
        if self.away:
            raise StoreError("the database is away")

    async def heads(self) -> dict[int, int]:
        self._check()
        return await self._inner.heads()

    async def after(self, epoch: int, seq: int, most: int) -> list[Alert]:
        self._check()
        return await self._inner.after(epoch, seq, most)

    async def open_of(self, epochs: Sequence[int]) -> list[tuple[str, str]]:
        self._check()
        return await self._inner.open_of(epochs)

    async def triage(self, incident_ids: Sequence[str]) -> dict[str, str]:
        self._check()
        await self._inner.triage(incident_ids)  # there may be no such table
        return {one: self.states[one] for one in incident_ids if one in self.states}

    async def record(self, told: Sequence[Told]) -> None:
        self._check()
        await self._inner.record(told)


async def test_a_store_that_is_away_for_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siemd.notify.messenger.MOST_LOOK_S", 0.3)
    desk.source = source = Unsteady(desk)
    source.away = True
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: desk.health.component("notify").status == "degraded", "health says why")
            assert "the database is away" in desk.health.component("notify").detail
            source.away = False
            await until(lambda: hook.incidents(), "it is told when the store is back")
            await until(lambda: desk.health.component("notify").status == "ok", "health is well again")
        assert hook.incidents() == ["a"], "this run's own incidents are never taken for old ones"


async def test_escalated_unless_somebody_acknowledged(desk: Desk) -> None:
    desk.source = source = Unsteady(desk)
    source.states = {"seen": "acknowledged"}
    with Hook() as hook, Hook() as boss:
        config = by_webhook(
            hook,
            targets={"boss": WebhookConfig(url=boss.url)},
            route={"escalate": [EscalationConfig(after_s=Seconds(0.3), targets=["boss"])]},
        )
        async with desk.messenger(config) as messenger:
            await desk.stored.put(incident("seen"), incident("unseen"))
            messenger.nudge()
            await until(lambda: boss.incidents(), "the boss hears of it")
        assert boss.incidents() == ["unseen"]
        assert boss.bodies()[0]["incidents"][0]["kind"] == "escalation"
    kinds = {(row["incident_id"], row["kind"], row["target"]) for row in await desk.stored.told()}
    assert kinds == {("seen", "open", "hook"), ("unseen", "open", "hook"), ("unseen", "escalation", "boss")}


async def test_a_stop_tells_what_waited_for_company(desk: Desk) -> None:
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook, route={"group_s": Seconds(3600)})):
            await desk.stored.put(incident("a"))
        assert hook.incidents() == ["a"]


async def test_a_damaged_outbox_is_set_aside(desk: Desk) -> None:
    (desk.folder / outbox.FILE_NAME).write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: hook.incidents(), "it goes on")
    assert list(desk.folder.glob("notify.db.damaged-*"))


async def test_messages_for_a_target_that_is_gone(desk: Desk) -> None:
    with Hook() as hook:
        config = by_webhook(hook)
    async with desk.messenger(config, killed=True) as messenger:
        await desk.stored.put(incident("a"))
        messenger.nudge()
        await until(lambda: desk.health.component("notify.hook").errors, "nobody is there")
    with Hook() as other:
        config = NotifyConfig(
            targets={"new": WebhookConfig(url=other.url)}, routes=[RouteConfig(name="r", targets=["new"])]
        )
        async with desk.messenger(config):
            await until(lambda: desk.rows("SELECT 1 FROM message WHERE status = 'dead'"), "it is given up")
    (record,) = await desk.stored.told()
    assert record["detail"] == "its target is no longer configured"


async def test_what_is_accepted_is_told_though_the_store_is_away(desk: Desk) -> None:
    desk.source = source = Unsteady(desk)
    source.away = True
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook), killed=True) as messenger:
            alerts = desk.stored.batch([incident("a"), incident("b")]).events
            messenger.accepted(alert for alert in alerts if isinstance(alert, Alert))
            await until(lambda: len(hook.incidents()) == 2, "both are told")
        assert sorted(hook.incidents()) == ["a", "b"]


async def test_a_gap_in_what_is_accepted_is_filled_from_the_store(desk: Desk) -> None:
    desk.source = source = Unsteady(desk)
    source.away = True
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"))  # of which nobody says anything
            batch = desk.stored.batch([incident("b")])
            await desk.stored.store.write([batch])
            messenger.accepted(alert for alert in batch.events if isinstance(alert, Alert))
            await until(lambda: desk.health.component("notify").errors, "the store was asked")
            assert not hook.bodies(), "told out of order, the first would be lost"
            source.away = False
            messenger.nudge()
            await until(lambda: len(hook.incidents()) == 2, "both are told")
        assert sorted(hook.incidents()) == ["a", "b"]


async def test_a_disk_that_refuses_after_it_was_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has arrived, and that can't be noted: it is noted when that is possible, and not sent again meanwhile."""
    monkeypatch.setattr("siemd.sqlite_file.BUSY_TIMEOUT_S", 0.05)
    with Hook() as hook:
        hook.answers = ["hold"]
        config = by_webhook(hook)
        config.targets["hook"].timeout_s = Seconds(30)
        async with desk.messenger(config) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: hook.bodies(), "it is on its way")
            with closing(sqlite3.connect(desk.folder / outbox.FILE_NAME, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                hook.released.set()
                await until(lambda: "locked" in desk.health.component("notify.hook").detail, "the outbox refuses")
                other.execute("ROLLBACK")
            await until(lambda: desk.health.component("notify.hook").sent == 1, "it is noted")
        assert len(hook.bodies()) == 1
    (record,) = await desk.stored.told()
    assert (record["status"], record["attempts"]) == ("sent", 1)


async def test_an_outbox_that_is_damaged_while_it_is_in_use(desk: Desk) -> None:
    with Hook() as hook:
        async with desk.messenger(by_webhook(hook)) as messenger:
            await desk.stored.put(incident("a"))
            messenger.nudge()
            await until(lambda: hook.incidents(), "the first is told")
            path = desk.folder / outbox.FILE_NAME
            file = messenger._file._file

            def damage() -> None:
                file._drop()  # what SQLite holds in memory would hide the damage
                path.write_bytes(b"\xff" * path.stat().st_size)

            await asyncio.get_running_loop().run_in_executor(file._thread, damage)
            await desk.stored.put(incident("b"))
            messenger.nudge()
            await until(lambda: list(desk.folder.glob("notify.db.damaged-*")), "it is set aside")
            messenger.nudge()
            await until(lambda: "b" in hook.incidents(), "it goes on with a new one")
        assert Counter(hook.incidents())["b"] == 1
        assert Counter(hook.incidents())["a"] == 1, "what this run has told is not told again"
    assert desk.health.component("notify").extra["lost_outboxes"] == 1
