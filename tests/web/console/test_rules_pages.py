"""Rules, suppressions and ATT&CK in a browser: found, switched, tuned and hidden with a look at the past first."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from playwright.async_api import Route, expect

from siemd.events import now_us
from siemd.storage.store import open_store
from support.batches import batch, probe
from support.console import BOTH_STORES, ConsoleSite

EVIL = """
title: "<img src=x onerror=alert(1)>"
id: 11111111-2222-4333-8444-555555555555
status: test
level: low
description: <script>alert(1)</script>
logsource: {product: linux}
detection: {any: {message: x}, condition: any}
"""
HOSTILE = "<img src=x onerror=alert(1)>\u202e'; DROP TABLE alerts --"


async def with_scan(site: ConsoleSite) -> None:
    """40 ports that one address tried a minute ago: port_scan_syn fires at its 15, not at 50."""
    store = open_store(site.storage, site.web.services.data_dir)
    await store.open()
    now = now_us() - 60_000_000
    facts = [
        probe(
            seq, time_us=now + seq * 1000, source_ip="198.51.100.9", destination_ip="192.0.2.1", destination_port=seq,
            fields={"probe": "syn", "outcome": "refused", "destination_ports": [seq], "success_percent": 0, "vlan": 0},
        )
        for seq in range(1, 41)
    ]  # fmt: skip
    await store.write([batch(*facts, source="scan")])
    await store.close()


@BOTH_STORES
async def test_a_rule_is_found_tuned_and_taken_back(console: ConsoleSite) -> None:
    await with_scan(console)
    page = await console.page("admin", "/rules")
    grid = page.get_by_role("grid", name="Rules")
    await expect(grid.get_by_text("arp_sweep").first).to_be_visible()
    await console.check_accessible(page, "rules")
    await console.shoot(page, "rules")
    await page.get_by_label("Kind").select_option("correlation")
    await page.get_by_label("Can fire").select_option("no")
    await expect(grid.get_by_text("arp_sweep")).to_have_count(0)
    await page.get_by_label("Can fire").select_option("yes")
    await expect(grid.get_by_text("arp_sweep").first).to_be_visible()
    await page.get_by_label("Product").select_option("siemd")
    await page.get_by_label("Words in name").fill("port_scan syn")
    await expect(grid.get_by_role("row")).to_have_count(4)  # the head; quick, slow, with decoys
    assert "words=port_scan+syn" in page.url
    await grid.get_by_text("SYN port scan", exact=True).click()
    await expect(page.get_by_role("heading", name="What it does")).to_be_visible()
    await page.get_by_label("Threshold").fill("50")
    await page.get_by_role("button", name="Try on the last 7 days").click()
    await expect(page.get_by_text("1 fewer incident")).to_be_visible(timeout=60_000)
    await console.check_accessible(page, "trial")
    await console.shoot(page, "rule-tuned")
    await page.get_by_role("textbox", name="Note").fill(HOSTILE)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Take the tuning back")).to_be_visible()
    (entry,) = (await console.web.services.rulebook.overlay.entries()).values()
    assert entry["condition"] == {"gte": 50} and "onerror" in entry["note"]
    await page.get_by_role("button", name="Take the tuning back").click()
    await expect(page.get_by_text("The rule is as its file says again")).to_be_visible()
    assert not await console.web.services.rulebook.overlay.entries()


async def test_rules_are_switched_singly_and_together(console: ConsoleSite) -> None:
    page = await console.page("admin", "/rules?words=port_scan_f")
    switch = page.get_by_role("switch").first
    await expect(switch).to_be_checked()
    await switch.click()
    await expect(page.get_by_text("1 switched off")).to_be_visible()
    await expect(page.get_by_role("switch").first).not_to_be_checked()
    await page.get_by_role("grid", name="Rules").focus()
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.get_by_role("checkbox", name="Select").first).to_be_checked()
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.get_by_text("1 switched on")).to_be_visible()
    await expect(page.get_by_role("switch").first).to_be_checked()


async def test_a_thousand_rules_are_switched_in_a_few_questions_that_can_be_stopped(
    console: ConsoleSite, tmp_path: Path
) -> None:
    folder = tmp_path / "rules" / "pack"
    folder.mkdir(parents=True)
    for number in range(1100):
        text = f"title: Bulky {number}\nname: bulky_{number}\nlogsource: {{product: linux}}\n"
        (folder / f"bulky_{number}.yml").write_text(text + "detection: {a: {message: x}, condition: a}\n")
    page = await console.page("admin", "/rules?words=bulky_")
    grid = page.get_by_role("grid", name="Rules")
    await expect(grid.get_by_text("bulky_1", exact=True)).to_be_visible()
    await grid.focus()
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await page.get_by_role("button", name="Select all that are found").click()
    asked: list[int] = []
    go_on = asyncio.Event()

    async def held(route: Route) -> None:
        asked.append(len(json.loads(route.request.post_data or "{}")["rules"]))
        await go_on.wait()
        await route.continue_()

    await page.route("**/api/v1/rule-switches", held)
    await page.get_by_role("button", name="Switch off").click()
    await expect(page.get_by_role("progressbar", name="1,100 selected")).to_be_visible()
    await console.check_accessible(page, "rules-switching")
    await console.shoot(page, "rules-switching")
    await page.get_by_role("button", name="Stop").click()
    go_on.set()
    await expect(page.get_by_text("500 switched off")).to_be_visible(timeout=60_000)
    await expect(page.get_by_role("group", name="600 selected")).to_be_visible()
    assert asked == [500] and len(await console.web.services.rulebook.overlay.entries()) == 500
    await page.get_by_role("button", name="Switch off").click()
    await expect(page.get_by_text("600 switched off")).to_be_visible(timeout=60_000)
    await expect(page.get_by_role("group", name="selected")).to_have_count(0)
    assert asked == [500, 500, 100] and len(await console.web.services.rulebook.overlay.entries()) == 1100


@BOTH_STORES
async def test_a_suppression_is_looked_at_before_it_is_made(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/rules?tab=suppressions")
    await expect(page.get_by_text("Nothing is suppressed")).to_be_visible()
    await page.get_by_role("button", name="Add a suppression").click()
    await page.get_by_label("Of which rules").fill("port_scan_syn")
    await page.get_by_label("Only when").fill("no equals sign")
    await page.get_by_label("Reason").fill(HOSTILE)
    await page.get_by_role("button", name="What would it have hidden?").click()
    await expect(page.get_by_text("Each line is field=value.")).to_be_visible()
    await page.get_by_label("Only when").fill("source_ip=192.0.2.7")
    await page.get_by_role("button", name="What would it have hidden?").click()
    await expect(page.get_by_text("It would have hidden 5 incidents in 30 days")).to_be_visible()
    await console.check_accessible(page, "suppression")
    await console.shoot(page, "suppression")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("rowheader", name="port-scan-syn")).to_be_visible()
    await expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    await console.shoot(page, "suppressions")
    await page.get_by_role("button", name="Remove").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("Nothing is suppressed")).to_be_visible()


async def test_a_viewer_reads_rules_and_changes_none(console: ConsoleSite, tmp_path: Path) -> None:
    folder = tmp_path / "rules" / "evil"
    folder.mkdir(parents=True)
    (folder / "evil.yml").write_text(EVIL, encoding="utf-8")
    (folder / "broken.yml").write_text("title: [<script>alert(2)</script>\n", encoding="utf-8")
    page = await console.page("viewer", "/rules?words=onerror")
    await page.get_by_role("grid", name="Rules").get_by_text("<img src=x onerror=alert(1)>").click()
    await expect(page.get_by_role("heading", name="<img src=x onerror=alert(1)>", exact=False)).to_be_visible()
    await expect(page.locator("pre")).to_contain_text("<script>alert(1)</script>")
    await page.goto("/rules?tab=problems")
    await expect(page.get_by_text("evil/broken.yml:")).to_be_visible()
    await console.shoot(page, "rule-problems")
    await page.goto("/rules?words=port_scan_syn")
    await expect(page.get_by_role("grid", name="Rules").get_by_text("SYN port scan", exact=True)).to_be_visible()
    assert await page.get_by_role("switch").count() == 0 == await page.get_by_role("checkbox").count()
    await page.goto("/rules/port_scan_syn")
    await expect(page.get_by_role("heading", name="What it does").first).to_be_visible()
    assert await page.get_by_role("button", name="Save").count() == 0
    console.complaints.expected.append(r"Failed to load resource.*\b404\b")
    await page.goto("/rules/no-such-rule")
    await expect(page.get_by_text("There is no such rule")).to_be_visible()


async def test_the_matrix_tells_what_can_fire_and_leads_to_the_rules(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/attack")
    cell = page.get_by_role("link", name="T1046").first
    await expect(cell).to_be_visible()
    await console.check_accessible(page, "attack")
    await console.shoot(page, "attack")
    await page.get_by_label("On").select_option("windows")
    await expect(page).to_have_url(console.web.origin + "/attack?on=windows")
    await page.get_by_role("link", name="T1046").first.click()
    grid = page.get_by_role("grid", name="Rules")
    await expect(grid.get_by_text("ACK port scan", exact=True)).to_be_visible()
    await expect(grid.get_by_text("Beacon")).to_have_count(0)
    await page.get_by_role("button", name="Remove the filter tag attack.t1046").click()
    await expect(grid.get_by_text("Beacon").first).to_be_visible()
