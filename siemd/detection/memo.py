"""Bounded memory of answers: what was not asked for during a whole generation is forgotten."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any

ENTRY_BYTES = 200  # of the dict and the object headers, roughly


class Memo:
    """Answers to questions of one kind. `recent` may be read directly; all else goes through the methods."""

    __slots__ = ("_older", "_pool", "recent")

    def __init__(self, pool: MemoPool) -> None:
        self.recent: dict[Any, Any] = {}
        self._older: dict[Any, Any] = {}
        self._pool = pool

    def find(self, question: Hashable) -> Any:
        """The answer or None; one of the generation before becomes recent again."""
        found = self.recent.get(question)
        if found is None and self._older:
            found = self._older.pop(question, None)
            if found is not None:
                self.keep(question, found)
        return found

    def keep(self, question: Hashable, answer: Any, more_bytes: int = 0) -> None:
        """Remember an answer, which must not be None. more_bytes: what the two hold beside their own size."""
        self._pool.take(ENTRY_BYTES + sys.getsizeof(question) + sys.getsizeof(answer) + more_bytes)
        self.recent[question] = answer

    def age(self) -> None:
        """Begin a new generation and forget the one before."""
        self._older = self.recent.copy()
        self.recent.clear()


class MemoPool:
    """Room that many memos share: when a generation is full, all of them begin the next.

    Two generations are held at most, so about 2 × room_bytes, whatever an attacker writes into events.
    """

    def __init__(self, room_bytes: int) -> None:
        self._memos: list[Memo] = []
        self._room_bytes = room_bytes
        self._used_bytes = 0

    def memo(self) -> Memo:
        """A new memo."""
        made = Memo(self)
        self._memos.append(made)
        return made

    def take(self, size_bytes: int) -> None:
        """Count what is about to be remembered."""
        self._used_bytes += size_bytes
        if self._used_bytes > self._room_bytes:
            self._used_bytes = size_bytes
            for memo in self._memos:
                memo.age()
