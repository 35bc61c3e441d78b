"""The inbox of incidents in a browser: worked by keys and in bulk, an incident's story, and what comes meanwhile."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Locator, Route, expect

from siemd.events import now_us
from siemd.storage.store import open_store
from support.batches import alert, batch, connection, log, probe, usage
from support.console import BOTH_STORES, ConsoleSite

HOSTILE = "<img src=x onerror=alert(1)>\u202e'; DROP TABLE alerts --"


async def more(site: ConsoleSite, *incidents: object) -> None:
    store = open_store(site.storage, site.web.services.data_dir)
    await store.open()
    await store.write([batch(*incidents, source="detection", epoch=2)])
    await store.close()


def many(count: int, **values: Any) -> list[Any]:
    """Incidents a minute apart, number 0 the newest."""
    made = []
    for number in range(count):
        time_us = now_us() - (number + 1) * 60_000_000
        times = dict.fromkeys(("time_us", "first_seen_us", "last_seen_us"), time_us)
        given = {"incident_id": f"many-{number}", "reason": f"number {number}.", "rule": "many", "count": 1, **times}
        made.append(alert(number + 1, **{**given, **values}))
    return made


async def top_rows(grid: Locator) -> list[str]:
    """What the first rows in view say, and how high they stand."""
    told: list[str] = await grid.evaluate(
        """(grid) => [...grid.querySelectorAll(".body [role=row]")]
             .map((row) => [row.getBoundingClientRect().top - grid.getBoundingClientRect().top, row.textContent])
             .filter(([top]) => top > 0 && top < 200).sort(([a], [b]) => a - b)
             .map(([top, text]) => `${top} ${/number \\d+/.exec(text)}`)"""
    )
    return told


@BOTH_STORES
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
    await expect(page.get_by_text("2 incidents are as they were")).to_be_visible()
    await expect(grid.get_by_role("row")).to_have_count(6)
    await expect(page.get_by_role("tab", name="New 5")).to_be_visible()
    await page.get_by_role("row", name="Critical").get_by_role("checkbox").check()
    await page.get_by_role("tab", name="New").click()
    await expect(page.get_by_text("1 selected")).to_be_hidden()
    await page.get_by_role("tab", name="Open").click()
    await expect(page.get_by_role("row", name="Critical").get_by_role("checkbox")).not_to_be_checked()
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(page.get_by_text("Incident assigned")).to_be_visible()
    await expect(grid.get_by_text("the-analyst")).to_be_visible()
    await page.get_by_role("tab", name="Closed").click()
    await expect(page.get_by_text("No incidents here")).to_be_visible()
    assert "state=closed" in page.url


@BOTH_STORES
async def test_a_story_is_read_and_written_on(console: ConsoleSite) -> None:
    group = {"source_ip": "192.0.2.7", "user_name": HOSTILE}
    evidence = [{"message": HOSTILE, "event_type": "tcp_probe", "fields": {HOSTILE: HOSTILE}}]
    await more(console, alert(1, incident_id="odd", reason=HOSTILE, title=HOSTILE, group=group, evidence=evidence))
    page = await console.page("analyst", "/alerts?rule=port_scan_syn&level=high")
    await page.get_by_role("grid", name="Incidents").get_by_text("DROP TABLE").click()
    await expect(page.get_by_role("heading", name="DROP TABLE")).to_be_visible()
    assert "/alerts/odd?" in page.url
    whom = page.get_by_role("group", name="All tables, of")
    await expect(whom.get_by_role("button", name="192.0.2.7")).to_have_attribute("aria-pressed", "true")
    await expect(whom.get_by_role("button", name="sensor-1")).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_role("list", name="What else happened then").get_by_role("listitem").first).to_be_visible()
    await page.get_by_label("Add a comment").fill(HOSTILE)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#page").get_by_text("the-analyst")).to_be_visible()
    await console.check_accessible(page, "story")
    await console.shoot(page, "alert")
    await page.get_by_role("button", name="Suppress").click()
    assert await page.get_by_label("Of which rules").input_value() == "port_scan_syn"
    assert await page.get_by_label("From addresses").input_value() == "192.0.2.7"
    reason = page.get_by_label("Reason")
    assert "by 192.0.2.7 is known and expected" in await reason.input_value()
    assert "\u202e" not in await reason.input_value()
    await expect(reason).to_have_attribute("required", "")
    await console.shoot(page, "alert-suppress")
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


@BOTH_STORES
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


async def test_rows_stand_still_while_somebody_reads(console: ConsoleSite) -> None:
    await more(console, *many(320))
    page = await console.page("analyst", "/alerts?rule=many&refresh=5s")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.wait_for_function(
        "(grid) => (grid.scrollTop = 4700) === grid.scrollTop && grid.textContent.includes('number 150.')",
        arg=await grid.element_handle(),
    )
    seen = await top_rows(grid)
    await more(console, alert(400, incident_id="fresh", reason="a fresh one", rule="many"))
    await expect(page.get_by_role("button", name="1 new or grown")).to_be_visible()
    assert await top_rows(grid) == seen and seen
    await grid.get_by_role("row", name="number 150.").get_by_role("checkbox").check()
    await page.get_by_role("button", name="Assign to me").click()
    await expect(grid.get_by_role("row", name="number 150.").get_by_text("the-analyst")).to_be_visible()
    await more(console, alert(401, incident_id="fresher", reason="a fresher one", rule="many"))
    await page.get_by_role("button", name="1 new or grown").click()
    await expect(grid.get_by_text("a fresher one")).to_be_visible()


@BOTH_STORES
async def test_two_analysts_do_not_undo_each_other(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/alerts")
    console.complaints.expected.append(r"Failed to load resource.*\b409\b")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(grid.get_by_role("row")).to_have_count(6)
    admin = await console.web.as_role("admin")
    body = {"incident_ids": ["incident-5", "incident-4"], "action": "acknowledge"}

    async def be_late(route: Route) -> None:  # the page has told what it saw; now somebody else is quicker
        assert (await admin.post("/api/v1/alerts/triage", json=body)).status_code == 200
        await route.continue_()

    await page.route("**/api/v1/alerts/triage", be_late, times=1)
    await page.get_by_role("row", name="Critical").get_by_role("checkbox").check()
    await page.get_by_role("row", name="Low").get_by_role("checkbox").check()
    await page.get_by_role("button", name="Assign to me").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "1 of 2 incidents was not assigned: changed by the-admin. Look again."
    )
    await expect(page.get_by_text("1 selected")).to_be_visible()
    await expect(page.get_by_role("row", name="Critical").get_by_text("Acknowledged")).to_be_visible()
    await console.check_accessible(page, "conflict")
    await console.shoot(page, "alerts-conflict")
    await expect(grid.get_by_text("the-analyst")).to_have_count(1)
    await page.get_by_role("button", name="Assign to me").click()
    await expect(grid.get_by_text("the-analyst")).to_have_count(2)
    await grid.get_by_role("row", name="High").get_by_text("probed many").click()
    await expect(page.get_by_text("last changed by the-admin")).to_be_visible()
    await page.keyboard.press("a")
    await expect(page.get_by_text("last changed by the-analyst")).to_be_visible()
    closing = {**body, "action": "close", "verdict": "false_positive"}
    assert (await admin.post("/api/v1/alerts/triage", json=closing)).status_code == 200
    await page.keyboard.press("e")
    await page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).last.click()
    await expect(page.get_by_text("The incident was not closed: changed by the-admin. Look again.")).to_be_visible()
    await expect(page.get_by_text("Closed · false alarm")).to_be_visible()


async def test_of_very_many_those_that_fail_are_told_and_stay_selected(console: ConsoleSite) -> None:
    await more(console, *many(620))
    page = await console.page("analyst", "/alerts?rule=many")
    console.complaints.expected.append(r"Failed to load resource.*\b409\b")
    await page.get_by_label("Select all of the list").check()
    await expect(page.get_by_text("620 selected")).to_be_visible()
    admin = await console.web.as_role("admin")
    for action, gone in (("close", ["many-610", "many-611"]), ("acknowledge", ["many-3"])):
        body = {"incident_ids": gone, "action": action, "verdict": "true_positive" if action == "close" else ""}
        assert (await admin.post("/api/v1/alerts/triage", json=body)).status_code == 200
    await page.keyboard.press("e")
    await page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).last.click()
    await expect(page.get_by_text("617 incidents closed")).to_be_visible()
    await expect(page.get_by_role("alert")).to_contain_text("3 of 620 incidents were not closed: changed by the-admin")
    await expect(page.get_by_text("1 selected")).to_be_visible()
    await expect(page.get_by_role("row", name="number 3.").get_by_role("checkbox")).to_be_checked()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("617 incidents are as they were")).to_be_visible()
    await expect(page.get_by_role("tab", name="New 617")).to_be_visible()


async def test_only_what_the_list_would_show_is_told_as_new(console: ConsoleSite) -> None:
    body = {"incident_ids": ["incident-1", "incident-2"], "action": "acknowledge"}
    assert (await (await console.web.as_role("admin")).post("/api/v1/alerts/triage", json=body)).status_code == 200
    page = await console.page("viewer", "/alerts?state=acknowledged&rule=port_scan_syn")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(grid.get_by_role("row")).to_have_count(3)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.keyboard.press("j")
    await more(console, alert(1, incident_id="other", rule="dns_tunnel"), alert(2, incident_id="not-acknowledged"))
    await more(console, alert(3, incident_id="incident-1", revision=9), alert(4, incident_id="incident-2", revision=9))
    await expect(page.get_by_role("button", name="2 new or grown")).to_be_visible()
    await expect(grid.get_by_role("row")).to_have_count(3)


@BOTH_STORES
async def test_a_story_tells_what_happened_around_it_in_every_table(console: ConsoleSite) -> None:
    now, second_us = now_us() - 3_600_000_000, 1_000_000
    tables = ("security_logs", "system_logs", "application_logs", "channel_logs")

    def at(seconds: int) -> dict[str, Any]:
        return {"time_us": now + seconds * second_us, "host": "web-9"}

    facts = [
        probe(1, **at(-30), source_ip="198.51.100.9", message="from it"),
        probe(2, **at(-20), source_ip="10.0.0.1", destination_ip="198.51.100.9", message="to it"),
        probe(3, **at(-10), source_ip="198.51.100.9", destination_ip="198.51.100.9", message="to itself"),
        *(probe(10 + one, **at(one + 1), source_ip="198.51.100.9", message=f"later {one}.") for one in range(70)),
    ]
    wire = [connection(200, **at(-5), source_ip="10.0.0.1", destination_ip="198.51.100.9")]
    logs = [
        log(one, table=name, **at(one - 9), user_name="root", message=f"in {name}")
        for one, name in enumerate(tables, 1)
    ]
    others = [log(9, table="system_logs", **at(2), user_name="bob", message="of the host alone")]
    load = [usage(one, **at(10 * one - 60), cpu_percent=50.0 + one, network_sent_bytes_s=4096.0) for one in range(12)]
    times = dict.fromkeys(("time_us", "first_seen_us", "last_seen_us"), now)
    group = {"source_ip": "198.51.100.9", "user_name": "root"}
    store = open_store(console.storage, console.web.services.data_dir)
    await store.open()
    for source, events in (("sniffer", facts), ("connections", wire), ("windows", [*logs, *others]), ("metrics", load)):
        await store.write([batch(*events, source=source, epoch=3, host="web-9")])
    incidents = [
        alert(1, incident_id="told", group=group, host="web-9", **times),
        alert(
            2,
            incident_id="beside",
            reason="another",
            group=group,
            host="web-9",
            **{**times, "last_seen_us": now + second_us // 2},
        ),
    ]
    await store.write([batch(*incidents, source="detection", epoch=3, host="web-9")])
    await store.close()
    page = await console.page("viewer", "/alerts/told")
    happened = page.get_by_role("list", name="What else happened then")
    for words in ("from it", "to it", "to itself", *(f"in {name}" for name in tables), "another"):
        await expect(happened.get_by_text(words, exact=True)).to_have_count(1)
    await expect(happened.get_by_text("connection", exact=True)).to_have_count(1)
    await expect(happened.get_by_text("later 3.")).to_have_count(1)
    await expect(happened.get_by_text("later 69.")).to_have_count(0)
    for words in ("later 40.", "later 69."):
        await happened.get_by_role("button", name="Later").click()
        await expect(happened.get_by_text(words)).to_have_count(1)
    await expect(happened.get_by_role("button", name="Later")).to_have_count(0)
    await expect(happened.get_by_text("of the host alone")).to_have_count(0)
    await page.get_by_role("button", name="host web-9").click()
    await expect(happened.get_by_text("of the host alone")).to_have_count(1)
    for name in ("CPU", "Received", "Sent"):
        await expect(page.get_by_text(name, exact=True)).to_be_visible()
    await expect(page.get_by_text("4.0 KiB/s", exact=True)).to_be_visible()
    assert await page.locator("section svg line").count() == 4, "its moment is marked on each"
    await page.get_by_role("heading", name="The host at that time").scroll_into_view_if_needed()
    await console.check_accessible(page, "around")
    await console.shoot(page, "alert-around")


async def test_the_list_is_narrowed_by_what_there_is(console: ConsoleSite) -> None:
    await more(
        console,
        alert(1, incident_id="tunnel", rule="dns_tunnel", tags=["attack.t1071.004"], reason="a tunnel"),
        alert(2, incident_id="longer", rule="dns_tunnel", reason="a reason that is much longer than its place " * 9),
    )
    page = await console.page("analyst", "/alerts")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(grid.get_by_role("row")).to_have_count(8)
    lefts = await grid.evaluate(
        """(grid) => [...new Set([...grid.querySelectorAll("[role=row] > :last-child")]
             .map((cell) => Math.round(cell.getBoundingClientRect().left)))]"""
    )
    assert len(lefts) == 1, "a long reason moves no column"
    await console.shoot(page, "alerts-long")

    async def narrow(by: str, value: str) -> None:
        await page.get_by_role("button", name=f"Narrow by {by}").click()
        await page.get_by_role("menuitemradio", name=value, exact=True).click()

    await narrow("rule", "dns_tunnel")
    await expect(grid.get_by_role("row")).to_have_count(3)
    await narrow("tag", "attack.t1071.004")
    await expect(grid.get_by_role("row")).to_have_count(2)
    await narrow("host", "sensor-1")
    await narrow("assigned", "nobody")
    assert all(part in page.url for part in ("rule=dns_tunnel", "tag=attack.t1071.004", "host=sensor-1", "assignee=-"))
    await expect(grid.get_by_text("a tunnel")).to_be_visible()
    await page.get_by_role("button", name="Narrow by rule").click()
    await expect(page.get_by_role("menuitemradio", name="dns_tunnel")).to_have_attribute("aria-checked", "true")
    await console.check_accessible(page, "narrowing")
    await console.shoot(page, "alerts-narrowed")
    await page.keyboard.press("Escape")
    await narrow("verdict", "true alarm")
    await expect(page.get_by_text("No incidents here")).to_be_visible()
    await page.get_by_role("button", name="Clear").click()
    await expect(grid.get_by_role("row")).to_have_count(8)


async def test_on_a_phone_nothing_that_matters_is_cut(console: ConsoleSite) -> None:
    await more(console, *many(3, reason="198.51.100.7 tried 214 passwords of root on web-01, web-02 and four others."))
    page = await console.page("analyst", "/alerts", viewport={"width": 390, "height": 844})
    grid = page.get_by_role("grid", name="Incidents")
    row = grid.get_by_role("row", name="198.51.100.7").first
    await expect(row).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page is no wider than the phone"
    )
    assert await grid.evaluate("(grid) => grid.scrollWidth <= grid.clientWidth"), "nor the list than the page"
    for part in ("m ago", "High", "many"):
        box = await row.get_by_text(part).first.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390, part
    await page.get_by_role("button", name="Sort by").click()
    await page.get_by_role("menuitemradio", name="Severity").click()
    await expect(grid.get_by_role("row").nth(1)).to_contain_text("Critical")
    await console.check_accessible(page, "inbox on a phone")
    await row.click()
    await expect(page.get_by_role("heading", name="198.51.100.7 tried")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nor is a story"


async def test_the_keys_go_on_where_the_view_ends(console: ConsoleSite) -> None:
    await more(console, *many(130))
    page = await console.page("viewer", "/alerts?rule=many")
    grid = page.get_by_role("grid", name="Incidents")
    await expect(grid.get_by_text("number 0.")).to_be_visible()
    for number in range(110):
        await page.keyboard.press("j")
        await expect(grid.get_by_role("row", selected=True)).to_contain_text(f"number {number}.")
    await expect(grid.get_by_text("number 109.")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="number 109.")).to_be_visible()
    await page.keyboard.press("k")
    await expect(page.get_by_role("heading", name="number 108.")).to_be_visible()
