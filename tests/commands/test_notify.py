"""siemd notify: a test message says what happened, the outbox is shown, and mistakes in the routes have their place."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from siemd.cli import main
from siemd.config import load_config
from siemd.errors import FileError
from siemd.notify import outbox
from siemd.notify.config import NotifyConfig
from siemd.notify.render import Writer
from support.certificates import Certificates
from support.hook import Hook
from support.mailbox import Mailbox
from support.syslogd import Syslogd


def write(folder: Path, notify: dict[str, Any]) -> Path:
    path = folder / "siemd.yaml"
    path.write_text(yaml.safe_dump({"host": "web-1", "data_dir": str(folder / "data"), "notify": notify}))
    return path


def run(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments, "--config", str(path)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_route_is_tested_with_all_its_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Hook() as hook, Mailbox() as box, Syslogd("tcp") as receiver:
        targets = {
            "hook": {"channel": "webhook", "url": hook.url, "secret": "s3cret"},
            "mail": {
                "channel": "email", "host": "127.0.0.1", "port": box.port, "tls": "none",
                "from": "siemd@site.example", "to": ["ops@site.example"],
            },
            "log": {"channel": "syslog", "host": "127.0.0.1", "port": receiver.port, "transport": "tcp"},
        }  # fmt: skip
        route = {"name": "all", "targets": ["hook", "mail"], "escalate": [{"after": "10m", "targets": ["log", "hook"]}]}
        path = write(tmp_path, {"targets": targets, "routes": [route]})
        code, said, _error = run(path, capsys, "notify", "test", "all")
        assert code == 0
        assert [line.split(":")[0] for line in said.splitlines()] == ["hook", "mail", "log"]
        assert all("ok, " in line for line in said.splitlines())
        assert hook.bodies()[0]["type"] == "siemd.test"
        assert box.mails[0]["Subject"] == "Test: siemd on web-1 can tell you"
        assert receiver.records[0].kind == "test"
        assert "s3cret" not in said


def test_what_went_wrong_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], certificates: Certificates
) -> None:
    with (
        socket.socket() as taken,
        Hook() as hook,
        Hook(certificate=(certificates.cert, certificates.key)) as secure,
        Mailbox(user=("u", "right")) as box,
    ):
        taken.bind(("127.0.0.1", 0))
        mail = {"channel": "email", "host": "127.0.0.1", "tls": "none", "from": "a@b.example", "to": ["c@d.example"]}
        targets = {
            "refused": {"channel": "webhook", "url": f"http://127.0.0.1:{taken.getsockname()[1]}/"},
            "missing": {"channel": "webhook", "url": hook.url},
            "untrusted": {"channel": "webhook", "url": secure.url},
            "login": mail | {"port": box.port, "user": "u", "password": "wrong"},
        }
        path = write(tmp_path, {"targets": targets, "routes": []})
        for name, words in {
            "refused": "refused the connection; is the service running",
            "missing": "404 Not Found: as the test wants it; check the path",
            "untrusted": "is not trusted: unable to get local issuer certificate; name its authority with `ca: FILE`",
            "login": "refused the login of u: 535",
        }.items():
            hook.answers = [404]
            code, said, _error = run(path, capsys, "notify", "test", name)
            assert code == 1
            assert said.startswith(f"{name}: ") and "FAILED" in said
            assert words in said


def test_a_name_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, {"targets": {"hook": {"channel": "webhook", "url": "https://h.example/"}}, "routes": []})
    code, _said, error = run(path, capsys, "notify", "test", "hok")
    assert code == 2
    assert "no route or target is called 'hok'; known are: hook" in error


def test_the_outbox_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, {})
    code, _said, error = run(path, capsys, "notify", "list")
    assert code == 2 and "there is no" in error
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / outbox.FILE_NAME, isolation_level=None)) as db:
        outbox.prepare(db)
        for number in range(2):
            message = Writer(NotifyConfig(), "h").test(f"uid{number}", "r", 0)
            outbox.enqueue(db, outbox.make_batch(db, "r", [], 0, counted=True), "ops", message, 0)
        outbox.settle(db, 1, "dead", "it said no", "email", 0)
    code, said, _error = run(path, capsys, "notify", "list")
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "dead messages: 1, waiting messages: 1"
    assert "queued  r > ops, 0 tries: Test: siemd on h can tell you" in lines[1]
    assert "dead    r > ops" in lines[2] and lines[3].strip() == "it said no"
    code, said, _error = run(path, capsys, "notify", "list", "--json")
    assert [one["uid"] for one in json.loads(said)["messages"]] == ["uid1", "uid0"]


def test_check_looks_at_what_can_be_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = {"channel": "webhook", "url": "https://h.example/", "ca": str(tmp_path / "nowhere.pem")}
    path = write(tmp_path, {"targets": {"hook": target}, "routes": [{"name": "r", "targets": ["hook"]}]})
    code, _said, error = run(path, capsys, "check")
    assert code == 2
    assert "notify.targets.hook (webhook): the TLS files cannot be used" in error


NOTIFY = """\
notify:
  targets:
    ops: {channel: webhook, url: https://h.example/}
  routes:
    - name: r
      targets: [ops]
"""


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (NOTIFY.replace("targets: [ops]", "targets: [ops, obs]"), "6:22", "there is no target 'obs'; known are: ops"),
        (NOTIFY.replace("webhook,", "webhok,"), "3:20", "invalid value 'webhok'; known are email, webhook"),
        (NOTIFY.replace("channel: webhook, ", ""), "3:10", "`channel`; known are email, webhook, syslog, chat"),
        (NOTIFY.replace("url:", "timeout: soon, url:"), "3:38", "notify.targets.ops.timeout: expected a duration"),
        (NOTIFY.replace("https:", "gopher:"), "3:34", "not an address for HTTP"),
        (NOTIFY.replace("url:", "uri:"), "3:29", "unknown key `uri` in notify.targets.ops; did you mean `url`?"),
        (NOTIFY + "      on: [open, shut]\n", "7:18", "shut"),
        (NOTIFY + "      match: {levl: high}\n", "7:15", "did you mean `level`?"),
        (NOTIFY + "      match: {level: hgh}\n", "7:22", "hgh"),
        (NOTIFY + "      match: {times: {zone: Mars/Olympus}}\n", "7:29", "no time zone"),
        (NOTIFY + "      match: {times: {from: '9 am'}}\n", "7:29", "time of day"),
        (NOTIFY + "      quiet: {from: 22:00, to: 22:00}\n", "7:32", "the same"),
        (NOTIFY + "      group: soon\n", "7:14", "duration"),
        (NOTIFY + "      escalate: [{after: 5m, targets: [x]}]\n", "7:40", "there is no target 'x'"),
        (NOTIFY + "    - {name: r, targets: [ops]}\n", "7:14", "another route or target is called r"),
        (NOTIFY + "    - {name: ops, targets: [ops]}\n", "7:14", "another route or target is called ops"),
        (NOTIFY + "    - {targets: [ops]}\n", "7:7", "name"),
        (NOTIFY + "  zone: Nowhere\n", "7:9", "no time zone"),
        (NOTIFY + "  text: '{reson}'\n", "7:9", "there is no field {reson}"),
        (NOTIFY + "  console_url: 'javascript:x'\n", "7:16", "https://siem.example"),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = tmp_path / "siemd.yaml"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}:{place}: "), str(caught.value)
    assert words in str(caught.value)


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIEMD_HOOK_SECRET", "s3cret")
    path = write(
        tmp_path, {"targets": {"h": {"channel": "webhook", "url": "https://h/", "secret": "${SIEMD_HOOK_SECRET}"}}}
    )
    assert load_config(path).notify.targets["h"].secret == "s3cret"
    monkeypatch.delenv("SIEMD_HOOK_SECRET")
    with pytest.raises(FileError, match="SIEMD_HOOK_SECRET"):
        load_config(path)
    assert load_config(path, keep_unset=True).notify.enabled is False
