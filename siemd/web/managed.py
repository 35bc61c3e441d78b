"""The YAML files that the API writes: one document an entry, so that what others wrote there stays byte for byte.

A file is text that people may edit too. An entry is the API's to change when it stands alone in its document, whoever
wrote it; entries in a document with others are left to people. Writers wait for each other by a lock file, a new text
is whole or not there, and it is kept only when the loader takes it.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple

import yaml

from siemd.detection.config import DetectionConfig
from siemd.detection.loading import load_ruleset
from siemd.detection.rulefolders import managed_file
from siemd.detection.ruleset import Ruleset
from siemd.errors import FileError, UserError
from siemd.lock import try_lock
from siemd.yamlfile import MAX_FILE_BYTES, load_documents

LOCK_WAIT_S, LOCK_STEP_S = 10.0, 0.02
MAX_ENTRIES = 2_000
_MARKER = re.compile(r"^---(?=[ \t]|$)", re.MULTILINE)  # nothing else may begin a line so (YAML 1.2, 9.1.2)


class Part(NamedTuple):
    """A document as it stands in the file. name: of its entry if it holds just one, else empty; entry: that one."""

    text: str
    name: str
    entry: dict[str, Any]


def parts_of(path: Path, text: str, kind: str, key: str) -> list[Part]:
    """The documents of a file; joined they are its text again. kind: `overlay`; key: what names an entry."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    cuts = sorted({0, *starts, len(text)})
    return [_part(path, text[start:end], kind, key) for start, end in pairwise(cuts) if start < end]


def with_entry(path: Path, text: str, kind: str, key: str, entry: dict[str, Any], comment: str) -> str:
    """The text with an entry in place of the one of its name, or at its end."""
    name = str(entry[key])
    made = f"---\n# {comment}\n{yaml.safe_dump({kind: [entry]}, sort_keys=False, allow_unicode=True, width=110)}"
    parts = parts_of(path, text, kind, key)
    if len(parts) > MAX_ENTRIES:
        raise UserError(f"{path} holds more than {MAX_ENTRIES} entries", "remove those that nobody needs")
    if not any(part.name == name for part in parts):
        before = text if not text or text.endswith("\n") else text + "\n"
        return before + made
    replaced, done = [], False
    for part in parts:
        if part.name != name:
            replaced.append(part.text)
        elif not done:
            replaced.append(made)
            done = True
    return "".join(replaced)


def without_entry(path: Path, text: str, kind: str, key: str, name: str) -> str:
    """The text without the entry of a name."""
    return "".join(part.text for part in parts_of(path, text, kind, key) if part.name != name)


def _part(path: Path, text: str, kind: str, key: str) -> Part:
    try:
        documents = load_documents(path, text)
    except FileError:
        return Part(text, "", {})
    if len(documents) == 1 and isinstance(documents[0].data, dict) and list(documents[0].data) == [kind]:
        entries = documents[0].data[kind]
        if isinstance(entries, list) and len(entries) == 1 and isinstance(entries[0], dict):
            name = entries[0].get(key)
            if isinstance(name, str) and name:
                return Part(text, name, entries[0])
    return Part(text, "", {})


class ManagedFile:
    """One of these files. kind: overlay or suppressions; key: rules or name; file_name: as `detection` looks for it."""

    def __init__(self, config: DetectionConfig, file_name: str, kind: str, key: str) -> None:
        self._config = config
        self._file_name = file_name
        self._kind = kind
        self._key = key
        self._writing = asyncio.Lock()

    @property
    def path(self) -> Path:
        """Where it is, or would be."""
        path = managed_file(self._config, self._file_name)
        assert path is not None, "the configuration is not settled"
        return path

    async def entries(self) -> dict[str, dict[str, Any]]:
        """The entries that the API may change, by name."""
        text = await asyncio.to_thread(_read, self.path)
        parts = await asyncio.to_thread(parts_of, self.path, text, self._kind, self._key)
        return {part.name: part.entry for part in parts if part.name}

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Edit]:
        """Alone with the file, among this and other processes."""
        async with self._writing:
            lock = await asyncio.to_thread(_lock, self.path)
            try:
                yield Edit(self, await asyncio.to_thread(_read, self.path))
            finally:
                lock.close()

    def text_with(self, entry: dict[str, Any]) -> str:
        """The file's text as it would be with an entry; reads the file, changes nothing."""
        return self.put(_read(self.path), entry, "a try")

    def put(self, text: str, entry: dict[str, Any], comment: str) -> str:
        """See with_entry."""
        return with_entry(self.path, text, self._kind, self._key, entry, comment)

    def remove(self, text: str, name: str) -> str:
        """See without_entry."""
        return without_entry(self.path, text, self._kind, self._key, name)

    def load(self, text: str, known: Ruleset) -> Ruleset:
        """The rules as they would be with this text; the loader's own error when it would not be taken."""
        if len(text.encode()) > MAX_FILE_BYTES // 2:
            raise UserError(f"{self.path} would become too large", "remove what nobody needs")
        loaded = load_ruleset(self._config, managed={self._file_name: text})
        before = {str(problem) for problem in known.problems}
        for problem in loaded.problems:
            if problem.path == str(self.path) or str(problem) not in before:
                raise problem
        return loaded


class Edit:
    """A change of a managed file that is under way."""

    def __init__(self, file: ManagedFile, text: str) -> None:
        self._file = file
        self.before = text
        self.after = text

    async def put(self, entry: dict[str, Any], comment: str, known: Ruleset) -> Ruleset:
        """Add or replace an entry; the rules as they will be. Raises the loader's error when it is wrong."""
        return await self._try(lambda: self._file.put(self.before, entry, comment), known)

    async def remove(self, name: str, known: Ruleset) -> Ruleset:
        """Take an entry out; the rules as they will be."""
        return await self._try(lambda: self._file.remove(self.before, name), known)

    async def _try(self, change: Callable[[], str], known: Ruleset) -> Ruleset:
        self.after = await asyncio.to_thread(change)
        return await asyncio.to_thread(self._file.load, self.after, known)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Write it, for as long as the block, which commits the audit log, ends well; else the old text comes back."""
        await asyncio.to_thread(_write, self._file.path, self.after)
        try:
            yield
        except BaseException:
            await asyncio.shield(asyncio.to_thread(_write, self._file.path, self.before))
            raise


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", "check its rights, or save it as UTF-8") from None


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, on the disk before its name is."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}", "check its folder's rights and room") from None


def _lock(path: Path) -> IO[str]:
    """Hold the lock file beside the file; UserError when somebody else holds it for too long."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}", "check its folder's rights") from None
    end_s = time.monotonic() + LOCK_WAIT_S
    while not try_lock(file):
        if time.monotonic() > end_s:
            file.close()
            raise UserError(f"somebody else changes {path}", "try again")
        time.sleep(LOCK_STEP_S)
    return file
