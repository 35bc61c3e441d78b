"""Writes small but real EVTX files out of event XML: plain BinXml without templates, text values only.

The format is as documented in libyal's "Windows XML Event Log (EVTX)" and Microsoft's [MS-EVEN6].
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from xml.etree import ElementTree

CHUNK_BYTES = 65536
HEADER_BYTES = 512


def evtx_file(chunks: Sequence[Sequence[str]], *, first_record: int = 1) -> bytes:
    """A file of chunks of records, each given as XML; records are numbered through."""
    body = b""
    number = first_record
    for records in chunks:
        body += _chunk(records, number)
        number += len(records)
    head = struct.pack("<8sQQQIHHHH", b"ElfFile\0", 0, max(0, len(chunks) - 1), number, 128, 1, 3, 4096, len(chunks))
    head = head.ljust(120, b"\0")
    return (head + struct.pack("<II", 0, zlib.crc32(head))).ljust(4096, b"\0") + body


def _chunk(records: Sequence[str], first: int) -> bytes:
    data = b""
    last_offset = HEADER_BYTES
    for number, xml in enumerate(records, first):
        last_offset = HEADER_BYTES + len(data)
        binary = b"\x0f\x01\x01\x00" + _element(ElementTree.fromstring(xml), last_offset + 24 + 4) + b"\x00"
        size = 24 + len(binary) + 4
        filetime = 133_500_000_000_000_000 + number * 10_000_000
        data += struct.pack("<4sIQQ", b"**\0\0", size, number, filetime) + binary + struct.pack("<I", size)
    last = first + len(records) - 1
    free = HEADER_BYTES + len(data)
    assert free <= CHUNK_BYTES, "too much for one chunk"
    head = struct.pack("<8sQQQQIII", b"ElfChnk\0", first, last, first, last, 128, last_offset, free)
    head += struct.pack("<I", zlib.crc32(data))
    head = head.ljust(120, b"\0")
    tables = bytes(HEADER_BYTES - 128)
    head += struct.pack("<II", 1, zlib.crc32(tables, zlib.crc32(head))) + tables
    return (head + data).ljust(CHUNK_BYTES, b"\0")


def _element(element: ElementTree.Element, offset: int) -> bytes:
    """One element at its offset in the chunk; names are written out where they are used."""
    has_attributes = bool(element.attrib)
    start = offset + 5  # token, size; only templates hold a dependency between them
    content = _name(element.tag.rpartition("}")[2], start)
    if has_attributes:
        attributes = b""
        at = start + len(content) + 4
        for index, (name, value) in enumerate(element.attrib.items()):
            token = b"\x46" if index + 1 < len(element.attrib) else b"\x06"
            attributes += token + _name(name, at + len(attributes) + 1) + _value(value)
        content += struct.pack("<I", len(attributes)) + attributes
    content += b"\x02"
    if element.text:
        content += _value(element.text)
    for child in element:
        content += _element(child, start + len(content))
    content += b"\x04"
    return struct.pack("<BI", 0x41 if has_attributes else 0x01, len(content)) + content


def _name(name: str, offset: int) -> bytes:
    text = name.encode("utf-16-le")
    value = 0
    for char in name:
        value = (value * 65599 + ord(char)) & 0xFFFFFFFF
    return struct.pack("<IIHH", offset + 4, 0, value & 0xFFFF, len(text) // 2) + text + b"\0\0"


def _value(text: str) -> bytes:
    data = text.encode("utf-16-le", "surrogatepass")
    return struct.pack("<BBH", 0x05, 0x01, len(data) // 2) + data
