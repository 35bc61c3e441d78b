"""Takes rules out of a file, a folder or a release package (zip) into a folder of siemd's; a package may be hostile.

Only YAML files that hold rules are taken, never links; a name that leads out of the folder, or sizes beyond measure,
refuse the whole package. The folder appears whole or not at all, whatever ends the import or the machine, and replaces
the import of the same name before it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

import msgspec

from siemd.detection.rulefolders import IMPORT_MARK, MAX_FILES, SUFFIXES
from siemd.errors import FileError, UserError
from siemd.lock import try_lock
from siemd.yamlfile import MAX_FILE_BYTES

MAX_PACKAGE_BYTES = 32 << 20  # of a zip: its directory is read whole
MAX_TOTAL_BYTES = 256 << 20
MAX_RATIO = 200  # of text to its compressed size; YAML packs 3 to 10 times, a bomb a thousand times
REPLACED = ".replaced"
MAX_NAME = 400
MAX_DEPTH = 20
_KIND = re.compile(rb"""(?m)^["']?(detection|correlation|filter)["']?\s*:""")
_TITLE = re.compile(rb"""(?m)^["']?title["']?\s*:""")
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\\]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\..*)?")  # Windows minds no blank


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
    real = folder.resolve()  # a link to the folder stays one
    if source.is_dir() and real.is_relative_to(source.resolve()):
        raise UserError(
            f"{folder} lies inside of {source}", "import from elsewhere, or choose another folder with --to"
        )
    result = Imported(folder=folder)
    staging = _staging(real)
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with _alone(staging, folder) as mark:
            _recover(real)
            result.replaced = _replaceable(real)
            _fill(staging, source, result)
            if not result.files:
                raise UserError(
                    f"{source} holds no Sigma rule", "rules are .yml files with `title`, `logsource`, `detection`"
                )
            whence = str(source.absolute()).encode("utf-8", "replace").decode()
            mark.write(msgspec.json.encode({"from": whence, "files": result.files}).decode())
            mark.flush()
            os.fsync(mark.fileno())
            _write_through(staging)
            if os.name == "nt":
                mark.close()  # Windows moves no folder with an open file
            _swap(staging, real)
    except OSError as error:
        where = error.filename or folder
        raise UserError(
            f"{where}: {error.strerror or error}", "siemd needs the right and the room to write there"
        ) from None
    return result


@contextmanager
def _alone(staging: Path, folder: Path) -> Iterator[IO[str]]:
    """Hold the lock on a staging folder, empty but for the mark that is locked; the folder is gone afterwards.

    What an import that was killed left in it is cleared away. Raises UserError while another import uses it.
    """
    path = staging / IMPORT_MARK
    busy = UserError(f"another import to {folder} is going on", "wait until it has ended")
    try:
        mark = path.open("a+", encoding="utf-8")
    except FileNotFoundError:  # it has just ended
        raise busy from None
    with mark:
        if not try_lock(mark) or not _is_at(mark, path):
            raise busy
        try:
            for left in staging.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
                elif left != path:
                    left.unlink()
            mark.truncate(0)
            yield mark
        finally:
            if os.name == "nt":
                mark.close()  # Windows deletes no open file
            shutil.rmtree(staging, ignore_errors=True)


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def put_back(folders: Iterable[Path]) -> list[FileError]:
    """Bring back what an import that was killed had moved aside, in these folders or in their place, and say so."""
    told: list[FileError] = []
    for folder in dict.fromkeys(one for path in folders for one in _halfway(path)):
        staging = _staging(folder)
        try:
            staging.mkdir(exist_ok=True)
            with _alone(staging, folder):
                _recover(folder)
        except UserError:
            continue  # an import is about to put its folder there
        except OSError as error:
            said, hint = f"its rules are missing: {error.strerror or error}", "import them again"
        else:
            said, hint = "the rules that it was to replace are in use again", "import them again to have the new ones"
        told.append(FileError(folder, 0, 0, f"an import was ended halfway, {said}", hint))
    return told


def _halfway(path: Path) -> Iterator[Path]:
    """The folders at or below a path that are not there, while what they are to replace stands beside them."""
    try:
        entries = list(path.iterdir()) if path.is_dir() else []
    except OSError:
        entries = []
    hidden = [name for entry in entries if entry.name.endswith(REPLACED) and (name := entry.name[1 : -len(REPLACED)])]
    for folder in (path.resolve(), *(path / name for name in hidden)):
        if folder.name and not folder.exists() and (_old(folder) / IMPORT_MARK).is_file():
            yield folder


def _recover(folder: Path) -> None:
    """Put back the folder that an import which was killed had moved aside."""
    old = _old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{REPLACED}")


def _staging(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.importing")  # hidden, so a running siemd does not read it yet


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
    old = _old(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        staging.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    _write_names(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _write_through(folder: Path) -> None:
    """Have all of a folder on the disk, so that it is not there with empty files after a power failure."""
    for root, _, files in os.walk(folder):
        for name in files:
            if name != IMPORT_MARK:  # its writer sees to it
                with Path(root, name).open("r+b") as file:
                    os.fsync(file.fileno())
        _write_names(Path(root))


def _write_names(folder: Path) -> None:
    if os.name == "nt":
        return  # a folder can't be opened there, and NTFS keeps a journal of names
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _from_folder(source: Path, result: Imported) -> Iterator[tuple[PurePosixPath, bytes]]:
    for root, folders, files in os.walk(source):  # does not follow links to folders
        if len(Path(root).parts) - len(source.parts) > MAX_DEPTH:
            raise UserError(f"{source} holds folders more than {MAX_DEPTH} deep", "is it a folder of rules?")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if not _wanted(name) or path.is_symlink() or not path.is_file():
                result.passed_over += 1
                continue
            relative = PurePosixPath(path.relative_to(source).as_posix())
            if not _is_text(relative.as_posix()):
                raise UserError(f"the name {os.fsencode(relative)!r} in {source} is no UTF-8", "rename the file")
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

    if source.stat().st_size > MAX_PACKAGE_BYTES:
        raise UserError(f"{source} is larger than {MAX_PACKAGE_BYTES >> 20} MiB", "is it a package of rules?")
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


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wanted(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
