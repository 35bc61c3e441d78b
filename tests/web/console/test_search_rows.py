"""Rows of the search while more are stored, which they stand still beside, and of more than anybody would load."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from playwright.async_api import Page, WebSocketRoute, expect

from siemd.events import now_us
from support.batches import batch, probe
from support.console import BOTH_STORES, ConsoleSite, store_of


def asked_for_rows(page: Page) -> list[str]:
    """The addresses of pages of rows that are asked for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/v1/events/logs?" in request.url else None)
    return asked


def hearing(page: Page) -> asyncio.Event:
    """Is set when the server has begun to tell the page of new events."""
    heard = asyncio.Event()

    def take(frame: str | bytes) -> None:
        if json.loads(frame)["type"] == "subscribed":
            heard.set()

    page.on("websocket", lambda socket: socket.on("framereceived", take))
    return heard


@BOTH_STORES
async def test_live_counts_what_is_new_beside_rows_that_stand_still(console: ConsoleSite, tmp_path: Path) -> None:
    page = await console.page("analyst", "/health")
    heard = hearing(page)
    await page.clock.install()
    await page.goto("/search?refresh=live")
    grid = page.get_by_role("grid", name="Events")
    await expect(grid.get_by_text("192.0.2.7").first).to_be_visible()
    await asyncio.wait_for(heard.wait(), 20)
    await page.wait_for_load_state("networkidle")
    async with store_of(console, tmp_path) as store:
        asked = asked_for_rows(page)
        await store.write([batch(probe(1, message="the first"), probe(2, message="the second"), epoch=7)])
        await expect(page.get_by_role("button", name="2 new events")).to_be_visible()
        async with page.expect_response(lambda answer: "/statistics/logs/timeline" in answer.url):
            await page.clock.fast_forward(11_000)
        await store.write([batch(probe(1, message="the third"), epoch=8)])
        await expect(page.get_by_role("button", name="3 new events")).to_be_visible()
        assert asked == [], "the rows stand still"
        await console.shoot(page, "search-live")
        heard.clear()
        await page.get_by_role("button", name="3 new events").click()
        await expect(grid.get_by_text("the third")).to_be_visible()
        await expect(page.get_by_role("button", name="new event")).to_have_count(0)
        await asyncio.wait_for(heard.wait(), 20)
        await store.write([batch(probe(1, message="the fourth"), epoch=9)])
        await expect(page.get_by_role("button", name="1 new event")).to_be_visible()
        await page.get_by_label("Search words").fill("fourth")
        await page.get_by_label("Search words").press("Enter")
        await expect(page.get_by_text("1 row", exact=True)).to_be_visible()
        await expect(page.get_by_role("button", name="new event")).to_have_count(0)


async def test_a_live_connection_that_is_lost_is_said_and_comes_back(console: ConsoleSite, tmp_path: Path) -> None:
    page = await console.page("analyst", "/health")
    sockets: list[WebSocketRoute] = []
    away, heard = asyncio.Event(), asyncio.Event()

    async def connect(socket: WebSocketRoute) -> None:
        if away.is_set():
            await socket.close()
            return
        server = socket.connect_to_server()

        def take(frame: str | bytes) -> None:
            socket.send(frame)
            if json.loads(frame)["type"] == "subscribed":
                heard.set()

        server.on_message(take)
        sockets.append(socket)

    await page.route_web_socket("**/api/v1/live", connect)
    await page.goto("/search?refresh=live")
    async with store_of(console, tmp_path) as store:
        await asyncio.wait_for(heard.wait(), 20)
        await page.wait_for_load_state("networkidle")
        await store.write([batch(probe(1), epoch=7)])
        await expect(page.get_by_role("button", name="1 new event")).to_be_visible()
        away.set()
        await sockets[0].close()
        await expect(page.get_by_text("The live connection is lost; trying again.")).to_be_visible()
        await console.check_accessible(page, "a lost live connection")
        away.clear()
        await expect(page.get_by_role("button", name="1+ new events")).to_be_visible(timeout=30_000)
        await expect(page.get_by_text("The live connection is lost")).to_have_count(0)
        await store.write([batch(probe(1), epoch=8)])
        await expect(page.get_by_role("button", name="2+ new events")).to_be_visible()


async def test_live_that_hears_nothing_says_why_and_asks_again(console: ConsoleSite, tmp_path: Path) -> None:
    page = await console.page("analyst", "/health")
    refused: list[str] = []

    def refuse_once(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            asked = json.loads(message)
            if asked["type"] == "subscribe" and asked["table"] == "logs" and not refused:
                refused.append(asked["id"])
                detail = "the store does not answer now; try again"
                socket.send(json.dumps({"type": "error", "id": asked["id"], "detail": detail}))
            else:
                server.send(message)

        socket.on_message(pass_on)

    await page.route_web_socket("**/api/v1/live", refuse_once)
    await page.clock.install()
    await page.goto("/search?refresh=live&filter=destination_port:in:77,78")
    await expect(page.get_by_text("New events are not counted: the store does not answer now")).to_be_visible()
    await page.clock.fast_forward(11_000)
    await expect(page.get_by_text("New events are not counted")).to_have_count(0)
    async with store_of(console, tmp_path) as store:
        await store.write([batch(probe(1), probe(78), epoch=7)])
        await expect(page.get_by_role("button", name="1 new event")).to_be_visible()


async def test_live_without_an_end_that_moves_says_so(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/search?refresh=live&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z")
    await expect(page.get_by_text("The time range has ended")).to_be_visible()


@BOTH_STORES
async def test_any_of_many_rows_is_gone_to_without_those_before(console: ConsoleSite, tmp_path: Path) -> None:
    """A day of 300,000 events, higher than an element can be: its middle and its end are some requests away."""
    rows, newest_us = 300_000, now_us() - 60_000_000
    step_us = 80_000_000_000 // rows
    async with store_of(console, tmp_path) as store:
        for first in range(0, rows, 10_000):
            events = [
                probe(number + 1, message=f"number {number}", time_us=newest_us - number * step_us)
                for number in range(first, first + 10_000)
            ]
            await store.write([batch(*events, epoch=9, source="many")])
    page = await console.page("analyst", "/search?q=number")
    grid = page.get_by_role("grid", name="Events")
    await expect(page.get_by_text("300,000 rows")).to_be_visible(timeout=30_000)
    asked = asked_for_rows(page)
    await grid.evaluate("(view) => { view.scrollTop = (view.scrollHeight - view.clientHeight) / 2; }")
    await expect(grid.get_by_text(re.compile(r"^number 1(49|50)\d\d\d$")).first).to_be_visible(timeout=30_000)
    await grid.focus()
    await page.keyboard.press("End")
    await expect(grid.get_by_text("number 299999", exact=True)).to_be_visible(timeout=30_000)
    await expect(grid.locator(".row.current")).to_contain_text("number 299999")
    await console.shoot(page, "search-many")
    for number in range(299_998, 299_970, -1):
        await page.keyboard.press("k")
        await expect(grid.locator(".row.current")).to_contain_text(f"number {number}")
    assert len(asked) < 40, asked
    asked.clear()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Event", exact=True).get_by_text("number 299971")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(grid.locator(".row.current")).to_be_in_viewport()
    assert asked == [], "what is opened asks for no rows"
    await page.keyboard.press("Home")
    await expect(grid.get_by_text("number 0", exact=True)).to_be_visible()
    await grid.get_by_role("button", name="time").click()
    await expect(grid.get_by_text("number 299999", exact=True)).to_be_visible(timeout=30_000)
    assert await grid.evaluate("(view) => view.scrollTop") == 0
