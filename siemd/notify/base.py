"""What every channel shares: its interface, the message it carries, and the failure it tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import msgspec


class Message(msgspec.Struct, kw_only=True):
    """What one target is told in one piece.

    uid: stays the same however often it is tried, so that the other side can tell a repetition.
    subject: one line. text: lines for a person. level: the highest of its incidents. thread: names the incident when
    there is one, so that what follows can be shown beside it. incidents: all of them as JSON-ready dicts, each with its
    `kind`; total: how many there are. Everything in it is tamed (`siemd.notify.text`).
    """

    uid: str
    host: str
    route: str
    subject: str
    text: str
    level: str
    time_us: int
    thread: str = ""
    total: int = 1
    incidents: list[dict[str, Any]] = []
    test: bool = False


class Undelivered(Exception):
    """A message was not taken; a sentence for people, what to do, and whether another message may do better.

    of_message: the other side refused this message alone, so the next one is tried; otherwise the target waits.
    retry_s: for how long the other side wants to be left alone; 0: it does not say.
    """

    def __init__(self, message: str, hint: str = "", *, of_message: bool = False, retry_s: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.of_message = of_message
        self.retry_s = retry_s

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


Mistake = tuple[str, str, str]  # the key, what is wrong, what to do


class Settings(Protocol):
    """A channel's configuration: a msgspec struct with `tag_field="channel"`."""

    def mistakes(self) -> Iterator[Mistake]:
        """What is wrong with these values, in whole or together."""
        ...


class Channel(Protocol):
    """A way to tell people. `send` runs in a thread of its own, never twice at once; `abort` may come from another."""

    Config: ClassVar[type[msgspec.Struct]]
    description: str  # whom it tells, without secrets

    def __init__(self, config: Any) -> None: ...

    def send(self, message: Message) -> str:
        """Deliver, and return what the other side said; raises Undelivered."""
        ...

    def ready(self) -> None:
        """Raise Undelivered for what can be seen to be missing without sending: a file, a package."""
        ...

    def abort(self) -> None:
        """Make a `send` that hangs end soon."""
        ...
