"""siemd rules as a person meets it: import, list, explain, test and coverage, and what check says of tuning."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from siemd.cli import main
from siemd.events import NetworkEvent

RULE = """
title: Odd {name}
id: 5e0b8d5c-0000-4000-8000-00000000000{digit}
name: {name}
level: {level}
status: {status}
tags: [attack.discovery, attack.t1046]
logsource: {{product: siemd, category: network}}
detection: {{s: {{event_type: probe, probe: [syn, ack]}}, condition: s}}
"""


class Command:
    """Runs siemd with a data_dir of its own; out and err hold what the last command printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "siemd.yaml"
        self.config.write_text("")
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path) -> int:
        where = ["--config", str(self.config), "--data-dir", str(self.data)]
        code = main([*map(str, arguments), *where])
        self.out, self.err = self._capsys.readouterr()
        return code

    def package(self, name: str = "sigma_core.zip", **files: str) -> Path:
        path = self.folder / name
        with zipfile.ZipFile(path, "w") as file:
            for stem, text in files.items():
                file.writestr(f"rules/{stem}.yml", text)
        return path


@pytest.fixture
def siemd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def rule(name: str = "odd", digit: int = 1, level: str = "high", status: str = "test") -> str:
    return RULE.format(name=name, digit=digit, level=level, status=status)


def listed(siemd: Command, *options: str) -> dict[str, Any]:
    assert siemd("rules", "list", "--json", *options) == 0
    return {one["rule"]: one for one in map(json.loads, siemd.out.splitlines())}


def test_imported_rules_are_in_use_by_default(siemd: Command) -> None:
    package = siemd.package(
        odd=rule(),
        hint=rule("hint", 2, "informational"),
        bad=rule("bad", 3).replace("condition: s", "condition: t"),
        unfilled=rule("unfilled", 4).replace("probe: [", "probe|expand: ['%x%', "),
    )
    assert siemd("rules", "import", package) == 0
    assert f"{siemd.data / 'rules' / 'sigma_core'}: imported 4 files" in siemd.out
    assert "1 rules load" in siemd.out
    assert "1 stay silent: imported, and its level is informational" in siemd.out
    assert siemd.out.count(" refused: ") == 2
    assert "A running siemd takes them within seconds" in siemd.out
    assert {"odd", "port_scan_syn"} <= set(listed(siemd))
    assert "hint" not in listed(siemd)
    assert "its level is informational" in listed(siemd, "--all")["hint"]["off"]
    assert siemd("rules", "list", "--refused") == 0
    assert siemd.out.count(str(siemd.data)) == 2
    assert siemd("check") == 0, "what is wrong with rules of others is no mistake here"
    assert "no problem, 2 imported rules refused" in siemd.out


def test_an_import_elsewhere_says_what_to_do(siemd: Command) -> None:
    assert siemd("rules", "import", siemd.package(odd=rule()), "--to", siemd.folder / "mine") == 0
    assert f"add it to detection.rules, as {siemd.folder / 'mine'}" in siemd.out
    assert "odd" not in listed(siemd)
    siemd.config.write_text("detection: {rules: [mine]}\n")
    assert set(listed(siemd)) == {"odd"}
    assert siemd("rules", "import", siemd.package(odd=rule(), two=rule("two", 2)), "--to", siemd.folder / "mine") == 0
    assert "replaced by 2 files" in siemd.out
    assert "A running siemd" in siemd.out


def test_the_same_rules_under_another_name_are_told(siemd: Command) -> None:
    assert siemd("rules", "import", siemd.package(odd=rule()), "--name", "one") == 0
    assert siemd("rules", "import", siemd.package(odd=rule()), "--name", "two") == 0
    assert "0 rules load" in siemd.out
    assert "already that of another rule" in siemd.out
    assert "--name" in siemd.out


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 100])
def test_a_name_stays_inside(siemd: Command, name: str) -> None:
    code = siemd("rules", "import", siemd.package(odd=rule()), "--name", name)
    if name:
        assert code == 2
        assert "no name for an import" in siemd.err
    assert not (siemd.folder / "x").exists()


def test_a_hostile_package_is_one_line(siemd: Command) -> None:
    path = siemd.folder / "p.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../evil.yml", rule())
    assert siemd("rules", "import", path) == 2
    assert siemd.err.count("\n") == 1
    assert "nothing was imported" in siemd.err


def test_explain_tells_what_where_and_how_it_is_tuned(siemd: Command) -> None:
    siemd.config.write_text("detection: {overlay: [o.yml], suppressions: [s.yml]}\n")
    (siemd.folder / "o.yml").write_text(
        "overlay:\n  - {rules: port_scan_syn, condition: {gte: 30}, timespan: 10m, note: a busy network}\n"
    )
    (siemd.folder / "s.yml").write_text(
        "suppressions:\n  - {name: scanner, owner: anna, reason: weekly, expires: 2090-01-01, rules: 'port_*'}\n"
    )
    assert siemd("rules", "explain", "port_scan_syn") == 0
    for part in (
        "level medium",
        "at least 30 different values of destination_ports",
        "within 10m",
        "probe_syn (",
        'event_type is "tcp_probe"',
        "o.yml:2: timespan 10m instead of 5m, condition gte 30 instead of gte 15 (a busy network)",
        "s.yml:2: scanner, owned by anna, until 2090-01-02T00:00Z: weekly",
        "It can fire on this host.",
        "attack.t1046",
    ):
        assert part in siemd.out, part
    assert siemd("rules", "explain", "port_scan_sin") == 2
    assert "did you mean 'port_scan_syn'?" in siemd.err


