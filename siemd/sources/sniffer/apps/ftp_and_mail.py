"""FTP, SMTP, POP3 and IMAP: logins in clear text, who tried them and how they went; the secrets are dropped at once."""

from __future__ import annotations

import base64
import binascii
import re

from siemd.sources.sniffer.apps.dissector import Dissector, LineDissector, Peers
from siemd.sources.sniffer.apps.gathering import Gathering
from siemd.sources.sniffer.apps.text import text
from siemd.sources.sniffer.apps.tls import TlsDissector

MAX_USER = 128

_COMMAND = re.compile(rb"(?:[A-Za-z0-9.]{1,16} )?(?:USER|PASS|AUTH|AUTHENTICATE|APOP|LOGIN)[ \r\n]", re.IGNORECASE)
_LAST = (b"QUIT", b"LOGOUT")
_REPLY = re.compile(rb"\d{3}[ -]|\+OK|-ERR|\* |[A-Za-z0-9.]{1,16} (?:OK|NO|BAD)[ \r\n]")


class LoginDissector(LineDissector):
    """A try is begun by what the client says and ended by the server's answer; TLS takes over after STARTTLS."""

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self.user = ""
        self.method = ""
        self.cleartext = True
        self.waiting = False  # for the answer to a try
        self.upgrading = False  # for the answer to STARTTLS
        self.steps: list[str] = []  # what the client's next lines are: user, password or both
        self.heard_client = False
        self._tried_us = 0  # when the newest try was

    def line(self, from_client: bool, line: bytes, time_us: int) -> None:
        """One command, response of an exchange, or reply."""
        if not from_client:
            self.reply(line, time_us)
            return
        self.heard_client = True
        if self.waiting and time_us != self._tried_us:
            self._went_on(line, time_us)
        if self.steps:
            self.response(line)
        else:
            self.command(line)
        if self.waiting and not self._tried_us:
            self._tried_us = time_us

    def _went_on(self, line: bytes, time_us: int) -> None:
        """The client spoke again, so the answer to its try escaped: who tries again was refused."""
        if _COMMAND.match(line):
            self._told("failure", time_us)
        elif line.strip().upper().endswith(_LAST):
            self._told("unknown", time_us)

    def begins(self, from_client: bool, data: bytes) -> bool:
        """A command, perhaps behind a tag; a reply's code or sign."""
        return (_COMMAND if from_client else _REPLY).match(data) is not None

    def command(self, line: bytes) -> None:
        """A line of the client's that answers nothing."""
        raise NotImplementedError

    def reply(self, line: bytes, time_us: int) -> None:
        """A line of the server's."""
        raise NotImplementedError

    def response(self, line: bytes) -> None:
        """A line of the client's within an exchange."""
        self.sasl_line(line)

    def tried(self, user: str, method: str, *, cleartext: bool = True) -> None:
        """The client has said all that the server needs to answer a try."""
        self.user, self.method, self.cleartext, self.waiting = user, method, cleartext, True
        self._tried_us = 0

    def answered(self, good: bool, time_us: int) -> None:
        """The server's answer to a try."""
        if not self.waiting:
            return
        self._told("success" if good else "failure", time_us)
        if good:
            self.done = True

    def _told(self, outcome: str, time_us: int) -> None:
        self.waiting = False
        self.gathering.login(self.peers, self.service, outcome, self.user, self.method, self.cleartext, time_us)

    def upgraded(self, good: bool) -> None:
        """The server's answer to STARTTLS."""
        self.upgrading = False
        if good:
            self.done = True
            if self.gathering.reads_tls:
                self.following = TlsDissector(self.peers, self.gathering)

    def close(self, time_us: int) -> None:
        """A try without an answer."""
        if self.waiting:
            self._told("unknown", time_us)

    def sasl(self, mechanism: bytes, initial: bytes) -> None:
        """AUTH or AUTHENTICATE with that mechanism, perhaps with the first response (RFC 4954, 5034, 4959)."""
        name = mechanism.upper()
        if name == b"PLAIN":
            self.steps = ["both"]
        elif name == b"LOGIN":
            self.steps = ["user", "password"]
        else:
            self.steps = []
            self.tried("", text(name, 32).lower(), cleartext=False)
            return
        if initial and initial != b"=":
            self.sasl_line(initial)

    def sasl_line(self, line: bytes) -> None:
        """A response within that exchange."""
        step = self.steps.pop(0)
        if line == b"*":
            self.steps = []
        elif step == "both":
            self.tried(_plain_user(line), "plain")
        elif step == "user":
            self.user = text(_decoded(line), MAX_USER)
        else:
            self.tried(self.user, "login")


class FtpDissector(LoginDissector):
    """USER, PASS, and 230 or 530 (RFC 959)."""

    service = "ftp"

    def command(self, line: bytes) -> None:
        """USER, PASS and AUTH TLS."""
        command, _, argument = line.partition(b" ")
        match command.upper():
            case b"USER":
                self.user = text(argument, MAX_USER)
            case b"PASS":
                self.tried(self.user, "pass")
            case b"AUTH":
                self.upgrading = True

    def reply(self, line: bytes, time_us: int) -> None:
        """A reply's last line."""
        code = _code(line)
        if not code:
            return
        if self.upgrading:
            self.upgraded(code == b"234")
        elif code in (b"230", b"232", b"202"):
            if not self.waiting and self.user:
                self.tried(self.user, "user")  # nobody asked for a password
            self.answered(True, time_us)
        elif code in (b"530", b"430", b"421"):
            if not self.heard_client and code == b"530":
                self.tried("", "pass")  # only the server's side is seen: a login failed all the same
            self.answered(False, time_us)


