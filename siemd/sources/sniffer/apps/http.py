"""HTTP/1: requests with their answers' status, user names of basic authentication, and nothing of any body."""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from urllib.parse import unquote

import msgspec

from siemd.sources.sniffer.apps.dissector import MAX_BUFFER, Dissector, Peers
from siemd.sources.sniffer.apps.gathering import Gathering
from siemd.sources.sniffer.apps.text import text

MAX_URI, MAX_AGENT, MAX_HOST = 1024, 256, 256
MAX_PIPELINED = 32
BULK_BYTES = 1 << 20  # behind a body this long nobody listens any more: bulk traffic passes undissected

_REQUEST = re.compile(rb"([A-Za-z][A-Za-z-]{1,19}) (\S.*?)(?: (HTTP/1\.[01]))?$")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?:\s|$)")
_CUT_VERSION = re.compile(rb" H?T{0,2}P?/?1?\.?$")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SECRETS = re.compile(
    r"((?:^|[?&;])(?:pass(?:word|wd)?|pwd|secret|token|access_token|api_?key)=)([^&;#]+)", re.IGNORECASE
)
_ATTACK = re.compile(r"""['"<>()\s|`\\]|\.\./|\$\{""")  # what an attack has in a value, and a secret seldom
_NO_BODY = frozenset((204, 304))


class Request(msgspec.Struct):
    """What is told of a request. uri: path and query; status: 0 while there is no answer."""

    method: str
    host: str
    uri: str
    user_agent: str = ""
    referrer: str = ""
    status: int = 0
    user_name: str = ""


class _Side:
    """One direction. skip: bytes of a body to pass over, -1 all. chunked: a body in chunks. lost: waits for a start."""

    __slots__ = ("body", "chunked", "lost", "rest", "skip")

    def __init__(self) -> None:
        self.rest = b""
        self.skip = 0
        self.chunked = ""  # "", size, data or trailer
        self.lost = False
        self.body = 0

    def bodiless(self) -> None:
        self.skip, self.chunked, self.body = 0, "", 0


