"""Network and Hosts, on a lifelike week: every part, what it leads to, and what is said when there is nothing."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from support.console import BOTH_STORES, ConsoleSite


@BOTH_STORES
async def test_the_parts_of_the_network(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("analyst", "/network?from=-7d")
    graph = page.get_by_role("region", name="Who probed whom").first
    await expect(graph.locator("path").first).to_be_attached()
    await busy_console.shoot(page, "network-probes")
    await graph.get_by_text("Matrix").click()
    await expect(graph.locator("td.cell").first).to_be_visible()
    await busy_console.check_accessible(page, "matrix")
    await graph.get_by_text("Table", exact=True).click()
    await graph.get_by_role("button", name="45.155.205.233").first.click()
    await page.get_by_role("menuitem", name="Find its rows").click()
    await expect(page).to_have_url(re.compile(r"/search\?from=-7d&table=logs&filter=source_ip%3Aeq%3A45"))
    await page.go_back()

    await page.get_by_role("tab", name="Probes").press("ArrowRight")
    talkers = page.get_by_role("region", name="Top talkers").first
    await expect(talkers.get_by_role("row").nth(1)).to_contain_text("iB")
    await expect(page.get_by_role("list", name="Countries").get_by_role("listitem").first).to_be_visible()
    await expect(page.get_by_role("region", name="Protocols that are spoken").first).to_contain_text("tls")
    await expect(page.get_by_role("region", name="Newest").first).to_contain_text(
        re.compile(r"→ .*:\d+ · tcp · .* sent, .* received")
    )
    await busy_console.check_accessible(page, "connections")
    await busy_console.shoot(page, "network-connections")

    await page.get_by_role("tab", name="Connections").press("ArrowRight")
    names = page.get_by_role("region", name="dns_names · domain").first
    await expect(names).to_contain_text("<img src=x onerror=alert(1)>\\u202e")
    await busy_console.shoot(page, "network-names")

    await page.get_by_role("tab", name="Names").press("ArrowRight")
    await page.get_by_role("button", name="What is known of 8.8.8.8").click()
    known = page.get_by_role("region", name="What is known of 8.8.8.8")
    await expect(known).to_contain_text("United States")
    await expect(known.get_by_text("First seen").locator("..").locator("time")).to_be_visible()
    assert "tab=addresses" in page.url and "address=8.8.8.8" in page.url
    await busy_console.check_accessible(page, "addresses")
    await busy_console.shoot(page, "network-addresses")


@BOTH_STORES
async def test_hosts_and_one_of_them(busy_console: ConsoleSite) -> None:
    page = await busy_console.page("viewer", "/hosts")
    rows = page.get_by_role("row")
    await expect(rows).to_have_count(5)
    await busy_console.check_accessible(page, "hosts")
    await busy_console.shoot(page, "hosts")
    await page.get_by_role("link", name="gateway").click()
    await expect(page).to_have_url(re.compile(r"/hosts/gateway$"))
    await expect(page.get_by_role("img", name="CPU, percent").locator("canvas")).to_be_visible()
    await expect(page.get_by_role("region", name="Open incidents").get_by_role("listitem").first).to_be_visible()
    await expect(page.get_by_role("rowheader", name="metrics")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    await busy_console.check_accessible(page, "host")
    await busy_console.shoot(page, "host")
    find = page.get_by_role("link", name="Find them").first
    await expect(find).to_have_attribute("href", re.compile(r"/search\?table=logs&filter=host%3Aeq%3Agateway"))
    await page.goto("/hosts/no%3Cb%3Esuch")
    await expect(page.get_by_text("No host of this name has stored anything")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/network", "/network?tab=connections", "/network?tab=names", "/network?tab=addresses", "/hosts"]
)
async def test_nothing_yet(bare_console: ConsoleSite, path: str) -> None:
    page = await bare_console.page("viewer", path)
    await expect(page.locator("main h2")).to_contain_text("No ")
    await expect(page.locator("main .empty")).to_contain_text("sources.")
