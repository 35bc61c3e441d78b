"""What the tests of being told share: a message."""

from __future__ import annotations

import pytest

from siemd.notify.base import Message


@pytest.fixture
def message() -> Message:
    return Message(
        uid="0123456789abcdef0123456789abcdef",
        host="web-1",
        route="ops",
        subject="HIGH: Port scan on web-1",
        text="192.0.2.77 asked 50 ports of web-1\nHIGH, rule port_scan on web-1",
        level="high",
        time_us=1_795_000_000_000_000,
        thread="abc123",
        incidents=[{"kind": "open", "incident_id": "abc123", "rule": "port_scan", "count": 50}],
    )
