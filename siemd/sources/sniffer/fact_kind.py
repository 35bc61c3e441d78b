"""What a kind of fact is, by which all of them are declared."""

from __future__ import annotations

import msgspec

VLAN = "802.1Q id of the innermost tag, 0 without one"


class FactKind(msgspec.Struct, frozen=True):
    """A kind of fact. when: when it is stated. attributes: of NetworkEvent; fields: keys of its `fields`, explained.

    meanings: what attributes mean in this kind, where that isn't what they mean in most.
    """

    name: str
    when: str
    attributes: tuple[str, ...]
    fields: dict[str, str]
    meanings: dict[str, str] = {}
