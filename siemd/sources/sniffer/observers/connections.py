"""Records of connections: who exchanged how much with whom, for how long, and how it ended."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import CONNECTIONS_A_TICK, address, fact
from siemd.sources.sniffer.state import Deadlines

ONE_SIDED = "one_sided"
MAX_WAITING = 65_536  # records beyond CONNECTIONS_A_TICK that wait; more are lost, counted

_WELL_KNOWN = 1024
Key = tuple[bytes, int, bytes, int, int]  # source, its port, destination, port, vlan
Target = tuple[bytes, bytes, int, int]  # the same without the source's port
_PROTOCOLS = {6: "tcp", 17: "udp"}


class Traffic(msgspec.Struct, gc=False):
    """What one direction of a flow carried: packets, bytes of payload, and when the newest of them came."""

    packets: int
    bytes: int
    newest_us: int

    def add(self, packets: int, size: int, newest_us: int) -> None:
        """So much more."""
        self.packets += packets
        self.bytes += size
        if newest_us > self.newest_us:
            self.newest_us = newest_us


class Connection(NamedTuple):
    """One that is to be stated. key: in the direction of the first packet.

    sent, received: what they hold when the record is stated counts. midstream: whether its beginning was not seen.
    """

    key: Key
    protocol: int
    begun_us: int
    sent: Traffic
    received: Traffic
    state: str
    service: str = ""
    midstream: bool = False

    @classmethod
    def of(
        cls,
        key: Key,
        protocol: int,
        begun_us: int,
        first_bytes: int,
        sides: tuple[Traffic | None, Traffic | None],
        state: str,
    ) -> Connection:
        """One whose sides are as flows keep them: sent None for a first packet of first_bytes alone, received None
        for nothing, which makes it one_sided whatever its state.
        """
        sent, received = sides[0] or Traffic(1, first_bytes, begun_us), sides[1]
        if received is None:
            received, state = Traffic(0, 0, begun_us), ONE_SIDED
        return cls(key, protocol, begun_us, sent, received, state)


class ConnectionRecords:
    """States `connection`."""

    def __init__(self, linger_us: int, cap: int, *, wanted: bool) -> None:
        """linger_us: how long after a connection's end its last packets may come. wanted: whether records are."""
        self._wanted = wanted
        self._lingering: Deadlines[Connection] = Deadlines(linger_us, cap)
        self._waiting: deque[Connection] = deque()
        self._lost = 0

    def ended(self, connection: Connection, now_us: int) -> None:
        """Its end was seen."""
        if self._wanted:
            early = self._lingering.push(now_us, connection)
            if early is not None:
                self.forgotten(early)

    def forgotten(self, connection: Connection) -> None:
        """Nothing more will be seen of it. In a crowd what one side alone told gives way: it may be made up."""
        if not self._wanted:
            return
        room = CONNECTIONS_A_TICK if connection.state == ONE_SIDED else MAX_WAITING
        if len(self._waiting) >= room:
            self._lost += 1
        else:
            self._waiting.append(connection)

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        for connection in self._lingering.due(now_us):
            self.forgotten(connection)
        waiting = self._waiting
        return [_stated(waiting.popleft()) for _ in range(min(len(waiting), CONNECTIONS_A_TICK))]

    def finish(self) -> list[NetworkEvent]:
        """Everything that is still to be stated."""
        for connection in self._lingering.rest():
            self.forgotten(connection)
        facts = [_stated(connection) for connection in self._waiting]
        self._waiting.clear()
        return facts

    def age(self) -> None:
        """Nothing is kept that grows old."""

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"connections_waiting": len(self._lingering) + len(self._waiting), "connections_lost": self._lost}


def _stated(connection: Connection) -> NetworkEvent:
    source, source_port, destination, port, vlan = connection.key
    sent, received = connection.sent, connection.received
    state = connection.state
    if _is_backward(connection):
        source, source_port, destination, port = destination, port, source, source_port
        sent, received = received, sent
        state = _TURNED.get(state, state)
    duration_us = max(sent.newest_us, received.newest_us) - connection.begun_us
    return fact(
        "connection",
        connection.begun_us,
        {
            "state": state,
            "duration_s": max(0, duration_us) / 1_000_000,
            "source_packets": sent.packets,
            "destination_packets": received.packets,
            "source_bytes": sent.bytes,
            "destination_bytes": received.bytes,
            "service": connection.service,
            "midstream": connection.midstream,
            "vlan": vlan,
        },
        source_ip=address(source),
        source_port=source_port,
        destination_ip=address(destination),
        destination_port=port,
        protocol=_PROTOCOLS[connection.protocol],
        count=max(1, sent.packets + received.packets),
    )


_TURNED = {"reset_by_source": "reset_by_destination", "reset_by_destination": "reset_by_source"}


def _is_backward(connection: Connection) -> bool:
    """Whether the first packet that was seen most likely came from the server."""
    source_port, port = connection.key[1], connection.key[3]
    return connection.midstream and source_port < min(port, _WELL_KNOWN)
