"""The Health page: what siemd says of itself, and what a role may see of it."""

from __future__ import annotations

from playwright.async_api import expect

from support.console import ConsoleSite


async def test_components_queues_and_ledger(console: ConsoleSite) -> None:
    page = await console.page("admin", "/health")
    await expect(page.get_by_text("2 components need attention")).to_be_visible()
    rows = page.get_by_role("row")
    await expect(rows.nth(1)).to_contain_text("syslog")  # what failed stands first
    await page.get_by_role("button", name="sniffer").click()
    await expect(page.get_by_text("64 MiB", exact=True)).to_be_visible()
    await console.check_accessible(page, "health")
    await console.shoot(page, "health-components")
    await page.get_by_role("tab", name="Components").press("ArrowRight")
    await expect(page.get_by_role("rowheader", name="detected")).to_be_visible()
    await page.get_by_role("tab", name="Queues").press("ArrowRight")
    await expect(page.get_by_role("rowheader", name="sniffer")).to_be_visible()
    assert page.url.endswith("/health?tab=ledger")
    await console.check_accessible(page, "ledger")
    await console.shoot(page, "health-ledger")


async def test_a_viewer_sees_status_alone(console: ConsoleSite) -> None:
    page = await console.page("viewer", "/health")
    await expect(page.get_by_text("Counters and paths are shown to admins.")).to_be_visible()
    await expect(page.get_by_role("tab", name="Queues")).to_have_count(0)
    await expect(page.get_by_role("link", name="Users")).to_have_count(0)
    await page.goto("/users")
    await expect(page.get_by_text("Your role does not open this page")).to_be_visible()
