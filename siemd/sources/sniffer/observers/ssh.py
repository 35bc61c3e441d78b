"""SSH: finds connections by their banner, reads the open part, and states how their logins went."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import address, fact
from siemd.sources.sniffer.observers.ssh_judge import MAX_TURNS, Turn, judge, success_at
from siemd.sources.sniffer.packet import ACK, Packet
from siemd.sources.sniffer.state import Aging, Deadlines

SSH_PORT = 22
CLOSE_WAIT_US = 1_000_000  # the last answers may come after the first FIN
SILENCE_US = 180_000_000  # sshd waits 120 s for a login (LoginGraceTime)
MAX_VERSION = 128

_NEWKEYS = 21
_CLIENT_MESSAGES = frozenset((30, 32, 34))  # key exchange: initiator's (RFC 4253, 4419, 5656)
_SERVER_MESSAGES = frozenset((31, 33))
_NEWKEYS_BYTES = b"\x00\x00\x00\x0c\x0a\x15"
_NEWKEYS_LENGTH = 16
_HEADER = 6  # packet length, padding length, message number
_MAX_PACKET = 262_144
_WRAP = 1 << 32


class _Stream(msgspec.Struct):
    """One direction. next_at: sequence number of the next open SSH packet; end: behind the last byte seen.

    part: a packet header cut by the end of a segment. lost: framing is lost, only NEWKEYS' bytes are looked for.
    """

    end: int
    next_at: int = 0
    version: str = ""
    part: bytes = b""
    lost: bool = False
    encrypted: bool = False


class SshConnection(msgspec.Struct):
    """One connection. key: of its flow. forward_is_client: None while it isn't known who of the two is the client.

    whole: nothing encrypted was missed so far.
    """

    key: tuple[bytes, int, bytes, int, int]
    streams: tuple[_Stream | None, _Stream | None]
    time_us: int
    heard_us: int
    forward_is_client: bool | None
    turns: list[Turn]
    client_spoke: bool = False
    closing: bool = False
    stated: bool = False
    whole: bool = True


class SshObserver:
    """States `ssh_auth`. The TCP observer hands it the payloads of flows that began with a banner."""

    def __init__(self, settle_us: int, cap: int) -> None:
        self._cap = cap
        self._active: OrderedDict[int, SshConnection] = OrderedDict()  # a dict finds its first in time of its deletions
        # A success is stated a little later, so that guesses on parallel connections are stated before it.
        self._settling: Deadlines[SshConnection] = Deadlines(settle_us, cap)
        self._closing: Deadlines[SshConnection] = Deadlines(CLOSE_WAIT_US, cap)
        self._silent: Deadlines[SshConnection] = Deadlines(SILENCE_US, cap)
        self._failed_us: Aging[tuple[bytes, int], int] = Aging(cap)  # when the client's newest failure was
        self._facts: list[NetworkEvent] = []
        self.forgotten = 0

    def begin(
        self, key: tuple[bytes, int, bytes, int, int], packet: Packet, forward: bool, now_us: int, *, sure: bool
    ) -> SshConnection:
        """A banner was sent. sure: the flow's SYN was seen, so its first sender is the client."""
        if len(self._active) >= self._cap:
            self.forgotten += 1
            self._state(next(iter(self._active.values())))
        client: bool | None = True if sure else None
        if client is None and SSH_PORT in (key[1], key[3]):
            client = key[3] == SSH_PORT
        connection = SshConnection(key, (None, None), packet.time_us, now_us, client, [])
        self._active[id(connection)] = connection
        self._push(self._silent, now_us, connection)
        self.data(connection, packet, forward, now_us)
        return connection

    def data(self, connection: SshConnection, packet: Packet, forward: bool, now_us: int) -> bool:
        """A payload; True when nothing more is to be learnt."""
        connection.heard_us = now_us
        if packet.flags & ACK and self._acknowledged(connection, packet.ack, not forward, now_us):
            return True
        stream = connection.streams[0 if forward else 1]
        if stream is None:
            stream = _open_stream(packet)
            ours, other = (stream, connection.streams[1]) if forward else (connection.streams[0], stream)
            connection.streams = (ours, other)
        end = (packet.seq + packet.payload_length) % _WRAP
        fresh = (end - stream.end) % _WRAP
        if fresh >= _WRAP // 2 or not fresh:
            return False  # seen before
        stream.end = end
        connection.time_us = max(connection.time_us, packet.time_us)
        if not stream.encrypted:
            fresh = self._open_part(connection, stream, packet, forward)
        return self._turn(connection, fresh, forward, now_us) if fresh else False

    def _acknowledged(self, connection: SshConnection, number: int, forward: bool, now_us: int) -> bool:
        """The other side has all bytes up to this number: those of them that were not seen came before this packet.

        So packets that the sensor missed, or that it sees late, count with their sizes and in their place.
        """
        stream = connection.streams[0 if forward else 1]
        if stream is None or not stream.encrypted:
            return False
        unseen = (number - stream.end) % _WRAP
        if not 0 < unseen < _WRAP // 2:
            return False
        stream.end = number
        connection.whole = False
        return self._turn(connection, unseen, forward, now_us)

    def _open_part(self, connection: SshConnection, stream: _Stream, packet: Packet, forward: bool) -> int:
        """Walk over the packets that are not encrypted, until NEWKEYS; the number of bytes behind it."""
        for message in _messages(stream, packet):
            if message in _CLIENT_MESSAGES:
                connection.forward_is_client = forward
            elif message in _SERVER_MESSAGES:
                connection.forward_is_client = not forward
        behind = (stream.end - stream.next_at) % _WRAP
        return behind if stream.encrypted and behind < _WRAP // 2 else 0

    def _turn(self, connection: SshConnection, size: int, forward: bool, now_us: int) -> bool:
        """Encrypted bytes: the client's begin a turn, the server's answer it."""
        turns = connection.turns
        if forward == (connection.forward_is_client is not False):
            if not connection.client_spoke:
                turns.append(Turn(0))
                connection.client_spoke = True
            turns[-1].request += size
            return False
        if not turns:
            return False  # EXT_INFO before the first request
        connection.client_spoke = False
        turn = turns[-1]
        if not turn.answer:
            turn.first = size
        turn.answer += size
        if len(turns) >= MAX_TURNS or success_at(turns[:1] + turns[-2:]):
            self._push(self._settling, now_us, connection)
            return True
        return False

    def close(self, connection: SshConnection, now_us: int) -> None:
        """A FIN or RST was seen."""
        if not connection.closing:
            connection.closing = True
            self._push(self._closing, now_us, connection)

    def _push(self, queue: Deadlines[SshConnection], now_us: int, connection: SshConnection) -> None:
        early = queue.push(now_us, connection)
        if early is not None:
            self._state(early)

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick: failures before successes."""
        for connection in self._closing.due(now_us):
            if not success_at(connection.turns):
                self._state(connection)
        for connection in self._silent.due(now_us):
            if connection.stated:
                continue
            if now_us - connection.heard_us >= SILENCE_US:
                self._state(connection)
            else:
                self._push(self._silent, now_us, connection)
        for connection in self._settling.due(now_us):
            self._state(connection)
        facts, self._facts = self._facts, []
        return facts

    def finish(self) -> list[NetworkEvent]:
        """State every connection that is still held: failures before successes."""
        for connection in sorted(self._active.values(), key=lambda one: success_at(one.turns) > 0):
            self._state(connection)
        for queue in (self._closing, self._silent, self._settling):
            for _ in queue.rest():
                pass
        facts, self._facts = self._facts, []
        return facts

    def _state(self, connection: SshConnection) -> None:
        if connection.stated:
            return
        connection.stated = True
        del self._active[id(connection)]
        verdict = judge(connection.turns, whole=connection.whole)
        attempts = verdict.failed + verdict.success
        outcome = "success" if verdict.success else "failure" if attempts else "none"
        forward_is_client = connection.forward_is_client is not False
        source, source_port, destination, port, vlan = connection.key
        client, server = connection.streams
        if not forward_is_client:
            source, source_port, destination, port = destination, port, source, source_port
            client, server = server, client
        time_us = connection.time_us
        if verdict.success:  # stated after the failures beside it, so not dated before them
            time_us = max(time_us, self._failed_us.get((source, vlan)) or 0)
        elif attempts:
            self._failed_us.put((source, vlan), time_us)
        self._facts.append(
            fact(
                "ssh_auth",
                time_us,
                {
                    "outcome": outcome,
                    "attempts": attempts,
                    "failed_attempts": verdict.failed,
                    "refused_keys": verdict.refused_keys,
                    "client_version": client.version if client else "",
                    "server_version": server.version if server else "",
                    "vlan": vlan,
                },
                source_ip=address(source),
                source_port=source_port,
                destination_ip=address(destination),
                destination_port=port,
                protocol="tcp",
                message=f"SSH from {address(source)} to {address(destination)} port {port}: "
                + (f"{outcome} after {attempts} tries" if attempts else "no try to log in")
                + (f", {verdict.refused_keys} keys refused" if verdict.refused_keys else ""),
            )
        )

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._failed_us.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"ssh_connections_held": len(self._active), "ssh_connections_forgotten": self.forgotten}


def _open_stream(packet: Packet) -> _Stream:
    """The stream that begins with this packet: a banner, perhaps behind other lines (RFC 4253, 4.2)."""
    payload = packet.payload
    stream = _Stream(packet.seq)
    at = payload.find(b"SSH-")
    if at < 0:
        stream.lost = True
        return stream
    line_end = payload.find(b"\n", at)
    line = payload[at : line_end if line_end >= 0 else len(payload)]
    stream.version = line[:MAX_VERSION].decode("ascii", "replace").strip()
    behind = line_end + 1 if line_end >= 0 else packet.payload_length
    stream.next_at = (packet.seq + behind) % _WRAP
    return stream


def _messages(stream: _Stream, packet: Packet) -> list[int]:
    """The numbers of the SSH messages that begin in this payload; moves next_at behind the last of them."""
    payload = packet.payload
    messages: list[int] = []
    while not stream.lost:
        offset = (stream.next_at + len(stream.part) - packet.seq) % _WRAP
        if offset >= _WRAP // 2:
            stream.lost = True  # the header was in a segment that is missing
        elif offset >= packet.payload_length:
            return messages
        else:
            part = payload[offset : offset + _HEADER - len(stream.part)]
            stream.part += part
            if len(stream.part) == _HEADER:
                messages += _message(stream)
                if stream.encrypted:
                    return messages
            elif offset + len(part) < packet.payload_length:  # cut by the snap length
                stream.lost = True
                if messages and messages[-1] in _SERVER_MESSAGES:  # NEWKEYS is all that can follow at once
                    stream.next_at = (stream.next_at + _NEWKEYS_LENGTH) % _WRAP
                    stream.encrypted = True
                    return messages
    if (found := payload.find(_NEWKEYS_BYTES)) >= 0:
        stream.next_at = (packet.seq + found + _NEWKEYS_LENGTH) % _WRAP
        stream.encrypted = True
    return messages


def _message(stream: _Stream) -> list[int]:
    """The message whose header is complete: nothing, and `lost`, if it can't be one."""
    length, number = int.from_bytes(stream.part[:4], "big"), stream.part[5]
    stream.part = b""
    if not 2 <= length <= _MAX_PACKET:
        stream.lost = True
        return []
    stream.next_at = (stream.next_at + 4 + length) % _WRAP
    stream.encrypted = number == _NEWKEYS
    return [number]
