"""What the documentation shows is what siemd does: its YAML is valid, its commands and links exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from siemd.cli import _parser
from siemd.config import parse_config
from siemd.detection import load_ruleset
from siemd.detection.overlay import read_overlay
from siemd.detection.suppressionfile import read_suppressions
from siemd.notify import CHANNELS
from siemd.notify.config import FIELDS
from siemd.storage.tables import TOLD_COLUMNS
from siemd.yamlfile import load_documents

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])


def yaml_blocks() -> list[tuple[str, str]]:
    found = []
    for path in DOCS:
        blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        found += [(f"{path.name}: {block.splitlines()[0][:40]}", block) for block in blocks]
    return found


@pytest.mark.parametrize("block", [block for _, block in yaml_blocks()], ids=[name for name, _ in yaml_blocks()])
def test_yaml_in_the_docs_is_accepted(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", block):
        monkeypatch.setenv(name, "x")
    if "title:" in block:
        (tmp_path / "rule.yml").write_text(block, encoding="utf-8")
        ruleset = load_ruleset([tmp_path])
        assert not ruleset.problems, ruleset.problems[0]
        assert ruleset.rules
    elif block.startswith(("overlay:", "suppressions:")):
        read = read_overlay if block.startswith("overlay:") else read_suppressions
        entries, problems = read("doc.yml", block)
        assert entries and not problems, problems
    else:
        for document in load_documents("siemd.yaml", block):
            parse_config(document)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_in_the_docs_exist(path: Path) -> None:
    known = set(re.findall(r"^    (\w+) ", _parser().format_help(), re.MULTILINE))
    shown = set(re.findall(r"(?:^ {4}|`|sudo |/bin/)siemd (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown <= known


def test_what_can_be_told_is_documented() -> None:
    text = (REPOSITORY / "docs" / "notify.md").read_text(encoding="utf-8")
    for field in FIELDS:
        assert f"`{{{field}}}`" in text, f"the field {field} is not in docs/notify.md"
    for channel in CHANNELS:
        assert f"channel: {channel}" in text, f"docs/notify.md shows no {channel}"
    for column in TOLD_COLUMNS:
        assert f"`{column}`" in text, f"docs/notify.md does not name {column} of alert_notifications"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_in_the_docs_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target
