"""What every dissector is: it is handed the bytes of both directions, and says when it has learnt all it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from siemd.sources.sniffer.apps.gathering import Gathering

MAX_BUFFER = 16_384  # bytes a dissector may keep of a direction
MAX_LINE = 1024


class Peers(msgspec.Struct, frozen=True):
    """Who talks: addresses as raw bytes, the client's port (`source_port`) and the server's."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    vlan: int


class Dissector:
    """Reads one conversation of its `service`. done: nothing more is to be learnt. following: who goes on reading then.

    No bytes make it raise; it keeps at most MAX_BUFFER of a direction (`held` tells how much it has).
    """

    service = ""

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        self.peers = peers
        self.gathering = gathering
        self.done = False
        self.following: Dissector | None = None

    @property
    def held(self) -> int:
        """Bytes kept."""
        return 0

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """Bytes that follow on."""
        raise NotImplementedError

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """So many bytes are missing here."""
        raise NotImplementedError

    def skips(self, from_client: bool) -> int:
        """How many bytes that follow need not be handed over; told once, then `data` goes on behind them."""
        return 0

    def close(self, time_us: int) -> None:
        """The connection ended, or nothing more of it will be looked at."""


class LineDissector(Dissector):
    """For protocols of lines: cuts them, and drops what is too long; of one torn by a gap its beginning is read."""

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._rest = {True: b"", False: b""}
        self._torn = {True: False, False: False}

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._rest[True]) + len(self._rest[False])

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """Cut into lines."""
        if self._torn[from_client] and self.begins(from_client, data):
            self._torn[from_client] = False
        data = self._rest[from_client] + data
        at = 0
        while not self.done:
            end = data.find(b"\n", at)
            if end < 0:
                break
            line, at = data[at:end], end + 1
            if self._torn[from_client]:
                self._torn[from_client] = False
            elif len(line) <= MAX_LINE:
                self.line(from_client, line.rstrip(b"\r"), time_us)
        rest = data[at:]
        if self.done:
            rest = self._take_over(from_client, rest, time_us)
        elif len(rest) > MAX_LINE:
            self._torn[from_client] = True
            rest = b""
        self._rest[from_client] = rest

    def _take_over(self, from_client: bool, rest: bytes, time_us: int) -> bytes:
        if rest and self.following is not None:
            self.following.data(from_client, rest, time_us)
        return b""

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """A snap length leaves the beginning of a line, which tells the most; what follows may be its end."""
        rest, self._rest[from_client] = self._rest[from_client], b""
        self._torn[from_client] = True
        if rest:
            self.line(from_client, rest.rstrip(b"\r"), time_us)

    def begins(self, from_client: bool, data: bytes) -> bool:
        """Whether what comes behind a gap is surely the beginning of a line."""
        return False

    def line(self, from_client: bool, line: bytes, time_us: int) -> None:
        """One whole line without its end."""
        raise NotImplementedError
