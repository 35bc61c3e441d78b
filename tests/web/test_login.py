"""Who guesses is slowed, who is unknown can't be told from who is known, and a second factor is asked for."""

from __future__ import annotations

import asyncio
import time

import httpx
import pyotp
import pytest

from siemd.events import now_us
from siemd.storage.tables import time_text
from siemd.web.access.passwords import MOST_WAITING, Passwords, TooBusy
from siemd.web.access.throttle import ACCOUNT, ADDRESS, Rule, Throttle, Throttled, address_group
from siemd.web.access.totp import STEP_S
from support.web import PASSWORD, TESTER, Web, serving


async def log_in(client: httpx.AsyncClient, name: str, password: str, code: str = "") -> httpx.Response:
    return await client.post("/api/v1/session", json={"name": name, "password": password, "code": code})


async def forget(web: Web) -> None:
    """As if the delays of all failures were over; the failures still count."""
    await web.services.database.execute("UPDATE login_attempts SET blocked_until = last_failed")


async def test_wrong_ways_all_read_the_same(web: Web) -> None:
    ada = await web.user("ada", "viewer", PASSWORD)
    await web.user("link-only", "viewer")
    off = await web.user("off", "viewer", PASSWORD)
    await web.services.users.change(TESTER, off, disabled=True)
    client = web.client()
    answers = [
        await log_in(client, name, password)
        for name, password in (
            (ada.name, "wrong password"),
            ("nobody-has-this-name", PASSWORD),
            ("link-only", PASSWORD),
            ("off", PASSWORD),
            ("' OR 1=1 --", PASSWORD),
            ("\u0000", PASSWORD),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{key: value for key, value in answer.json().items() if key != "request_id"} for answer in answers]
    assert all(body == bodies[0] for body in bodies), bodies
    names = [set(answer.headers) for answer in answers]
    assert all(headers == names[0] for headers in names)


async def test_an_unknown_name_costs_a_hash_too(web: Web) -> None:
    """Ratios of work, not seconds: the median of an unknown name's time is of the kind of a known one's."""
    hashed = await web.services.passwords.hash(PASSWORD)
    await web.services.passwords.verify("", "x")  # makes the dummy

    async def cost(stored: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            assert not await web.services.passwords.verify(stored, "wrong")
            times.append(time.perf_counter() - began)
        return sorted(times)[2]

    known, unknown = await cost(hashed), await cost("")
    assert 0.2 < unknown / known < 5


async def test_failures_at_an_account_delay_the_next_try_even_with_the_right_password(web: Web) -> None:
    await web.user("ada", "viewer", PASSWORD)
    client = web.client()
    for _ in range(ACCOUNT.free):
        assert (await log_in(client, "ada", "wrong password")).status_code == 401
    blocked = await log_in(client, "ada", PASSWORD)
    assert blocked.status_code == 429
    assert 1 <= int(blocked.headers["retry-after"]) <= ACCOUNT.most_s
    assert (await log_in(client, "somebody-else", PASSWORD)).status_code == 401, "others are not delayed"
    await forget(web)
    assert (await log_in(client, "ada", PASSWORD)).status_code == 201, "when the delay is over it is taken"
    assert (await log_in(client, "ada", "wrong password")).status_code == 401, "and the account starts anew"


async def test_unknown_names_are_delayed_like_known_ones(web: Web) -> None:
    client = web.client()
    statuses = [(await log_in(client, "ghost", "wrong password")).status_code for _ in range(ACCOUNT.free + 1)]
    assert statuses == [401] * ACCOUNT.free + [429]


async def test_a_hundred_tries_at_once_are_a_hundred_tries(web: Web) -> None:
    """The count is kept before the password is looked at, so tries side by side don't slip through."""
    throttle = web.services.login.throttle

    async def one() -> bool:
        try:
            await throttle.begin("ada", "192.0.2.1")
        except Throttled:
            return False
        return True

    passed = sum(await asyncio.gather(*(one() for _ in range(40))))
    assert passed == ACCOUNT.free


async def test_an_address_is_slowed_over_many_names_and_forgets_nothing_at_a_restart(web: Web) -> None:
    throttle = web.services.login.throttle
    for number in range(ADDRESS.free):
        await throttle.begin(f"name-{number}", "192.0.2.7")
    again = Throttle(web.services.database)  # another process, or the same after a restart
    with pytest.raises(Throttled):
        await again.begin("one-more", "192.0.2.7")
    await again.begin("one-more", "192.0.2.8")


async def test_an_own_login_does_not_wash_guesses_clean(web: Web) -> None:
    await web.user("mallory", "viewer", PASSWORD)
    client = web.client()
    for number in range(ADDRESS.free - 1):
        assert (await log_in(client, f"victim-{number}", "wrong password")).status_code == 401
    assert (await log_in(client, "mallory", PASSWORD)).status_code == 201
    assert (await log_in(client, "victim-x", "wrong password")).status_code == 401
    assert (await log_in(client, "victim-y", "wrong password")).status_code == 429


async def test_the_table_of_failures_is_bounded(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siemd.web.access.throttle.MOST_SUBJECTS", 10)
    throttle, database = web.services.login.throttle, web.services.database
    for number in range(15):
        await throttle.begin(f"name-{number}", f"192.0.2.{number}")
    old = time_text(now_us() - 2 * 86_400_000_000)
    await database.execute("INSERT INTO login_attempts VALUES ('account:old', 9, ?, ?)", (old, old))
    assert await throttle.prune() >= 21
    assert (await database.fetch("SELECT COUNT(*) AS n FROM login_attempts"))[0]["n"] <= 10


def test_delays_double_up_to_an_end() -> None:
    rule = Rule(free=3, first_s=1.0, most_s=10.0)
    assert [rule.delay_s(failures) for failures in range(1, 9)] == [0, 0, 1, 2, 4, 8, 10, 10]
    assert rule.delay_s(10**9) == 10


def test_a_subscriber_of_ipv6_is_one_address() -> None:
    assert address_group("2001:db8::1") == address_group("2001:db8::ffff:1") != address_group("2001:db8:0:1::1")
    assert address_group("::ffff:192.0.2.1") == address_group("192.0.2.1")


async def test_a_flood_of_passwords_is_refused_and_not_queued() -> None:
    passwords = Passwords()
    tasks = [asyncio.ensure_future(passwords.hash("x" * 20)) for _ in range(MOST_WAITING + 20)]  # noqa: TID251
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, TooBusy) for result in results) == 20
    assert sum(isinstance(result, str) for result in results) == MOST_WAITING
    passwords.close()


async def test_a_login_makes_a_new_session_whatever_the_client_brings(web: Web) -> None:
    """Fixation: an attacker's cookie, a session or not, is never the victim's."""
    mallory = await web.session_of(await web.user("mallory"))
    planted = mallory.cookies["siemd_session"]
    await web.user("ada", "admin", PASSWORD)
    victim = web.client()
    victim.cookies.set("siemd_session", planted, domain="127.0.0.1")
    answer = await log_in(victim, "ada", PASSWORD)
    assert answer.status_code == 201
    assert planted not in answer.headers["set-cookie"]
    assert (await mallory.get("/api/v1/session")).json()["name"] == "mallory"
    invented = web.client()
    invented.cookies.set("siemd_session", "A" * 43, domain="127.0.0.1")
    answer = await log_in(invented, "ada", PASSWORD)
    assert "A" * 43 not in answer.headers["set-cookie"]


async def test_the_store_holds_no_secret_that_opens_anything(web: Web) -> None:
    await web.user("ada", "admin", PASSWORD)
    client = web.client()
    cookie = (await log_in(client, "ada", PASSWORD)).headers["set-cookie"].partition("=")[2].partition(";")[0]
    made = await client.post("/api/v1/account/tokens", json={"name": "x", "scopes": ["events:read"]})
    token = made.json()["token"]
    link = (await client.post("/api/v1/users", json={"name": "bob", "role": "viewer"})).json()["link"].partition("#")[2]
    for table in ("users", "sessions", "api_tokens", "setup_links", "audit_log", "login_attempts"):
        text = str(await web.services.database.fetch(f"SELECT * FROM {table}"))
        for secret in (cookie, token, link, PASSWORD):
            assert secret not in text, f"{table} holds a secret"


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(time.time()) + steps * STEP_S)


