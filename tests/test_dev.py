"""The developer's command speaks before it has set anything up."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

DEV = Path(__file__).resolve().parent.parent / "dev"


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, DEV, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["run", "ui", "test", "lint", "bench", "lock"])
def test_help_names_every_command(command: str) -> None:
    done = dev("--help")
    assert done.returncode == 0
    assert f"\n    {command} " in done.stdout


@pytest.mark.parametrize("arguments", [(), ("tset",), ("lint", "--nonsense")])
def test_a_mistake_is_told_and_nothing_is_done(arguments: tuple[str, ...]) -> None:
    done = dev(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: dev")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_it_needs_only_python_itself() -> None:
    """Before anything is installed there is nothing else."""
    for node in ast.walk(ast.parse(DEV.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_continuous_integration_runs_the_same_command() -> None:
    assert "exec python3 dev test" in (DEV.parent / ".ci" / "run").read_text()


def test_soak_tests_are_left_out_and_not_skipped() -> None:
    def collected(*arguments: str) -> str:
        file = DEV.parent / "tests" / "sources" / "sniffer" / "test_swarms.py"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments, file]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=DEV.parent).stdout

    usual = collected()
    assert "[syn_sources-large]" not in usual and "deselected" in usual
    assert "[syn_sources-large]" in collected("--soak")
