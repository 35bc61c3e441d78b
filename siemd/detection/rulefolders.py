"""Where rules, overlays and suppressions are on the disk: the files that the configuration means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from siemd.detection.config import BUILTIN, IMPORTED, DetectionConfig
from siemd.errors import FileError
from siemd.resources import resource

MAX_FILES = 50_000


def rule_folders(config: DetectionConfig) -> list[Path]:
    """The folders and files of rules that the configuration names; that of imported rules only when it is there."""
    folders = []
    for name in config.rules:
        if name != IMPORTED:
            folders.append(resource("config/rules") if name == BUILTIN else Path(name))
        elif (imported := imported_folder(config)) and imported.exists():
            folders.append(imported)
    return folders


def imported_folder(config: DetectionConfig) -> Path | None:
    """Where imported rules are; None when the configuration was made without a data_dir (`auto` not filled in)."""
    return None if config.imported.folder == "auto" else Path(config.imported.folder)


def watched_files(config: DetectionConfig) -> list[Path]:
    """Every file of rules, overlay and suppressions that exists."""
    paths = [*rule_folders(config), *map(Path, config.overlay), *map(Path, config.suppressions)]
    return [file for path in paths for file in rule_files(path)]


def rule_files(path: Path) -> list[Path]:
    """The YAML files at or below a path, in the order of their names, up to a limit; hidden folders are left out."""
    if path.is_file():
        return [path]
    found = (
        file
        for file in path.rglob("*")
        if file.suffix in (".yml", ".yaml")
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    )
    return sorted(found)[:MAX_FILES]


def existing(paths: Sequence[Path | str], key: str) -> tuple[list[Path], list[FileError]]:
    """The files at or below the paths, each once, and a problem for each path that is missing."""
    files: dict[Path, Path] = {}
    missing = []
    for path in map(Path, paths):
        if not path.exists():
            missing.append(FileError(path, 0, 0, "does not exist", f"see `{key}` under `detection` in siemd.yaml"))
        for file in rule_files(path):
            files.setdefault(file.resolve(), file)
    return list(files.values()), missing
