"""SMB 1 and 2: how session setups went, by the status in the server's answers, and for whom, by NTLM's messages."""

from __future__ import annotations

from siemd.sources.sniffer.apps.dissector import Dissector, Peers
from siemd.sources.sniffer.apps.gathering import Gathering
from siemd.sources.sniffer.apps.text import text

MAX_MESSAGE = 4096  # so much of a message is looked at; what is longer is passed over
MAX_USER = 128

_SETUP_1, _SETUP_2 = 0x73, 0x0001
_MORE_PROCESSING = 0xC0000016
# NTSTATUS of a logon that failed (MS-ERREF 2.3.1): wrong password, no such user, disabled, locked out, expired …
_FAILURES = frozenset(
    (
        *(0xC0000022, 0xC0000064, 0xC000006A, 0xC000006D, 0xC000006E, 0xC000006F, 0xC0000070, 0xC0000071, 0xC0000072),
        *(0xC000015B, 0xC0000193, 0xC0000224, 0xC0000234, 0xC0000413),
    )
)
_AUTHENTICATE = b"NTLMSSP\0\3\0\0\0"


class SmbDissector(Dissector):
    """Walks over the messages (NetBIOS session service, RFC 1002 4.3) until a session is set up."""

    service = "smb"

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._rest = [b"", b""]
        self._skip = [0, 0]
        self._user = ""

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._rest[0]) + len(self._rest[1])

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """Cut into messages; of a long one only the beginning is kept."""
        skip = self._skip[from_client]
        if skip >= len(data):
            self._skip[from_client] = skip - len(data)
            return
        self._skip[from_client] = 0
        rest = self._rest[from_client] + data[skip:]
        while len(rest) >= 4 and not self.done:
            size = int.from_bytes(rest[1:4], "big")
            if len(rest) < 4 + min(size, MAX_MESSAGE):
                break
            if rest[0] == 0:
                self._message(from_client, rest[4 : 4 + min(size, MAX_MESSAGE)], time_us)
            missing = 4 + size - len(rest)
            rest = rest[4 + size :]
            if missing > 0:
                self._skip[from_client] = missing
        self._rest[from_client] = b"" if self.done else rest

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """Harmless within a message, of which its beginning is looked at; else the framing is lost."""
        rest, self._rest[from_client] = self._rest[from_client], b""
        if len(rest) >= 4 and not self._skip[from_client]:
            self._skip[from_client] = max(0, 4 + int.from_bytes(rest[1:4], "big") - len(rest))
            if rest[0] == 0 and size <= self._skip[from_client]:
                self._message(from_client, rest[4:], time_us)
        if size <= self._skip[from_client]:
            self._skip[from_client] -= size
        else:
            self.done = True
            self._rest = [b"", b""]

    def _message(self, from_client: bool, message: bytes, time_us: int) -> None:
        if from_client:
            at = message.find(_AUTHENTICATE)
            if at >= 0:
                self._user = _user(message[at:])
            elif message[:5] == b"\xffSMB" + bytes((_SETUP_1,)) and message[32:33] == b"\x0d":
                self._user = _user_of_smb_1(message)
            return
        if message[:4] == b"\xfeSMB" and len(message) >= 20:
            status, command = int.from_bytes(message[8:12], "little"), int.from_bytes(message[12:14], "little")
            answer = command == _SETUP_2
        elif message[:4] == b"\xffSMB" and len(message) >= 10:
            status, answer = int.from_bytes(message[5:9], "little"), message[4] == _SETUP_1
        else:
            return
        if not answer or status == _MORE_PROCESSING:
            return
        if status == 0:
            self.done = True
        elif status not in _FAILURES:
            return
        user, self._user = self._user, ""
        if status or user:  # without a user it is the anonymous session that many programs begin with
            outcome = "failure" if status else "success"
            self.gathering.login(self.peers, "smb", outcome, user, "ntlm" if user else "", False, time_us)
        else:
            self.done = False


def _user_of_smb_1(message: bytes) -> str:
    """The account of an old session setup without NTLM's messages (MS-CIFS 2.2.4.53.1): behind the two passwords."""
    passwords = sum(int.from_bytes(message[at : at + 2], "little") for at in (47, 49))
    at = 61 + passwords
    if not message[11:12] or not message[11] & 0x80:  # SMB_FLAGS2_UNICODE
        return text(message[at : at + MAX_USER].split(b"\0", 1)[0], MAX_USER)
    at += at & 1  # texts begin at even places of the message
    name = message[at : at + 2 * MAX_USER].decode("utf-16-le", "replace").split("\0", 1)[0]
    return text(name.encode(), MAX_USER)


def _user(message: bytes) -> str:
    """The user of an NTLM AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3): with its domain, if it has one."""
    flags = int.from_bytes(message[60:64], "little")
    names = []
    for field in (28, 36):
        size, at = (
            int.from_bytes(message[field : field + 2], "little"),
            int.from_bytes(message[field + 4 : field + 8], "little"),
        )
        raw = message[at : at + min(size, 2 * MAX_USER)]
        names.append(text(raw.decode("utf-16-le", "replace").encode() if flags & 1 else raw, MAX_USER))
    domain, user = names
    return f"{domain}\\{user}" if domain and user else user
