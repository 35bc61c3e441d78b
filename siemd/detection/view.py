"""An event as rules see it: one flat mapping of field names to values, with memos of their text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from siemd.events import Event, LogEvent, NetworkEvent, UsageSample

MISSING: Final = object()
MAX_LEAVES = 2_000
MAX_VALUES_OF_FIELD = 10_000
MAX_INTEGER_BITS = 1_024  # Python refuses to spell much longer ones in decimal

_HIDDEN = ("time_us", "fields", "source", "seq", "table")
_COMMON = {"host": "host"}
_NETWORK = {name: name for name in NetworkEvent.__struct_fields__ if name not in _HIDDEN}
_LOG = {name: name for name in LogEvent.__struct_fields__ if name not in _HIDDEN}
# names of the native records that the typed columns stand in for when `fields` lacks them
_LOG |= {
    "EventID": "event_id",
    "Channel": "channel",
    "Provider_Name": "provider",
    "Computer": "computer",
    "ComputerName": "computer",
    "Message": "message",
    "SYSLOG_IDENTIFIER": "provider",
    "MESSAGE": "message",
}
_USAGE = {name: name for name in UsageSample.__struct_fields__ if name not in _HIDDEN}
_NUMBERS = ("event_id", "record_id")
_log_texts = attrgetter(*dict.fromkeys(column for column in _LOG.values() if column not in _NUMBERS))
_log_numbers = attrgetter(*_NUMBERS)


class View:
    """One event while it is being matched; `get` for raw values, `texts` and `lowered` for those of matching.

    Native names (`fields`) win over the typed columns of a LogEvent; the columns of a NetworkEvent win over `fields`.
    Empty columns count as missing.
    """

    __slots__ = ("_columns", "_first", "_leaves", "_lowered", "_texts", "_values", "event", "fields")

    def __init__(self, event: Event) -> None:
        self.event: Any = event
        self.fields: dict[str, Any] = getattr(event, "fields", None) or {}
        self._columns = _columns(event)
        self._first = isinstance(event, NetworkEvent)
        self._values: dict[str, tuple[Any, ...]] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._lowered: dict[str, tuple[str, ...]] = {}
        self._leaves: tuple[str, ...] | None = None

    def get(self, name: str) -> Any:
        """The raw value of a field, or MISSING."""
        column = self._columns.get(name)
        if column is None:
            value = self.fields.get(name, MISSING)
            return _nested(self.fields, name) if value is MISSING and "." in name else value
        if not self._first:
            value = self.fields.get(name, MISSING)
            if value is not MISSING:
                return value
        value = getattr(self.event, column)
        if value is None or value == "" or (value == 0 and column in _NUMBERS):
            return self.fields.get(name, MISSING)
        return value

    def values(self, name: str) -> tuple[Any, ...]:
        """The values of a field: none when it is missing, several when it holds a list."""
        found = self._values.get(name)
        if found is None:
            value = self.get(name)
            if value is MISSING:
                found = ()
            elif isinstance(value, list | tuple):
                found = tuple(value[:MAX_VALUES_OF_FIELD]) or (None,)
            else:
                found = (value,)
            self._values[name] = found
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a field as text; null is the empty text, mappings have none."""
        found = self._texts.get(name)
        if found is None:
            value = self.get(name)
            if type(value) is str:
                found = (value,)
            else:
                texts = map(text_of, self.values(name))
                found = tuple(text for text in texts if text is not None)
            self._texts[name] = found
        return found

    def lowered(self, name: str) -> tuple[str, ...]:
        """Like `texts`, in lower case."""
        found = self._lowered.get(name)
        if found is None:
            found = self._lowered[name] = tuple([text.lower() for text in self.texts(name)])
        return found

    def leaves(self, *, cased: bool) -> tuple[str, ...]:
        """The text of every value of the event, for keywords."""
        if self._leaves is None:
            self._leaves = _all_texts(self.fields, [getattr(self.event, name) for name in set(self._columns.values())])
        return self._leaves if cased else tuple(text.lower() for text in self._leaves)


class NamedView(View):
    """An event as one rule sees it: names of Sigma's taxonomy stand for those of the record, too."""

    __slots__ = ("_names",)

    def __init__(self, event: Event, names: Mapping[str, str]) -> None:
        super().__init__(event)
        self._names = names

    def get(self, name: str) -> Any:
        """The raw value of a field, or MISSING."""
        own = self._names.get(name)
        value = MISSING if own is None else super().get(own)
        return super().get(name) if value is MISSING else value


def is_direct(name: str) -> bool:
    """Whether a LogEvent's field of that name can only be a key of its `fields`."""
    return name not in _LOG and "." not in name


def log_texts(event: LogEvent) -> tuple[str, ...]:
    """The typed columns of a LogEvent, numbers aside, that keywords are searched in beside its `fields`."""
    columns: tuple[str, ...] = _log_texts(event)
    return columns


def log_numbers(event: LogEvent) -> tuple[int, ...]:
    """The columns that are numbers; 0 where there is none."""
    columns: tuple[int, ...] = _log_numbers(event)
    return columns


def text_of(value: Any) -> str | None:
    """A scalar as Sigma compares it (true and false in lower case); None for what is no scalar."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return hex(value) if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS else str(value)
    return None


def _columns(event: Event) -> dict[str, str]:
    if isinstance(event, NetworkEvent):
        return _NETWORK
    if isinstance(event, LogEvent):
        return _LOG
    return _USAGE if isinstance(event, UsageSample) else _COMMON


def _nested(fields: dict[str, Any], name: str) -> Any:
    """`a.b` inside nested mappings."""
    value: Any = fields
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def _all_texts(fields: dict[str, Any], columns: list[Any]) -> tuple[str, ...]:
    """Texts of all scalars, inside lists and mappings too, up to a limit."""
    stack: list[Any] = [*columns, *fields.values()]
    texts: list[str] = []
    while stack and len(texts) < MAX_LEAVES:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif value is not None and (text := text_of(value)):
            texts.append(text)
    return tuple(texts)


Predicate = Callable[[View], bool]
