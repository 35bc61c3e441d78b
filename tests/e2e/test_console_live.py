"""A real scan shows in the console of a real daemon, in a real browser, without anybody asking again."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.daemon import MariaRows, Siemd, SqliteRows
from support.needs import need
from support.netlab import Lab
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

# The browser runs beside the daemon, in its namespace: plain HTTP is for the loopback alone.
_WALK = """
import asyncio, sys, time
from support.browser import Complaints, chromium, open_page

async def walk(origin, link):
    complaints = Complaints()
    async with chromium() as browser:
        page = await open_page(browser, origin, complaints)
        await page.goto(link)
        await page.get_by_label("Password", exact=True).fill("correct horse battery")
        await page.get_by_label("Password, once more").fill("correct horse battery")
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_role("button", name="Not now").click()
        await page.get_by_role("link", name="Alerts").first.click()
        await page.locator(".live.open").first.wait_for()
        await page.wait_for_load_state("networkidle")
        print("watching", flush=True)
        row = page.get_by_role("grid", name="Incidents").get_by_text("port_scan_syn").first
        await row.wait_for(timeout=60_000)
        print("seen", time.time(), flush=True)
        await row.click()
        try:
            await page.get_by_role("heading", name="Evidence").wait_for(timeout=8000)
        except Exception:
            print(page.url, complaints.told, await page.locator("main").inner_text(), flush=True)
            raise
        complaints.check()
        print("read", flush=True)

asyncio.run(walk(*sys.argv[1:]))
"""


def test_a_scan_shows_while_one_looks(
    lab: Lab, store: SqliteRows | MariaRows, make_siemd: Callable[..., Siemd], tmp_path: Path
) -> None:
    need("nmap", "chromium")
    config: dict[str, Any] = {
        "sources": {"sniffer": {"interface": "eth0"}, "journal": {"enabled": False}},
        "web": {"enabled": True, "listen": "127.0.0.1:8514"},
    }
    siemd = make_siemd(config, store, host=lab.server).start().sniffing()
    said = siemd.command("user", "add", "ann", "--role", "analyst", "--link")
    link = re.search(r"/setup#\S+", said)
    assert link, said
    output = tmp_path / "walk"
    tests = Path(__file__).resolve().parents[1]
    command = (sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(tests)!r})\n{_WALK}")
    walk = lab.server.start(*command, "http://127.0.0.1:8514", link[0], output=output, cwd=tests.parent)
    try:
        wait_until(
            lambda: "watching" in output.read_text() or walk.poll() is not None, "the inbox shows", deadline_s=60
        )
        lab.attacker.run("nmap", "-sS", "-n", "-Pn", "-p", "1-200", lab.server.address)
        assert walk.wait(90) == 0, output.read_text()
    finally:
        walk.kill()
        walk.wait()
    seen = re.search(r"seen ([\d.]+)", output.read_text())
    assert seen and "read" in output.read_text()
    (opened, *_) = [line for line in siemd.log("alert.opened") if line.get("rule") == "port_scan_syn"]
    shown = datetime.fromtimestamp(float(seen[1]), UTC) - datetime.fromisoformat(opened["time"])
    print(f"shown in the browser {shown.total_seconds():.2f} s after it was opened")
    assert siemd.stop() == 0
