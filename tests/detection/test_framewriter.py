"""Frames leave for another process without the sender ever waiting for it."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.detection.framewriter import PIPE_BYTES, FrameWriter
from support.waiting import wait_until

SINK = "import sys; data = sys.stdin.buffer.read(); print(len(data), data.count(b'x'))"


def start(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def test_more_than_a_pipe_holds_is_taken_at_once_and_arrives_whole() -> None:
    process = start(f"input = __import__('sys').stdin.buffer.read(1); {SINK}")
    assert process.stdin
    assert process.stdout
    writer = FrameWriter(process.stdin)
    writer.put(b"xy" * PIPE_BYTES)  # returns although nobody has read
    writer.put(b"end")
    wait_until(writer.flush, "everything is on its way")
    writer.close()
    assert process.stdout.read().split() == [b"%d" % (2 * PIPE_BYTES + 2), b"%d" % (PIPE_BYTES - 1)]
    process.wait()


def test_a_reader_that_is_gone_is_nobodys_trouble() -> None:
    process = start("pass")
    assert process.stdin
    process.wait()
    writer = FrameWriter(process.stdin)
    writer.put(b"x" * (2 * PIPE_BYTES))
    assert writer.flush()
    writer.close()
    writer.close()


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=200_000), max_size=12))
def test_frames_arrive_in_their_order(frames: list[bytes]) -> None:
    read, write = os.pipe()
    writer = FrameWriter(os.fdopen(write, "wb", buffering=0))
    arrived = bytearray()
    for frame in frames:
        writer.put(frame)
        if len(arrived) % 2:
            arrived += os.read(read, 65_536)
    while not writer.flush():
        arrived += os.read(read, 65_536)
    writer.close()
    while piece := os.read(read, 65_536):
        arrived += piece
    os.close(read)
    assert bytes(arrived) == b"".join(frames)
