"""What strangers send: forged changes, other hosts' names, too much of everything, and very little very slowly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from siemd.storage import StorageConfig
from siemd.units import Bytes, Seconds
from siemd.web.config import LimitsConfig, WebConfig
from support.web import PASSWORD, Web, serving, until, web_config


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Web]:
    """A server with small limits."""
    limits = LimitsConfig(
        header_time_s=Seconds(0.5), body_time_s=Seconds(0.5), stall_time_s=Seconds(0.5), body_bytes=Bytes(10_000),
        header_bytes=Bytes(4096), query_bytes=Bytes(500), connections=30, connections_per_address=10, requests=4,
    )  # fmt: skip
    storage = StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}")
    async with serving(web_config(tmp_path, storage, WebConfig(limits=limits))) as running:
        yield running


@asynccontextmanager
async def raw(web: Web) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A plain connection, to send what no library would."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(web: Web, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to some bytes; status 0 when the connection is cut without one."""
    async with raw(web) as (reader, writer):
        writer.write(data)
        try:
            answer = await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            answer = b""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


def assert_problem(status: int, headers: dict[str, str] | httpx.Headers, body: bytes) -> None:
    """Every error is a problem that tells nothing of the inside, with the headers of every answer."""
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status and problem["title"] and problem["request_id"]
    assert "Traceback" not in body.decode() and "site-packages" not in body.decode()
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy", "x-request-id"):
        assert name in headers, name


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "SELF"}, True),
        ({"Origin": "SELF", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1"}, False),
        ({"Origin": "SELF.evil.example"}, False),
        ({"Origin": "https://127.0.0.1:PORT"}, False),
        ({"Origin": "http://localhost:PORT"}, False),
        ({"Origin": "http://127.0.0.1:PORT@evil.example"}, False),
        ({"Origin": "SELF", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "SELF", "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "SELF", "Sec-Fetch-Site": "none"}, False),
        ({"Referer": "SELF/"}, False),
    ],
)
async def test_only_siemds_own_pages_change_anything_with_a_cookie(
    sqlite_web: Web, headers: dict[str, str], allowed: bool
) -> None:
    client = await sqlite_web.as_role("admin")
    del client.headers["Origin"]
    port = str(sqlite_web.server.port)
    sent = {name: text.replace("SELF", sqlite_web.origin).replace("PORT", port) for name, text in headers.items()}
    answer = await client.post("/api/v1/users", json={"name": "x", "role": "admin"}, headers=sent)
    assert answer.status_code == (201 if allowed else 403), answer.text
    assert len(await sqlite_web.services.users.all()) == (2 if allowed else 1)


async def test_no_site_logs_somebody_in_as_somebody_else(sqlite_web: Web) -> None:
    await sqlite_web.user("mallory", "viewer", PASSWORD)
    body = {"name": "mallory", "password": PASSWORD}
    client = sqlite_web.client(headers={"Origin": "https://evil.example"})
    assert (await client.post("/api/v1/session", json=body)).status_code == 403
    del client.headers["Origin"]
    assert (await client.post("/api/v1/session", json=body)).status_code == 201, "curl has no Origin"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
async def test_changes_are_json_which_no_form_can_send(sqlite_web: Web, kind: str) -> None:
    client = await sqlite_web.as_role("admin")
    body = b'{"name": "x", "role": "admin"}'
    answer = await client.post("/api/v1/users", content=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 415
    assert_problem(415, answer.headers, answer.content)


async def test_nothing_is_told_to_other_origins(sqlite_web: Web) -> None:
    client = await sqlite_web.as_role("admin")
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = await client.request(method, "/api/v1/users", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:1", 200), ("LOCALHOST", 200), ("[::1]:8514", 200), ("10.1.2.3", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:80", 421),
        ("", 400), ("a b", 400), ("localhost:99999", 400), ("localhost/../x", 400), ("[::1", 400), ("x@localhost", 400),
    ],
)  # fmt: skip
async def test_the_name_of_the_host_is_ours(sqlite_web: Web, host: str, status: int) -> None:
    data = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    got, headers, body = await exchange(sqlite_web, data)
    assert got == status
    if status != 200:
        assert_problem(status, headers, body)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET  /  HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: a\r\n\r\n", 400),
        (b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}", 400),
        (b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n{}", 400),
        (b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9e9\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET //evil.example/%2e%2e/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /static/../config.py HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /static/..%2fconfig.py HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /assets/../console.py HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /assets/..%2findex.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /static/setup.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /api/v1/session%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: x\r\nOrigin: y\r\nConnection: close\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused_in_words(sqlite_web: Web, data: bytes, status: int) -> None:
    got, headers, body = await exchange(sqlite_web, data)
    assert got == status
    assert_problem(status, headers, body)
    assert (await sqlite_web.client().get("/")).status_code == 200


async def test_too_large_headers_queries_and_bodies_are_refused(impatient: Web) -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    got, headers, body = await exchange(impatient, head + b"X: " + b"a" * 5000 + b"\r\n\r\n")
    assert got == 431
    assert_problem(431, headers, body)
    got, headers, body = await exchange(impatient, b"GET /" + b"a" * 100_000)
    assert got == 431
    client = impatient.client()
    long = await client.get("/api/v1/audit", params={"actor": "a" * 600})
    assert long.status_code == 414
    assert_problem(414, long.headers, long.content)
    large = await client.post("/api/v1/session", json={"name": "a" * 20_000, "password": "b"})
    assert large.status_code == 413
    assert_problem(413, large.headers, large.content)
    chunks = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunks += b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 4
    got, headers, body = await exchange(impatient, chunks)
    assert got == 413, "what says no length is counted"
    assert_problem(413, headers, body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"1e999999", b'{"name": 1}', b"\xff\xfe", b'{"name": "a", "password": "b", "x": 1}',
     b'{"name": "\\ud800", "password": "b"}', b"[" * 100_000, b'{"name":' * 50_000, b'{"name": "a", "name": 5}'],
)  # fmt: skip
async def test_malformed_bodies_are_refused_in_words(sqlite_web: Web, body: bytes) -> None:
    client = sqlite_web.client(headers={"Content-Type": "application/json"})
    answer = await client.post("/api/v1/session", content=body)
    assert answer.status_code in (400, 422), answer.text
    assert_problem(answer.status_code, answer.headers, answer.content)


async def test_compressed_bodies_are_not_unpacked(sqlite_web: Web) -> None:
    import gzip

    bomb = gzip.compress(b" " * 10_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await sqlite_web.client().post("/api/v1/session", content=bomb, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST"])
async def test_unknown_places_and_methods_are_problems(sqlite_web: Web, method: str) -> None:
    client = sqlite_web.client()
    nowhere = await client.request(method, "/api/v1/nowhere")
    assert nowhere.status_code == 404
    assert_problem(404, nowhere.headers, nowhere.content)
    if method in ("PUT", "PATCH"):
        refused = await client.request(method, "/api/v1/session")
        assert refused.status_code == 405 and "DELETE, GET, OPTIONS, POST" in refused.headers["allow"]
        assert_problem(405, refused.headers, refused.content)


async def test_clients_that_send_their_headers_slowly_are_cut(impatient: Web) -> None:
    """Slowloris: a byte now and then does not keep a connection open, neither the first request nor a later one."""
    async with raw(impatient) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.05)

        await ends_while(reader, drip())
    async with raw(impatient) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"</html>")

        async def drip_again() -> None:
            while True:
                writer.write(b"G")
                await asyncio.sleep(0.05)

        await ends_while(reader, drip_again())
    async with raw(impatient) as (reader, _writer):
        assert await reader.read() == b"", "who says nothing at all is cut too"


async def ends_while(reader: asyncio.StreamReader, doing) -> None:  # type: ignore[no-untyped-def]
    """The server ends the connection while something goes on."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(doing)
        try:
            async with asyncio.timeout(20):
                while await reader.read(65536):
                    pass
        except ConnectionError:
            pass
        task.cancel()


async def test_a_body_that_comes_slowly_is_refused(impatient: Web) -> None:
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with raw(impatient) as (reader, writer):
        writer.write(head + b"Content-Length: 5000\r\n\r\n")
        answer = b""

        async def drip() -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(drip())
            answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
            task.cancel()
        assert b"408 Request Timeout" in answer


async def test_a_client_that_takes_nothing_of_its_answers_is_cut(impatient: Web) -> None:
    """It asks for much and never reads: what waits to be sent is bounded, and its connection ends."""
    async with raw(impatient) as (_reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        request = b"GET /api/v1/docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(400):
            writer.write(request)
        await until(lambda: impatient.server.gate.open > 0, "the connection is there")
        await until(lambda: impatient.server.gate.open == 0, "the connection is cut")


async def test_connections_are_bounded_for_each_address_and_others_still_served(impatient: Web) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", impatient.server.port) for _ in range(10)]
    await until(lambda: impatient.server.gate.open == 10, "ten connections are open")
    _reader, extra = await asyncio.open_connection("127.0.0.1", impatient.server.port)
    assert await asyncio.wait_for(_reader.read(), 20) == b""
    extra.close()
    other = await asyncio.open_connection("127.0.0.1", impatient.server.port, local_addr=("127.0.0.2", 0))
    other[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"200 OK" in await asyncio.wait_for(other[0].read(), 20)
    for _reader, writer in (*opened, other):
        writer.close()
    await until(lambda: impatient.server.gate.open == 0, "all are counted out again")


async def test_requests_at_once_are_bounded(impatient: Web) -> None:
    """Four wait for their bodies; a fifth is told to come again, and is served when they are gone."""
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 9\r\n\r\n"
    opened = [await asyncio.open_connection("127.0.0.1", impatient.server.port) for _ in range(4)]
    for _reader, writer in opened:
        writer.write(head)
    await until(lambda: impatient.server.gate.open == 4, "four are open")
    client = impatient.client()
    statuses = []
    for _ in range(100):
        answer = await client.get("/")
        statuses.append(answer.status_code)
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            assert_problem(503, answer.headers, answer.content)
            break
        await asyncio.sleep(0.01)
    assert statuses[-1] == 503
    for _reader, writer in opened:
        writer.close()
    await until(lambda: impatient.server.gate.open <= 1, "they are gone")
    assert (await client.get("/")).status_code == 200


async def test_pages_load_nothing_from_elsewhere_and_run_no_script_of_text(sqlite_web: Web) -> None:
    client = sqlite_web.client()
    for path in ("/", "/setup", "/api/v1/docs"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert "://" not in answer.text and "style=" not in answer.text and "onclick" not in answer.text
        assert "<script>" not in answer.text
    assert "strict-transport-security" not in answer.headers, "not over plain HTTP"


async def test_the_page_of_the_api_shows_every_route(sqlite_web: Web) -> None:
    client = sqlite_web.client()
    document = (await client.get("/api/v1/openapi.json")).json()
    text = (await client.get("/api/v1/docs")).text
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        assert path in text
        for method in operations:
            assert operations[method]["x-siemd-right"], f"{method} {path}"
