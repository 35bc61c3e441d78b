"""Applications: finds out what TCP connections speak, and hands their payload to the dissector of that protocol."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from siemd.events import NetworkEvent
from siemd.sources.sniffer.apps.assembly import Assembly
from siemd.sources.sniffer.apps.dissector import Dissector, Peers
from siemd.sources.sniffer.apps.ftp_and_mail import (
    FtpDissector,
    FtpOrSmtpDissector,
    ImapDissector,
    Pop3Dissector,
    SmtpDissector,
)
from siemd.sources.sniffer.apps.gathering import Gathering, pair_of
from siemd.sources.sniffer.apps.http import HttpDissector
from siemd.sources.sniffer.apps.identify import Spoken, identify, undecided
from siemd.sources.sniffer.apps.rdp import RdpDissector
from siemd.sources.sniffer.apps.smb import SmbDissector
from siemd.sources.sniffer.apps.telnet import TelnetDissector
from siemd.sources.sniffer.apps.tls import TlsDissector
from siemd.sources.sniffer.observers.connections import Key
from siemd.sources.sniffer.packet import Packet

MAX_HELD_BYTES = 32 << 20  # of all connections together; a connection alone can hold some 64 KiB

_LOGINS: dict[str, type[Dissector]] = {
    "ftp": FtpDissector,
    "smtp": SmtpDissector,
    "ftp_or_smtp": FtpOrSmtpDissector,
    "pop3": Pop3Dissector,
    "imap": ImapDissector,
    "telnet": TelnetDissector,
    "smb": SmbDissector,
    "rdp": RdpDissector,
}


class ApplicationsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the sensor reads of the payload of TCP connections."""

    http: Annotated[
        bool, Meta(description="HTTP requests: host, path, user agent, status. Rules for web scans need them.")
    ] = True
    tls: Annotated[bool, Meta(description="TLS: the server's name and the client's JA4 fingerprint.")] = True
    logins: Annotated[
        bool,
        Meta(
            description="Logins by FTP, SMTP, POP3, IMAP, telnet, SMB and RDP: user names and outcomes, never"
            " passwords. Rules for brute force need them."
        ),
    ] = True
    beacons: Annotated[bool, Meta(description="How regularly a host opens connections to another.")] = True
    max_connections: Annotated[
        int, Meta(ge=64, description="Connections read at once; about 2 KB each, and 32 MiB in all at the most.")
    ] = 16_384


class Conversation(msgspec.Struct):
    """A connection that is being read. assemblies: of the other side's and of the initiator's bytes.

    dissector: None until the protocol is known; begun: what came until then. from_start: whether its SYN was seen.
    heard: the generation in which something was.
    """

    key: Key
    assemblies: tuple[Assembly, Assembly]
    from_start: bool
    heard: int
    begun: list[bytes]
    forward_is_client: bool = True
    dissector: Dissector | None = None
    held: int = 0
    over: bool = False

    @property
    def waits(self) -> bool:
        """Whether a segment waits for one before it: then acknowledgements matter, too."""
        return bool(self.assemblies[0].held or self.assemblies[1].held)


