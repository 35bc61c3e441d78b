"""Networks of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.own_network import connect, fresh_network


@pytest.fixture
def own_network() -> Iterator[None]:
    """A fresh network with only a loopback; needs root."""
    with fresh_network():
        yield


@pytest.fixture
def cable(own_network: None) -> tuple[str, str]:
    """Two interfaces joined by a cable, both up: what goes into one comes out of the other."""
    connect("near", "far")
    return "near", "far"
