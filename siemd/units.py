"""Durations, sizes and times of day as people write them in YAML (`10s`, `1GiB`, `22:00`), as numbers in the code."""

from __future__ import annotations

import re

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|(24):(00)")
_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)")


class Seconds(float):
    """A duration in seconds, written `500ms`, `10s`, `5m`, `2h`, `30d`, or a bare number of seconds."""

    @classmethod
    def parse(cls, value: object) -> Seconds:
        """Read a duration; raises ValueError saying what was expected."""
        number, unit = _split(value, "a duration such as 500ms, 10s, 5m, 2h or 30d")
        if (unit or "s") not in _SECONDS:
            raise ValueError(f"expected a duration such as 500ms, 10s, 5m, 2h or 30d, got {value!r}")
        return cls(number * _SECONDS[unit or "s"])

    def __str__(self) -> str:
        for unit in ("w", "d", "h", "m", "s", "ms"):
            amount = self / _SECONDS[unit]
            if amount >= 1 and amount == int(amount):
                return f"{int(amount)}{unit}"
        return f"{float(self):g}s"


class Bytes(int):
    """A size in bytes, written `64KiB`, `32MiB`, `1GiB`, or a bare number of bytes."""

    @classmethod
    def parse(cls, value: object) -> Bytes:
        """Read a size; raises ValueError saying what was expected."""
        number, unit = _split(value, "a size such as 64KiB, 32MiB or 1GiB")
        if (unit.lower() or "b") not in _BYTES:
            raise ValueError(f"expected a size such as 64KiB, 32MiB or 1GiB, got {value!r}")
        return cls(int(number * _BYTES[unit.lower() or "b"]))

    def __str__(self) -> str:
        for unit, name in (("gib", "GiB"), ("mib", "MiB"), ("kib", "KiB")):
            if self and self % _BYTES[unit] == 0:
                return f"{self // _BYTES[unit]}{name}"
        return str(int(self))


class Clock(int):
    """A time of day in minutes after midnight, written `22:00`; 24:00 is the end of a day."""

    @classmethod
    def parse(cls, value: object) -> Clock:
        """Read a time of day; raises ValueError saying what was expected."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 24 * 60:
            return cls(value)  # YAML reads an unquoted 22:00 as a number to the base 60
        found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
        if not found:
            raise ValueError(f'expected a time of day such as "22:00", got {value!r}')
        return cls(int(found[1] or found[3]) * 60 + int(found[2] or found[4]))

    def __str__(self) -> str:
        return f"{self // 60:02}:{self % 60:02}"


def _split(value: object, expected: str) -> tuple[float, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {expected}, got {value!r}")
    match = _FORM.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"expected {expected}, got {value!r}")
    return float(match[1]), match[2]
