"""Login by an identity provider: a real one on the loopback, honest and otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from siemd.config import Config
from siemd.storage import StorageConfig
from siemd.web.config import OidcConfig, WebConfig
from support.oidc import CLIENT, SECRET, Provider, provider
from support.web import PASSWORD, TESTER, Web, serving, web_config


@pytest.fixture
def idp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The identity provider."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with provider() as made:
        yield made


@pytest.fixture
async def one_web(tmp_path: Path, idp: Provider) -> AsyncIterator[Web]:
    """A server on SQLite that knows the provider, for what no store has a say in."""
    async with serving(knowing(tmp_path, StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}"), idp)) as running:
        yield running


@pytest.fixture
async def web(storage: StorageConfig, tmp_path: Path, idp: Provider) -> AsyncIterator[Web]:
    """A server that knows the provider."""
    async with serving(knowing(tmp_path, storage, idp)) as running:
        yield running


def knowing(folder: Path, storage: StorageConfig, idp: Provider) -> Config:
    roles: Any = {"soc": "analyst", "boss": "admin", "all": "viewer"}
    oidc = OidcConfig(issuer=idp.issuer, client_id=CLIENT, client_secret=SECRET, roles=roles)
    return web_config(folder, storage, WebConfig(oidc=oidc))


async def begin(client: httpx.AsyncClient, idp: Provider) -> str:
    """As a browser goes to the provider; where that sends it back to."""
    first = await client.get("/api/v1/oidc/login")
    assert first.status_code == 303, first.text
    assert "HttpOnly" in first.headers["set-cookie"] and "samesite=lax" in first.headers["set-cookie"].lower()
    async with httpx.AsyncClient(trust_env=False) as outside:
        back = await outside.get(first.headers["location"])
    assert back.status_code == 302 and idp.issuer in first.headers["location"]
    return str(back.headers["location"])


async def log_in(web: Web, idp: Provider, client: httpx.AsyncClient | None = None) -> httpx.Response:
    client = client or web.client()
    return await client.get(await begin(client, idp))


async def test_who_is_vouched_for_gets_a_session_and_the_role_of_a_group(web: Web, idp: Provider) -> None:
    client = web.client()
    assert (await client.get("/api/v1/oidc")).json() == {"enabled": True}
    done = await log_in(web, idp, client)
    assert done.status_code == 303 and done.headers["location"] == "/", done.text
    assert "SameSite=Strict" in next(c for c in done.headers.get_list("set-cookie") if "siemd_session" in c)
    me = (await client.get("/api/v1/session")).json()
    assert (me["name"], me["role"]) == ("ada", "analyst")
    assert "siemd_oidc" not in client.cookies
    idp.claims["groups"] = ["all", "boss", "unknown"]
    other = web.client()
    await log_in(web, idp, other)
    assert (await other.get("/api/v1/session")).json()["role"] == "admin"
    assert (await client.get("/api/v1/session")).status_code == 401, "the role changed, so what was before has ended"
    idp.claims |= {"preferred_username": "renamed", "groups": "boss"}
    assert (await log_in(web, idp)).status_code == 303
    assert [user.name for user in await web.services.users.all()] == ["ada"], "the subject says who, not the name"
    assert {entry.detail.get("by") for entry in await web.services.audit.entries(action="login.")} == {"oidc"}


async def test_who_is_in_no_group_or_switched_off_stays_out(web: Web, idp: Provider) -> None:
    for groups in ([], ["unknown"], None, 5, {"soc": True}):
        idp.claims["groups"] = groups
        assert (await log_in(web, idp)).status_code == 403
    assert not await web.services.users.all()
    idp.claims["groups"] = ["soc"]
    assert (await log_in(web, idp)).status_code == 303
    user = await web.services.users.by_name("ada")
    assert user
    await web.services.users.change(TESTER, user, disabled=True)
    assert (await log_in(web, idp)).status_code == 403


async def test_a_name_is_no_proof_of_who_one_is(web: Web, idp: Provider) -> None:
    """Whoever calls himself `ada` at the provider does not get ada's account here."""
    await web.user("ada", "admin", PASSWORD)
    refused = await log_in(web, idp)
    assert refused.status_code == 422 and "already" in refused.json()["detail"]


async def test_a_login_that_was_not_begun_here_is_refused(one_web: Web, idp: Provider) -> None:
    """Login CSRF: an attacker's own answer of the provider, brought to a victim's browser."""
    attacker = one_web.client()
    link = await begin(attacker, idp)
    assert (await one_web.client().get(link)).status_code == 403, "without the cookie"
    victim = one_web.client()
    await begin(victim, idp)
    assert (await victim.get(link)).status_code == 403, "with the cookie of another login"
    assert (await attacker.get(link)).status_code == 303
    assert (await attacker.get(link)).status_code in (403, 502), "once only"
    assert (await victim.get("/api/v1/oidc/callback", params={"error": "access_denied"})).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "x"}, {"nonce": None}, {"aud": "another client"}, {"aud": ["another", "third"]}, {"aud": None},
        {"aud": [CLIENT, "another"]}, {"iss": "https://evil.example"}, {"iss": None}, {"exp": 1}, {"exp": None},
        {"iat": None}, {"sub": None}, {"sub": ""}, {"sub": 5}, {"preferred_username": None},
        {"preferred_username": ["x"]}, {"exp": "never"},
    ],
    ids=str,
)  # fmt: skip
async def test_tokens_that_claim_wrong_things_are_refused(one_web: Web, idp: Provider, wrong: dict[str, Any]) -> None:
    idp.misbehave = wrong
    refused = await log_in(one_web, idp)
    assert refused.status_code == 502, refused.text
    assert not await one_web.services.users.all()


@pytest.mark.parametrize("flaw", ["unsigned", "shared key", "other key", "garbage", "huge"])
async def test_tokens_that_are_not_the_providers_are_refused(one_web: Web, idp: Provider, flaw: str) -> None:
    idp.flaws = {flaw}
    refused = await log_in(one_web, idp)
    assert refused.status_code == 502, refused.text
    assert not await one_web.services.users.all()


async def test_a_provider_that_calls_itself_otherwise_or_is_away_is_told(one_web: Web, idp: Provider) -> None:
    idp.flaws = {"issuer"}
    assert (await one_web.client().get("/api/v1/oidc/login")).status_code == 502
    idp.issuer = "http://127.0.0.1:9"  # what it says from now on leads nowhere
    assert (await one_web.client().get("/api/v1/oidc/login")).status_code == 502


async def test_strange_names_are_refused_in_words(one_web: Web, idp: Provider) -> None:
    for name in ("", "a b", "x" * 300, "<script>", "\u0430dmin"):
        idp.claims["preferred_username"] = name
        assert (await log_in(one_web, idp)).status_code == 422


async def test_without_a_provider_there_is_no_such_login(sqlite_web: Web) -> None:
    assert (await sqlite_web.client().get("/api/v1/oidc")).json() == {"enabled": False}
    assert (await sqlite_web.client().get("/api/v1/oidc/login")).status_code == 404
    assert (await sqlite_web.client().get("/api/v1/oidc/callback?code=x&state=y")).status_code == 404
