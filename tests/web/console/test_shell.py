"""The frame of the console: every page at its address, keys, the time range in the address, below a path, unbuilt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from siemd.storage import StorageConfig
from siemd.web.config import WebConfig
from siemd.web.console import DIST, PAGES, accepted_codings, read_console
from support.browser import PHONE, Complaints, open_page
from support.console import ConsoleSite
from support.web import serving, web_config

ROUTES = Path(__file__).resolve().parents[3] / "siemd" / "web" / "ui" / "src" / "routes.ts"


def test_the_server_knows_the_pages_of_the_console() -> None:
    found = set(re.findall(r'path: "/([a-z-]*)"', ROUTES.read_text(encoding="utf-8"))) - {""}
    assert found == set(PAGES)


async def test_every_page_opens_and_is_accessible(console: ConsoleSite) -> None:
    page = await console.page("admin", "/")
    for name in ("", *(name for name in PAGES if name not in ("login", "setup"))):
        await page.goto(f"/{name}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await console.check_accessible(page, f"/{name}")
        await console.shoot(page, f"page-{name or 'overview'}")
    console.complaints.expected.append(r"Failed to load resource.*\b404\b")  # there is no such incident
    await page.goto("/alerts/an/address/of/nothing?from=nonsense")
    await expect(page.get_by_text("There is no such incident")).to_be_visible()


async def test_keys_time_and_going_back(console: ConsoleSite) -> None:
    page = await console.page("analyst", "/alerts")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    await page.get_by_role("button", name=re.compile("^Time range")).click()
    await page.keyboard.press("l")  # the first letter of "Last …"
    await page.get_by_role("menuitemradio", name="Last 1 hour").click()
    await expect(page).to_have_url(re.compile(r"/alerts\?from=-1h$"))
    await page.keyboard.press("g")
    await page.keyboard.press("s")
    await expect(page).to_have_url(re.compile(r"/search\?from=-1h$"))
    await page.go_back()
    await expect(page.get_by_role("heading", name="Alerts", level=1)).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await console.check_accessible(page, "shortcuts")
    await console.shoot(page, "shortcuts")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_phone_has_the_pages_at_hand(console: ConsoleSite) -> None:
    page = await console.page("admin", "/health", viewport=PHONE)
    await page.get_by_role("button", name="Menu").click()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    await console.shoot(page, "drawer")
    await page.get_by_role("link", name="Rules").click()
    await expect(page.get_by_role("heading", name="Rules", level=1)).to_be_visible()
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, "nothing stands out of a phone's screen"


@pytest.mark.parametrize("base", ["", "/siemd"])
async def test_below_a_path_and_from_deep_inside(tmp_path: Path, console: ConsoleSite, base: str) -> None:
    storage = StorageConfig(url=f"sqlite:{tmp_path / 'other.db'}")
    complaints = Complaints()
    complaints.expected.append(r"Failed to load resource.*\b404\b")  # there is no such incident
    async with serving(web_config(tmp_path / "other", storage, WebConfig(base_path=base))) as web:
        page = await open_page(console.browser, web.origin, complaints)
        await page.goto(f"{base}/alerts/some-id?level=high")
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert page.url.startswith(f"{web.origin}{base}/login?return=%2Falerts%2Fsome-id")
        await web.user("ada", "analyst", "correct horse battery")
        await page.get_by_label("Name").fill("ada")
        await page.get_by_label("Password").fill("correct horse battery")
        await page.get_by_role("button", name="Log in").click()
        await expect(page).to_have_url(f"{web.origin}{base}/alerts/some-id?level=high")
        await page.get_by_role("link", name="Health").first.click()
        await expect(page).to_have_url(f"{web.origin}{base}/health")
        complaints.check()


async def test_files_are_packed_kept_and_nothing_else(console: ConsoleSite) -> None:
    client = console.web.client()
    page = await client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    script = re.search(r'src="(/assets/[^"]+\.js)"', page.text)
    assert script
    for accepted, coding in (("gzip, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("identity", None)):
        answer = await client.get(script[1], headers={"Accept-Encoding": accepted})
        assert answer.headers.get("content-encoding") == coding
        assert answer.headers["content-type"].startswith("text/javascript")
        again = await client.get(
            script[1], headers={"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304 and not again.content
        assert "immutable" in answer.headers["cache-control"] and answer.headers["vary"] == "Accept-Encoding"
    for name in (
        "index.html",
        "..%2findex.html",
        "fingerprint",
        "%2e%2e/index.html",
        script[1].rpartition("/")[2] + ".gz",
    ):
        assert (await client.get(f"/assets/{name}")).status_code == 404


async def test_what_a_page_loads_is_small(console: ConsoleSite) -> None:
    """At most 300 KB gzipped for whatever page one begins with, the charts' library included."""
    loaded: dict[str, int] = {}
    for path in ("/", "/alerts", "/search", "/network", "/rules", "/health"):
        page = await console.page("admin", path)
        await page.wait_for_load_state("networkidle")
        names = await page.evaluate("performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)")
        parts = {DIST / name.removeprefix("/") for name in names if name.startswith("/assets/")}
        loaded[path] = sum(part.with_name(part.name + ".gz").stat().st_size for part in parts)
        await page.close()
    print("bytes gzipped by the first page:", loaded)
    assert max(loaded.values()) <= 300_000


def test_it_is_said_when_there_is_no_console(tmp_path: Path) -> None:
    console = read_console("/siemd", tmp_path)
    assert not console.built and b"was not built" in console.page and b'href="/siemd/api/v1/docs"' in console.page


def test_codings_that_are_refused_are_not_taken() -> None:
    assert accepted_codings("gzip;q=0, BR ; q=0.0,deflate;q=0.1") == {"deflate"}