class SmtpDissector(LoginDissector):
    """AUTH, and 235 or 535 (RFC 4954)."""

    service = "smtp"

    def command(self, line: bytes) -> None:
        """AUTH and STARTTLS."""
        words = line.split(b" ", 2)
        match words[0].upper():
            case b"AUTH" if len(words) > 1:
                self.sasl(words[1], words[2] if len(words) > 2 else b"")
            case b"STARTTLS":
                self.upgrading = True
            case b"DATA" | b"BDAT":
                self.done = True  # a mail follows

    def reply(self, line: bytes, time_us: int) -> None:
        """A reply's last line."""
        code = _code(line)
        if not code:
            return
        if self.upgrading:
            self.upgraded(code == b"220")
        elif code == b"235":
            self.answered(True, time_us)
        elif code[:1] in (b"4", b"5"):
            if not self.heard_client and code == b"535":
                self.tried("", "auth")
            self.steps = []
            self.answered(False, time_us)


class Pop3Dissector(LoginDissector):
    """USER and PASS, APOP, AUTH; +OK or -ERR (RFC 1939, 5034)."""

    service = "pop3"

    def command(self, line: bytes) -> None:
        """USER, PASS, APOP, AUTH and STLS."""
        words = line.split(b" ", 2)
        argument = words[1] if len(words) > 1 else b""
        match words[0].upper():
            case b"USER":
                self.user = text(line[5:], MAX_USER)
            case b"PASS":
                self.tried(self.user, "pass")
            case b"APOP":
                self.tried(text(argument, MAX_USER), "apop", cleartext=False)
            case b"AUTH" if argument:
                self.sasl(argument, words[2] if len(words) > 2 else b"")
            case b"STLS":
                self.upgrading = True

    def reply(self, line: bytes, time_us: int) -> None:
        """An answer."""
        good = line[:3] == b"+OK"
        if not good and line[:4] != b"-ERR":
            return
        if self.upgrading:
            self.upgraded(good)
        else:
            if not good:
                self.steps = []
            self.answered(good, time_us)


_IMAP_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^ ]+)')


class ImapDissector(LoginDissector):
    """LOGIN and AUTHENTICATE; the tag with OK, NO or BAD (RFC 9051)."""

    service = "imap"

    def __init__(self, peers: Peers, gathering: Gathering) -> None:
        super().__init__(peers, gathering)
        self._tag = b""
        self._literal = False  # the client's next line begins with the literal that ended the one before

    def command(self, line: bytes) -> None:
        """LOGIN, AUTHENTICATE and STARTTLS, behind their tag."""
        tag, _, rest = line.partition(b" ")
        command, _, arguments = rest.partition(b" ")
        match command.upper():
            case b"LOGIN":
                self._tag = tag
                self._login(arguments)
            case b"AUTHENTICATE":
                self._tag = tag
                words = arguments.split(b" ", 1)
                self.sasl(words[0], words[1] if len(words) > 1 else b"")
            case b"STARTTLS":
                self._tag, self.upgrading = tag, True

    def _login(self, arguments: bytes) -> None:
        words = [quoted or bare for quoted, bare in _IMAP_WORD.findall(arguments)]
        if words and _is_literal(words[-1]):
            self._literal = True
            self.steps = ["user", "password"] if len(words) == 1 else ["password"]
            self.user = text(words[0], MAX_USER) if len(words) > 1 else ""
        elif words:
            self.tried(text(words[0], MAX_USER), "login")

    def response(self, line: bytes) -> None:
        """A line of AUTHENTICATE, or the literal that LOGIN announced."""
        if not self._literal:
            self.sasl_line(line)
            return
        step = self.steps.pop(0)
        if step == "user":
            name, _, rest = line.partition(b" ")
            self.user = text(name, MAX_USER)
            if _is_literal(rest):
                return
        self.steps, self._literal = [], False
        self.tried(self.user, "login")

    def reply(self, line: bytes, time_us: int) -> None:
        """The answer that has the command's tag."""
        tag, _, rest = line.partition(b" ")
        if not self._tag or tag != self._tag:
            return
        good = rest[:2].upper() == b"OK"
        self.steps, self._literal = [], False
        if self.upgrading:
            self.upgraded(good)
        else:
            self.answered(good, time_us)


class FtpOrSmtpDissector(LineDissector):
    """After a greeting that both could have sent: the client's first command decides."""

    service = ""

    def line(self, from_client: bool, line: bytes, time_us: int) -> None:
        """One command or reply."""
        if from_client:
            mail = line[:4].upper() in (b"EHLO", b"HELO", b"LHLO")
            kind: type[Dissector] = SmtpDissector if mail else FtpDissector
            self.following = kind(self.peers, self.gathering)
            self.following.data(True, line + b"\n", time_us)
            self.done = True


def _code(line: bytes) -> bytes:
    """The code of a reply's last line (RFC 959, 4.2); empty when more lines follow, or it is no reply."""
    code = line[:3]
    return code if line[3:4] != b"-" and code.isdigit() else b""


def _is_literal(word: bytes) -> bool:
    """Whether a word announces bytes on the next line: {5} or {5+} (RFC 9051, 4.3)."""
    return word[:1] == b"{" and word[-1:] == b"}"


def _decoded(line: bytes) -> bytes:
    try:
        return base64.b64decode(line[:512], validate=False)
    except (binascii.Error, ValueError):
        return b""


def _plain_user(line: bytes) -> str:
    """The user of SASL PLAIN (RFC 4616): authorization identity NUL user NUL password."""
    parts = _decoded(line).split(b"\0")
    return text(parts[1], MAX_USER) if len(parts) > 1 else ""
