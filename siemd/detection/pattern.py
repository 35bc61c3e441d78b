"""Sigma strings: wildcards and their escapes, the encodings, and their shape as a test on text."""

from __future__ import annotations

import base64
import itertools
import re

from siemd.detection.nodes import ANY, ONE, Text, Wildcard

Parts = tuple[str | Wildcard, ...]
Value = Parts | bytes  # bytes: text that an encoding modifier has turned into bytes

DASHES = "-/–—―"
MAX_DASHES = 4
_DASH = re.compile(rf"\B[{DASHES}]\b")
_BASE64_START, _BASE64_END = (0, 2, 3), (None, -3, -2)
_STAR = Wildcard(ANY)


def parse(text: str) -> Parts:
    r"""Split a Sigma string into literals and wildcards.

    `\*` and `\?` are the plain characters, `\\` is one backslash (so `\\*` is a backslash and a wildcard, `\\\*` a
    backslash and a star); any other backslash stands for itself.
    """
    if ANY not in text and ONE not in text and "\\\\" not in text:
        return (text,) if text else ()
    parts: list[str | Wildcard] = []
    literal: list[str] = []
    position = 0
    while position < len(text):
        sign = text[position]
        if sign == "\\" and position + 1 < len(text) and text[position + 1] in "*?\\":
            literal.append(text[position + 1])
            position += 2
            continue
        if sign in (ANY, ONE):
            if literal:
                parts.append("".join(literal))
                literal = []
            if not (sign == ANY and parts and parts[-1] == _STAR):
                parts.append(Wildcard(sign))
        else:
            literal.append(sign)
        position += 1
    if literal:
        parts.append("".join(literal))
    return tuple(parts)


def as_parts(value: Value) -> Parts:
    """Encoded bytes become text again, one character a byte."""
    return (value.decode("latin-1"),) if isinstance(value, bytes) else value


def surround(value: Value, before: bool, after: bool) -> Parts:
    """Add `*` in front and behind, unless one is there."""
    parts = as_parts(value)
    if before and (not parts or parts[0] != _STAR):
        parts = (_STAR, *parts)
    if after and (parts[-1:] != (_STAR,)):
        parts = (*parts, _STAR)
    return parts


def plain_bytes(value: Value) -> bytes | None:
    """The value as bytes (UTF-8); None when it holds wildcards, which no encoding can carry."""
    if isinstance(value, bytes):
        return value
    if any(isinstance(part, Wildcard) for part in value):
        return None
    return "".join(part for part in value if isinstance(part, str)).encode("utf-8", "surrogatepass")


def encode_base64(data: bytes) -> bytes:
    """The value as Base64."""
    return base64.b64encode(data)


def encode_base64_offsets(data: bytes) -> list[bytes]:
    """What is the same in every Base64 text that holds the value, at each of the three alignments."""
    return [
        base64.b64encode(b" " * shift + data)[_BASE64_START[shift] : _BASE64_END[(len(data) + shift) % 3]]
        for shift in range(3)
    ]


def dash_variants(value: Value) -> list[Parts] | None:
    """Each switch dash in each of its five forms; None when there are too many to spell out."""
    parts = as_parts(value)
    texts = [(index, part) for index, part in enumerate(parts) if isinstance(part, str)]
    places = [(index, hit.start()) for index, text in texts for hit in _DASH.finditer(text)]
    if len(places) > MAX_DASHES:
        return None
    variants: list[Parts] = []
    for dashes in itertools.product(DASHES, repeat=len(places)):
        spelled = [list(part) if isinstance(part, str) else part for part in parts]
        for (index, offset), dash in zip(places, dashes, strict=True):
            characters = spelled[index]
            assert isinstance(characters, list)
            characters[offset] = dash
        variants.append(tuple("".join(part) if isinstance(part, list) else part for part in spelled))
    return variants


def as_test(value: Value, cased: bool) -> Text:
    """The cheapest test that means the pattern."""
    parts = as_parts(value)
    if not cased:
        parts = tuple(part.lower() if isinstance(part, str) else part for part in parts)
    match parts:
        case ():
            return Text("equals", "", cased=cased)
        case (str(literal),):
            return Text("equals", literal, cased=cased)
        case (Wildcard("*"),):
            return Text("contains", "", cased=cased)
        case (Wildcard("*"), str(literal)):
            return Text("endswith", literal, cased=cased)
        case (str(literal), Wildcard("*")):
            return Text("startswith", literal, cased=cased)
        case (Wildcard("*"), str(literal), Wildcard("*")):
            return Text("contains", literal, cased=cased)
    return Text("glob", "", parts, cased=cased)


def glob_regex(parts: Parts) -> str:
    """The pattern as a regular expression for `fullmatch`; atomic groups keep it from backtracking between stars."""
    segments: list[str] = [""]
    for part in parts:
        if isinstance(part, str):
            segments[-1] += re.escape(part)
        elif part.sign == ONE:
            segments[-1] += "."
        else:
            segments.append("")
    if len(segments) == 1:
        return f"(?s:{segments[0]})"
    middle = "".join(f"(?>.*?{segment})" for segment in segments[1:-1] if segment)
    return f"(?s:{segments[0]}{middle}.*{segments[-1]})"
