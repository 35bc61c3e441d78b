"""Frames of several processes arrive whole and in order, however the pipes cut them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.detection.framereader import FrameReader
from siemd.detection.worker import HEADER, Kind, frame_of
from support.waiting import wait_until

Frames = list[tuple[Kind, bytes]]
FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=100_000)), max_size=8)


def take_until_ended(reader: FrameReader[str], senders: int) -> list[tuple[str, Kind | None, bytes]]:
    taken: list[tuple[str, Kind | None, bytes]] = []

    def ended() -> bool:
        taken.extend(reader.take(0.01))
        return sum(kind is None for _, kind, _ in taken) == senders

    wait_until(ended, "all have ended")
    return taken


@settings(max_examples=30, deadline=None)
@given(FRAMES, FRAMES, st.integers(1, 5_000))
def test_frames_of_each_arrive_whole_and_in_order(first: Frames, second: Frames, cut: int) -> None:
    reader: FrameReader[str] = FrameReader()
    writing = []
    for sender, frames in (("first", first), ("second", second)):
        read, write = os.pipe()
        reader.listen(sender, os.fdopen(read, "rb", buffering=0), sender)
        data = b"".join(frame_of(kind, payload) for kind, payload in frames)
        writing.append(threading.Thread(target=_write, args=(write, data[:cut], data[cut:])))
        writing[-1].start()
    taken = take_until_ended(reader, 2)
    for sender, frames in (("first", first), ("second", second)):
        own = [(kind, payload) for who, kind, payload in taken if who == sender]
        assert own == [*frames, (None, b"")], "and nothing after its end"
    for thread in writing:
        thread.join()
    assert not reader.take()
    reader.close()


def _write(number: int, *pieces: bytes) -> None:
    with os.fdopen(number, "wb", buffering=0) as pipe:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[pipe.write(rest) :]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_comes_it_ends(data: bytes) -> None:
    reader: FrameReader[str] = FrameReader()
    read, write = os.pipe()
    reader.listen("sender", os.fdopen(read, "rb", buffering=0), "sender")
    _write(write, frame_of(Kind.READY), data)
    taken = take_until_ended(reader, 1)
    assert taken[0] == ("sender", Kind.READY, b"")
    assert [kind for _, kind, _ in taken].index(None) == len(taken) - 1


def test_a_frame_of_no_known_kind_ends_its_sender() -> None:
    reader: FrameReader[str] = FrameReader()
    read, write = os.pipe()
    reader.listen("sender", os.fdopen(read, "rb", buffering=0), "sender")
    os.write(write, frame_of(Kind.READY) + HEADER.pack(0, 99))
    assert [kind for _, kind, _ in take_until_ended(reader, 1)] == [Kind.READY, None]
    os.close(write)


def test_a_process_that_dies_has_ended_and_one_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdout
    assert process.stdin
    reader: FrameReader[str] = FrameReader()
    reader.listen("it", process.stdout, "it")
    assert not reader.take()
    assert not reader.take(0.01)
    process.kill()
    assert take_until_ended(reader, 1) == [("it", None, b"")]
    assert process.stdout.closed
    process.wait()
    process.stdin.close()
    reader.close()
