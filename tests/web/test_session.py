"""Logging in and out."""

from __future__ import annotations

from support.web import PASSWORD, Web


async def test_a_login_gives_a_session(web: Web) -> None:
    await web.user("ada", "admin", PASSWORD)
    client = web.client()
    assert (await client.get("/api/v1/session")).status_code == 401
    answer = await client.post("/api/v1/session", json={"name": "Ada", "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("siemd_session=")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    me = (await client.get("/api/v1/session")).json()
    assert me["name"] == "ada" and me["role"] == "admin" and me["fresh"]
    assert (await client.delete("/api/v1/session")).status_code == 204
    client.cookies.set("siemd_session", cookie.partition("=")[2].partition(";")[0], domain="127.0.0.1")
    assert (await client.get("/api/v1/session")).status_code == 401, "the session has ended on the server too"
