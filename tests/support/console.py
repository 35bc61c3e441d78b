"""A server with its console and a browser before it, as the tests of the console use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from siemd.storage import StorageConfig
from siemd.storage.store import Store, open_store
from siemd.web.config import Role
from siemd.web.cookies import PLAIN_NAME
from support.browser import Complaints, check_accessible, open_page, shoot
from support.web import Web

BOTH_STORES = pytest.mark.parametrize("console_storage", ["sqlite", "mariadb"], indirect=True)


class ConsoleSite:
    """A server with its console, and a browser before it. What its pages complain of fails the test at its end."""

    def __init__(self, web: Web, browser: Browser, pictures: Path, storage: StorageConfig) -> None:
        self.web = web
        self.browser = browser
        self.pictures = pictures
        self.storage = storage
        self.complaints = Complaints()
        self.measured: dict[str, float] = {}

    async def page(self, role: Role | None, path: str, **options: Any) -> Page:
        """A page at an address of the console, logged in with a role (None: nobody). The shell, or a form, is there."""
        cookies = []
        if role:
            client = await self.web.as_role(role)
            value = client.cookies[PLAIN_NAME]
            cookies = [{"name": PLAIN_NAME, "value": value, "url": self.web.origin, "httpOnly": True}]
        page = await open_page(self.browser, self.web.origin, self.complaints, cookies=cookies, **options)
        await page.goto(path)
        await page.wait_for_selector("main")
        return page

    async def shoot(self, page: Page, name: str) -> None:
        """Pictures of the page as it is, dark and light, wide and on a phone."""
        await shoot(page, self.pictures, name)

    async def check_accessible(self, page: Page, where: str) -> None:
        """axe finds nothing serious or critical."""
        await check_accessible(page, where)


@asynccontextmanager
async def store_of(site: ConsoleSite, data_dir: Path) -> AsyncIterator[Store]:
    """The store of a site, open as a writer beside its server."""
    store = open_store(site.storage, data_dir)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
