"""siemd is stopped, or the wire to it is cut, while the console is open: it says so, and goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from siemd.storage import StorageConfig
from siemd.storage.store import open_store
from siemd.web.cookies import PLAIN_NAME
from support.batches import alert, batch
from support.browser import Complaints, check_accessible, open_page, shoot
from support.web import Web, serving, web_config
from support.wire import Wire

AWAY = "siemd does not answer. What is shown is from before"


async def stored(storage: StorageConfig, folder: Path, number: int) -> None:
    """An incident more."""
    store = open_store(storage, folder)
    await store.open()
    incident = alert(1, incident_id=f"i-{number}", reason=f"incident number {number}", level="high")
    await store.write([batch(incident, source="detection", epoch=number)])
    await store.close()


async def opened(web: Web, wire: Wire, browser: Browser, complaints: Complaints, path: str) -> Page:
    """A page of an analyst that reaches the server through the wire; it is live."""
    complaints.expected += [r"WebSocket connection to .* failed", r"net::ERR_"]
    value = (await web.as_role("analyst")).cookies[PLAIN_NAME]
    cookies = [{"name": PLAIN_NAME, "value": value, "url": wire.origin, "httpOnly": True}]
    page = await open_page(browser, wire.origin, complaints, cookies=cookies)
    await page.goto(path)
    await expect(page.locator(".live.open")).to_be_visible()
    await page.evaluate("window.sameAsBefore = true")
    return page


async def shows(page: Page, path: str, incidents: int) -> None:
    """The page shows so many incidents, the newest by name."""
    if path == "/alerts":
        await expect(page.get_by_role("grid").get_by_text(f"incident number {incidents}")).to_be_visible(timeout=40_000)
        return
    levels = page.get_by_role("region", name="Open incidents by level")
    await expect(levels).to_contain_text(f"{incidents} open", timeout=40_000)
    newest = page.get_by_role("region", name="Newest incidents")
    await expect(newest).to_contain_text(f"incident number {incidents}")


@pytest.mark.parametrize("path", ["/", "/alerts"])
async def test_siemd_is_stopped_and_started_while_the_console_is_open(
    path: str, tmp_path: Path, browser: Browser, pictures: Path
) -> None:
    complaints = Complaints()
    storage = StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
    config = web_config(tmp_path, storage)
    async with Wire(0) as wire:
        async with serving(config) as web:
            wire.target_port = web.server.port
            await stored(storage, tmp_path, 1)
            page = await opened(web, wire, browser, complaints, path)
            await shows(page, path, 1)
            wire.cut()
        await expect(page.get_by_text(AWAY)).to_be_visible()
        await check_accessible(page, "away")
        await shoot(page, pictures, "away" + path.replace("/", "-"))
        await page.get_by_role("button", name="Refresh now").click()
        await expect(page.get_by_text("siemd does not answer. Is it running").first).to_be_visible()
        await stored(storage, tmp_path, 2)
        async with serving(config) as web:
            wire.target_port = web.server.port
            await shows(page, path, 2)
            await expect(page.locator(".live.open")).to_be_visible()
            for said in (AWAY, "siemd does not answer. Is it running"):
                await expect(page.get_by_text(said)).to_have_count(0)
            await stored(storage, tmp_path, 3)
            await shows(page, path, 3)
            assert await page.evaluate("window.sameAsBefore"), "without having been loaded anew"
    complaints.check()


@pytest.mark.parametrize("path", ["/", "/alerts"])
async def test_a_connection_that_is_cut_is_made_anew(path: str, tmp_path: Path, browser: Browser) -> None:
    complaints = Complaints()
    storage = StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
    async with serving(web_config(tmp_path, storage)) as web, Wire(web.server.port) as wire:
        await stored(storage, tmp_path, 1)
        page = await opened(web, wire, browser, complaints, path)
        await shows(page, path, 1)
        wire.cut()
        await expect(page.locator(".live.waiting")).to_be_visible()
        await stored(storage, tmp_path, 2)
        wire.target_port = web.server.port
        await shows(page, path, 2)
        assert await page.evaluate("window.sameAsBefore"), "without having been loaded anew"
    complaints.check()


async def test_whose_session_ended_meanwhile_is_asked_to_log_in(tmp_path: Path, browser: Browser) -> None:
    complaints = Complaints()
    storage = StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
    async with serving(web_config(tmp_path, storage)) as web, Wire(web.server.port) as wire:
        page = await opened(web, wire, browser, complaints, "/alerts")
        wire.cut()
        await expect(page.get_by_text(AWAY)).to_be_visible()
        await web.services.database.execute("DELETE FROM sessions")
        wire.target_port = web.server.port
        await expect(page.get_by_text("Your session is over.")).to_be_visible(timeout=40_000)
    complaints.check()
