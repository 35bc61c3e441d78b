"""docs/access.md says what the code does: rights, kinds of problems, limits and commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from siemd.units import Seconds
from siemd.web.access import passwords, throttle
from siemd.web.access.roles import RIGHTS, ROLES, SCOPES, Right
from siemd.web.config import WebConfig
from siemd.web.cookies import PLAIN_NAME, TLS_NAME

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs/access.md").read_text(encoding="utf-8")


def test_the_table_of_rights_is_the_codes() -> None:
    rows = re.findall(r"^\| `([a-z:]+)` \| (yes|no) \| (yes|no) \| (yes|no) \| (yes|no|always) \|", TEXT, re.MULTILINE)
    shown = {right: answers for right, *answers in rows}
    assert set(shown) == set(Right) - {Right.PUBLIC}
    for right, answers in shown.items():
        expected = ["yes" if right in RIGHTS[role] else "no" for role in ROLES]
        token = "always" if right == Right.SELF else "yes" if right in SCOPES else "no"
        assert answers == [*expected, token], right


def test_every_kind_of_problem_is_told() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "siemd/web").rglob("*.py")]
    kinds = {kind for text in sources for kind in re.findall(r'kind="([a-z]+-[a-z-]+)"', text)}
    kinds |= {kind for text in sources for kind in re.findall(r'"urn:siemd:problem:([a-z-]+)"', text)}
    assert kinds == set(re.findall(r"^\| `urn:siemd:problem:([a-z-]+)`", TEXT, re.MULTILINE))


@pytest.mark.parametrize(
    "words",
    [
        f"`{TLS_NAME}` over TLS, `{PLAIN_NAME}`",
        f"listen on `{WebConfig().listen}`",
        f"have {WebConfig().sessions.password_length} characters",
        f"argon2id ({passwords.MEMORY_KIB // 1024} MiB, two passes)",
        f"ends after {int(WebConfig().sessions.idle_s // 3600)} hours without use",
        f"up to {int(throttle.ACCOUNT.most_s // 60)} minutes for an account",
        f"within the last {int(WebConfig().sessions.step_up_s // 60)} minutes",
        f"first account within {Seconds(WebConfig().sessions.setup_link_s)}",
        f"bodies of {WebConfig().limits.body_bytes // (1 << 20)} MiB",
        f"headers of {WebConfig().limits.header_bytes // (1 << 10)} KiB",
        f"{WebConfig().limits.connections_per_address} connections from an address",
        f"{WebConfig().limits.requests} requests at once",
    ],
)
def test_figures_are_the_codes(words: str) -> None:
    assert words in " ".join(TEXT.split())


def test_free_failures_are_told() -> None:
    assert (throttle.ACCOUNT.free, throttle.ADDRESS.free) == (5, 20)
    assert "Five failures at an account or twenty from an address" in TEXT
    assert passwords.PASSES == 2 and passwords.AT_ONCE == 2
