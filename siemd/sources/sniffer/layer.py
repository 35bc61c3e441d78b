"""What the layers of the decoder share: their signature and the ways in which bytes can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from siemd.sources.sniffer.packet import Packet

if TYPE_CHECKING:
    from siemd.sources.sniffer.decode import Decoder

    # (decoder, packet to fill in, data, where this layer begins in data, where it ends on the wire).
    # The end may lie behind the captured bytes (a snap length cut them) or before them (Ethernet padding).
    Layer = Callable[[Decoder, Packet, bytes, int, int], None]


class Malformed(Exception):
    """A header contradicts itself, or a limit is passed."""


class Truncated(Exception):
    """A header ends before it should."""


class Unknown(Exception):
    """A well-formed frame of a protocol that isn't decoded."""


class Duplicate(Exception):
    """The second copy of a packet that the same capture holds already."""
