"""Where files are: those that ship with siemd (beside the package in a checkout, else inside it), and siemd.yaml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """The path of a shipped file or folder such as `sql/mysql` or `config/rules`."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.exists() else _PACKAGE.parent / name


def default_path() -> Path:
    """Where siemd.yaml is looked for without --config."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "siemd" / "siemd.yaml"
    return Path("/etc/siemd/siemd.yaml")
