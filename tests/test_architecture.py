"""The house keeps its shape: imports run one way, heavy libraries come late, files stay small and are explained."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import siemd

PACKAGE = Path(siemd.__file__).resolve().parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)
MAX_LINES = 400
MAX_FUNCTION_LINES = 70

WEB_CONFIG = "web.config"  # the one part of web that every siemd reads, since siemd.yaml may hold it

# Layers from the ground up. A module imports from lower layers and from its own, nothing else of siemd.
LAYERS = [
    {"siemd", "errors", "units", "backoff", "beat", "events", "channel", "health", "logger"}
    | {"yamlfile", "resources", "sqlite_file", "gunzip"},
    {"logs", "lock", "supervise", "outlet"},
    {"sources", "detection", "notify", "service", WEB_CONFIG},
    {"storage"},
    {"config", "config_docs", "collected"},
    {"status", "restart", "telling"},
    {"web"},
    {"app", "replay"},
    {"commands", "cli", "__main__"},
]
SIDE_BY_SIDE = {"sources", "detection", "notify", "service"}  # these do not know each other
ONLY_THESE_MAY_IMPORT_APP = {"commands"}  # what cli runs


HEAVY = {"scapy", "aiomysql", "pymysql", "evtx", "litestar", "uvicorn", "websockets", "argon2", "pyotp", "joserfc"}
HEAVY |= {"apprise", "smtplib", "email", "numpy", "rich"}


def part(module: str) -> str:
    """The part of the house that a dotted name belongs to: siemd.sources.journal -> sources."""
    if module == "siemd.web.config" or module.startswith("siemd.web.config."):
        return WEB_CONFIG
    return module.split(".")[1] if "." in module else "siemd"


def dotted(path: Path) -> str:
    parts = ("siemd", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are absolute"
            assert node.module
            yield node.lineno, node.module
            if node.module == "siemd":
                for alias in node.names:
                    if not alias.name.startswith("__"):
                        yield node.lineno, f"siemd.{alias.name}"


def layer(name: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if name in names]
    assert found, f"siemd.{name} has no layer: give it one in {Path(__file__).name}"
    return found[0]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_run_one_way(path: Path) -> None:
    here = part(dotted(path))
    for line, name in imports(path):
        if name.split(".")[0] != "siemd" or name == "siemd":
            continue
        there = part(name)
        where = f"{path}:{line}: siemd.{here} imports {name}"
        assert layer(there) <= layer(here), f"{where}, which stands above it"
        assert there == here or not {there, here} <= SIDE_BY_SIDE, f"{where}, which stands beside it"
        if there == "app":
            assert here in ONLY_THESE_MAY_IMPORT_APP, where


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_scapy_stays_in_the_sniffer_and_comes_late(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for line, name in imports(path):
        if name.split(".")[0] == "scapy":
            where = f"{path}:{line}"
            assert "sources/sniffer/" in path.as_posix(), f"{where}: scapy is GPL and stays below siemd/sources/sniffer"
            assert name != "scapy.all", f"{where}: costs 1.2 s and 71 MiB, import the layer that is needed"
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                assert name.split(".")[0] != "scapy", f"{path}:{node.lineno}: import scapy where it is used"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_files_are_small_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    assert docstring, f"{path} does not say what it is for"
    assert docstring.split("\n\n")[0].rstrip().endswith("."), f"{path}: its docstring opens with one sentence"
    if len(text.splitlines()) > MAX_LINES:
        assert re.search(r"\blines?\b.*because", docstring, re.DOTALL), (
            f"{path} has more than {MAX_LINES} lines; split it, or say in its docstring why so many lines: 'because …'"
        )
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}:{node.lineno}: {node.name} has {lines} lines"


@pytest.mark.parametrize("module", ["siemd.sources", "siemd.cli", "siemd.config", "siemd.app"])
def test_heavy_libraries_are_loaded_when_they_are_used(module: str) -> None:
    """Importing must not load what only some runs need."""
    probe = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & HEAVY == set()


def test_help_loads_no_part_of_the_daemon() -> None:
    probe = "import sys, siemd.cli; print(*(name for name in sys.modules if name.startswith('siemd')))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"siemd", "siemd.cli", "siemd.errors", "siemd.resources"}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_structlog_is_loaded_in_one_place(path: Path) -> None:
    if dotted(path) != "siemd.logger":
        assert "structlog" not in {name.split(".")[0] for _, name in imports(path)}, (
            "use siemd.logger: it keeps rich out"
        )


def test_every_layer_names_parts_that_exist() -> None:
    exist = {part(dotted(path)) for path in MODULES}
    assert set().union(*LAYERS) - {"__main__"} <= exist
