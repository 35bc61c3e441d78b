"""Accounts: the first one by a link, others by an admin, and never the last admin lost."""

from __future__ import annotations

import asyncio

import pytest

from siemd.events import now_us
from siemd.storage.tables import time_text
from support.web import PASSWORD, TESTER, Web, serving, until


async def first_link(web: Web) -> str:
    """The secret in the link that the server told at its first start."""
    await until(lambda: any("/setup#" in text for text in web.said), "the server tells its link")
    return next(text for text in web.said if "/setup#" in text).rpartition("#")[2]


async def test_the_first_start_tells_a_link_that_makes_the_admin_once(web: Web) -> None:
    link = await first_link(web)
    client = web.client()
    state = (await client.post("/api/v1/setup/check", json={"link": link})).json()
    assert state == {"purpose": "admin", "name": "", "password_length": 12}
    body = {"link": link, "name": "Ada", "password": PASSWORD}
    assert (await client.post("/api/v1/setup", json=body | {"password": "short"})).status_code == 422
    assert (await client.post("/api/v1/setup", json=body | {"name": "../x y"})).status_code == 422
    done = await asyncio.gather(*(web.client().post("/api/v1/setup", json=body) for _ in range(3)))
    assert sorted(answer.status_code for answer in done) == [201, 410, 410]
    assert (await client.post("/api/v1/setup", json=body | {"name": "eve"})).status_code == 410
    login = await client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
    assert login.json()["role"] == "admin"
    assert [user.name for user in await web.services.users.all()] == ["ada"]


async def test_the_first_link_is_void_as_soon_as_there_is_an_account(web: Web) -> None:
    link = await first_link(web)
    await web.user("ada", "admin")
    assert (await web.client().post("/api/v1/setup/check", json={"link": link})).status_code == 410


async def test_a_link_gets_too_old(web: Web) -> None:
    link = await first_link(web)
    await web.services.database.execute("UPDATE setup_links SET expires = ?", (time_text(now_us() - 1),))
    body = {"link": link, "name": "ada", "password": PASSWORD}
    assert (await web.client().post("/api/v1/setup", json=body)).status_code == 410


@pytest.mark.parametrize("link", ["x", "' OR '1'='1", "a" * 100])
async def test_an_invented_link_opens_nothing(web: Web, link: str) -> None:
    await first_link(web)
    body = {"link": link, "name": "eve", "password": PASSWORD}
    assert (await web.client().post("/api/v1/setup", json=body)).status_code == 410


async def test_there_is_no_link_when_there_are_accounts(web: Web) -> None:
    await web.user("ada", "admin")
    async with serving(web.services.config) as other:
        await until(lambda: other.said, "the server tells its address")
        assert "setup" not in other.said[0]


async def test_an_admin_adds_users_who_choose_their_own_password(web: Web) -> None:
    admin = await web.as_role("admin")
    made = await admin.post("/api/v1/users", json={"name": "Bob@Example.org", "role": "analyst"})
    assert made.status_code == 201, made.text
    user, link = made.json()["user"], made.json()["link"].partition("#")[2]
    assert user["name"] == "bob@example.org" and not user["has_password"]
    assert (await admin.post("/api/v1/users", json={"name": "bob@example.org", "role": "viewer"})).status_code == 422
    client = web.client()
    assert (await client.post("/api/v1/setup/check", json={"link": link})).json()["name"] == "bob@example.org"
    body = {"link": link, "password": PASSWORD, "name": "root"}
    assert (await client.post("/api/v1/setup", json=body)).json() == {"name": "bob@example.org"}
    assert (await client.post("/api/v1/setup", json=body)).status_code == 410
    login = await client.post("/api/v1/session", json={"name": "bob@example.org", "password": PASSWORD})
    assert login.status_code == 201 and login.json()["role"] == "analyst"
    again = await admin.post(f"/api/v1/users/{user['user_id']}/password-link")
    newer = await admin.post(f"/api/v1/users/{user['user_id']}/password-link")
    links = [answer.json()["link"].partition("#")[2] for answer in (again, newer)]
    states = [(await client.post("/api/v1/setup/check", json={"link": link})).status_code for link in links]
    assert states == [410, 200], "only the newest link is good"


async def test_roles_and_switching_off_through_the_api(web: Web) -> None:
    admin = await web.as_role("admin")
    bob = await web.user("bob", "viewer", PASSWORD)
    path = f"/api/v1/users/{bob.user_id}"
    client = await web.session_of(bob)
    assert (await admin.patch(path, json={"role": "analyst"})).json()["role"] == "analyst"
    assert (await client.get("/api/v1/session")).status_code == 401
    assert (await admin.patch(path, json={"disabled": True})).json()["disabled"]
    login = {"name": "bob", "password": PASSWORD}
    assert (await web.client().post("/api/v1/session", json=login)).status_code == 401
    assert not (await admin.patch(path, json={"disabled": False})).json()["disabled"]
    assert (await web.client().post("/api/v1/session", json=login)).status_code == 201
    assert (await admin.patch(path, json={"role": "god"})).status_code == 422
    assert (await admin.patch(path, json={"password_hash": "x"})).status_code == 422, "mass assignment"
    assert (await admin.delete(path + "/sessions")).status_code == 204


async def test_the_last_admin_stays(web: Web) -> None:
    admin = await web.as_role("admin")
    me = (await admin.get("/api/v1/session")).json()["user_id"]
    for change in ({"role": "viewer"}, {"disabled": True}):
        refused = await admin.patch(f"/api/v1/users/{me}", json=change)
        assert refused.status_code == 422 and "only admin" in refused.json()["detail"]
    second = await web.user("second", "admin")
    third = await web.user("third", "admin")
    users = web.services.users
    results = await asyncio.gather(
        users.change(TESTER, second, role="viewer"), users.change(TESTER, third, role="viewer"),
        admin.patch(f"/api/v1/users/{me}", json={"role": "viewer"}), return_exceptions=True,
    )  # fmt: skip
    assert results
    admins = [user for user in await users.all() if user.role == "admin" and not user.disabled]
    assert admins, "whoever came last was refused"