class ApplicationObserver:
    """States what `Gathering` does. The TCP observer hands it payloads; a flow is done with when `data` says so."""

    def __init__(self, config: ApplicationsConfig, settle_us: int, cap: int) -> None:
        self._config = config
        self.gathering = Gathering(settle_us, cap, reads_tls=config.tls)
        self._dissectors = _wanted(config)
        self._active: OrderedDict[int, Conversation] = OrderedDict()  # see SshObserver
        self._held = 0
        self._now_us = 0
        self._generation = 0
        self.forgotten = 0

    def begin(self, key: Key, packet: Packet, forward: bool, now_us: int, first: int | None) -> Conversation | None:
        """The first payload of a direction. first: the number of that direction's first byte, None if not known.

        None when nothing is to be learnt from the connection.
        """
        if not self._dissectors:
            return None
        self._now_us = now_us
        if (first is None or packet.seq == first) and not undecided(packet.payload):
            spoken = identify(packet.payload, _server_port(key, first is not None), from_start=first is not None)
            if spoken is None or spoken.service not in self._dissectors:
                return None
        conversation = Conversation(key, (Assembly(), Assembly()), first is not None, self._generation, [b"", b""])
        ours = Assembly(first)
        conversation.assemblies = (conversation.assemblies[0], ours) if forward else (ours, conversation.assemblies[1])
        if len(self._active) >= self._config.max_connections:
            self._forget()
        self._active[id(conversation)] = conversation
        return None if self.data(conversation, packet, forward, now_us) else conversation

    def data(self, conversation: Conversation, packet: Packet, forward: bool, now_us: int) -> bool:
        """A payload; True when nothing more is to be learnt."""
        if conversation.over:
            return True
        self._now_us = now_us
        conversation.heard = self._generation
        time_us = packet.time_us
        theirs = conversation.assemblies[not forward]
        if theirs.held:
            self._pieces(conversation, not forward, theirs.acknowledged(packet.ack), time_us)
        ours = conversation.assemblies[forward]
        pieces = ours.add(packet.seq, packet.payload, packet.payload_length)
        if pieces and not conversation.over:
            self._pieces(conversation, forward, pieces, time_us)
        if not conversation.over and (pieces or ours.held or conversation.held):
            self._account(conversation)
        return conversation.over

    def close(self, conversation: Conversation, time_us: int) -> None:
        """The connection ended."""
        for forward in (True, False):
            if not conversation.over:
                self._pieces(conversation, forward, conversation.assemblies[forward].flush(), time_us)
        if not conversation.over:
            self._end(conversation, time_us)

    def _pieces(self, conversation: Conversation, forward: bool, pieces: Sequence[bytes | int], time_us: int) -> None:
        while pieces:
            for piece in pieces:
                if conversation.dissector is None:
                    self._find_out(conversation, forward, piece, time_us)
                else:
                    self._hand(conversation, forward == conversation.forward_is_client, piece, time_us)
                if conversation.over:
                    return
            pieces = self._skip(conversation, forward, time_us)

    def _skip(self, conversation: Conversation, forward: bool, time_us: int) -> Sequence[bytes | int]:
        """Pass over what the dissector need not see; the pieces that waited behind it."""
        dissector = conversation.dissector
        size = dissector.skips(forward == conversation.forward_is_client) if dissector else 0
        if not dissector or not size:
            return ()
        if dissector.done:
            self._end(conversation, time_us)
            return ()
        return conversation.assemblies[forward].pass_over(size)

    def _find_out(self, conversation: Conversation, forward: bool, piece: bytes | int, time_us: int) -> None:
        """Look at the first bytes until they tell the protocol, or that it is none we know."""
        if isinstance(piece, int):
            self._end(conversation, time_us)
            return
        begun = conversation.begun[forward] + piece
        port = _server_port(conversation.key, conversation.from_start)
        spoken = identify(begun, port, from_start=conversation.from_start)
        if spoken is None and undecided(begun):
            conversation.begun[forward] = begun
            return
        make = self._dissectors.get(spoken.service) if spoken else None
        if make is None or spoken is None:
            self._end(conversation, time_us)
            return
        conversation.forward_is_client = _is_client(spoken, forward, conversation)
        peers = _peers(conversation)
        self.gathering.speaks(pair_of(peers), spoken.service)
        conversation.dissector = make(peers, self.gathering)
        other, conversation.begun = conversation.begun[not forward], [b"", b""]
        for way, data in ((not forward, other), (forward, begun)):
            if data and not conversation.over:
                self._hand(conversation, way == conversation.forward_is_client, data, time_us)

    def _hand(self, conversation: Conversation, from_client: bool, piece: bytes | int, time_us: int) -> None:
        dissector = conversation.dissector
        assert dissector is not None
        if isinstance(piece, int):
            dissector.gap(from_client, piece, time_us)
        else:
            dissector.data(from_client, piece, time_us)
        while dissector.done:
            if dissector.following is None:
                self._end(conversation, time_us)
                return
            dissector = conversation.dissector = dissector.following

    def _end(self, conversation: Conversation, time_us: int) -> None:
        conversation.over = True
        del self._active[id(conversation)]
        self._held -= conversation.held
        if conversation.dissector is not None:
            conversation.dissector.close(time_us)
            conversation.dissector = None

    def _account(self, conversation: Conversation) -> None:
        held = conversation.assemblies[0].held + conversation.assemblies[1].held
        if conversation.dissector is not None:
            held += conversation.dissector.held
        self._held += held - conversation.held
        conversation.held = held
        while self._held > MAX_HELD_BYTES:
            self._forget()

    def _forget(self) -> None:
        """Make room: the oldest connection is not read any further."""
        self.forgotten += 1
        self._end(next(iter(self._active.values())), self._now_us)

    def tick(self, now_us: int) -> list[NetworkEvent]:
        """The facts of this tick."""
        self._now_us = now_us
        return self.gathering.tick(now_us)

    def finish(self, now_us: int) -> list[NetworkEvent]:
        """End of input."""
        for conversation in list(self._active.values()):
            self.close(conversation, now_us)
        return self.gathering.finish(now_us)

    def age(self) -> None:
        """Stop reading what was silent for a generation; in each, what goes on is looked at at least once."""
        for conversation in list(self._active.values()):
            if conversation.heard < self._generation:
                self.close(conversation, self._now_us)
        self._generation += 1
        self.gathering.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "applications_held": len(self._active),
            "application_bytes": self._held,
            "applications_forgotten": self.forgotten,
            **self.gathering.counters(),
        }


def _wanted(config: ApplicationsConfig) -> dict[str, type[Dissector]]:
    wanted = dict(_LOGINS) if config.logins else {}
    if config.http:
        wanted["http"] = HttpDissector
    if config.tls:
        wanted["tls"] = TlsDissector
    return wanted


def _server_port(key: Key, from_start: bool) -> int:
    """The server's port, or, where the beginning was not seen, that which is more likely so."""
    return key[3] if from_start else min(key[1], key[3])


def _is_client(spoken: Spoken, forward: bool, conversation: Conversation) -> bool:
    """Whether the initiator (of what is known of the flow) is the client of the protocol."""
    if conversation.from_start:
        return True
    if spoken.by_client is None:  # a well-known port told
        return conversation.key[3] <= conversation.key[1]
    return forward == spoken.by_client


def _peers(conversation: Conversation) -> Peers:
    source, source_port, destination, port, vlan = conversation.key
    if conversation.forward_is_client:
        return Peers(source, source_port, destination, port, vlan)
    return Peers(destination, port, source, source_port, vlan)
