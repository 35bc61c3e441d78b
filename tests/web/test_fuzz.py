"""schemathesis over the whole API as everybody: never a 5xx, every answer as described, and no data without a right."""

from __future__ import annotations

import asyncio
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from siemd.config import Config, load_config
from siemd.storage.database import open_database
from siemd.web.access.principal import Principal
from siemd.web.access.roles import RIGHTS, SCOPES, Right, rights_of
from siemd.web.api import HANDLERS
from siemd.web.application import create_app
from siemd.web.cookies import PLAIN_NAME
from siemd.web.openapi import describe
from siemd.web.services import Services
from support.daemon import SIEMD
from support.mariadb import MariaServer, free_port
from support.waiting import wait_until
from support.web import TESTER

EXAMPLES = 4  # of each operation, role and mode
# Ends the session that asks, or costs a password's hash each time; tested by hand elsewhere.
LEFT_OUT = {"DELETE /api/v1/session", "POST /api/v1/session/step-up", "POST /api/v1/account/password"}
REFUSED_EARLY = {400, 405, 413, 414, 415, 421, 431}  # before it is looked at who asks
WHO = ["nobody", "viewer", "analyst", "admin", "token", "narrow token"]


def document() -> dict[str, Any]:
    config = Config()
    return describe(create_app(Services(config, Path(), open_database(config.storage, Path())), HANDLERS), "")


class Running:
    """`siemd web` as a process, and the headers that make a request somebody's."""

    def __init__(self, config: Path, port: int, *, is_mariadb: bool) -> None:
        self.is_mariadb = is_mariadb
        self.config = config
        self.origin = f"http://127.0.0.1:{port}"
        self.headers: dict[str, dict[str, str]] = {"nobody": {}}
        self.rights: dict[str, frozenset[Right]] = {"nobody": frozenset()}

    async def prepare(self) -> None:
        """Users of every role with sessions, and tokens of an admin."""
        config = load_config(self.config)
        services = Services(config, config.data_path(), open_database(config.storage, config.data_path()))
        for role in RIGHTS:
            user_id = await services.users.add(TESTER, f"the-{role}", role)
            async with services.database.transaction() as transaction:
                session = await services.sessions.begin(transaction, user_id, "127.0.0.1", "tests")
            self.headers[role] = {"Cookie": f"{PLAIN_NAME}={session}", "Origin": self.origin}
            self.rights[role] = RIGHTS[role]
        owner = Principal(user_id, "the-admin", "admin", rights_of("admin"), "session")
        for name, scopes in (("token", SCOPES), ("narrow token", frozenset({Right.READ_STATISTICS}))):
            async with services.database.transaction() as transaction:
                token, _id = await services.tokens.make(transaction, owner, name, scopes, 3600)
            self.headers[name] = {"Authorization": f"Bearer {token}"}
            self.rights[name] = scopes | {Right.SELF}
        await services.close()


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server, with users."""
    folder, port, url = tmp_path_factory.mktemp("fuzz"), free_port(), "sqlite:"
    if request.param == "mariadb":
        server: MariaServer = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    path = folder / "siemd.yaml"
    web = {"listen": f"127.0.0.1:{port}"}
    path.write_text(
        yaml.safe_dump({"data_dir": str(folder / "data"), "web": web, "host": "lab", "storage": {"url": url}})
    )
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([str(SIEMD), "web", "--config", str(path)], stdout=output, stderr=output)
    wait_until(lambda: b"/setup#" in (folder / "output").read_bytes(), "the server is ready")
    made = Running(path, port, is_mariadb=request.param == "mariadb")
    asyncio.run(made.prepare())
    yield made
    process.terminate()
    assert process.wait(30) == 0
    log = (folder / "data" / "web.log").read_text()
    assert "web.bug" not in log and "web.unavailable" not in log and "Traceback" not in log, log[-3000:]


def check(running: Running, who: str, right: Right, answer: httpx.Response, where: str) -> None:
    """What holds for every answer, whatever was sent."""
    assert answer.status_code < 500, f"{where}: {answer.status_code} {answer.text}"
    assert answer.headers["x-content-type-options"] == "nosniff", where
    allowed = right is Right.PUBLIC or right in running.rights[who]
    if answer.is_error:
        assert answer.headers["content-type"] == "application/problem+json", where
    if not allowed:
        expected = {401 if who == "nobody" else 403} | REFUSED_EARLY
        assert answer.status_code in expected, f"{where}: {answer.status_code} without the right {right}"


@pytest.mark.parametrize("who", WHO)
def test_nothing_breaks_the_api_and_nobody_gets_more_than_is_theirs(running: Running, who: str) -> None:
    if running.is_mariadb and who not in ("admin", "narrow token"):
        return  # rights are judged by the same code on both; what the store must take, an admin sends
    load_all_checks()
    described = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
    checks = [CHECKS.get_one(name) for name in described]
    schema = schemathesis.openapi.from_dict(document())
    tried = 0
    with httpx.Client(base_url=running.origin, headers=running.headers[who], trust_env=False, timeout=60) as client:
        for found in schema.get_all_operations():
            operation = found.ok()
            where = f"{operation.method.upper()} {operation.path}"
            if where in LEFT_OUT:
                continue
            right = Right(operation.definition.raw["x-siemd-right"])
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                tried += try_operation(running, client, who, right, operation, where, mode, checks)
    assert tried > 50


def try_operation(
    running: Running, client: httpx.Client, who: str, right: Right, operation: Any, where: str, mode: Any, checks: Any
) -> int:
    """Some requests to one operation; how many."""
    tried = 0

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        nonlocal tried
        sent = case.as_transport_kwargs(base_url=running.origin)
        body = {key: sent[key] for key in ("json", "data") if sent.get(key) is not None}
        if "data" in body and isinstance(body["data"], bytes | str):
            body["content"] = body.pop("data")
        headers = {name: str(value) for name, value in (sent.get("headers") or {}).items()}
        headers = {name: value for name, value in headers.items() if name.lower() not in ("cookie", "authorization")}
        try:
            answer = client.request(sent["method"], sent["url"], params=sent.get("params"), headers=headers, **body)
        except (httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError, ValueError, TypeError):
            return  # the client can't send it; test_attacks.py sends such by hand
        tried += 1
        check(running, who, right, answer, where)
        if answer.status_code not in REFUSED_EARLY:
            case.validate_response(answer, checks=checks)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one()
        except Exception as error:
            if type(error).__name__ in ("Unsatisfiable", "InvalidArgument"):
                return 1  # nothing could be wrong here: no parameter and no body
            raise
    return tried