def test_explain_of_a_rule_that_is_off_or_has_no_source(siemd: Command) -> None:
    siemd.config.write_text("detection: {disabled: [ping], rules: [builtin, mine.yml]}\n")
    (siemd.folder / "mine.yml").write_text(rule().replace("{product: siemd, category: network}", "{product: aws}"))
    assert siemd("rules", "explain", "ping") == 0
    assert "It is not in use: switched off by detection.disabled." in siemd.out
    assert siemd("rules", "explain", "odd") == 0
    assert "It cannot fire on this host: siemd has no source of product aws." in siemd.out


def test_every_shipped_rule_can_be_explained_and_shown(siemd: Command) -> None:
    for name in listed(siemd):
        assert siemd("rules", "explain", name) == 0
        assert "It " in siemd.out
        assert siemd("rules", "show", name) == 0
        assert "title:" in siemd.out


def test_samples_of_a_folder_are_checked(siemd: Command) -> None:
    samples = siemd.folder / "odd"
    samples.mkdir()
    siemd.config.write_text("detection: {rules: [odd.yml]}\n")
    (siemd.folder / "odd.yml").write_text(rule())

    def event(probe: str) -> bytes:
        return msgspec.json.encode(NetworkEvent(time_us=1, event_type="probe", fields={"probe": probe})) + b"\n"

    (samples / "match.jsonl").write_bytes(event("syn"))
    (samples / "nomatch.jsonl").write_bytes(event("fin"))
    for wanted in ("odd", str(siemd.folder / "odd.yml")):
        assert siemd("rules", "test", wanted, samples) == 0
        assert siemd.out.count("ok ") == 2
    (samples / "nomatch.jsonl").write_bytes(event("ack"))
    assert siemd("rules", "test", "odd", samples) == 1
    assert f"FAILED {samples / 'nomatch.jsonl'}: 1 events, the rule fires" in siemd.out
    assert siemd("rules", "test", "odd", siemd.folder) == 2
    assert "holds neither" in siemd.err
    assert siemd("rules", "test", "odd", samples / "match.jsonl") == 0
    assert json.loads(siemd.out)["rule"] == "odd"


def test_a_replay_says_what_suppressions_hid_in_each_file(siemd: Command) -> None:
    siemd.config.write_text("detection: {rules: [odd.yml], suppressions: [s.yml]}\n")
    (siemd.folder / "odd.yml").write_text(rule())
    (siemd.folder / "s.yml").write_text(
        "suppressions: [{name: known, owner: anna, reason: x, expires: 2090-01-01, rules: odd}]\n"
    )
    fact = NetworkEvent(time_us=1, event_type="probe", fields={"probe": "syn"})
    events = siemd.folder / "events.jsonl"
    events.write_bytes(msgspec.json.encode(fact) + b"\n")
    assert siemd("replay", events, events) == 0
    assert siemd.out == ""
    assert siemd.err.count("(1 hidden by known)") == 2


def test_what_has_expired_hides_nothing_in_a_replay_of_former_days(siemd: Command) -> None:
    siemd.config.write_text("detection: {rules: [odd.yml], suppressions: [s.yml]}\n")
    (siemd.folder / "odd.yml").write_text(rule())
    (siemd.folder / "s.yml").write_text(
        "suppressions: [{name: old, owner: anna, reason: x, expires: 2020-01-01, rules: odd}]\n"
    )
    fact = NetworkEvent(time_us=1_500_000_000_000_000, event_type="probe", fields={"probe": "syn"})
    (siemd.folder / "facts.jsonl").write_bytes(msgspec.json.encode(fact) + b"\n")
    assert siemd("replay", siemd.folder / "facts.jsonl") == 0
    assert [json.loads(line)["rule"] for line in siemd.out.splitlines()] == ["odd"]
    assert "the suppression old of anna expired" in siemd.err
    assert siemd("rules", "explain", "odd") == 0
    assert "No longer suppressed by" in siemd.out


def test_coverage_as_text_and_json(siemd: Command) -> None:
    siemd.config.write_text("sources: {sniffer: {enabled: false}}\n")
    assert siemd("rules", "coverage", "--json", "--platform", "linux") == 0
    told = json.loads(siemd.out)
    why = {one["rule"]: one["reason"] for one in told["cannot_fire"]}
    assert why["port_scan_syn"] == "sources.sniffer is switched off"
    assert why["log_cleared"] == "the host does not run Windows"
    assert told["rules"] == told["can_fire"] + len(told["cannot_fire"])
    rows = {row["tactic"]: row for row in told["attack"]}
    assert "T1046" in {cell["technique"] for cell in rows["discovery"]["techniques"]}
    assert siemd("rules", "coverage", "--platform", "windows") == 0
    assert "rules can fire on a host that runs Windows" in siemd.out
    assert "sources.sniffer is switched off" in siemd.out
    assert "(T1046 0/" in siemd.out


def test_check_tells_expired_and_idle_entries_as_warnings(siemd: Command) -> None:
    siemd.config.write_text("detection: {overlay: [o.yml], suppressions: [s.yml]}\n")
    (siemd.folder / "o.yml").write_text("overlay: [{rules: pingg, enabled: false}]\n")
    (siemd.folder / "s.yml").write_text(
        "suppressions: [{name: old, owner: anna, reason: x, expires: 2020-01-01, rules: ping}]\n"
    )
    assert siemd("check") == 0
    assert "no problem, 2 warnings" in siemd.out
    assert "o.yml:1:12: no rule is meant by 'pingg'; did you mean 'ping'?" in siemd.err
    assert "s.yml:1:23: the suppression old of anna expired at 2020-01-02T00:00Z" in siemd.err
    (siemd.folder / "s.yml").write_text("suppressions: [{name: old}]\n")
    assert siemd("check") == 2