async def enrolled(web: Web) -> tuple[httpx.AsyncClient, str, list[str]]:
    """A client of ada with a second factor, its secret and the recovery codes."""
    await web.user("ada", "admin", PASSWORD)
    client = web.client()
    assert (await log_in(client, "ada", PASSWORD)).status_code == 201
    secret = (await client.post("/api/v1/account/totp")).json()["secret"]
    assert (await client.post("/api/v1/account/totp/confirm", json={"code": "000000"})).status_code == 422
    done = await client.post("/api/v1/account/totp/confirm", json={"code": code_of(secret, -1)})
    assert done.status_code == 200, done.text
    return client, secret, done.json()["recovery_codes"]


async def test_a_second_factor_is_wanted_and_each_code_is_taken_once(web: Web) -> None:
    _client, secret, _codes = await enrolled(web)
    fresh = web.client()
    wanted = await log_in(fresh, "ada", PASSWORD)
    assert wanted.status_code == 401 and wanted.json()["type"].endswith("code-required")
    assert "type" not in (await log_in(fresh, "ada", "wrong password", code_of(secret))).json()
    code = code_of(secret, 1)
    assert (await log_in(fresh, "ada", PASSWORD, code)).status_code == 201
    assert (await log_in(web.client(), "ada", PASSWORD, code)).status_code == 401, "the same code again"
    assert (await log_in(web.client(), "ada", PASSWORD, code_of(secret, -1))).status_code == 401, "one before it"


