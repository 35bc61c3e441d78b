"""The API's description that the console is built against; `python tests/support/openapi_snapshot.py` writes it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from siemd.config import Config
from siemd.storage.database import open_database
from siemd.web.api import HANDLERS
from siemd.web.application import create_app
from siemd.web.openapi import describe
from siemd.web.services import Services

SNAPSHOT = Path(__file__).resolve().parents[2] / "siemd" / "web" / "ui" / "openapi.json"


def described() -> dict[str, Any]:
    """The description without what differs from one siemd to the next."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config()
        services = Services(config, Path(folder), open_database(config.storage, Path(folder)))
        document: dict[str, Any] = json.loads(json.dumps(describe(create_app(services, HANDLERS), "")))
        services.passwords.close()
    document["info"]["version"] = "0"
    return document


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(described(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
