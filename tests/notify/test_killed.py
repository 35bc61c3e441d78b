"""A messenger that is killed by SIGKILL at any moment, again and again: each incident is told once, none is lost."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from support.hook import Hook
from support.incidents import HOST, Stored, incident

MANY = 120
RUN = """
import asyncio, sys
from pathlib import Path
from siemd.health import Health
from siemd.notify.config import NotifyConfig, RateConfig, RouteConfig
from siemd.notify.messenger import Messenger
from siemd.notify.webhook import WebhookConfig
from siemd.storage import StorageConfig, open_store
from siemd.storage.told import ToldStore
from siemd.units import Seconds

folder, url, epoch, host = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]

async def main():
    store = open_store(StorageConfig(url=f"sqlite:{folder / 'siemd.db'}"), folder)
    routes = [
        RouteConfig(name=name, targets=["hook", "second"], group_s=Seconds(0.0), group_by=["rule"], then="continue",
                    rate=RateConfig(messages=100_000))
        for name in ("one", "two")
    ]
    targets = {name: WebhookConfig(url=url + "/" + name) for name in ("hook", "second")}
    messenger = Messenger(config=NotifyConfig(targets=targets, routes=routes), data_dir=folder, host=host, epoch=epoch,
                          incidents=ToldStore(store, host), health=Health())
    await messenger.open()
    print("open", flush=True)
    await messenger.run()

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    stored = Stored(tmp_path)
    await stored.store.open()
    with Hook() as hook:

        def start() -> subprocess.Popen[str]:
            command = [sys.executable, "-c", RUN, str(tmp_path), hook.url, str(stored.next_run()), HOST]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None and process.stdout.readline() == "open\n"
            return process

        def told() -> Counter[tuple[str, str, str]]:
            """How often (route, target, incident), a message counted once."""
            found: Counter[tuple[str, str, str]] = Counter()
            messages = {one.document["id"]: one for one in hook.received}
            for one in messages.values():
                for each in one.document["incidents"]:
                    found[one.document["route"], one.path, each["incident_id"]] += 1
            return found

        process = start()
        number = 0
        while number < MANY or len(told()) < MANY * 4:
            if number < MANY:
                some = [incident(f"i{number + n}", rule=f"rule{chance.randrange(30)}") for n in range(20)]
                await stored.put(*some)
                number += 20
            await asyncio.sleep(chance.uniform(0.0, 0.5))  # a moment that nobody chose
            process.send_signal(signal.SIGKILL)
            process.communicate()
            process = start()
            if number >= MANY:
                await asyncio.sleep(1.0)  # at last it may come to an end
        process.kill()
        process.communicate()
        assert set(told().values()) == {1}, "only under the same id may a message come twice"
    await stored.store.close()
