"""What programs say over TCP, as packets: whole conversations, cut and shuffled as a test wants them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import msgspec

from siemd.sources.sniffer.packet import ACK, FIN, PSH, RST, SYN, Packet
from support.conversation import ATTACKER, SYSTEM_SYN, VICTIM, Wire

Turn = tuple[str, bytes]  # ">" the client says, "<" the server


def talk(
    wire: Wire,
    turns: Iterable[Turn],
    *,
    source: str = ATTACKER,
    server: str = VICTIM,
    port: int = 80,
    segment: int = 1400,
    end: str = "fin",
    pause_s: float = 0.001,
) -> None:
    """A connection with its handshake. segment: bytes in a packet. end: fin, reset or nothing."""
    source_port, seq, peer = wire.fresh_port(), wire.fresh_seq(), wire.fresh_seq()
    wire.syn(source, source_port, server, port, seq, by_hand=False)
    wire.tcp(server, port, source, source_port, SYN | ACK, peer, seq + 1, header=SYSTEM_SYN)
    seq, peer = seq + 1, peer + 1
    wire.tcp(source, source_port, server, port, ACK, seq, peer)
    for who, said in turns:
        for at in range(0, len(said), segment):
            part = said[at : at + segment]
            if who == ">":
                wire.tcp(source, source_port, server, port, PSH | ACK, seq, peer, part)
                seq += len(part)
            else:
                wire.tcp(server, port, source, source_port, PSH | ACK, peer, seq, part)
                peer += len(part)
        wire.wait(pause_s)
    if end == "reset":
        wire.tcp(source, source_port, server, port, RST | ACK, seq, peer)
    elif end == "fin":
        wire.tcp(source, source_port, server, port, FIN | ACK, seq, peer)
        wire.tcp(server, port, source, source_port, FIN | ACK, peer, seq + 1)
        wire.tcp(source, source_port, server, port, ACK, seq + 1, peer + 1)


def http(
    path: str = "/",
    status: int = 200,
    *,
    method: str = "GET",
    host: str = "www.example.org",
    agent: str = "Mozilla/5.0",
    body: int = 200,
    fields: str = "",
) -> list[Turn]:
    """A request and its answer."""
    request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{fields}\r\n"
    answer = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {body}\r\n\r\n"
    return [(">", request.encode()), ("<", answer.encode() + bytes(body))]


def ftp(user: str, *passwords: tuple[str, bool]) -> list[Turn]:
    """Logins of one user; each password with whether it is right."""
    turns: list[Turn] = [("<", b"220 ready\r\n")]
    for password, right in passwords:
        turns += [
            (">", f"USER {user}\r\n".encode()),
            ("<", b"331 Please specify the password.\r\n"),
            (">", f"PASS {password}\r\n".encode()),
            ("<", b"230 Login successful.\r\n" if right else b"530 Login incorrect.\r\n"),
        ]
    return turns


def hello(
    *,
    server_name: bytes = b"www.example.org",
    version: int = 0x0303,
    ciphers: Sequence[int] = (0x1301, 0x1302, 0xC02F),
    extensions: Sequence[tuple[int, bytes]] = (),
    alpn: Sequence[bytes] = (b"h2", b"http/1.1"),
    record: int = 16_000,
) -> bytes:
    """A ClientHello in records of so many bytes; extensions beside SNI and ALPN, which are left out when empty."""
    parts = list(extensions)
    if alpn:
        names = b"".join(_vector(name, 1) for name in alpn)
        parts.insert(0, (0x0010, _vector(names, 2)))
    if server_name:
        parts.insert(0, (0x0000, _vector(b"\0" + _vector(server_name, 2), 2)))
    listed = b"".join(number.to_bytes(2, "big") + _vector(content, 2) for number, content in parts)
    body = (
        version.to_bytes(2, "big")
        + bytes(range(32))
        + _vector(b"s" * 32, 1)
        + _vector(b"".join(cipher.to_bytes(2, "big") for cipher in ciphers), 2)
        + b"\x01\x00"
        + _vector(listed, 2)
    )
    message = b"\x01" + _vector(body, 3)
    pieces = [message[at : at + record] for at in range(0, len(message), record)]
    return b"".join(b"\x16\x03\x01" + _vector(piece, 2) for piece in pieces)


def _vector(content: bytes, size: int) -> bytes:
    return len(content).to_bytes(size, "big") + content


def cut(packets: Sequence[Packet], size: int) -> list[Packet]:
    """The same packets with payloads of at most so many bytes."""
    pieces = []
    for packet in packets:
        for at in range(0, max(1, packet.payload_length), size):
            part = packet.payload[at : at + size]
            pieces.append(
                msgspec.structs.replace(
                    packet, seq=(packet.seq + at) % (1 << 32), payload=part, payload_length=len(part)
                )
            )
    return pieces


def mix_up(packets: Sequence[Packet], seed: int, *, twice: float = 0.2) -> list[Packet]:
    """Some packets twice, and neighbours with payload of one direction exchanged."""
    chance = random.Random(seed)
    mixed: list[Packet] = []
    for packet in packets:
        mixed.append(packet)
        if packet.payload and chance.random() < twice:
            mixed.append(packet)
    for at in range(len(mixed) - 1):
        one, two = mixed[at], mixed[at + 1]
        if one.payload and two.payload and one.source_port == two.source_port and chance.random() < 0.5:
            mixed[at], mixed[at + 1] = two, one
    return mixed


def without(packets: Sequence[Packet], lost: Callable[[Packet], bool]) -> list[Packet]:
    """What a sensor sees that misses some packets with payload."""
    return [packet for packet in packets if not (packet.payload and lost(packet))]


def smb(user: str, status: int, *, version: int = 2) -> list[Turn]:
    """Negotiation and session setup of SMB with NTLM; status: of the last answer."""
    negotiate = _ntlm(1)
    authenticate = _ntlm(3, user)
    if version == 1:
        setup = [_smb_1(0x73, 0, negotiate), _smb_1(0x73, 0xC0000016, b"", answer=True)]
        setup += [_smb_1(0x73, 0, authenticate), _smb_1(0x73, status, b"", answer=True)]
        first = [_smb_1(0x72, 0, b"\x02NT LM 0.12\0"), _smb_1(0x72, 0, bytes(40), answer=True)]
    else:
        setup = [_smb_2(1, 0, negotiate), _smb_2(1, 0xC0000016, b"", answer=True)]
        setup += [_smb_2(1, 0, authenticate), _smb_2(1, status, b"", answer=True)]
        first = [_smb_2(0, 0, bytes(36)), _smb_2(0, 0, bytes(64), answer=True)]
    return [(">" if number % 2 == 0 else "<", message) for number, message in enumerate((*first, *setup))]


def _smb_2(command: int, status: int, content: bytes, *, answer: bool = False) -> bytes:
    head = b"\xfeSMB" + (64).to_bytes(2, "little") + bytes(2) + status.to_bytes(4, "little")
    head += command.to_bytes(2, "little") + bytes(2) + (1 if answer else 0).to_bytes(4, "little") + bytes(44)
    return b"\0" + _vector(head + content, 3)


def _smb_1(command: int, status: int, content: bytes, *, answer: bool = False) -> bytes:
    head = b"\xffSMB" + bytes((command,)) + status.to_bytes(4, "little") + bytes((0x88 if answer else 8,)) + bytes(22)
    return b"\0" + _vector(head + content, 3)


def _ntlm(kind: int, user: str = "") -> bytes:
    name = user.encode("utf-16-le")
    message = bytearray(b"NTLMSSP\0" + kind.to_bytes(4, "little") + bytes(76))
    if kind == 3:
        message[36:44] = len(name).to_bytes(2, "little") * 2 + (88).to_bytes(4, "little")
        message[60:64] = (1).to_bytes(4, "little")
    return bytes(message) + name


def rdp(user: str, answer: int) -> list[Turn]:
    """A connection request with the user's name, then TLS of so many bytes from the server."""
    cookie = f"Cookie: mstshash={user}\r\n".encode() if user else b""
    request = bytes((6 + len(cookie) + 8, 0xE0, 0, 0, 0, 0, 0)) + cookie + b"\x01\0\x08\0\x03\0\0\0"
    confirm = b"\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0"
    return [
        (">", b"\x03\0" + (len(request) + 4).to_bytes(2, "big") + request),
        ("<", b"\x03\0" + (len(confirm) + 4).to_bytes(2, "big") + confirm),
        (">", hello(server_name=b"", alpn=())),
        ("<", b"\x16\x03\x03\x00\x40" + bytes(answer)),
        (">", b"\x17\x03\x03\x00\x40" + bytes(64)),
    ]


def old_smb(user: str, status: int, *, unicode: bool = True) -> list[Turn]:
    """A session setup of SMB 1 without NTLM's messages, as old programs and guessers send it."""
    name = (user + "\0").encode("utf-16-le" if unicode else "ascii")
    words = b"\xff" + bytes(13) + (24).to_bytes(2, "little") * 2 + bytes(8)
    content = bytes(48) + (b"\0" if unicode else b"") + name
    body = bytes((13,)) + words + len(content).to_bytes(2, "little") + content
    head = bytearray(b"\xffSMB\x73" + bytes(27))
    head[11] = 0x80 if unicode else 0
    answer = b"\xffSMB\x73" + status.to_bytes(4, "little") + b"\x88" + bytes(22) + bytes(3)
    negotiate = b"\xffSMB\x72" + bytes(27) + bytes(3)
    negotiated = b"\xffSMB\x72" + bytes(4) + b"\x88" + bytes(25)
    messages = ((">", negotiate), ("<", negotiated), (">", bytes(head) + body), ("<", answer))
    return [(who, b"\0" + _vector(message, 3)) for who, message in messages]
