"""Takes rules out of a file, a folder or a release package (zip) into a folder of siemd's; a package may be hostile.

Only YAML files that hold rules are taken, never links; a name that leads out of the folder, or sizes beyond measure,
refuse the whole package. The folder appears whole or not at all, and replaces the import of the same name before it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NoReturn

import msgspec

from siemd.detection.rulefolders import IMPORT_MARK, MAX_FILES, SUFFIXES
from siemd.errors import UserError
from siemd.yamlfile import MAX_FILE_BYTES

MAX_TOTAL_BYTES = 256 << 20
MAX_RATIO = 200  # of text to its compressed size; YAML packs 3 to 10 times, a bomb a thousand times
MAX_NAME = 400
MAX_DEPTH = 20
_KIND = re.compile(rb"""(?m)^["']?(detection|correlation|filter)["']?\s*:""")
_TITLE = re.compile(rb"""(?m)^["']?title["']?\s*:""")
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\\]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Imported(msgspec.Struct, kw_only=True):
    """What came of an import. other: YAML files that hold no rule. passed_over: links, and hidden or other files."""

    folder: Path
    files: int = 0
    other: int = 0
    passed_over: int = 0
    replaced: bool = False


def import_rules(source: Path, folder: Path) -> Imported:
    """Copy the rules of a file, folder or zip to `folder`; raises UserError when that can't or mustn't be done."""
    if not source.exists():
        raise UserError(f"{source} does not exist", "give a folder of Sigma rules or a release package (.zip)")
    replaced = _replaceable(folder)
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"{folder} lies inside of {source}", "import from elsewhere, or choose another folder with --to"
        )
    result = Imported(folder=folder, replaced=replaced)
    staging = folder.with_name(f".{folder.name}.importing")  # hidden, so a running siemd does not read it yet
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        _fill(staging, source, result)
        if not result.files:
            raise UserError(
                f"{source} holds no Sigma rule", "rules are .yml files with `title`, `logsource`, `detection`"
            )
        mark = {"from": str(source.absolute()), "files": result.files}
        (staging / IMPORT_MARK).write_bytes(msgspec.json.encode(mark))
        _swap(staging, folder)
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where}: {error.strerror or error}", "siemd needs the right to write there") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return result


def name_of(source: Path) -> str:
    """The folder's name for an import: that of the package or folder, without what file systems dislike."""
    base = source.resolve().name
    stem, dot, suffix = base.rpartition(".")
    base = stem if dot and f".{suffix.lower()}" in (".zip", *SUFFIXES) else base
    plain = unicodedata.normalize("NFKD", base).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:60] or "rules"


def _replaceable(folder: Path) -> bool:
    """Whether an earlier import is there; raises UserError when something else is."""
    if not folder.exists():
        return False
    if (folder / IMPORT_MARK).is_file():
        return True
    if folder.is_dir() and not any(folder.iterdir()):
        return False
    raise UserError(f"{folder} is no import of siemd's and would be replaced", "choose another name or folder")


def _fill(staging: Path, source: Path, result: Imported) -> None:
    total = 0
    for path, data in _files(source, result):
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            raise UserError(
                f"{source} holds more than {MAX_TOTAL_BYTES >> 20} MiB of YAML", "is it a package of rules?"
            )
        if not (_KIND.search(data) and _TITLE.search(data)):
            result.other += 1
            continue
        result.files += 1
        if result.files > MAX_FILES:
            raise UserError(f"{source} holds more than {MAX_FILES} files of rules", "import it in parts")
        target = staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _files(source: Path, result: Imported) -> Iterator[tuple[PurePosixPath, bytes]]:
    if source.is_dir():
        return _from_folder(source, result)
    if source.suffix.lower() in SUFFIXES:
        return iter([(PurePosixPath(source.name), _content(source))])
    return _from_zip(source, result)


def _swap(staging: Path, folder: Path) -> None:
    """Put the new folder in the old one's place; the old one comes back when that fails."""
    old = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        staging.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _from_folder(source: Path, result: Imported) -> Iterator[tuple[PurePosixPath, bytes]]:
    for root, folders, files in os.walk(source):  # does not follow links to folders
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if not _wanted(name) or path.is_symlink() or not path.is_file():
                result.passed_over += 1
                continue
            relative = PurePosixPath(path.relative_to(source).as_posix())
            yield relative, _content(path)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UserError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB", "no rule is that large: remove it")
    return data


def _from_zip(source: Path, result: Imported) -> Iterator[tuple[PurePosixPath, bytes]]:
    def refuse(name: str, reason: str) -> NoReturn:
        raise UserError(f"{source}: nothing was imported, for {name[:MAX_NAME]!r} {reason}", "get the package anew")

    try:
        with zipfile.ZipFile(source) as package:
            entries = package.infolist()
            if len(entries) > 4 * MAX_FILES:
                raise UserError(f"{source} holds more than {4 * MAX_FILES} entries", "is it a package of rules?")
            seen: set[str] = set()
            for entry in entries:
                if reason := _hostile_name(entry.filename):
                    refuse(entry.filename, reason)
                path = PurePosixPath(entry.filename)
                link = stat.S_ISLNK(entry.external_attr >> 16)
                hidden = any(part.startswith(".") for part in path.parts)
                if entry.is_dir() or link or hidden or not _wanted(path.name):
                    result.passed_over += not entry.is_dir()
                    continue
                if path.as_posix().lower() in seen:
                    refuse(entry.filename, "stands there twice")
                seen.add(path.as_posix().lower())
                yield path, _unpack(package, entry, refuse)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        OverflowError,
    ) as error:
        raise UserError(f"{source} is no whole zip: {error}", "give a folder of rules or a release package") from None


def _unpack(package: zipfile.ZipFile, entry: zipfile.ZipInfo, refuse: Callable[[str, str], NoReturn]) -> bytes:
    """The content of an entry, read within limits whatever the package's directory claims."""
    if entry.flag_bits & 1:
        refuse(entry.filename, "is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refuse(entry.filename, "is packed in a way that cannot be read within limits")
    with package.open(entry) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        refuse(entry.filename, f"is larger than {MAX_FILE_BYTES >> 20} MiB")
    if len(data) > MAX_RATIO * max(entry.compress_size, 64):
        refuse(entry.filename, f"is packed more than {MAX_RATIO} times, as no text is")
    return data


def _hostile_name(name: str) -> str:
    """Why a name in a package is refused; empty when it stays inside the folder."""
    if not name:
        return "has no name"
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or "\\" in name or ".." in parts or re.match(r"[A-Za-z]:", name):
        return "leads out of the folder"
    if not _wanted(parts[-1]):
        return ""
    if len(name) > MAX_NAME or len(parts) > MAX_DEPTH:
        return "has a name beyond measure"
    for part in parts:
        if part in ("", ".") or _FORBIDDEN.search(part) or _DEVICES.fullmatch(part) or part != part.rstrip(". "):
            return "has a name that not every file system can hold"
    return ""


def _wanted(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
