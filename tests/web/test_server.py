"""The server as people run it: inside siemd run and alone, with TLS, behind proxies, and when things are missing."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from siemd.config import load_config
from siemd.errors import FileError
from siemd.storage import StorageConfig
from siemd.web.config import TlsConfig, WebConfig
from support.daemon import SIEMD, MariaRows, Siemd
from support.mariadb import MariaServer, free_port
from support.needs import need
from support.tls import make_certificate
from support.waiting import wait_until
from support.web import PASSWORD, Web, serving, until, web_config

QUIET: dict[str, Any] = {
    "sources": {"sniffer": {"enabled": False}, "journal": {"enabled": False}, "metrics": {"interval": "1s"}}
}


def settings(port: int, **web: Any) -> dict[str, Any]:
    return {**QUIET, "web": {"enabled": True, "listen": f"127.0.0.1:{port}", **web}}


def link_in(words: str) -> str:
    match = re.search(r"/setup#(\S+)", words)
    assert match, words
    return match[1]


def make_admin(origin: str, words: str) -> httpx.Client:
    """Use the one-time link, log in; a client with the session."""
    client = httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False)
    body = {"link": link_in(words), "name": "ada", "password": PASSWORD}
    assert client.post("/api/v1/setup", json=body).status_code == 201
    assert client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD}).status_code == 201
    return client


def test_siemd_run_serves_and_stops_in_order(tmp_path: Path) -> None:
    port = free_port()
    siemd = Siemd(tmp_path, settings(port)).start()
    try:
        wait_until(lambda: "/setup#" in siemd.words(), "the link is told")
        client = make_admin(f"http://127.0.0.1:{port}", siemd.words())
        assert client.get("/api/v1/session").json()["role"] == "admin"
        assert link_in(siemd.words()) not in (siemd.data_dir / "siemd.log").read_text(), "no log holds the link"
        wait_until(lambda: siemd.component("web").get("status") == "ok", "health says ok")
        idle = socket.create_connection(("127.0.0.1", port))
        assert siemd.stop() == 0
        idle.close()
        siemd.assert_no_traceback()
        siemd.start()
        wait_until(lambda: siemd.component("web").get("status") == "ok", "it serves again")
        assert client.get("/api/v1/session").status_code == 200, "sessions survive a restart"
        assert siemd.words().count("/setup#") == 1, "there is an account: no other link"
        assert siemd.stop() == 0
    finally:
        siemd.kill()


def test_a_taken_port_is_told_in_health_and_harms_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        siemd = Siemd(tmp_path, settings(port)).start()
        try:
            wait_until(lambda: siemd.component("web").get("status") == "failed", "health says failed")
            assert "in use" in siemd.component("web")["detail"]
            siemd.wait_rows("SELECT * FROM usage_data", "events are stored all the same")
            taken.close()
            wait_until(lambda: siemd.component("web").get("status") == "ok", "it is tried again", deadline_s=60)
            assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200
            assert siemd.stop() == 0
            siemd.assert_no_traceback()
        finally:
            siemd.kill()


def test_siemd_web_runs_beside_a_running_siemd(tmp_path: Path) -> None:
    port = free_port()
    siemd = Siemd(tmp_path, {**QUIET, "web": {"listen": f"127.0.0.1:{port}"}}).start()
    output = (tmp_path / "web.out").open("wb")
    process = subprocess.Popen([str(SIEMD), "web", "--config", str(siemd.config)], stdout=output, stderr=output)
    try:
        wait_until(lambda: b"/setup#" in (tmp_path / "web.out").read_bytes(), "the link is told")
        client = make_admin(f"http://127.0.0.1:{port}", (tmp_path / "web.out").read_text())
        for number in range(20):
            assert client.post("/api/v1/users", json={"name": f"u{number}", "role": "viewer"}).status_code == 201
        siemd.wait_rows("SELECT * FROM usage_data", "siemd stores beside it")
        assert "sniffer" not in (siemd.data_dir / "web.log").read_text()
        process.terminate()
        assert process.wait(30) == 0
        assert "Traceback" not in (siemd.data_dir / "web.log").read_text()
        assert siemd.command("audit", "verify").count("each follows")
        assert siemd.stop() == 0
    finally:
        process.kill()
        siemd.kill()
        output.close()


@pytest.mark.parametrize("inside", [True, False])
def test_a_database_that_is_away_is_a_problem_and_passes(mariadb: MariaServer, tmp_path: Path, inside: bool) -> None:
    port, database = free_port(), mariadb.new_database()
    store = MariaRows(mariadb, database)
    siemd = Siemd(tmp_path, settings(port), store)
    output = (tmp_path / "web.out").open("wb")
    mariadb.kill()
    process, restarted = None, False
    try:
        if inside:
            siemd.start(ready=False)
        else:
            process = subprocess.Popen([str(SIEMD), "web", "--config", str(siemd.config)], stdout=output, stderr=output)
        origin = f"http://127.0.0.1:{port}"

        def answers() -> int:
            try:
                return httpx.get(f"{origin}/", trust_env=False).status_code
            except httpx.TransportError:
                return 0

        wait_until(lambda: answers() == 200, "the server is there without its database")
        client = httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False, timeout=60)
        login = {"name": "ada", "password": PASSWORD}
        away = client.post("/api/v1/session", json=login)
        assert away.status_code == 503 and away.headers["retry-after"]
        assert "mysql" not in away.text.lower() and "127.0.0.1" not in away.text, "nothing of the inside is told"
        mariadb.start()
        restarted = True
        words = tmp_path / ("output.log" if inside else "web.out")
        wait_until(lambda: "/setup#" in words.read_text(), "the link is told when the database is there", deadline_s=90)
        assert make_admin(origin, words.read_text()).get("/api/v1/session").status_code == 200
    finally:
        if not restarted:
            mariadb.start()
        if process:
            process.kill()
        siemd.kill()
        output.close()
        mariadb.execute(f"DROP DATABASE {database}")


async def test_tls_by_certificate_files_that_are_read_again(tmp_path: Path) -> None:
    need("openssl")
    first, second = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "second")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_bytes(first[0].read_bytes())
    key.write_bytes(first[1].read_bytes())
    config = web_config(
        tmp_path, StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}"),
        WebConfig(tls=TlsConfig(certificate=str(certificate), key=str(key))),
    )  # fmt: skip

    def seen(port: int) -> bytes:
        text = ssl.get_server_certificate(("127.0.0.1", port))
        return ssl.PEM_cert_to_DER_cert(text)

    def der(path: Path) -> bytes:
        return ssl.PEM_cert_to_DER_cert(path.read_text())

    async with serving(config) as web:
        port = web.server.port
        origin = f"https://127.0.0.1:{port}"
        await web.user("ada", "admin", PASSWORD)
        trusting = ssl.create_default_context(cafile=str(first[0]))
        trusting.check_hostname = False
        async with httpx.AsyncClient(
            base_url=origin, verify=trusting, headers={"Origin": origin}, trust_env=False
        ) as client:
            answer = await client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-siemd=") and "; Secure" in cookie and "; Path=/" in cookie
            assert answer.headers["strict-transport-security"]
            assert (await client.get("/api/v1/session")).status_code == 200
            plain = client.cookies["__Host-siemd"]
            client.cookies.clear()
            client.cookies.set("siemd_session", plain, domain="127.0.0.1")
            assert (await client.get("/api/v1/session")).status_code == 401, "over TLS the other name counts nothing"
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/")
        assert await asyncio.to_thread(seen, port) == der(first[0])
        certificate.write_bytes(second[0].read_bytes())
        os.utime(certificate, (1, 1))
        await until(lambda: web.server.health.status == "degraded", "half of a new pair is told")
        assert await asyncio.to_thread(seen, port) == der(first[0]), "and what was in use stays"
        key.write_bytes(second[1].read_bytes())
        await until(lambda: web.server.health.status == "ok", "the new pair is taken")
        assert await asyncio.to_thread(seen, port) == der(second[0])


async def test_behind_a_proxy_that_ends_tls(tmp_path: Path) -> None:
    behind = WebConfig(behind_tls_proxy=True, trusted_proxies=["127.0.0.1"], base_path="/siemd", hosts=["siem.example"])
    config = web_config(tmp_path, StorageConfig(url=f"sqlite:{tmp_path / 'web.db'}"), behind)
    async with serving(config) as web:
        await web.user("ada", "admin", PASSWORD)
        headers = {
            "Host": "siem.example", "X-Forwarded-For": "6.6.6.6, 192.0.2.7", "X-Forwarded-Proto": "https",
            "Origin": "https://siem.example",
        }  # fmt: skip
        client = web.client(headers=headers)
        login = {"name": "ada", "password": PASSWORD}
        for path in ("/siemd/api/v1/session", "/api/v1/session"):  # whether or not the proxy takes the path away
            answer = await client.post(path, json=login)
            assert answer.status_code == 201, answer.text
        assert answer.headers["set-cookie"].startswith("__Host-siemd=")
        assert answer.headers["strict-transport-security"]
        entries = await web.services.audit.entries(action="login.")
        assert entries[0].address == "192.0.2.7"
        assert (await client.post("/api/v1/session", json=login, headers={"Origin": "http://siem.example"})).is_error
        assert (await client.get("/siemdx/")).status_code == 404
        document = (await client.get("/siemd/api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": "/siemd"}]
        plain = await client.post("/api/v1/session", json=login, headers={"X-Forwarded-Proto": "http"})
        assert plain.status_code == 403, "who came to the proxy without TLS is refused"
        direct = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(transport=direct, base_url=web.origin, headers=headers) as stranger:
            assert (await stranger.post("/api/v1/session", json=login)).status_code == 403


async def test_nobody_but_a_trusted_proxy_says_who_asks(sqlite_web: Web) -> None:
    await sqlite_web.user("ada", "admin", PASSWORD)
    headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    answer = await sqlite_web.client(headers=headers).post(
        "/api/v1/session", json={"name": "ada", "password": PASSWORD}
    )
    assert answer.status_code == 201 and answer.headers["set-cookie"].startswith("siemd_session=")
    assert (await sqlite_web.services.audit.entries(action="login."))[0].address == "127.0.0.1"


@pytest.mark.parametrize(
    ("web", "expected"),
    [
        ("listen: 0.0.0.0:8514", "passwords would cross the network in the clear"),
        ('listen: "[::]:8514"', "in the clear"),
        ("listen: nowhere", "no address with a port"),
        ("listen: 127.0.0.1:99999", "no address with a port"),
        ("{listen: 0.0.0.0:1, behind_tls_proxy: true}", "not said which proxy"),
        ("trusted_proxies: [everybody]", "everybody"),
        ("tls: {certificate: x.pem}", "needs its key"),
        ("base_path: siemd/", "is no path"),
        ("hosts: [https://x/]", "is no name of a host"),
        ("oidc: {issuer: https://x}", "needs client_id and roles"),
        ("oidc: {issuer: http://x, client_id: a, roles: {a: admin}}", "no https:// address"),
        ("listn: x", "did you mean `listen`"),
    ],
)
def test_mistakes_in_the_configuration_are_told_with_their_place(tmp_path: Path, web: str, expected: str) -> None:
    path = tmp_path / "siemd.yaml"
    path.write_text(f"web:\n  {web}\n" if not web.startswith("{") else f"web: {web}\n")
    with pytest.raises(FileError, match=re.escape(expected)) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "web",
    ["listen: 127.0.0.1:1", 'listen: "[::1]:8514"', "listen: localhost:80",
     "{listen: 0.0.0.0:1, behind_tls_proxy: true, trusted_proxies: [10.0.0.0/8]}",
     "{listen: 0.0.0.0:1, tls: {certificate: c.pem, key: k.pem}}"],
)  # fmt: skip
def test_what_is_safe_is_taken(tmp_path: Path, web: str) -> None:
    path = tmp_path / "siemd.yaml"
    path.write_text(f"web:\n  {web}\n" if not web.startswith("{") else f"web: {web}\n")
    assert load_config(path).web.problem() is None
