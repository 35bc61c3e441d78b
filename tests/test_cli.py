"""The command line as a person meets it: help, errors in one line, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ["run", "check", "replay", "db", "rules", "status", "config", "version"]


def siemd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "siemd", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command() -> None:
    done = siemd("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"    {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = siemd(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: siemd {command}")


def test_version() -> None:
    from siemd import __version__

    assert siemd("version").stdout == f"siemd {__version__}\n"


def test_check_says_that_all_is_right(tmp_path: Path) -> None:
    done = siemd("check", "--data-dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no problem" in done.stdout


def test_check_finds_a_typo_in_the_config(tmp_path: Path) -> None:
    path = tmp_path / "siemd.yaml"
    path.write_text("sources:\n  metrics:\n    intervall: 10s\n")
    done = siemd("check", "--config", path)
    assert done.returncode == 2
    assert done.stderr == f"siemd: {path}:3:5: unknown key `intervall` in sources.metrics; did you mean `interval`?\n"


def test_check_finds_a_broken_rule_and_counts_the_others(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "broken.yml").write_text("title: x\nlogsource: {product: windows}\ndetection:\n  a: {b: c}\n")
    path = tmp_path / "siemd.yaml"
    path.write_text("detection: {rules: [builtin, rules]}\n")
    done = siemd("check", "--config", path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{rules / 'broken.yml'}:")
    assert "condition" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_a_missing_config_is_one_line(command: str, tmp_path: Path) -> None:
    done = siemd(command, "--config", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No such file" in done.stderr


def test_rules_list_show_and_the_nearest_name() -> None:
    listed = [json.loads(line) for line in siemd("rules", "list", "--json").stdout.splitlines()]
    names = {rule["rule"] for rule in listed}
    assert {"ssh_bruteforce", "port_scan_syn"} <= names
    shown = siemd("rules", "show", "ssh_bruteforce")
    assert "title:" in shown.stdout
    wrong = siemd("rules", "show", "ssh_brutforce")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "siemd: there is no rule 'ssh_brutforce'; did you mean 'ssh_bruteforce'?\n",
    )


def test_check_reads_the_url_of_the_store(tmp_path: Path) -> None:
    config = tmp_path / "siemd.yaml"
    config.write_text("storage: {url: 'mysql://siemd@db'}\n")
    done = siemd("check", "--config", config)
    assert (done.returncode, done.stderr.split(";")[0]) == (2, "siemd: storage.url is not complete")


def test_check_does_not_call_broken_rules_right(tmp_path: Path) -> None:
    (tmp_path / "siemd.yaml").write_text("detection: {rules: [broken.yml]}\n")
    (tmp_path / "broken.yml").write_text("title: x\n")
    done = siemd("check", "--config", tmp_path / "siemd.yaml")
    assert done.returncode == 2
    assert "wrong; 0 rules, 1 to mend" in done.stdout


def test_status_without_a_daemon(tmp_path: Path) -> None:
    done = siemd("status", "--data-dir", tmp_path)
    assert done.returncode == 3
    assert "has not run" in done.stdout
    assert not list(tmp_path.iterdir()), "looking must not make files"
    assert json.loads(siemd("status", "--json", "--data-dir", tmp_path).stdout)["running"] is False


def test_db_migrate_status_reset(tmp_path: Path) -> None:
    siemd("db", "status", "--data-dir", tmp_path / "none")
    assert not (tmp_path / "none").exists(), "looking must not make folders"
    assert "not applied" in siemd("db", "status", "--data-dir", tmp_path).stdout
    migrated = siemd("db", "migrate", "--data-dir", tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    assert "not applied" not in migrated.stdout
    assert "logs " in siemd("db", "status", "--data-dir", tmp_path).stdout
    asked = siemd("db", "reset", "--data-dir", tmp_path)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert siemd("db", "reset", "--yes", "--data-dir", tmp_path).returncode == 0


def test_config_schema_is_json() -> None:
    assert json.loads(siemd("config", "schema").stdout)["properties"]["storage"]["type"] == "object"


def test_status_shows_what_it_can_without_the_stores_password(tmp_path: Path) -> None:
    config = tmp_path / "siemd.yaml"
    config.write_text(f"data_dir: {tmp_path}\nstorage: {{url: 'mysql://siemd:${{SIEMD_NOT_SET}}@127.0.0.1/siemd'}}\n")
    done = siemd("status", "--config", config)
    assert done.returncode == 3, done.stderr
    assert "storage.url names SIEMD_NOT_SET, which the environment of this command lacks" in done.stdout
    assert siemd("run", "--config", config).returncode == 2
