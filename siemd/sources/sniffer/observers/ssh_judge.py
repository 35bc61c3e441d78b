"""Judges SSH logins by sizes: which of the server's encrypted answers was a success, which a failure.

After both sides sent NEWKEYS the client asks for the service "ssh-userauth" and the server accepts it. Under every
cipher the acceptance (17 bytes of content) is 16 bytes longer on the wire than USERAUTH_SUCCESS (1 byte of content),
and no other answer of that phase is as short: so one known answer calibrates all others. (RFC 4252, 4253.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec

ACCEPT_MINUS_SUCCESS = 16
MAX_TURNS = 64  # sshd gives up after 6 tries; what goes on longer is a session
SESSION_BYTES = 8_192  # no request or answer of the authentication phase is that long
NONE_REQUEST = 24  # at most this much longer than the service request: the "none" request of names up to 12 letters
_STREAM_SERVICE = (44, 24)  # the service request under chacha20: on the wire, and without what the cipher adds
_BLOCK_SERVICE = 32  # the latter under ciphers whose blocks are 16 bytes
KEY_OFFER = 112  # a packet that offers the shortest key there is, at least
PASSWORD_PADDING = 64  # OpenSSH pads passwords to a multiple of it; other programs' are shorter than a key
SIGNED_REQUEST = 64  # a request with a signature is at least this much longer than the offer of the key


class Turn(msgspec.Struct):
    """What the client sent, and the server's answer: its first segment and all of it, in bytes."""

    request: int
    first: int = 0
    answer: int = 0


class Verdict(msgspec.Struct):
    """success: whether the last try was good. failed: the tries before it, or all. refused_keys: not among these."""

    success: bool
    failed: int
    refused_keys: int = 0


def success_at(turns: Sequence[Turn]) -> int:
    """The index of the turn that logged in, 0 if none did (turn 0 is the service request)."""
    if len(turns) < 2:
        return 0
    good = turns[0].first - ACCEPT_MINUS_SUCCESS
    for index, turn in enumerate(turns[1:], 1):
        if turn.first == good:
            return index
        if turn.request > SESSION_BYTES or turn.answer > SESSION_BYTES:
            return max(1, index - 1)  # a session: the success itself escaped
    return len(turns) - 1 if len(turns) >= MAX_TURNS else 0


def judge(turns: Sequence[Turn], *, whole: bool = True) -> Verdict:
    """The verdict on a connection that is over, from its turns after the key exchange.

    whole: whether all packets were seen. If not, sizes may be those of two answers; a failure is then only what a
    sample tells.
    """
    turns = [turn for index, turn in enumerate(turns) if not index or not _asks_for_the_service(turn, turns[0])]
    end = success_at(turns)
    tries = [turn for turn in turns[1 : end or len(turns)] if turn.answer]
    if not tries:
        return Verdict(end > 0, 0)
    asked = _is_none_request(turns[0], tries)
    failure = tries[0].first if asked else 0
    rest = tries[1:] if asked else tries
    sizes = Counter(turn.first for turn in rest)
    refused_keys = 0
    if failure in sizes:
        refused = [turn for turn in rest if turn.first == failure]
        if whole and not end and rest[-1].first != failure:
            refused.append(rest[-1])  # the last answer was "too many failures"
        refused_keys = sum(_is_key_offer(turn, turns[0]) for turn in refused)
        failed = len(refused) - refused_keys
    elif not whole and len(tries) > 1:
        failed = 0
    else:  # a banner before the first answer, or no "none" request: there is no sample of a failure
        failed = len(rest) - _offers([*rest, turns[end]] if end else rest)
    return Verdict(end > 0, failed, refused_keys)


def _is_key_offer(turn: Turn, service: Turn) -> bool:
    """Whether the request can't be a password, but offers a key: an agent does so with every key that it has."""
    on_the_wire, bare = _STREAM_SERVICE
    size = (bare if service.request == on_the_wire else _BLOCK_SERVICE) + turn.request - service.request
    return size >= KEY_OFFER and size % PASSWORD_PADDING != 0


def _asks_for_the_service(turn: Turn, service: Turn) -> bool:
    """Whether it is the service request once more, which paramiko sends before each try; no try is as short."""
    return turn.request == service.request and turn.first == service.first


def _is_none_request(service: Turn, tries: Sequence[Turn]) -> bool:
    """Whether the first request only asks which methods there are."""
    longer = tries[0].request - service.request
    if longer <= NONE_REQUEST:
        return True
    return longer <= NONE_REQUEST + 16 and len(tries) > 1 and all(t.request > tries[0].request for t in tries[1:])


def _offers(tries: Sequence[Turn]) -> int:
    """Answers that are PK_OK (the client then sends the same with a signature), or a question to be answered."""
    return sum(
        1
        for turn, following in pairwise(tries)
        if following.request >= turn.request + SIGNED_REQUEST and turn.first > following.first
    )
