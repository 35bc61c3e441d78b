"""What the conformance tests share: the public rules, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from siemd.detection import Ruleset, load_ruleset


@pytest.fixture(scope="session")
def public(corpus: Path) -> Ruleset:
    folders = sorted((corpus / "sigma").glob("rules*"))
    if not folders:
        pytest.skip(f"no Sigma rules below {corpus}")
    return load_ruleset(folders)
