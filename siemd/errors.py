"""The errors that people may see: each says where, what was expected and what to do."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """A mistake or a lack that a person can mend; shown as one line, never as a traceback.

    message: what is wrong. hint: what to do about it (may be empty).
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class FileError(UserError):
    """A UserError at a place in a file; line and column count from 1, 0 where there is none."""

    def __init__(self, path: Path | str, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.path = str(path)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        # a file's name need not be text: it must not keep the rest from being printed or stored
        return f"{where}: {super().__str__()}".encode("utf-8", "replace").decode()


class StoreError(UserError):
    """A database can't do its work now (down, full, read-only, locked, damaged); it may be tried again."""


class StoreDamaged(StoreError):
    """The database's file is damaged: trying again does not help."""
