"""The built console as files in memory: which there are, their types, and their compressed forms."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import msgspec

DIST = Path(__file__).resolve().parent / "ui_dist"
# Pages of the console, by the beginning of their address: the routes of ui/src/routes.ts.
PAGES = (
    "login", "setup", "alerts", "search", "network", "hosts", "rules", "attack", "health", "users", "tokens", "audit",
    "settings", "account", "gallery",
)  # fmt: skip
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_CODINGS = {"br": ".br", "gzip": ".gz"}  # the better one first
_NOT_BUILT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>siemd</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{base}/static/style.css"></head><body><main><h1>siemd</h1>
<p>siemd is running, but its console was not built. <code>./dev run</code> builds it, and so does
<code>pip install .</code> in siemd's folder. Until then there is <a href="{base}/api/v1/docs">its API</a>, and
<code>siemd user add</code> makes accounts.</p></main></body></html>"""


class Asset(msgspec.Struct, frozen=True):
    """A file whose name holds a hash of what is in it. packed: by content coding."""

    media_type: str
    data: bytes
    packed: dict[str, bytes]

    def coded(self, accepted: str) -> tuple[bytes, str]:
        """The bytes for a client's Accept-Encoding, and the coding that they have ("" for none)."""
        known = accepted_codings(accepted)
        for coding, data in self.packed.items():
            if coding in known:
                return data, coding
        return self.data, ""


class Console(msgspec.Struct, frozen=True):
    """The page that is the console, and what it loads. built: whether there is one at all."""

    built: bool
    page: bytes
    assets: dict[str, Asset]


def read_console(base_path: str, folder: Path = DIST) -> Console:
    """The console as it was built, for the path below which it is served (`` or `/siemd`). A page of words without."""
    try:
        text = (folder / "index.html").read_text(encoding="utf-8")
    except OSError:
        page = _NOT_BUILT.format(base=escape(base_path))
        return Console(built=False, page=page.encode(), assets={})
    # Addresses in the page begin with the base path, so that they hold however deep the page's own address is.
    base = escape(base_path)
    text = text.replace('="./', f'="{base}/')
    text = text.replace('name="siemd-base" content=""', f'name="siemd-base" content="{base}"')
    names = {path.name: path for path in sorted((folder / "assets").iterdir()) if path.suffix in _TYPES}
    assets = {name: _asset(path) for name, path in names.items()}
    return Console(built=True, page=text.encode(), assets=assets)


def accepted_codings(header: str) -> set[str]:
    """The content codings that an Accept-Encoding names and does not refuse (`q=0`)."""
    found = set()
    for part in header.lower().split(",")[:20]:
        name, _, quality = part.partition(";")
        if not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", quality):
            found.add(name.strip())
    return found


def _asset(path: Path) -> Asset:
    packed = {}
    for coding, suffix in _CODINGS.items():
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            packed[coding] = beside.read_bytes()
    return Asset(_TYPES[path.suffix], path.read_bytes(), packed)
