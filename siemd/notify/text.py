"""Hostile text made fit to be told: one line, no control or direction characters, cut at a limit."""

from __future__ import annotations

import re
import unicodedata

CUT = "…"
MAX_MARKS = 3  # combining marks on one character; more paint over the lines around
_PLAIN = re.compile(r"[ -~]*")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, direction and invisible marks, surrogates, line ends


def tame(value: object, limit: int) -> str:
    """`value` as at most `limit` characters of one line that shows what it is."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit * 4:  # what is far beyond the cut is not looked at
        text = text[: limit * 4] + CUT
    if not _PLAIN.fullmatch(text):
        text = _visible(text)
    return text if len(text) <= limit else text[: max(0, limit - 1)] + CUT


def _visible(text: str) -> str:
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            marks += 1
            if marks > MAX_MARKS:
                continue
        else:
            marks = 0
        shown.append(" " if category in _HIDDEN else character)
    return "".join(shown)
