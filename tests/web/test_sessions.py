"""Sessions end when they should: by themselves, by hand, and whenever who may do what has changed."""

from __future__ import annotations

import httpx
import pytest

from siemd.events import now_us
from siemd.storage.tables import time_text
from siemd.web.access.roles import Right
from support.web import PASSWORD, TESTER, Web

NEW = "another fine password"


async def status(client: httpx.AsyncClient) -> int:
    return (await client.get("/api/v1/session")).status_code


async def rewind(web: Web, column: str, seconds: float) -> None:
    """As if a time in every session were so long ago."""
    moment = time_text(now_us() - int(seconds * 1e6))
    await web.services.database.execute(f"UPDATE sessions SET {column} = ?", (moment,))


async def test_a_session_that_is_not_used_ends(web: Web) -> None:
    client = await web.as_role("viewer")
    await rewind(web, "last_used", web.services.web.sessions.idle_s - 60)
    assert await status(client) == 200, "and to be used prolongs it"
    assert await status(client) == 200
    await rewind(web, "last_used", web.services.web.sessions.idle_s + 1)
    assert await status(client) == 401
    await rewind(web, "last_used", 0)
    assert await status(client) == 401, "an ended session does not come back"


async def test_every_session_ends_after_its_absolute_limit(web: Web) -> None:
    client = await web.as_role("viewer")
    await rewind(web, "expires", 1)
    assert await status(client) == 401


@pytest.mark.parametrize("change", ["password", "role", "disabled", "link"])
async def test_a_change_of_the_account_ends_its_sessions(web: Web, change: str) -> None:
    await web.as_role("admin")
    user = await web.user("bob", "viewer", PASSWORD)
    other = await web.session_of(await web.user("eve", "viewer"))
    clients = [await web.session_of(user) for _ in range(2)]
    users = web.services.users
    if change == "password":
        await users.set_password(TESTER, user, await web.services.passwords.hash(NEW))
    elif change == "role":
        await users.change(TESTER, user, role="analyst")
    elif change == "disabled":
        await users.change(TESTER, user, disabled=True)
    else:
        secret = await users.make_link(TESTER, "password", 60, user)
        used = await web.client().post("/api/v1/setup", json={"link": secret, "password": NEW})
        assert used.status_code == 201, used.text
    assert [await status(client) for client in clients] == [401, 401]
    assert await status(other) == 200


async def test_changing_ones_password_ends_all_sessions_and_gives_this_client_a_new_one(web: Web) -> None:
    user = await web.user("bob", "viewer", PASSWORD)
    client, other = await web.session_of(user), await web.session_of(user)
    before = client.cookies["siemd_session"]
    wrong = await client.post("/api/v1/account/password", json={"current": "wrong password", "new": NEW})
    assert wrong.status_code == 401 and await status(other) == 200
    for bad in (
        "short",
        "bob bob bob bob",
        "password1234",
        "aaaaaaaaaaaaaa",
        "abcdefghijklmnop",
        "x y z" * 3 + "\u0007",
    ):
        refused = await client.post("/api/v1/account/password", json={"current": PASSWORD, "new": bad})
        assert refused.status_code == 422, bad
    done = await client.post("/api/v1/account/password", json={"current": PASSWORD, "new": NEW})
    assert done.status_code == 204, done.text
    assert await status(other) == 401
    assert client.cookies["siemd_session"] != before and await status(client) == 200
    old = web.client()
    old.cookies.set("siemd_session", before, domain="127.0.0.1")
    assert await status(old) == 401
    login = await web.client().post("/api/v1/session", json={"name": "bob", "password": NEW})
    assert login.status_code == 201


async def test_sensitive_changes_want_the_password_again(web: Web) -> None:
    user = await web.user("ada", "admin", PASSWORD)
    client = await web.session_of(user)
    await rewind(web, "step_up", web.services.web.sessions.step_up_s + 1)
    assert (await client.get("/api/v1/users")).status_code == 200
    for method, path, body in (
        ("POST", "/api/v1/users", {"name": "x", "role": "admin"}),
        ("PATCH", f"/api/v1/users/{user.user_id}", {"role": "viewer"}),
        ("POST", f"/api/v1/users/{user.user_id}/password-link", None),
        ("DELETE", f"/api/v1/users/{user.user_id}/totp", None),
        ("POST", "/api/v1/account/totp", None),
        ("DELETE", "/api/v1/account/totp", None),
        ("POST", "/api/v1/account/tokens", {"name": "x", "scopes": ["events:read"]}),
    ):
        refused = await client.request(method, path, json=body)
        assert refused.status_code == 403 and refused.json()["type"].endswith("step-up-required"), path
    assert (await client.post("/api/v1/session/step-up", json={"password": "wrong password"})).status_code == 401
    assert (await client.post("/api/v1/session/step-up", json={"password": PASSWORD})).status_code == 204
    assert (await client.post("/api/v1/users", json={"name": "x", "role": "admin"})).status_code == 201


