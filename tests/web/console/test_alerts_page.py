"""The inbox of incidents in a browser: worked by keys and in bulk, an incident's story, and what comes meanwhile."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from siemd.storage.store import open_store
from support.batches import alert, batch
from support.console import ConsoleSite

HOSTILE = "<img src=x onerror=alert(1)>\u202e'; DROP TABLE alerts --"


async def more(site: ConsoleSite, *incidents: object) -> None:
    store = open_store(site.storage, site.web.services.data_dir)
    await store.open()
    await store.write([batch(*incidents, source="detection", epoch=2)])
    await store.close()


@pytest.mark.parametrize("console_storage", ["sqlite", "mariadb"], indirect=True)
async def test_the_inbox_is_worked_by_keys(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/alerts")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(grid.get_by_role("row")).to_have_count(6)
    await console.check_accessible(page, "inbox")
    await console.shoot(page, "alerts")
    for key in ("j", "x", "j", "x", "e"):
        await page.keyboard.press(key)
    await page.get_by_label("A false alarm").check()
    await page.get_by_label("Comment").fill(HOSTILE)
    await console.check_accessible(page, "closing")
    await page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).last.click()
    await expect(page.get_by_text("2 incidents closed")).to_be_visible()
    await expect(grid.get_by_role("row")).to_have_count(4)
    await page.get_by_role("button", name="Undo").click()
    await expect(grid.get_by_role("row")).to_have_count(6)
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(page.get_by_text("Incident assigned")).to_be_visible()
    await expect(grid.get_by_text("the-analyst")).to_be_visible()
    await page.get_by_role("tab", name="Closed").click()
    await expect(page.get_by_text("No incidents here")).to_be_visible()
    assert "state=closed" in page.url


async def test_a_story_is_read_and_written_on(console: ConsoleSite) -> None:
    group = {"source_ip": "192.0.2.7", "user_name": HOSTILE}
    evidence = [{"message": HOSTILE, "event_type": "tcp_probe", "fields": {HOSTILE: HOSTILE}}]
    await more(console, alert(1, incident_id="odd", reason=HOSTILE, title=HOSTILE, group=group, evidence=evidence))
    page = await console.page("analyst", "/alerts?rule=port_scan_syn&level=high")
    await page.get_by_role("grid", name="Incidents").get_by_text("DROP TABLE").click()
    await expect(page.get_by_role("heading", name="DROP TABLE")).to_be_visible()
    assert "/alerts/odd?" in page.url
    await expect(page.get_by_text("All tables, 15 minutes around it, of 192.0.2.7.")).to_be_visible()
    await expect(page.get_by_role("list", name="What else happened then").get_by_role("listitem").first).to_be_visible()
    await page.get_by_label("Add a comment").fill(HOSTILE)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("the-analyst")).to_be_visible()
    await console.check_accessible(page, "story")
    await console.shoot(page, "alert")
    await page.get_by_role("button", name="Suppress").click()
    assert await page.get_by_label("Of which rules").input_value() == "port_scan_syn"
    assert await page.get_by_label("From addresses").input_value() == "192.0.2.7"
    await page.get_by_label("Only when").fill("")
    await page.get_by_role("button", name="What would it have hidden?").click()
    await expect(page.get_by_text("It would have hidden 6 incidents in 30 days")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Close", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).last.click()
    await expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    console.complaints.expected.append(r"Failed to load resource.*\b404\b")
    await page.goto("/alerts/no-such-incident")
    await expect(page.get_by_text("There is no such incident")).to_be_visible()


@pytest.mark.parametrize("console_storage", ["sqlite", "mariadb"], indirect=True)
async def test_what_comes_shows_and_a_viewer_only_looks(console: ConsoleSite) -> None:
    page = await console.page("viewer", "/alerts")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(grid.get_by_role("row")).to_have_count(6)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    assert await page.get_by_role("checkbox").count() == 0
    await more(console, alert(1, incident_id="fresh", reason="a fresh one"))
    await expect(grid.get_by_text("a fresh one")).to_be_visible()
    await grid.get_by_text("a fresh one").click()
    await expect(page.get_by_role("heading", name="a fresh one")).to_be_visible()
    assert await page.get_by_role("button", name="Close", exact=True).count() == 0
    assert await page.get_by_role("button", name="Suppress").count() == 0
