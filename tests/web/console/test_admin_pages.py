"""Accounts, tokens, the audit log, settings and one's own account, in a browser."""

from __future__ import annotations

from urllib.parse import urlsplit

import pyotp
from playwright.async_api import expect

from siemd.storage.tables import time_text
from siemd.units import Seconds
from siemd.web.access.roles import Right
from support.browser import PHONE
from support.console import BOTH_STORES, ConsoleSite

PASSWORD = "correct horse battery"


@BOTH_STORES
async def test_an_admin_makes_a_viewer_whose_console_is_narrower(console: ConsoleSite) -> None:
    page = await console.page("admin", "/users")
    await page.get_by_role("button", name="Add a user").click()
    await page.get_by_label("Name").fill("vera")
    await page.get_by_label("Role").select_option("viewer")
    await page.get_by_role("dialog").get_by_role("button", name="Add a user").click()
    await expect(page.get_by_role("heading", name="A one-time link")).to_be_visible()
    link = await page.get_by_role("textbox", name="A one-time link").input_value()
    assert urlsplit(link).fragment and urlsplit(link).path == "/setup"
    await console.check_accessible(page, "link")
    await page.get_by_role("button", name="Done").click()
    await expect(page.get_by_role("rowheader", name="vera")).to_be_visible()
    await console.check_accessible(page, "users")
    await console.shoot(page, "users")

    hers = await console.page(None, f"/setup#{urlsplit(link).fragment}")
    await hers.get_by_label("Password", exact=True).fill(PASSWORD)
    await hers.get_by_label("Password, once more").fill(PASSWORD)
    await hers.get_by_role("button", name="Go on").click()
    await hers.get_by_role("button", name="Not now").click()
    nav = hers.get_by_role("navigation", name="Pages")
    await expect(nav.get_by_role("link", name="Alerts")).to_be_visible()
    assert await nav.get_by_role("link", name="Users").count() == 0

    await page.get_by_role("button", name="Change vera").click()
    await console.check_accessible(page, "user")
    await page.get_by_role("button", name="Switch off").click()
    await page.get_by_role("dialog").get_by_role("button", name="Switch off").click()
    await expect(page.get_by_role("cell", name="Switched off")).to_be_visible()
    console.complaints.expected.append(r"Failed to load resource.*\b401\b")
    await hers.goto("/health")
    await expect(hers.get_by_role("button", name="Log in")).to_be_visible()


async def test_a_sensitive_change_wants_the_password_once_more(console: ConsoleSite) -> None:
    console.complaints.expected.append(r"Failed to load resource.*\b40[13]\b")
    user = await console.web.user("ada", "admin", PASSWORD)
    page = await console.page(None, "/users")
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("button", name="Add a user").click()
    database = console.web.services.database
    await database.execute("UPDATE sessions SET step_up = ? WHERE user_id = ?", (time_text(0), user.user_id))
    await page.get_by_label("Name").fill("vera")
    await page.get_by_role("dialog").get_by_role("button", name="Add a user").click()
    asked = page.get_by_role("dialog", name="Your password, please")
    await expect(asked.get_by_label("Password")).to_be_focused()
    await console.check_accessible(page, "step-up")
    await console.shoot(page, "step-up")
    await asked.get_by_label("Password").fill("not the password")
    await page.keyboard.press("Enter")
    await expect(asked.get_by_text("name, password or code is wrong")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(asked).to_have_count(0)
    await expect(page.get_by_text("Nothing was changed, for the password")).to_be_visible()
    await page.get_by_role("dialog", name="Add a user").get_by_role("button", name="Add a user").click()
    await asked.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="A one-time link")).to_be_visible()
    await page.get_by_role("button", name="Done").click()
    await expect(page.get_by_role("rowheader", name="vera")).to_be_visible()


async def test_a_token_is_shown_once_and_revoked(console: ConsoleSite) -> None:
    page = await console.page("admin", "/account")
    await page.get_by_role("button", name="Make a token").click()
    await page.get_by_label("What it is for").fill("<b>Grafana</b>")
    await page.get_by_role("dialog").get_by_role("button", name="Make a token").click()
    await expect(page.get_by_text("Choose at least one right")).to_be_visible()
    await page.get_by_label("events:read").check()
    await page.get_by_role("dialog").get_by_role("button", name="Make a token").click()
    token = await page.get_by_role("textbox", name="The token").input_value()
    await console.check_accessible(page, "token")
    await page.get_by_role("button", name="Done").click()
    await expect(page.get_by_role("rowheader", name="<b>Grafana</b>")).to_be_visible()
    assert token and token not in await page.content()
    await console.check_accessible(page, "account")
    await console.shoot(page, "account")
    await page.goto("/tokens")
    await expect(page.get_by_role("rowheader", name="<b>Grafana</b>")).to_be_visible()
    await console.check_accessible(page, "tokens")
    await console.shoot(page, "tokens")
    await page.get_by_role("button", name="Revoke").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("No tokens")).to_be_visible()


async def test_the_second_factor_comes_and_goes_and_the_password_changes(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/account")
    await page.get_by_role("button", name="Set up an authenticator").click()
    secret = (await page.locator("code").inner_text()).replace(" ", "")
    await page.get_by_label("The code it shows now").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Take it into use").click()
    await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    await page.get_by_role("button", name="I have kept them").click()
    await expect(page.get_by_text("On; 10 recovery codes are left")).to_be_visible()
    await page.get_by_role("button", name="Take it away").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take it away").click()
    await expect(page.get_by_text("Off. A password alone")).to_be_visible()
    console.complaints.expected.append(r"Failed to load resource.*\b4(01|03|22)\b")
    await page.get_by_label("Password now").fill("not it")
    await page.get_by_label("New password", exact=True).fill("a new long password")
    await page.get_by_label("New password, once more").fill("another one")
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_text("The two passwords differ.")).to_be_visible()
    await page.get_by_label("New password, once more").fill("a new long password")
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_role("alert")).to_be_visible()