async def test_one_code_at_the_same_time_opens_one_session(web: Web) -> None:
    _client, secret, _codes = await enrolled(web)
    code = code_of(secret, 1)
    answers = await asyncio.gather(*(log_in(web.client(), "ada", PASSWORD, code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401]


async def test_recovery_codes_are_good_once_each(web: Web) -> None:
    client, _secret, codes = await enrolled(web)
    assert len(set(codes)) == 10
    assert (await log_in(web.client(), "ada", PASSWORD, codes[0].upper().replace("-", " "))).status_code == 201
    assert (await log_in(web.client(), "ada", PASSWORD, codes[0])).status_code == 401
    assert (await client.get("/api/v1/account/totp")).json() == {"enabled": True, "recovery_codes_left": 9}
    renewed = (await client.post("/api/v1/account/totp/recovery-codes")).json()["recovery_codes"]
    assert (await log_in(web.client(), "ada", PASSWORD, codes[1])).status_code == 401
    assert (await log_in(web.client(), "ada", PASSWORD, renewed[1])).status_code == 201


async def test_guessing_codes_is_slowed_like_guessing_passwords(web: Web) -> None:
    await enrolled(web)
    client = web.client()
    statuses = [(await log_in(client, "ada", PASSWORD, "000000")).status_code for _ in range(ACCOUNT.free + 1)]
    assert statuses == [401] * ACCOUNT.free + [429]


async def test_asking_for_the_code_is_no_failure(web: Web) -> None:
    await enrolled(web)
    client = web.client()
    statuses = {(await log_in(client, "ada", PASSWORD)).status_code for _ in range(ACCOUNT.free + 3)}
    assert statuses == {401}


async def test_the_second_factor_can_be_taken_away(web: Web) -> None:
    client, _secret, _codes = await enrolled(web)
    assert (await client.delete("/api/v1/account/totp")).status_code == 204
    assert (await log_in(web.client(), "ada", PASSWORD)).status_code == 201


async def test_an_old_hash_is_made_anew_at_login(web: Web) -> None:
    import argon2

    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    user = await web.user("ada")
    await web.services.users.set_password(TESTER, user, weak)
    assert (await log_in(web.client(), "ada", PASSWORD)).status_code == 201
    found = await web.services.users.by_name("ada")
    assert found and found.password_hash != weak
    assert (await log_in(web.client(), "ada", PASSWORD)).status_code == 201


async def test_failures_survive_a_restart_of_the_server(web: Web) -> None:
    client = web.client()
    for _ in range(ACCOUNT.free):
        await log_in(client, "ghost", "wrong password")
    async with serving(web.services.config) as other:
        assert (await log_in(other.client(), "ghost", "wrong password")).status_code == 429
