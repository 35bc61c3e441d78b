"""Debian's chromium as the tests of the console drive it: what a page complains of fails the test."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from support.needs import need

AXE = Path(__file__).resolve().parents[2] / "siemd" / "web" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
_WATCH = """
  document.addEventListener("securitypolicyviolation", (event) => {
    const where = `${event.sourceFile}:${event.lineNumber}`;
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${where} ${event.sample}`);
  });
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window, of the system's own package."""
    need("chromium")
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """What pages said that they should not: errors, refused contents, and answers that nobody expected."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.expected: list[str] = [r"Failed to load resource.*\b401\b"]  # the console asks who one is

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", lambda message: self._take(message.text, message.type))
        page.on("pageerror", lambda error: self.told.append(f"error: {error}"))

    def _take(self, text: str, kind: str) -> None:
        if kind in ("error", "warning") and not any(re.search(pattern, text) for pattern in self.expected):
            self.told.append(f"{kind}: {text}")

    def check(self) -> None:
        """Fail with what was told."""
        assert self.told == [], self.told


async def open_page(
    browser: Browser, origin: str, complaints: Complaints, *, cookies: Sequence[Any] = (), **options: Any
) -> Page:
    """A page of a context of its own; options are the context's, such as viewport and color_scheme."""
    options = {
        "viewport": WIDE,
        "color_scheme": "dark",
        "timezone_id": "Europe/Berlin",
        "reduced_motion": "reduce",
    } | options
    context = await browser.new_context(base_url=origin, **options)
    await context.add_init_script(_WATCH)
    await context.add_cookies(list(cookies))
    page = await context.new_page()
    page.set_default_timeout(20_000)
    complaints.watch(page)
    return page


async def shoot(page: Page, folder: Path, name: str) -> None:
    """Pictures of a page: dark and light, wide and on a phone. The page is as it was afterwards."""
    before = page.viewport_size
    for size, viewport in (("wide", WIDE), ("phone", PHONE)):
        await page.set_viewport_size(viewport)  # type: ignore[arg-type]
        for scheme in ("dark", "light"):
            await _prefer(page, scheme)
            await page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")
    await _prefer(page, "dark")
    if before:
        await page.set_viewport_size(before)


async def check_accessible(page: Page, where: str) -> None:
    """axe finds nothing serious or critical, in dark and in light."""
    axe = await asyncio.to_thread(AXE.read_text, encoding="utf-8")
    for scheme in ("dark", "light"):
        await _prefer(page, scheme)
        await page.evaluate(axe)
        found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        grave = [
            f"{one['impact']}: {one['help']}: {json.dumps([node['html'][:200] for node in one['nodes'][:5]])}"
            + "".join(str(node["any"][:1])[:300] for node in one["nodes"][:2])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert grave == [], f"{where}, {scheme}: {grave}"
    await _prefer(page, "dark")


async def _prefer(page: Page, scheme: str) -> None:
    """Another colour scheme, drawn."""
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.wait_for_function(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
