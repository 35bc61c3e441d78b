"""Windows event XML (`EventRecord.ToXml()`, rendered or not) as the dict that evtx tools write as JSON.

The shape is that of the `evtx` library: attributes under `#attributes`, text beside them under `#text`, a named
`<Data Name="X">v</Data>` as `"X": "v"`, unnamed ones collected under `Data`, and a name that stands twice in one
element as `X`, `X_1`, `X_2`. So one normaliser serves the live log and files.

The text comes from whoever could write to the log, so it is read with limits and without DTDs or entities.
"""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

MAX_XML_CHARS = 4 << 20
MAX_XML_ELEMENTS = 20_000
MAX_XML_DEPTH = 24

# What XML 1.0 cannot hold, raw or as a character reference; event logs do hold it, and ToXml() passes it on.
_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,10}));")


class RecordError(ValueError):
    """A record that is not a Windows event, or is beyond the limits; the message says why."""


def clean_text(text: str) -> str:
    """Text as XML can hold it: characters outside of XML 1.0 become U+FFFD, line ends `\\n`."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVALID.sub("\ufffd", text)


def parse_event_xml(text: str) -> dict[str, Any]:
    """The `{"Event": {...}}` dict of one event; raises RecordError."""
    if len(text) > MAX_XML_CHARS:
        raise RecordError(f"the event's XML is longer than {MAX_XML_CHARS >> 20} Mi characters")
    text = _INVALID.sub("\ufffd", text)
    if "&#" in text:
        text = _REFERENCE.sub(_valid_reference, text)
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=None)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(text.strip("\ufeff \t\r\n"), True)
    except expat.ExpatError as error:
        raise RecordError(f"not valid XML: {error}") from None
    return reader.root


def _valid_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF or _INVALID.match(chr(code)):
        return "\ufffd"
    return match[0]


def _refuse(*_: object) -> None:
    raise RecordError("the event's XML holds a DTD, which no event has")


class _Reader:
    """Builds the dict while expat reads: one frame (name, attributes, content, text pieces) an open element."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._frames: list[tuple[str, dict[str, str], dict[str, Any], list[str]]] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_XML_ELEMENTS or len(self._frames) >= MAX_XML_DEPTH:
            raise RecordError(f"the event's XML has over {MAX_XML_ELEMENTS} elements or is over {MAX_XML_DEPTH} deep")
        self._frames.append((name.rpartition(":")[2], attributes, {}, []))

    def characters(self, text: str) -> None:
        self._frames[-1][3].append(text)

    def end(self, _: str) -> None:
        name, attributes, content, pieces = self._frames.pop()
        text = "".join(pieces)
        if text.isspace():
            text = ""
        parent = self._frames[-1][2] if self._frames else self.root
        if name == "Data" and not content:
            if label := attributes.get("Name"):
                _add(parent, label, text)
            else:
                parent.setdefault("Data", {"#text": []})["#text"].append(text)
            return
        value: Any = content or text or None
        if attributes:
            value = {"#attributes": attributes, **content}
            if text and not content:
                value["#text"] = text
        _add(parent, name, value)


def _add(parent: dict[str, Any], name: str, value: Any) -> None:
    if name in parent:
        number = 1
        while f"{name}_{number}" in parent:
            number += 1
        name = f"{name}_{number}"
    parent[name] = value
