"""The console is built against the API as the server describes it."""

from __future__ import annotations

import json

from support.openapi_snapshot import SNAPSHOT, described


def test_the_console_knows_the_api_as_it_is() -> None:
    known = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert described() == known, "the API changed: python tests/support/openapi_snapshot.py, then ./dev lint"