async def test_ones_sessions_are_listed_and_ended_but_nobody_elses(web: Web) -> None:
    bob = await web.user("bob")
    first, second = await web.session_of(bob), await web.session_of(bob)
    eve = await web.session_of(await web.user("eve"))
    found = (await first.get("/api/v1/account/sessions")).json()
    assert len(found) == 2 and [view["current"] for view in found].count(True) == 1
    other = next(view["session"]["session_id"] for view in found if not view["current"])
    assert (await eve.delete(f"/api/v1/account/sessions/{other}")).status_code == 404, "IDOR"
    assert await status(second) == 200
    assert (await first.delete(f"/api/v1/account/sessions/{other}")).status_code == 204
    assert await status(second) == 401 and await status(first) == 200
    third = await web.session_of(bob)
    assert (await third.delete("/api/v1/account/sessions")).status_code == 204
    assert await status(first) == 401 and await status(third) == 200 and await status(eve) == 200


async def test_one_user_can_not_fill_the_store_with_sessions(web: Web) -> None:
    bob = await web.user("bob")
    clients = [await web.session_of(bob) for _ in range(25)]
    rows = await web.services.database.fetch("SELECT COUNT(*) AS n FROM sessions")
    assert rows[0]["n"] == 20 and await status(clients[-1]) == 200


async def test_ended_sessions_are_tidied_away(web: Web) -> None:
    await web.as_role("viewer")
    await rewind(web, "expires", 1)
    await web.as_role("viewer")
    assert await web.services.sessions.prune() == 1


async def test_tokens_are_made_used_and_revoked_but_only_by_whose_they_are(web: Web) -> None:
    bob = await web.session_of(await web.user("bob", "analyst"))
    made = await bob.post("/api/v1/account/tokens", json={"name": "grafana", "scopes": ["events:read", "alerts:read"]})
    assert made.status_code == 201, made.text
    token = made.json()["token"]
    assert token.startswith("siemd_")
    program = web.client(headers={"Authorization": f"Bearer {token}"})
    me = (await program.get("/api/v1/session")).json()
    assert me["kind"] == "token" and me["rights"] == ["alerts:read", "events:read", "self"]
    assert (await program.get("/api/v1/account/sessions")).status_code == 403
    listed = (await bob.get("/api/v1/account/tokens")).json()
    assert [(entry["name"], bool(entry["last_used"])) for entry in listed] == [("grafana", True)]
    assert token not in str(listed)
    eve = await web.session_of(await web.user("eve", "analyst"))
    token_id = made.json()["token_id"]
    assert (await eve.delete(f"/api/v1/account/tokens/{token_id}")).status_code == 404, "IDOR"
    assert (await eve.get("/api/v1/account/tokens")).json() == []
    assert await status(program) == 200
    admin = await web.as_role("admin")
    assert (await admin.delete(f"/api/v1/tokens/{token_id}")).status_code == 204
    assert await status(program) == 401


@pytest.mark.parametrize("scope", ["users:manage", "account:own", "tokens:manage", "public", "self", "rules:write"])
async def test_no_token_gets_more_than_its_owner_or_than_any_token_may(web: Web, scope: str) -> None:
    client = await web.as_role("analyst")
    made = await client.post("/api/v1/account/tokens", json={"name": "x", "scopes": [scope]})
    assert made.status_code == 422, made.text


async def test_a_token_loses_what_its_owner_loses(web: Web) -> None:
    await web.as_role("admin")
    owner = await web.user("bob", "admin")
    bob = await web.session_of(owner)
    body = {"name": "x", "scopes": ["audit:read", "events:read"]}
    token = (await bob.post("/api/v1/account/tokens", json=body)).json()["token"]
    program = web.client(headers={"Authorization": f"Bearer {token}"})
    assert (await program.get("/api/v1/audit")).status_code == 200
    await web.services.users.change(TESTER, owner, role="viewer")
    assert (await program.get("/api/v1/audit")).status_code == 403
    changed = await web.services.users.by_id(owner.user_id)
    assert changed
    await web.services.users.change(TESTER, changed, disabled=True)
    assert await status(program) == 401


async def test_a_token_ends(web: Web) -> None:
    program = await web.with_token("admin", [Right.READ_AUDIT])
    assert (await program.get("/api/v1/audit")).status_code == 200
    await web.services.database.execute("UPDATE api_tokens SET expires = ?", (time_text(now_us() - 1_000_000),))
    assert (await program.get("/api/v1/audit")).status_code == 401
    too_long = {"name": "x", "scopes": ["events:read"], "days": 3000}
    assert (await (await web.as_role("viewer")).post("/api/v1/account/tokens", json=too_long)).status_code == 422


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer siemd_x", "Bearer siemd_" + "A" * 43])
async def test_a_wrong_authorization_is_nobody_even_beside_a_good_cookie(sqlite_web: Web, header: str) -> None:
    client = await sqlite_web.as_role("admin")
    answer = await client.get("/api/v1/session", headers={"Authorization": header})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
