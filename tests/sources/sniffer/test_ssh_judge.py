"""Judging SSH logins by the sizes of the server's answers, for several ciphers, clients and methods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.sources.sniffer.observers.ssh_judge import Turn, judge

# One row a cipher: bytes on the wire of the answer to the service request, of success, failure, the offer of a key
# that is accepted (PK_OK), a request for a password interactively, and "too many failures". Computed from RFC 4253
# section 6 for chacha20-poly1305, aes-gcm, aes-ctr with hmac-sha2-256-etm, aes-ctr with hmac-sha2-256.
CIPHERS = {
    "chacha20": (8, False, 16, 8),
    "aes-gcm": (16, False, 16, 16),
    "aes-ctr-etm": (16, False, 32, 16),
    "aes-ctr": (16, True, 32, 16),
    "3des-cbc-sha1": (8, True, 20, 16),
}


def wire_bytes(cipher: str, content: int) -> int:
    block, length_encrypted, mac, least = CIPHERS[cipher]
    inside = 1 + content + 4 + (4 if length_encrypted else 0)
    inside = max(-(-inside // block) * block, least)
    return inside + mac + (0 if length_encrypted else 4)


def turn(cipher: str, request: int, answer: int) -> Turn:
    size = wire_bytes(cipher, answer)
    return Turn(wire_bytes(cipher, request), size, size)


SERVICE = (17, 17)
NONE = (31 + 5, 6 + 18)  # user "alice"; methods "publickey,password"
PASSWORD = 40 + 5 + 9
PADDED = 119  # OpenSSH pads the packet of a password to 128 bytes
FAILURE, SUCCESS, PK_OK, ASK, TOO_MANY = 24, 1, 71, 32, 52
RSA_OFFER = 107 + 5 - 62 + 12 + 279  # of 2048 bits
OFFER, SIGNED = 107 + 5, 107 + 5 + 87


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize(
    ("turns", "success", "failed"),
    [
        ([NONE], False, 0),
        ([NONE, (PASSWORD, FAILURE)], False, 1),
        ([NONE, (PASSWORD, SUCCESS)], True, 0),
        ([NONE, *[(PASSWORD, FAILURE)] * 3, (PASSWORD, SUCCESS)], True, 3),
        ([NONE, *[(PASSWORD, FAILURE)] * 5, (PASSWORD, TOO_MANY)], False, 6),
        ([NONE, (OFFER, PK_OK), (SIGNED, SUCCESS)], True, 0),
        ([(PADDED, FAILURE)], False, 1),
        ([(PADDED, FAILURE)] * 3, False, 3),
        ([(PADDED, SUCCESS)], True, 0),
        ([NONE, *[(PADDED, FAILURE)] * 3], False, 3),
        ([(OFFER, PK_OK), (SIGNED, SUCCESS)], True, 0),
        ([(128, FAILURE), *[SERVICE, (128, FAILURE)] * 4, SERVICE, (128, TOO_MANY)], False, 6),
        ([(128, FAILURE), *[SERVICE, (120, FAILURE)] * 2, SERVICE, (128, SUCCESS)], True, 3),
    ],
)
def test_verdicts(cipher: str, turns: list[tuple[int, int]], success: bool, failed: int) -> None:
    verdict = judge([turn(cipher, *SERVICE), *(turn(cipher, *one) for one in turns)])
    assert (verdict.success, verdict.failed) == (success, failed)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_keys_that_are_refused_are_no_tries(cipher: str) -> None:
    """An agent's, one after the other; then one that is good, or none, or a password."""
    refused = [(size, FAILURE) for size in (RSA_OFFER, RSA_OFFER + 128, RSA_OFFER + 256)]
    for more, expected in (
        ([(OFFER, PK_OK), (SIGNED, SUCCESS)], (True, 0, 3)),
        ([], (False, 0, 3)),
        ([(RSA_OFFER, TOO_MANY)], (False, 0, 4)),
        ([(PADDED, FAILURE), (PADDED, SUCCESS)], (True, 1, 3)),
    ):
        turns = [turn(cipher, *one) for one in (SERVICE, NONE, *refused, *more)]
        verdict = judge(turns)
        assert (verdict.success, verdict.failed, verdict.refused_keys) == expected


def test_a_short_key_is_told_from_a_password_by_a_cipher_without_blocks() -> None:
    turns = [SERVICE, NONE, *[(OFFER, FAILURE)] * 4, (PASSWORD, FAILURE)]
    stream, blocks = (judge([turn(cipher, *one) for one in turns]) for cipher in ("chacha20", "aes-gcm"))
    assert (stream.failed, stream.refused_keys) == (1, 4)
    assert (blocks.failed, blocks.refused_keys) == (5, 0)


def test_interactive_passwords() -> None:
    """Each guess is a question, the server's question back, and the answer to it."""
    guess = [(60, ASK), (20, FAILURE)]
    turns = [turn("chacha20", *one) for one in (SERVICE, NONE, *guess, *guess, *guess)]
    assert judge(turns).failed == 3


def test_banner_before_the_first_answer() -> None:
    turns = [turn("chacha20", *SERVICE), Turn(68, 400, 400), turn("chacha20", PASSWORD, FAILURE)]
    assert judge(turns).failed == 1


def test_request_without_answer_is_no_try() -> None:
    turns = [turn("chacha20", *SERVICE), turn("chacha20", *NONE), Turn(52)]
    assert (judge(turns).success, judge(turns).failed) == (False, 0)


def test_session_whose_success_escaped() -> None:
    turns = [turn("chacha20", *SERVICE), turn("chacha20", *NONE), turn("chacha20", 128, 600), Turn(100, 200, 50_000)]
    assert judge(turns).success


def test_nothing() -> None:
    assert (judge([]).success, judge([]).failed) == (False, 0)


sizes = st.integers(0, 20_000)


@given(st.lists(st.builds(Turn, sizes, sizes, sizes), max_size=70))
def test_any_turns_have_a_verdict(turns: list[Turn]) -> None:
    verdict = judge(turns)
    assert 0 <= verdict.failed < max(1, len(turns))
