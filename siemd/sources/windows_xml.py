"""Windows event XML (`EventRecord.ToXml()`, rendered or not) as the dict that evtx tools write as JSON.

The shape is that of the `evtx` library: attributes under `#attributes`, text beside them under `#text`, a named
`<Data Name="X">v</Data>` as `"X": "v"`, unnamed ones collected under `Data`, and a name that stands twice in one
element as `X`, `X_1`, `X_2`. So one normaliser serves the live log and files.

The text comes from whoever could write to the log, so it is read with limits and without DTDs or entities.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any
from xml.etree import ElementTree

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
    if "<!DOCTYPE" in text:
        raise RecordError("the event's XML holds a DTD, which no event has")
    if text.count("<") > 2 * MAX_XML_ELEMENTS:
        raise RecordError(f"the event's XML has more than {MAX_XML_ELEMENTS} elements")
    try:
        # Without a DTD there are no entities to expand, and the size is bounded, so the standard parser is safe here.
        root = ElementTree.fromstring(text.strip("\ufeff \t\r\n"))  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        raise RecordError(f"not valid XML: {error}") from None
    return {_local(root.tag): _convert(root, 1)}


def _convert(element: ElementTree.Element, depth: int) -> Any:
    """An element's value: a dict of its children and attributes, its text, or None when it is empty."""
    if depth > MAX_XML_DEPTH:
        raise RecordError(f"the event's XML is nested more than {MAX_XML_DEPTH} deep")
    content: dict[str, Any] = {}
    if element.attrib:
        content["#attributes"] = element.attrib
    for child in element:
        name = _local(child.tag)
        value: Any
        if len(child) or (child.attrib and name != "Data"):
            value = _convert(child, depth + 1)
        elif name == "Data":
            value = child.text or ""
            name = child.get("Name") or ""
            if not name:
                content.setdefault("Data", {"#text": []})["#text"].append(value)
                continue
        else:
            value = child.text
            if value is not None and value.isspace():
                value = None
        if name in content:
            content[free_name(content, name)] = value
        else:
            content[name] = value
    own_text = element.text
    if own_text and not own_text.isspace() and not len(element):
        if not content:
            return own_text
        content["#text"] = own_text
    return content or None


def _local(tag: str) -> str:
    return tag[tag.find("}") + 1 :]


def _valid_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF or _INVALID.match(chr(code)):
        return "\ufffd"
    return match[0]


def free_name(taken: Container[str], name: str) -> str:
    """`X_1`, `X_2` … for a name X that is taken; in steps by the logarithm, since a record may hold it 40,000 times."""
    low, high = 0, 1
    while f"{name}_{high}" in taken:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if f"{name}_{middle}" in taken:
            low = middle
        else:
            high = middle
    return f"{name}_{high}"
