"""Events searched in a browser: by table, filter, word and time; looked at, counted, exported, and kept as a view."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from siemd.storage.store import open_store
from support.batches import batch, connection, log, probe
from support.browser import PHONE
from support.console import BOTH_STORES, ConsoleSite, store_of

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x07'; DROP TABLE logs --"
FIELDS = {"<b>name</b>": HOSTILE, "ok": HOSTILE}
LOGS = ("security_logs", "system_logs", "application_logs", "channel_logs")


async def with_hostile(site: ConsoleSite) -> None:
    store = open_store(site.storage, site.web.services.data_dir)
    await store.open()
    texts = {"message": HOSTILE, "user_name": HOSTILE, "source_ip": HOSTILE[:60], "fields": FIELDS}
    wire = {"destination_ip": HOSTILE[:60], "event_type": HOSTILE[:60], "protocol": HOSTILE[:30]}
    records = {"channel": HOSTILE, "provider": HOSTILE, "computer": HOSTILE, "level": HOSTILE[:30]}
    flow = connection(1, source_ip=HOSTILE[:60], protocol=HOSTILE[:30], fields={**FIELDS, "state": HOSTILE[:30]})
    await store.write(
        [
            batch(probe(1, **texts, **wire), flow, source="hostile", host=HOSTILE),
            batch(*(log(n, table=table, **texts, **records) for n, table in enumerate(LOGS, 1)), source="hostile-logs"),
        ]
    )
    await store.close()


@BOTH_STORES
async def test_a_search_is_narrowed_looked_at_and_kept(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/search")
    grid = page.get_by_role("grid", name="Events")
    await expect(grid.get_by_text("192.0.2.7").first).to_be_visible()
    await expect(page.get_by_text("250 rows")).to_be_visible()
    await console.check_accessible(page, "search")
    await console.shoot(page, "search")
    await page.get_by_role("button", name="Fields").click()
    await page.get_by_role("combobox", name="Field").select_option("source_ip")
    values = page.get_by_role("list", name="source_ip")
    await values.get_by_role("button", name="192.0.2.7").click()
    await page.get_by_role("menuitem", name="Show only this value").click()
    await expect(page).to_have_url(
        console.web.origin + "/search?fields=1&by=source_ip&filter=source_ip%3Aeq%3A192.0.2.7"
    )
    await page.get_by_label("Search words").fill("destination_port:eq:77")
    await page.get_by_label("Search words").press("Enter")
    await expect(page.get_by_text("1 row", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Columns").click()
    for name in ("protocol", "host", "source_ip"):
        await page.get_by_role("menuitemcheckbox", name=name, exact=True).click()
    await expect(page.get_by_role("menuitemcheckbox", name="protocol")).to_be_checked()
    await expect(page.get_by_role("menuitemcheckbox", name="source_ip")).not_to_be_checked()
    await expect(grid.get_by_role("columnheader", name="protocol")).to_be_visible()
    await expect(grid.get_by_role("columnheader", name="source_ip")).to_have_count(0)
    await page.keyboard.press("Space")
    await expect(grid.get_by_role("columnheader", name="source_ip")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Columns")).to_be_focused()
    await grid.get_by_text("192.0.2.7").first.click()
    detail = page.get_by_role("region", name="Event")
    await expect(detail.get_by_text("fields.probe")).to_be_visible()
    await console.check_accessible(page, "event")
    await console.shoot(page, "search-event")
    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitem", name="Save this search").click()
    await page.get_by_label("Name").fill("<i>port 77</i>")
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved")).to_be_visible()
    await page.goto("/search?table=security_logs")
    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitem", name="<i>port 77</i>", exact=True).click()
    await expect(page.get_by_text("1 row", exact=True)).to_be_visible()
    assert "column=protocol" in page.url and "destination_port" in page.url


@BOTH_STORES
async def test_a_search_is_exported(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/search?filter=destination_port:lt:11&order=asc")
    await expect(page.get_by_text("10 rows")).to_be_visible()
    for kind, lines in (("As CSV", 11), ("As JSON Lines", 10)):
        await page.get_by_role("button", name="Export").click()
        async with page.expect_download() as download:
            await page.get_by_role("menuitem", name=kind).click()
        path = await (await download.value).path()
        assert len((await asyncio.to_thread(Path(path).read_text)).splitlines()) == lines


@pytest.mark.parametrize("table", ["logs", "connections", *LOGS])
async def test_hostile_text_shows_as_text(console: ConsoleSite, table: str) -> None:
    await with_hostile(console)
    page = await console.page("viewer", f"/search?table={table}&q=onerror")
    grid = page.get_by_role("grid", name="Events")
    await expect(grid.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
    await grid.get_by_text("<img src=x onerror=alert(1)>").first.click()
    detail = page.get_by_role("region", name="Event")
    await expect(detail.get_by_text("fields.<b>name</b>")).to_be_visible()
    assert await page.locator("main img").count() == 0
    assert "\u202e" not in await page.locator("main").inner_text()


async def test_a_mistake_is_told_in_words(console: ConsoleSite) -> None:
    console.complaints.expected.append(r"Failed to load resource.*\b422\b")
    page = await console.page("viewer", "/search?filter=nonsense:eq:1")
    await expect(page.get_by_text("logs has no field 'nonsense'").first).to_be_visible()
    await page.goto("/search")
    await expect(page.get_by_role("grid", name="Events").get_by_text("192.0.2.7").first).to_be_visible()
    await page.get_by_label("Search words").fill("source_ip:cidr:nowhere")
    await page.get_by_label("Search words").press("Enter")
    await expect(page.get_by_text("takes a network such as 10.1.0.0/16").first).to_be_visible()
    await expect(page.get_by_role("grid", name="Events").get_by_text("192.0.2.7")).to_have_count(0)


async def test_two_views_of_one_name_are_both_offered(console: ConsoleSite) -> None:
    for role in ("analyst", "admin"):
        client = await console.web.as_role(role)
        view = {"name": "twin", "page": "search", "definition": {"query": "table=logs"}, "shared": True}
        assert (await client.post("/api/v1/views", json=view)).status_code == 201
    page = await console.page("analyst", "/search")
    await page.get_by_role("button", name="Views").click()
    await expect(page.get_by_role("menuitem", name="twin", exact=True)).to_have_count(2)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        (["source_ip:like:192", "destination_port:eq:77"], "source_ip:like:192 is no filter"),
        ([f"destination_port:ne:{port}" for port in range(1, 22)], "destination_port:ne:21 is one filter too many"),
    ],
)
async def test_a_filter_of_no_use_is_said_and_nothing_is_asked_without_it(
    console: ConsoleSite, filters: list[str], told: str
) -> None:
    asked: list[str] = []
    page = await console.page("analyst", "/gallery")
    page.on("request", lambda request: asked.append(request.url))
    await page.goto("/search?" + "&".join(f"filter={one}" for one in filters))
    await expect(page.get_by_role("alert")).to_have_text(told)
    await expect(page.get_by_text("Nothing is asked yet")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    assert [url for url in asked if "/events/logs" in url or "/statistics/" in url] == []
    await console.check_accessible(page, "a filter of no use")
    await console.shoot(page, "search-unused-filter")
    await page.get_by_role("button", name="Take it away").click()
    await expect(page.get_by_role("grid", name="Events").get_by_text("192.0.2.7").first).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)


@BOTH_STORES
async def test_fields_operators_and_values_are_offered(console: ConsoleSite, tmp_path: Path) -> None:
    async with store_of(console, tmp_path) as store:
        people = [log(n, table="security_logs", user_name=f"Person {n}") for n in range(1, 30)]
        await store.write([batch(*people, log(30, table="security_logs", user_name="Ada Lovelace"), source="people")])
    page = await console.page("analyst", "/search?table=security_logs")
    await expect(page.get_by_role("grid", name="Events").get_by_text("Ada Lovelace")).to_be_visible()
    box, offered = page.get_by_role("combobox", name="Search words"), page.get_by_role("option")
    await box.press_sequentially("us")
    await expect(offered).to_have_text(["user_name"])
    await box.press("ArrowDown")
    await box.press("Tab")
    await expect(box).to_have_value("user_name:")
    await expect(page.get_by_role("option", name="begins with prefix")).to_be_visible()
    await expect(page.get_by_role("option", name="Person").first).to_be_visible()
    await console.check_accessible(page, "offers")
    await console.shoot(page, "search-offers")
    await box.press_sequentially("not")
    await box.press("ArrowDown")
    await box.press("Enter")
    await expect(box).to_have_value("user_name:ne:")
    await box.press_sequentially("lace")  # not among the most frequent
    await page.get_by_role("option", name="Ada Lovelace").click()
    await expect(box).to_have_value('user_name:ne:"Ada Lovelace" ')
    await box.press_sequentially("Microsoft")
    await box.press("Enter")
    await expect(page.get_by_role("button", name="Remove the filter user_name is not Ada Lovelace")).to_be_visible()
    await expect(box).to_have_value("Microsoft")
    await box.fill("user_name:like:ada")
    await box.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("user_name:like:ada is no filter")


async def test_a_table_that_waits_for_its_rows_is_accessible(console: ConsoleSite) -> None:
    page = await console.page("viewer", "/health")
    asked, free = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await free.wait()
        await route.continue_()

    await page.route("**/api/v1/events/logs?**", hold)
    await page.goto("/search")
    await asyncio.wait_for(asked.wait(), 20)
    await console.check_accessible(page, "waiting for rows")
    free.set()
    await expect(page.get_by_role("grid", name="Events").get_by_text("192.0.2.7").first).to_be_visible()


@BOTH_STORES
async def test_what_is_open_beside_the_rows_stands_in_the_address(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/search?filter=destination_port:lt:11&order=asc")
    grid, event = page.get_by_role("grid", name="Events"), page.get_by_role("region", name="Event", exact=True)
    await page.get_by_role("button", name="Fields").click()
    await page.get_by_role("combobox", name="Field").select_option("destination_ip")
    await grid.focus()
    for key in ("j", "j", "Enter"):
        await page.keyboard.press(key)
    await expect(event.get_by_text("fields.probe")).to_be_visible()
    shared = await console.page("viewer", page.url.removeprefix(console.web.origin))
    await expect(shared.get_by_role("region", name="Event", exact=True).get_by_text("fields.probe")).to_be_visible()
    await expect(shared.locator(".row.selected")).to_have_count(1)
    await shared.keyboard.press("Escape")
    await expect(shared.get_by_role("region", name="Event", exact=True)).to_have_count(0)
    await expect(shared.get_by_role("list", name="destination_ip")).to_be_visible()
    await page.go_back()
    await expect(event).to_have_count(0)
    await page.go_forward()
    await expect(event.get_by_text("fields.probe")).to_be_visible()


async def test_an_event_that_is_gone_is_said(console: ConsoleSite) -> None:
    console.complaints.expected.append(r"Failed to load resource.*\b404\b")
    page = await console.page("viewer", "/search?event=999999")
    await expect(page.get_by_role("region", name="Event", exact=True).get_by_role("alert")).to_be_visible()


async def test_on_a_phone_an_event_is_a_dialog_that_gives_the_focus_back(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/search?filter=destination_port:lt:11", viewport=PHONE)
    grid, dialog = page.get_by_role("grid", name="Events"), page.get_by_role("dialog", name="Event")
    for leave in ("Escape", "Close", "back"):
        await grid.get_by_text("tcp_probe").first.click()
        await expect(dialog.get_by_text("fields.probe")).to_be_visible()
        assert await page.evaluate("document.activeElement.closest('dialog') !== null")
        if leave == "Escape":
            await console.check_accessible(page, "an event on a phone")
            await console.shoot(page, "search-event-dialog")
            await page.keyboard.press("Escape")
        elif leave == "Close":
            await dialog.get_by_role("button", name="Close").click()
        else:
            await page.go_back()
        await expect(dialog).to_have_count(0)
        await expect(grid).to_be_focused()
        await expect(page).not_to_have_url(re.compile("event="))
    await page.get_by_role("button", name="Fields").click()
    fields = page.get_by_role("dialog", name="Fields")
    await fields.get_by_role("button", name="tcp_probe").click()
    await page.get_by_role("menuitem", name="Hide this value").click()
    await expect(fields.get_by_text("No values")).to_be_visible()
    await fields.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("button", name="Fields")).to_be_focused()
