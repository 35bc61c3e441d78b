"""The Overview: panels of a lifelike week, moved, edited, saved and shared; by mouse and by keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page, Route, expect

from siemd.storage.store import open_store
from support.batches import alert, batch, probes
from support.console import BOTH_STORES, ConsoleSite

COUNTS = "Nodes", "JSEventListeners", "Documents"


def panels(page: Page) -> Locator:
    """The panels in their order."""
    return page.locator("[data-panel] h2")


async def settled(page: Page) -> None:
    """Every panel that can be seen has its answer."""
    await expect(page.locator("[data-panel]").first).to_be_visible()
    await page.wait_for_load_state("networkidle")
    await expect(page.locator("[data-panel] .loading")).to_have_count(0)


@BOTH_STORES
async def test_a_week_at_a_glance(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("analyst", "/?from=-7d", viewport={"width": 1440, "height": 2300})
    await settled(page)
    for title in ("Open incidents by level", "All events by table", "Who probed whom", "CPU"):
        await expect(page.get_by_role("region", name=title, exact=True)).to_be_visible()
    users = page.get_by_role("region", name="Users · security log").first
    await expect(users).to_contain_text("<img src=x onerror=alert(1)>\\u202e'; DROP TABLE logs; --")
    assert await page.locator("main img").count() == 0
    await busy_console.check_accessible(page, "overview")
    await busy_console.shoot(page, "overview")
    await page.set_viewport_size({"width": 390, "height": 844})
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), "nothing stands out of a phone"


@BOTH_STORES
async def test_a_view_is_built_by_keyboard_saved_shared_and_opened_by_others(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("analyst", "/?from=-7d")
    await settled(page)
    handle = page.get_by_role("button", name="Move Open incidents by level")
    await handle.press("ArrowRight")
    await expect(panels(page).first).to_have_text("All events")
    await expect(handle).to_be_focused()
    await handle.press("Shift+ArrowRight")
    await expect(
        page.get_by_text("Open incidents by level is now 5 of 12 columns wide and 2 rows high")
    ).to_be_attached()
    await expect(page.get_by_text("Changed, not saved")).to_be_visible()
    assert "panels=" in page.url
    await page.reload()
    await expect(panels(page).nth(1)).to_have_text("Open incidents by level")

    await page.get_by_role("button", name="Add a panel").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Show as").select_option("Donut")
    await dialog.get_by_label("Table").select_option("Connections")
    await dialog.get_by_label("Count by").select_option("state")
    await dialog.get_by_label("Title").fill("<b>How they end</b>")
    await dialog.get_by_label("Filters, one a line").fill("source_ip:10.20.0.4")
    await dialog.get_by_role("button", name="Add").click()
    await expect(dialog.get_by_role("alert")).to_have_text("“source_ip:10.20.0.4” is no filter")
    await dialog.get_by_label("Filters, one a line").fill("source_ip:eq:10.20.0.4")
    await busy_console.check_accessible(page, "editor")
    await busy_console.shoot(page, "overview-editor")
    await dialog.get_by_role("button", name="Add").click()
    await expect(panels(page).last).to_have_text("<b>How they end</b>")
    await page.get_by_role("button", name="What to do with Lost events").click()
    await page.get_by_role("menuitem", name="Remove").click()
    await expect(page.get_by_role("region", name="Lost events")).to_have_count(0)

    await page.get_by_role("button", name="Save", exact=True).click()
    await page.get_by_label("Name of the view").fill("Night <shift>")
    await page.get_by_label("Share it with everybody").check()
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_text("“Night <shift>” is saved")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"[?&]view=[\w-]+$"))
    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitem", name="Open this view by default").click()
    await expect(page.get_by_text("This view opens by default now")).to_be_visible()
    await page.goto("/")
    await expect(panels(page).first).to_have_text("All events")
    await expect(panels(page).last).to_have_text("<b>How they end</b>")

    other = await busy_console.page("viewer", "/")
    await expect(panels(other).first).to_have_text("Open incidents by level")
    await other.get_by_role("button", name="View:").click()
    await other.get_by_role("menuitemradio", name="Night <shift> · Shared by the-analyst").click()
    await expect(panels(other).last).to_have_text("<b>How they end</b>")
    await other.get_by_role("button", name="Move All events", exact=True).press("ArrowRight")
    await other.get_by_role("button", name="Save", exact=True).click()
    await expect(other.get_by_label("Name of the view")).to_be_visible()
    await expect(other.get_by_label("Share it with everybody")).to_have_count(0)
    await other.keyboard.press("Escape")
    await other.get_by_role("button", name="Discard the changes").click()
    await expect(panels(other).first).to_have_text("All events")

    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitem", name="Delete this view").click()
    await expect(panels(page).first).to_have_text("Open incidents by level")


async def test_the_mouse_moves_resizes_filters_and_brushes(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("analyst", "/?from=-7d", viewport={"width": 1440, "height": 2300})
    await settled(page)
    await drag(page, page.get_by_role("button", name="Move CPU"), page.get_by_role("region", name="Newest incidents"))
    await expect(panels(page).nth(6)).to_have_text("CPU")
    corner = page.get_by_role("region", name="CPU", exact=True).locator(".corner")
    before = await box_of(page.get_by_role("region", name="CPU", exact=True))
    box = await box_of(corner)
    await page.mouse.move(box["x"] + 9, box["y"] + 9)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 240, box["y"] + 90, steps=6)
    await page.mouse.up()
    after = await box_of(page.get_by_role("region", name="CPU", exact=True))
    assert after["width"] > before["width"] + 150 and after["height"] > before["height"] + 50

    sources = page.get_by_role("region", name="Source address · network facts").first
    await sources.get_by_role("button", name="185.220.101.4").click()
    await page.get_by_role("menuitem", name="Show only this value").click()
    await expect(page).to_have_url(re.compile(r"filter=source_ip%3Aeq%3A185\.220\.101\.4"))
    await expect(sources.get_by_role("listitem")).to_have_count(1)
    await expect(page.get_by_role("region", name="Incidents by rule").get_by_role("img").first).to_have_attribute(
        "aria-label", "The page's filters don't fit this panel's table and are left out"
    )
    chart = page.get_by_role("img", name="All events by table")
    await expect(chart.locator("canvas")).to_be_visible()
    box = await box_of(chart)
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5, steps=5)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(r"[?&]to=20.*Z"))


async def test_it_is_live_and_does_not_grow(bare_console: ConsoleSite, tmp_path: Path) -> None:
    page = await bare_console.page("analyst", "/?from=-1h&refresh=live")
    await settled(page)
    await expect(page.get_by_text("No open incidents")).to_be_visible()
    await bare_console.check_accessible(page, "empty overview")
    await bare_console.shoot(page, "overview-empty")
    store = open_store(bare_console.storage, tmp_path)
    await store.open()
    incidents = page.get_by_role("region", name="Open incidents by level")
    client = await page.context.new_cdp_session(page)
    await client.send("Performance.enable")
    seen: list[dict[str, float]] = []
    for turn in range(1, 7):
        events = batch(alert(1, incident_id=f"incident-{turn}"), source="detection", epoch=turn)
        await store.write([events, probes(1, 200, epoch=turn)])
        await expect(incidents).to_contain_text(f"{turn} open")
        await expect(page.get_by_role("region", name="Newest incidents").locator("tbody tr")).to_have_count(turn)
        await page.get_by_role("button", name="Refresh now").click()
        await settled(page)
        await client.send("HeapProfiler.collectGarbage")
        told = (await client.send("Performance.getMetrics"))["metrics"]
        seen.append({one["name"]: one["value"] for one in told if one["name"] in (*COUNTS, "JSHeapUsedSize")})
    await store.close()
    grown = seen[-1]["JSHeapUsedSize"] - seen[2]["JSHeapUsedSize"]
    bare_console.measured["heap grown over three refreshes, KiB"] = grown / 1024
    assert grown < 2 << 20
    for name in COUNTS:
        assert seen[-1][name] < seen[2][name] * 1.3 + 200, (name, seen)


async def test_few_requests_at_a_time_and_none_for_what_changed_meanwhile(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("analyst", "/health")
    held: list[str] = []
    given_up: list[str] = []
    free = asyncio.Event()

    async def hold(route: Route) -> None:
        held.append(route.request.url)
        await free.wait()
        with contextlib.suppress(PlaywrightError):  # the page gave it up meanwhile
            await route.continue_()

    await page.route("**/statistics/**", hold)
    page.on("requestfailed", lambda request: given_up.append(request.url))
    await page.goto("/?from=-7d")
    await until(lambda: len(held) == 4)
    await page.get_by_role("button", name="Earlier").click()
    await until(lambda: len(held) == 8 and len(given_up) >= 4)
    assert set(given_up) >= set(held[:4])
    assert not any("start=-7d" in one for one in held[4:]), "nothing is asked for the range before"
    free.set()
    await settled(page)
    assert len(held) > 20
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    await page.get_by_role("button", name="Move Open incidents by level").press("ArrowRight")
    await expect(panels(page).first).to_have_text("All events")
    await settled(page)
    assert asked == [], "who only moves a panel asks nothing anew"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something in this process; a deadline fails the test."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in callbacks of the browser's driver
            await asyncio.sleep(0.02)


async def drag(page: Page, handle: Locator, target: Locator) -> None:
    """Take something by its handle and let it go over something else."""
    start, end = await box_of(handle), await box_of(target)
    await page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    await page.mouse.down()
    await page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2)
    await page.mouse.up()


async def box_of(element: Locator) -> dict[str, float]:
    """Where an element is."""
    box = await element.bounding_box()
    assert box
    return dict(box)  # type: ignore[arg-type]


async def test_what_is_closed_is_not_open(console: ConsoleSite) -> None:
    client = await console.web.as_role("analyst")
    closed = {"incident_ids": ["incident-5"], "action": "close", "verdict": "true_positive"}
    assert (await client.post("/api/v1/alerts/triage", json=closed)).status_code == 200
    page = await console.page("analyst", "/")
    await expect(page.get_by_text("4 open")).to_be_visible()
    await page.goto("/hosts/sensor-1")
    incidents = page.get_by_role("link", name="192.0.2.7 probed many ports")
    await expect(incidents).to_have_count(4)
