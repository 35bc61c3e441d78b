"""The documentation of the API is held to its routes, and the README's commands are run."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import typing
from pathlib import Path

from siemd.config import Config
from siemd.storage.database import open_database
from siemd.storage.store import Store
from siemd.web.access.roles import SCOPES
from siemd.web.api import HANDLERS
from siemd.web.application import create_app, right_of, routes
from siemd.web.asking import TIME_HELP, EventTable
from siemd.web.services import Services
from support.batches import batch, connection, log, probe, usage
from support.needs import need
from support.web import Web

ROOT = Path(__file__).resolve().parents[2]


def test_every_route_is_in_the_documentation_and_nothing_else(tmp_path: Path) -> None:
    config = Config()
    app = create_app(Services(config, tmp_path, open_database(config.storage, tmp_path)), HANDLERS)
    wanted = {
        f"| `{method} {path}` | `{right_of(handler)}` | {first_sentence(handler.fn)} |"
        for path, method, handler in routes(app)
        if path.startswith("/api/")
    }
    lines = (ROOT / "docs/api.md").read_text().splitlines()
    written = {line for line in lines if re.match(r"\| `[A-Z]+ /", line)}
    assert written == wanted
    assert "-24h" in TIME_HELP


def first_sentence(function: object) -> str:
    return (inspect.getdoc(function) or "").split("\n")[0].rstrip(".")


async def test_the_readmes_commands_answer(web: Web, store: Store, tmp_path: Path) -> None:
    need("curl", "bash")
    records = [
        log(1), log(2, table="system_logs", level="error"), log(3, table="application_logs"),
        log(4, table="channel_logs", channel="Microsoft-Windows-Sysmon/Operational"),
    ]  # fmt: skip
    facts = batch(probe(1, source_ip="10.1.1.1", message="ssh", event_type="ssh_auth"))
    await store.write(
        [facts, batch(connection(9)), batch(*records, source="windows"), batch(usage(1), source="metrics")]
    )
    token = (await web.with_token("admin", sorted(SCOPES))).headers["Authorization"].removeprefix("Bearer ")
    text = (ROOT / "README.md").read_text()
    lines = [line.strip() for line in text.splitlines() if line.startswith("    api")]
    assert len(lines) > 8
    for table in typing.get_args(EventTable):
        assert any(f"events/{table}" in line for line in lines), table
    function, *commands = lines
    function = function.replace("http://127.0.0.1:8514", web.origin).replace("curl -sS", "curl -sS --fail")
    for command in commands:
        script = f"TOKEN={token}\n{function}\n{command}\n"
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-ec", script], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        if "events/" in command and ">" not in command:
            assert '"rows":[{' in done.stdout, f"{command}: {done.stdout}"
    assert len((tmp_path / "application_logs.csv").read_text().splitlines()) == 2
    assert (tmp_path / "sysmon.jsonl").read_text().count("Sysmon") == 1
