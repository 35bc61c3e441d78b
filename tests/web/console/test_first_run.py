"""From the one-time link to a login with a second factor, and back after a session ended; in a real browser."""

from __future__ import annotations

import re

import pyotp
from playwright.async_api import Page, expect

from siemd.web.cookies import PLAIN_NAME
from support.browser import open_page
from support.console import BOTH_STORES, ConsoleSite
from support.web import until

PASSWORD = "correct horse battery"


async def link_of(site: ConsoleSite) -> str:
    await until(lambda: any("/setup#" in text for text in site.web.said), "the server tells its link")
    said = next(text for text in site.web.said if "/setup#" in text)
    return "/setup#" + said.rpartition("#")[2]


async def log_in(page: Page, code: str) -> None:
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_label("Code of your authenticator").fill(code)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_visible()


@BOTH_STORES
async def test_first_account_second_factor_and_sessions(bare_console: ConsoleSite) -> None:
    site = bare_console
    site.complaints.expected.append(r"Failed to load resource.*\b410\b")
    page = await open_page(site.browser, site.web.origin, site.complaints)
    link = await link_of(site)
    await page.goto(link)
    await expect(page.get_by_role("heading", name="Make the first account")).to_be_visible()
    assert "#" not in page.url, "the secret does not stay in the address"
    await site.check_accessible(page, "set-up")
    await site.shoot(page, "setup-1-account")
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("Password, once more").fill("another one, mistyped")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_text("The two passwords differ.")).to_be_visible()
    await page.get_by_label("Password, once more").fill(PASSWORD)
    await page.get_by_role("button", name="Go on").click()

    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = (await page.locator("code").inner_text()).replace(" ", "")
    await site.check_accessible(page, "second factor")
    await site.shoot(page, "setup-2-factor")
    used = pyotp.TOTP(secret)
    await page.get_by_label("The code it shows now").fill(used.now())
    await page.get_by_role("button", name="Take it into use").click()
    await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    codes = await page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10
    await site.shoot(page, "setup-3-codes")
    await page.get_by_role("button", name="I have kept them").click()
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()

    await page.goto(link)
    await expect(page.get_by_role("heading", name="This link is not good any more")).to_be_visible()

    await page.goto("/health?tab=ledger")
    await expect(page.get_by_role("tab", name="Ledger")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("button", name="Account:").click()
    await page.get_by_role("menuitem", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await site.check_accessible(page, "login")
    await site.shoot(page, "login")

    await page.goto("/health?tab=ledger")
    await expect(page).to_have_url(re.compile(r"/login\?return=%2Fhealth%3Ftab%3Dledger$"))
    await log_in(page, codes[0])
    await expect(page).to_have_url(re.compile(r"/health\?tab=ledger$"))

    user = await site.web.services.users.by_name("ada")
    assert user
    async with site.web.services.database.transaction() as transaction:
        await site.web.services.sessions.end_all(transaction, user.user_id)
    await page.get_by_role("button", name="Refresh now").click()
    await expect(page.get_by_text("Your session is over")).to_be_visible()
    await site.shoot(page, "login-session-over")
    await log_in(page, codes[1])
    await expect(page).to_have_url(re.compile(r"/health\?tab=ledger$"))
    cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
    assert cookies[PLAIN_NAME]["httpOnly"] and cookies[PLAIN_NAME]["sameSite"] == "Strict"
    assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
