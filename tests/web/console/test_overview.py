"""The Overview: panels of a lifelike week, moved, edited, saved and shared; by mouse and by keyboard."""

from __future__ import annotations

from playwright.async_api import Page, expect

from support.console import ConsoleSite


async def settled(page: Page) -> None:
    """Every panel that can be seen has its answer."""
    await expect(page.locator("[data-panel]").first).to_be_visible()
    await page.wait_for_load_state("networkidle")
    await expect(page.locator("[data-panel] .loading")).to_have_count(0)


async def test_a_week_at_a_glance(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("analyst", "/?from=-7d")
    await settled(page)
    await busy_console.check_accessible(page, "overview")
    await busy_console.shoot(page, "overview")
