"""Puts the console into every wheel and sdist: hatchling calls this before it collects files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_console import NODE_REQUIREMENT, build, is_fresh


class ConsoleHook(BuildHookInterface[Any]):
    """Builds the console when its sources changed; an sdist holds a built one, so that nothing of it needs Node."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node only when there is something to build."""
        return [] if is_fresh() else [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and take along what no version control knows."""
        build()
        build_data["artifacts"].append("/siemd/web/ui_dist/")
