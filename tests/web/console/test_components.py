"""The shared components, on the gallery's page: hostile text, a hundred thousand rows, charts, filters by a click."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from playwright.async_api import expect

from siemd.storage.store import open_store
from support.batches import batch, probe
from support.console import ConsoleSite

LONGEST_FRAME_MS = """
  async (grid) => {
    let longest = 0, before = performance.now(), frames = 0;
    while (frames < 120) {
      grid.scrollTop += 900;
      await new Promise((done) => requestAnimationFrame(done));
      const now = performance.now();
      longest = Math.max(longest, now - before);
      before = now;
      frames += 1;
    }
    return longest;
  }
"""


async def test_hostile_text_is_text_and_a_click_filters(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/gallery")
    page.on("dialog", lambda dialog: console.complaints.told.append(f"a script ran: {dialog.message}"))
    hostile = page.locator("section", has_text="Hostile text")
    await expect(hostile).to_contain_text("<img src=x onerror=alert(1)><script>alert(2)</script>")
    await expect(hostile).to_contain_text("invoice\\u202efdp.exe")
    await expect(hostile).to_contain_text("a\\0b\\e[31mred\\r\\nnext line")
    assert await hostile.locator("img, script").count() == 0
    await console.check_accessible(page, "gallery")
    await console.shoot(page, "gallery")
    cell = page.get_by_role("button", name=re.compile("What to do with this value: 192.0.2.1$")).first
    await cell.click()
    await page.get_by_role("menuitem", name="Show only this value").click()
    await expect(page).to_have_url(re.compile(r"filter=source_ip%3Aeq%3A192\.0\.2\.1$"))
    await page.get_by_role("searchbox").fill("failed user_name:root log")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Remove the filter user_name is root")).to_be_visible()
    assert "q=failed+log" in page.url
    await page.get_by_role("button", name="source_ip is 192.0.2.1").first.click()
    await expect(page.get_by_role("button", name="Remove the filter source_ip is not 192.0.2.1")).to_be_visible()
    assert "source_ip:ne:192.0.2.1" in unquote(page.url)


async def test_a_hundred_thousand_rows(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/gallery")
    grid = page.get_by_role("grid")
    await expect(grid.get_by_role("row").nth(1)).to_contain_text("192.0.2.0")
    longest = await grid.evaluate(LONGEST_FRAME_MS)
    console.measured["longest frame while scrolling, ms"] = longest
    assert await grid.get_by_role("row").count() < 80, "only what one can see is drawn"
    await grid.focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("row 1", exact=True)).to_be_visible()
    for _ in range(3):
        await page.keyboard.press("End")
    await expect(page.get_by_text(re.compile(r"^[\d,]+\+ rows$"))).to_be_visible()
    await expect(grid.locator(".row.current")).to_be_visible()


async def test_a_chart_is_drawn_is_a_table_too_and_chooses_a_range(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/gallery")
    chart = page.get_by_role("img", name="Made-up events over time")
    await expect(chart.locator("canvas").first).to_be_visible()
    box = await chart.bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5, steps=5)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(r"\?from=20.*Z&to=20.*Z"))
    await page.get_by_role("button", name="Show as a table").click()
    await expect(page.get_by_role("columnheader", name="Events")).to_be_visible()


async def test_what_is_stored_shows_at_once_and_no_more_than_is_held(console: ConsoleSite, tmp_path: Path) -> None:
    page = await console.page("analyst", "/gallery")
    await expect(page.get_by_text("Live", exact=True).first).to_be_visible()
    await expect(page.locator(".live.open")).to_be_visible()
    shown = page.locator("section", has=page.get_by_role("heading", name="Live")).locator("li")
    store = open_store(console.storage, tmp_path)
    await store.open()
    await store.write([batch(probe(1, message="a <b>new</b> \u202eone"), epoch=7)])
    await expect(shown).to_have_text(["a <b>new</b> \\u202eone"])
    await store.write([batch(*(probe(seq, message=f"number {seq}") for seq in range(1, 61)), epoch=8)])
    await expect(shown).to_have_count(20)
    await expect(shown.last).to_have_text("number 60")
    await store.close()
