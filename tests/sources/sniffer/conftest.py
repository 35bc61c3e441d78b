"""Networks of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.own_network import fresh_network, ip


@pytest.fixture
def own_network() -> Iterator[None]:
    """A fresh network with only a loopback; needs root."""
    with fresh_network():
        yield


@pytest.fixture
def cable(own_network: None) -> tuple[str, str]:
    """Two interfaces joined by a cable, both up: what goes into one comes out of the other."""
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    for name in ("near", "far"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")  # or it would chatter
        ip("link", "set", name, "up")
    return "near", "far"
