"""Login by an identity provider in a browser: there, back, in, and out; and what one reads when it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from siemd.storage import StorageConfig
from siemd.web.config import OidcConfig, WebConfig
from support.browser import open_page
from support.console import ConsoleSite
from support.oidc import CLIENT, SECRET, Provider, provider
from support.web import TESTER, serving, web_config

LINK = "Log in with your identity provider"


@pytest.fixture
def idp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The identity provider, which to a browser is another site than siemd."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    with provider() as made:
        made.issuer = made.issuer.replace("127.0.0.1", "localhost")
        yield made


@pytest.fixture
async def site(tmp_path: Path, browser: Browser, pictures: Path, idp: Provider) -> AsyncIterator[ConsoleSite]:
    """A server that knows the provider, and a browser."""
    roles: Any = {"soc": "analyst"}
    oidc = OidcConfig(issuer=idp.issuer, client_id=CLIENT, client_secret=SECRET, roles=roles)
    storage = StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
    async with serving(web_config(tmp_path, storage, WebConfig(oidc=oidc))) as web:
        made = ConsoleSite(web, browser, pictures, storage)
        yield made
        made.complaints.check()


async def test_from_the_login_page_to_the_console_and_out_again(site: ConsoleSite) -> None:
    page = await open_page(site.browser, site.web.origin, site.complaints)
    await page.goto("/login")
    await expect(page.get_by_role("link", name=LINK)).to_be_visible()
    await site.check_accessible(page, "login with a provider")
    await site.shoot(page, "login-oidc")
    await page.get_by_role("link", name=LINK).click()
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    assert page.url == f"{site.web.origin}/"
    account = page.get_by_role("button", name="Account:")
    await expect(account).to_contain_text("ada")
    await expect(account).to_contain_text("analyst")
    await page.reload()
    await expect(account).to_contain_text("ada")
    await account.click()
    await page.get_by_role("menuitem", name="Log out").click()
    await expect(page.get_by_role("link", name=LINK)).to_be_visible()
    assert not [cookie for cookie in await page.context.cookies() if "session" in str(cookie.get("name"))]
    await page.goto("/alerts")
    await expect(page.get_by_role("link", name=LINK)).to_be_visible()
    told = [entry.action for entry in await site.web.services.audit.entries()]
    assert {"login.succeeded", "logout"} <= set(told), told


@pytest.mark.parametrize(
    ("claims", "flaws", "said"),
    [
        ({"groups": ["unknown"]}, set(), "None of your groups at the identity provider may enter siemd."),
        ({}, {"denied"}, "Your identity provider did not let you in."),
        ({}, {"other key"}, "The identity provider does not answer as it should."),
        ({"preferred_username": "<script>alert(1)</script>"}, set(), "Your name at the identity provider can't be one"),
    ],
)
async def test_whoever_is_not_let_in_reads_why(
    site: ConsoleSite, idp: Provider, claims: dict[str, Any], flaws: set[str], said: str
) -> None:
    page = await open_page(site.browser, site.web.origin, site.complaints)
    idp.claims |= claims
    idp.flaws = flaws
    await page.goto("/login")
    await page.get_by_role("link", name=LINK).click()
    await expect(page.get_by_role("alert")).to_contain_text(said)
    await site.check_accessible(page, "a login that failed")
    await site.shoot(page, "login-failed")
    idp.claims |= {"preferred_username": "ada", "groups": ["soc"], "sub": "5678"}
    idp.flaws = set()
    await page.get_by_role("link", name=LINK).click()
    await expect(page.get_by_role("button", name="Account:")).to_contain_text("ada")


async def test_whoever_is_switched_off_reads_that(site: ConsoleSite) -> None:
    page = await open_page(site.browser, site.web.origin, site.complaints)
    await page.goto("/login")
    await page.get_by_role("link", name=LINK).click()
    await expect(page.get_by_role("button", name="Account:")).to_contain_text("ada")
    site.complaints.expected.append(r"WebSocket connection to .* 40[13]")  # the page tries to stay live meanwhile
    user = await site.web.services.users.by_name("ada")
    assert user
    await site.web.services.users.change(TESTER, user, disabled=True)
    await page.goto("/health")
    await page.get_by_role("link", name=LINK).click()
    await expect(page.get_by_role("alert")).to_contain_text("Your account is switched off.")
