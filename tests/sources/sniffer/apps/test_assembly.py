"""Segments in any order, twice, overlapping or missing: the bytes come out once, in order, with every hole told."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from siemd.sources.sniffer.apps.assembly import MAX_AHEAD, MAX_PART_BYTES, MAX_PARTS, Assembly

TEXT = bytes(range(256)) * 2


@st.composite
def segments(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """The first number, and pieces (from, to) of TEXT that cover it all, in any order, some of them twice."""
    cuts = sorted({0, len(TEXT), *draw(st.lists(st.integers(1, len(TEXT) - 1), max_size=20))})
    pieces = list(pairwise(cuts))
    again = draw(st.lists(st.tuples(st.integers(0, 511), st.integers(0, 511)), max_size=5))
    pieces += [(min(pair), max(pair)) for pair in again if pair[0] != pair[1]]
    return draw(st.sampled_from([0, 1, (1 << 32) - 100, 1 << 31])), draw(st.permutations(pieces))


@given(segments())
@example((0, [(2, 3), (1, 2), (2, 512), (0, 1)]))
def test_whole_whatever_the_order(case: tuple[int, list[tuple[int, int]]]) -> None:
    first, pieces = case
    assembly = Assembly(first)
    found: list[bytes | int] = []
    for start, end in pieces:
        found += assembly.add((first + start) % (1 << 32), TEXT[start:end], end - start)
    assert b"".join(piece for piece in found if isinstance(piece, bytes)) == TEXT
    assert not [piece for piece in found if isinstance(piece, int)]
    assert assembly.held == 0


@given(
    st.lists(
        st.tuples(
            st.integers(0, (1 << 32) - 1), st.binary(max_size=600), st.integers(0, 2000), st.integers(0, 1 << 32)
        ),
        max_size=120,
    )
)
def test_anything(steps: list[tuple[int, bytes, int, int]]) -> None:
    assembly = Assembly()
    for seq, payload, more, ack in steps:
        pieces = assembly.add(seq, payload, len(payload) + more) + assembly.acknowledged(ack % (1 << 32))
        assert all(piece > 0 if isinstance(piece, int) else isinstance(piece, bytes) for piece in pieces)
        assert 0 <= assembly.held <= MAX_PART_BYTES + 600
    assembly.flush()
    assert assembly.held == 0


def test_a_hole_is_told_when_the_receiver_has_what_was_not_seen() -> None:
    assembly = Assembly(100)
    assert assembly.add(100, b"abc", 3) == [b"abc"]
    assert assembly.add(106, b"ghi", 3) == []
    assert assembly.acknowledged(103) == []
    assert assembly.acknowledged(109) == [3, b"ghi"]


def test_a_hole_is_told_when_too_much_waits_behind_it() -> None:
    assembly = Assembly(0)
    found: list[bytes | int] = []
    for number in range(MAX_PARTS + 1):
        found += assembly.add(10 + number, b"x", 1)
    assert found[0] == 10
    assert found[1:] == [b"x"] * (MAX_PARTS + 1)


def test_bytes_cut_by_the_snap_length_are_a_hole() -> None:
    assembly = Assembly(5)
    assert assembly.add(5, b"ab", 10) == [b"ab", 8]
    assert assembly.add(15, b"cd", 2) == [b"cd"]


def test_a_number_far_ahead_is_not_waited_for() -> None:
    assembly = Assembly(0)
    assert assembly.add(MAX_AHEAD + 1, b"new", 3) == [MAX_AHEAD, b"new"]
    assert assembly.add(MAX_AHEAD + 4, b"er", 2) == [b"er"]