@BOTH_STORES
async def test_the_audit_log_is_read_filtered_and_checked(console: ConsoleSite) -> None:
    client = await console.web.as_role("admin")
    for name in ("ann", "bea"):
        assert (await client.post("/api/v1/users", json={"name": name, "role": "viewer"})).status_code == 201
    page = await console.page("admin", "/audit")
    grid = page.get_by_role("grid", name="Audit log")
    await expect(grid.get_by_text("bea").first).to_be_visible()
    await console.check_accessible(page, "audit")
    await console.shoot(page, "audit")
    await page.get_by_label("What", exact=True).fill("user.")
    await page.get_by_label("What", exact=True).press("Enter")
    await expect(page).to_have_url(console.web.origin + "/audit?action=user.")
    await expect(grid.get_by_text("session.begun")).to_have_count(0)
    await page.get_by_role("button", name="Check the chain").click()
    await expect(page.get_by_text("rows are as they were written")).to_be_visible()


async def test_a_line_of_the_audit_log_opens_as_a_whole(console: ConsoleSite) -> None:
    client = await console.web.as_role("admin")
    names = [rule["rule"] for rule in (await client.get("/api/v1/rules")).json()]
    names = sorted(set(names))[:30]
    answer = await client.post("/api/v1/rule-switches", json={"rules": names, "enabled": False})
    assert answer.status_code == 200, answer.text
    page = await console.page("admin", "/audit?action=rule.", viewport=PHONE)
    await page.get_by_role("grid", name="Audit log").get_by_text("30 rules").click()
    whole = page.get_by_role("dialog")
    await expect(whole.get_by_text(names[-1])).to_be_visible()
    await console.check_accessible(page, "audit-entry")
    await console.shoot(page, "audit-entry")


async def test_on_a_phone_no_list_is_wider_than_the_screen(console: ConsoleSite) -> None:
    admin = await console.web.user("the-admin", "admin")
    client = await console.web.as_role("admin")
    await client.post("/api/v1/users", json={"name": "somebody-with-a-long-name.of-the-night-shift", "role": "viewer"})
    await client.put("/api/v1/settings/console.test", json={"value": {"a": "a value that is longer than the screen"}})
    await client.post("/api/v1/views", json={"name": "Scans of the last week", "page": "search", "definition": {}})
    body = {"owner": "the-admin", "reason": "the scanner of the lab, every night", "expires": "2099-12-31"}
    suppression = {"name": "scanner-of-the-lab", "suppression": {**body, "rules": ["port_scan_syn", "port_scan_ack"]}}
    assert (await client.post("/api/v1/suppressions", json=suppression)).status_code == 201
    await console.web.with_token("admin", [Right.READ_EVENTS, Right.READ_ALERTS, Right.READ_STATISTICS])
    async with console.web.services.database.transaction() as work:
        agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
        await console.web.services.sessions.begin(work, admin.user_id, "2001:db8:85a3:8d3:1319:8a2e:370:7348", agent)
    page = await console.page("admin", "/users", viewport=PHONE)
    for path in ("/users", "/tokens", "/audit", "/settings", "/account", "/health", "/health?tab=queues",
                 "/health?tab=ledger", "/rules", "/rules?tab=suppressions"):  # fmt: skip
        await page.goto(path)
        lists = page.locator("table tbody tr, [role=grid] [role=rowgroup] [role=row]")
        await expect(lists.first).to_be_visible()
        wider = await page.evaluate(
            "() => [document.documentElement, ...document.querySelectorAll('.scroll, [role=grid]')]"
            ".filter((one) => one.scrollWidth > one.clientWidth).map((one) => `${one.ariaLabel} ${one.scrollWidth}`)"
        )
        assert wider == [], f"{path}: {wider}"


@BOTH_STORES
async def test_settings_and_views(console: ConsoleSite) -> None:
    client = await console.web.as_role("admin")
    await client.put("/api/v1/settings/console.test", json={"value": {"a": "<script>x</script>"}})
    view = {"name": "<i>Scans</i>", "page": "search", "definition": {}}
    assert (await client.post("/api/v1/views", json=view)).status_code == 201
    console.web.server.services.config.storage.retention.logs_s = Seconds(10 * 86400)
    page = await console.page("admin", "/settings")
    await expect(page.get_by_text("<script>x</script>")).to_be_visible()
    await expect(page.get_by_role("row", name="logs").first).to_contain_text("10 days")
    await expect(page.get_by_role("row", name="storage.retention.logs")).to_contain_text("30d")
    await expect(page.get_by_text("on the host into")).to_contain_text("siemd.yaml")
    await page.get_by_role("button", name="Show all").click()
    await expect(page.get_by_role("row", name="pipeline.queue_events")).to_be_visible()
    await page.get_by_role("button", name="Show only what is changed").click()
    await expect(page.get_by_role("row", name="pipeline.queue_events")).to_have_count(0)
    await console.check_accessible(page, "settings")
    await console.shoot(page, "settings")
    await page.get_by_role("row", name="<i>Scans</i>").get_by_role("button", name="Remove").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No views are saved yet")).to_be_visible()
