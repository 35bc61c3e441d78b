"""The headers that every answer carries, so that a browser helps to keep hostile text from acting."""

from __future__ import annotations

Headers = list[tuple[bytes, bytes]]

# Pages load siemd's own files and nothing else; scripts can't be made of text (Trusted Types, one named policy).
PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types siemd svelte-trusted-html"
)
# What is no page is never to be shown as one.
DATA_CSP = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PERMISSIONS = ", ".join(
    f"{name}=()"
    for name in (
        "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation",
        "gyroscope", "magnetometer", "microphone", "midi", "payment", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip
HSTS = "max-age=31536000"
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", PERMISSIONS.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
]


def with_security(headers: Headers, *, tls: bool, request_id: str) -> Headers:
    """An answer's headers and those that belong to every answer; what a handler set of them is replaced.

    Without a word of the handler nothing may be kept by a cache.
    """
    given = {name.lower(): value for name, value in headers}
    page = given.get(b"content-type", b"").startswith(b"text/html")
    added = [*_ALWAYS, (b"content-security-policy", (PAGE_CSP if page else DATA_CSP).encode())]
    added.append((b"x-request-id", request_id.encode()))
    if tls:
        added.append((b"strict-transport-security", HSTS.encode()))
    ours = {name for name, _value in added}
    kept = [(name, value) for name, value in headers if name.lower() not in ours]
    if b"cache-control" not in given:
        added.append((b"cache-control", b"no-store"))
    return kept + added
