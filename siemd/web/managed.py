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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
MAX_ENTRIES = 10_000  # more than there are rules: all may be switched off
_MARKER = re.compile(r"^---(?=[ \t]|$)", re.MULTILINE)  # nothing else may begin a line so (YAML 1.2, 9.1.2)


Entry = dict[str, Any]
Making = Callable[[Mapping[str, Entry]], Sequence[Entry]]  # of the entries that are there, by name, what to put


class Part(NamedTuple):
    """A document as it stands in the file. name: of its entry if it holds just one, else empty; entry: that one."""

    text: str
    name: str
    entry: Entry


def parts_of(path: Path, text: str, kind: str, key: str) -> list[Part]:
    """The documents of a file; joined they are its text again. kind: `overlay`; key: what names an entry."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    cuts = sorted({0, *starts, len(text)})
    return [_part(path, text[start:end], kind, key) for start, end in pairwise(cuts) if start < end]


def with_entries(path: Path, parts: Sequence[Part], kind: str, key: str, entries: Sequence[Entry], comment: str) -> str:
    """The parts' text with each entry in place of the one of its name, or at its end."""
    made = {str(entry[key]): _document(kind, entry, comment) for entry in entries}
    new = dict(made)
    text = "".join(new.pop(part.name, "") if part.name in made else part.text for part in parts)
    if len(parts) + len(new) > MAX_ENTRIES:
        raise UserError(f"{path} would hold more than {MAX_ENTRIES} entries", "remove those that nobody needs")
    return "".join((text, "" if not text or text.endswith("\n") else "\n", *new.values()))


def without_entry(path: Path, text: str, kind: str, key: str, name: str) -> str:
    """The text without the entry of a name."""
    return "".join(part.text for part in parts_of(path, text, kind, key) if part.name != name)


def _document(kind: str, entry: Entry, comment: str) -> str:
    return f"---\n# {comment}\n{yaml.safe_dump({kind: [entry]}, sort_keys=False, allow_unicode=True, width=110)}"


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

    async def entries(self) -> dict[str, Entry]:
        """The entries that the API may change, by name."""
        return _named(await asyncio.to_thread(lambda: self._parts(_read(self.path))))

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Edit]:
        """Alone with the file, among this and other processes."""
        async with self._writing:
            lock = await asyncio.to_thread(_lock, self.path)
            try:
                yield Edit(self, await asyncio.to_thread(_read, self.path))
            finally:
                lock.close()

    def text_with(self, entry: Entry) -> str:
        """The file's text as it would be with an entry; reads the file, changes nothing."""
        return self.put(_read(self.path), lambda _present: [entry], "a try")

    def put(self, text: str, made: Making, comment: str) -> str:
        """The text with the entries that are made of those in it. See with_entries."""
        parts = self._parts(text)
        return with_entries(self.path, parts, self._kind, self._key, made(_named(parts)), comment)

    def _parts(self, text: str) -> list[Part]:
        return parts_of(self.path, text, self._kind, self._key)

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

    async def put(self, made: Making, comment: str, known: Ruleset) -> Ruleset:
        """Add or replace entries; the rules as they will be. Raises the loader's error when one is wrong."""
        return await self._try(lambda: self._file.put(self.before, made, comment), known)

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


def _named(parts: Sequence[Part]) -> dict[str, Entry]:
    return {part.name: part.entry for part in parts if part.name}


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