class HttpDissector(Dissector):
    """States each request when its answer came, or the connection ended without one."""

    service = "http"

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._sides = (_Side(), _Side())  # the server's, the client's
        self._asked: deque[Request] = deque()

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._sides[0].rest) + len(self._sides[1].rest)

    def data(self, from_client: bool, data: bytes, time_us: int) -> None:
        """Heads are read, bodies passed over."""
        side = self._sides[from_client]
        if side.skip:
            data = self._pass_over(side, data, len(data))
        if not data or self.done:
            return
        if side.lost:
            if not (_REQUEST.match(data.split(b"\n", 1)[0].rstrip()) if from_client else data.startswith(b"HTTP/1.")):
                return
            side.lost = False
        side.rest += data
        while side.rest and not self.done:
            read = self._chunk(side) if side.chunked else self._head(side, from_client, time_us)
            if not read:
                break
            if side.skip and side.rest:
                side.rest = self._pass_over(side, side.rest, len(side.rest))
        if len(side.rest) > MAX_BUFFER:
            self._lose(side)

    def _pass_over(self, side: _Side, data: bytes, size: int) -> bytes:
        if side.skip < 0 or size <= side.skip:
            side.body += size
            if side.skip > 0:
                side.skip -= size
            if side.body > BULK_BYTES:
                self.done = True
            return b""
        data, side.skip = data[side.skip :], 0
        return data

    def gap(self, from_client: bool, size: int, time_us: int) -> None:
        """Harmless within a body; else the next head is waited for."""
        side = self._sides[from_client]
        if side.skip < 0 or size <= side.skip:
            self._pass_over(side, b"", size)
        else:
            if side.rest and not side.chunked:
                self._message(side, _CUT_VERSION.sub(b"", side.rest), from_client, time_us)  # as far as it goes
            self._lose(side)
            if not from_client:
                self.close(time_us)  # which answer belongs to which request is not known any more

    def skips(self, from_client: bool) -> int:
        """The rest of a body."""
        side = self._sides[from_client]
        size = max(0, side.skip)
        if size:
            side.skip = 0
            side.body += size
            self.done = self.done or side.body > BULK_BYTES
        return size

    def _lose(self, side: _Side) -> None:
        side.rest, side.lost = b"", True
        side.bodiless()

    def close(self, time_us: int) -> None:
        """State what was not answered."""
        while self._asked:
            self._state(self._asked.popleft(), time_us)

    def _state(self, request: Request, time_us: int) -> None:
        self.gathering.http_request(self.peers, request, time_us)

    # heads

    def _head(self, side: _Side, from_client: bool, time_us: int) -> bool:
        """Read a head, if it is whole; whether there was something to read."""
        rest = side.rest
        if rest[:1] in b"\r\n":  # empty lines between messages are allowed (RFC 9112, 2.2)
            side.rest = rest.lstrip(b"\r\n")
            return bool(side.rest)
        end = rest.find(b"\n\r\n")
        length = 3
        bare = rest.find(b"\n\n")
        if bare >= 0 and (end < 0 or bare < end):
            end, length = bare, 2
        if end < 0:
            return False
        side.rest = rest[end + length :]
        return self._message(side, rest[:end], from_client, time_us)

    def _message(self, side: _Side, head: bytes, from_client: bool, time_us: int) -> bool:
        lines = head.split(b"\n")
        fields: dict[bytes, bytes] = {}
        for line in lines[1:129]:
            name, colon, value = line.partition(b":")
            if colon:
                fields.setdefault(name.strip().lower(), value.strip())
        side.bodiless()
        first = lines[0].rstrip()
        known = (
            self._request(side, first, fields, time_us) if from_client else self._answer(side, first, fields, time_us)
        )
        if not known:
            self._lose(side)
        return known

    def _request(self, side: _Side, line: bytes, fields: dict[bytes, bytes], time_us: int) -> bool:
        found = _REQUEST.match(line)
        if found is None:
            return False
        target, host = found[2], fields.get(b"host", b"")
        if absolute := _ABSOLUTE.match(target):
            host, target = absolute[1].rpartition(b"@")[2], absolute[2] or b"/"
        self._asked.append(
            Request(
                text(found[1], 20).upper(),
                text(host, MAX_HOST),
                without_secrets(text(target, MAX_URI)),
                text(fields.get(b"user-agent", b""), MAX_AGENT),
                without_secrets(text(fields.get(b"referer", b""), MAX_URI)),
                user_name=_basic_user(fields.get(b"authorization", b"")),
            )
        )
        if len(self._asked) > MAX_PIPELINED:
            self._state(self._asked.popleft(), time_us)
        self._body(side, fields, False)
        return True

    def _answer(self, side: _Side, line: bytes, fields: dict[bytes, bytes], time_us: int) -> bool:
        found = _STATUS.match(line)
        if found is None:
            return False
        status = int(found[1])
        if status < 200 and status != 101:
            return True
        method = ""
        if self._asked:
            request = self._asked.popleft()
            request.status, method = status, request.method
            self._state(request, time_us)
        if status == 101 or (method == "CONNECT" and status < 300):
            self.done = True  # another protocol goes on
        elif method != "HEAD" and status not in _NO_BODY:
            self._body(side, fields, True)
        return True

    def _body(self, side: _Side, fields: dict[bytes, bytes], to_end: bool) -> None:
        length = fields.get(b"content-length", b"")
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            side.chunked = "size"
        elif length.isdigit() and len(length) < 19:
            side.skip = int(length)
        elif to_end:
            side.skip = -1

    def _chunk(self, side: _Side) -> bool:
        """One step through a body in chunks."""
        end = side.rest.find(b"\n")
        if end < 0:
            if len(side.rest) > 1024:
                self._lose(side)
            return False
        line, side.rest = side.rest[:end].strip(), side.rest[end + 1 :]
        if side.chunked == "trailer":
            if not line:
                side.bodiless()
        elif side.chunked == "data":  # the end of line behind the data
            side.chunked = "size"
        else:
            try:
                size = int(line.split(b";")[0][:16], 16)
            except ValueError:
                size = -1
            if size < 0:
                self._lose(side)
                return False
            side.chunked, side.skip = ("data", size) if size else ("trailer", 0)
        return True


def without_secrets(uri: str) -> str:
    """The values of parameters that hold a password or a key by their name are masked, unless they hold an attack."""
    if "=" not in uri:
        return uri
    return _SECRETS.sub(lambda found: found[0] if _ATTACK.search(unquote(found[2])) else f"{found[1]}***", uri)


def _basic_user(value: bytes) -> str:
    """The user of "Authorization: Basic …"; "" without. The password is dropped at once."""
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return text(base64.b64decode(encoded[:512], validate=False).partition(b":")[0], 128)
    except (binascii.Error, ValueError):
        return ""
