"""A server that insists on TLS: checked by its certificate, or a sentence that says what to add."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from siemd.storage import StorageConfig, StoreError, open_store
from support.mariadb import MariaServer
from support.needs import need


@pytest.fixture
def certificate(mariadb: MariaServer, mysql_database: str, tmp_path: Path) -> Iterator[Path]:
    """The server with TLS required; its certificate."""
    need("openssl")
    file, key = tmp_path / "server.pem", tmp_path / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    mariadb.stop()
    mariadb.start(f"--ssl-cert={file}", f"--ssl-key={key}", "--require-secure-transport=ON")
    yield file
    mariadb.stop()
    mariadb.start()


async def _cipher(url: str) -> str:
    store = open_store(StorageConfig(url=url), Path())
    try:
        await store.open()
        rows = await store.query("SHOW STATUS LIKE 'Ssl_version'")
        return str(rows[0]["Value"])
    finally:
        await store.close()


async def test_tls_is_used_and_checked(certificate: Path, mariadb: MariaServer, mysql_database: str) -> None:
    url = mariadb.url(mysql_database)
    assert (await _cipher(f"{url}?ssl_ca={certificate}")).startswith("TLS")
    assert (await _cipher(f"{url}?ssl_verify=no")).startswith("TLS")
    with pytest.raises(StoreError, match=r"TLS failed, self.signed certificate; .*ssl_ca"):
        await _cipher(f"{url}?ssl=yes")
    with pytest.raises(StoreError, match="ssl_ca"):
        await _cipher(url)


async def test_a_server_without_tls_gets_neither_password_nor_events(mariadb: MariaServer, mysql_database: str) -> None:
    mariadb.stop()
    mariadb.start("--skip-ssl")
    try:
        with pytest.raises(StoreError, match="offers no TLS"):
            await _cipher(f"{mariadb.url(mysql_database)}?ssl_verify=no")
    finally:
        mariadb.stop()
        mariadb.start()


async def test_wrong_password_and_missing_database_say_what_to_do(mariadb: MariaServer, mysql_database: str) -> None:
    url = mariadb.url(mysql_database)
    wrong = url.replace(mysql_database, "siemd_nowhere")
    with pytest.raises(StoreError, match="CREATE DATABASE siemd_nowhere"):
        await _cipher(wrong)
    with pytest.raises(StoreError, match="check user and password") as caught:
        await _cipher(url.replace("mysql://siemd:", "mysql://siemd:sesame"))
    assert "sesame" not in str(caught.value)


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siemd.storage.mysql_connection.CONNECT_TIMEOUT_S", 0.2)
    ended = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = open_store(StorageConfig(url=f"mysql://u:p@127.0.0.1:{port}/db", timeout_s=0.5), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="does not answer; check the server and the network"):
        await store.open()
    await store.close()
    ended.set()
    server.close()
