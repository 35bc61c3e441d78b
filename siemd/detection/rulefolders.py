"""Where rules, overlays and suppressions are on the disk: the files that the configuration means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from siemd.detection.config import BUILTIN, IMPORTED, DetectionConfig
from siemd.errors import FileError
from siemd.resources import resource

MAX_FILES = 50_000
SUFFIXES = (".yml", ".yaml")
MANAGED_OVERLAY, MANAGED_SUPPRESSIONS = "overlay.yml", "suppressions.yml"
IMPORT_MARK = ".siemd-import.json"  # in every folder that `siemd rules import` made


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


def managed_file(config: DetectionConfig, name: str) -> Path | None:
    """A file that the API writes, there or not; None when the configuration was made without a data_dir."""
    return None if config.managed == "auto" else Path(config.managed) / name


def overlay_files(config: DetectionConfig) -> list[Path]:
    """The overlays of the configuration, and then that of the API, which is only used when it is there."""
    return _with_managed(config.overlay, managed_file(config, MANAGED_OVERLAY))


def suppression_files(config: DetectionConfig) -> list[Path]:
    """The files of suppressions, likewise."""
    return _with_managed(config.suppressions, managed_file(config, MANAGED_SUPPRESSIONS))


def _with_managed(named: Sequence[str], managed: Path | None) -> list[Path]:
    return [*map(Path, named), *([managed] if managed is not None and managed.exists() else [])]


def watched_files(config: DetectionConfig) -> frozenset[tuple[str, int, int]]:
    """Path, time of change (ns) and size of every file of rules, overlay and suppressions.

    Of an import only its mark is looked at: an import changes as a whole, and thousands of files would be polled.
    """
    found = set()
    for path in (*rule_folders(config), *overlay_files(config), *suppression_files(config)):
        for file in _files(path, marked_whole=True):
            try:
                state = os.stat(file)  # noqa: PTH116 - every two seconds: a Path of each costs more than asking
            except OSError:
                continue
            found.add((file, state.st_mtime_ns, state.st_size))
    return frozenset(found)


def _files(path: Path, *, marked_whole: bool = False, problems: list[FileError] | None = None) -> list[str]:
    """The YAML files at or below a path; links are followed to files, not to folders; hidden ones are left out.

    marked_whole: of a folder with IMPORT_MARK only that. problems: takes what was left out though it should not be.
    """
    problems = [] if problems is None else problems
    if path.is_file():
        return [str(path)]
    found: list[str] = []
    folders = [path]
    while folders and len(found) <= MAX_FILES:
        folder = folders.pop()
        if marked_whole and (folder / IMPORT_MARK).exists():
            found.append(str(folder / IMPORT_MARK))
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif entry.name.endswith(SUFFIXES) and entry.is_file():
                        found.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # it just went away
        except OSError as error:
            hint = "check its rights: nothing in it is used"
            problems.append(FileError(folder, 0, 0, f"cannot be read: {error.strerror or error}", hint))
    if len(found) > MAX_FILES:
        problems.append(FileError(path, 0, 0, f"holds more than {MAX_FILES} files", "the others are not used"))
    return found[:MAX_FILES]


def existing(paths: Sequence[Path | str], key: str) -> tuple[list[Path], list[FileError]]:
    """The files at or below the paths by name, each once, and a problem for each that is missing or can't be read."""
    files: dict[Path, Path] = {}
    missing: list[FileError] = []
    for path in map(Path, paths):
        if not path.exists():
            missing.append(FileError(path, 0, 0, "does not exist", f"see `{key}` under `detection` in siemd.yaml"))
        for file in sorted(map(Path, _files(path, problems=missing))):
            files.setdefault(file.resolve(), file)
    return list(files.values()), missing
