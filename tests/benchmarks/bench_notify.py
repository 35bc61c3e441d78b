"""Being told: incidents taken up by the outbox, and messages delivered by webhook against bare requests."""

from __future__ import annotations

import asyncio
import http.client
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from siemd.events import Alert, now_us
from siemd.health import Health
from siemd.notify import outbox
from siemd.notify.config import NotifyConfig, RateConfig, RouteConfig
from siemd.notify.intake import take
from siemd.notify.messenger import Messenger
from siemd.notify.render import Item, Writer, brief
from siemd.notify.routing import Router
from siemd.notify.webhook import WebhookConfig, document
from siemd.sqlite_file import connect, transaction
from siemd.storage import StorageConfig, open_store
from siemd.storage.told import ToldStore
from siemd.units import Seconds

INCIDENTS, MESSAGES, PAGE = 20_000, 400, 200


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.taken += 1  # type: ignore[attr-defined]

    def log_message(self, *_args: object) -> None:
        pass


def _alert(number: int) -> Alert:
    return Alert(
        time_us=now_us(), incident_id=f"i{number}", rule=f"rule{number % 50}", rule_id="x", title="A title",
        level="high", first_seen_us=now_us(), last_seen_us=now_us(), reason="192.0.2.77 asked 50 ports",
        group={"source_ip": "192.0.2.77"}, tags=["attack.t1046"], host="lab", source="detection", seq=number,
    )  # fmt: skip


def _config(url: str) -> NotifyConfig:
    route = RouteConfig(
        name="r", targets=["hook"], group_s=Seconds(0), rate=RateConfig(messages=100_000), group_by=["rule"]
    )
    return NotifyConfig(targets={"hook": WebhookConfig(url=url, secret="s")}, routes=[route], max_waiting=1_000_000)


def _intake(folder: Path) -> float:
    """Incidents a second into an outbox on disk, a page a transaction."""
    config = _config("http://localhost/")
    router = Router(config)
    alerts = [_alert(number) for number in range(INCIDENTS)]
    connection = connect(folder / outbox.FILE_NAME)
    with closing(connection):
        outbox.prepare(connection)
        began = time.perf_counter()
        for start in range(0, INCIDENTS, PAGE):
            with transaction(connection):
                take(connection, config, router, 1, alerts[start : start + PAGE], start, now_us())
        return INCIDENTS / (time.perf_counter() - began)


async def _deliver(folder: Path, server: ThreadingHTTPServer) -> float:
    """Messages a second from the outbox to a server, each noted on disk before and after."""
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    store = open_store(StorageConfig(url=f"sqlite:{folder / 'siemd.db'}"), folder)
    await store.open()
    config = _config(url)
    messenger = Messenger(
        config=config, data_dir=folder, incidents=ToldStore(store, "lab"), health=Health(), host="lab", epoch=1
    )
    await messenger.open()
    writer = Writer(config, "lab")
    with closing(sqlite3.connect(folder / outbox.FILE_NAME, isolation_level=None)) as db, transaction(db):
        for number in range(MESSAGES):
            message = writer.message(outbox.new_uid(), "r", [Item("open", brief(_alert(number)))], now_us())
            outbox.enqueue(db, outbox.make_batch(db, "r", [], now_us(), counted=True), "hook", message, now_us())
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(messenger.run())
        while server.taken < MESSAGES:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        elapsed_s = time.perf_counter() - began
        messenger.finish()
    await messenger.close()
    await store.close()
    return MESSAGES / elapsed_s


def _bare(server: ThreadingHTTPServer) -> float:
    body = document(Writer(_config("http://localhost/"), "lab").message("u", "r", [Item("open", brief(_alert(1)))], 0))
    began = time.perf_counter()
    for _ in range(MESSAGES):
        connection = http.client.HTTPConnection("127.0.0.1", int(server.server_address[1]))
        connection.request("POST", "/", body)
        connection.getresponse().read()
        connection.close()
    return MESSAGES / (time.perf_counter() - began)


def _import_ms(module: str) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import siemd.app, {module}"], check=True)
        times.append(time.perf_counter() - began)
    return 1e3 * min(times)


def run() -> list[tuple[str, str]]:
    """Rates, and what the messenger adds to the import of the daemon."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.taken = 0  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        bare = _bare(server)
        server.taken = 0  # type: ignore[attr-defined]
        delivered = asyncio.run(_deliver(Path(first), server))
        taken = _intake(Path(second))
    server.shutdown()
    server.server_close()
    without, with_it = _import_ms("sys"), _import_ms("siemd.notify.messenger")
    return [
        ("incidents into the outbox, 200 a transaction", f"{taken:,.0f}/s"),
        ("webhooks from the outbox, one target", f"{delivered:,.0f}/s, {delivered / bare:.2f} of bare requests"),
        ("import of the messenger, beside the daemon", f"{with_it - without:.0f} ms more"),
    ]
